"""What keeps the gateway from running as a service, judged from gathered facts: one remedy each.

Rule: pure. `judge` names the first thing that must be cured before any other helps.
"""

from __future__ import annotations

import shlex
from enum import StrEnum

from attrs import frozen


class Trouble(StrEnum):
    """Everything that may stand between a user and a gateway that runs as a service."""

    NOT_SYSTEMD = "not-systemd"
    FOREIGN_HOME = "foreign-home"
    NEEDS_ROOT = "needs-root"
    NO_USER_MANAGER = "no-user-manager"
    NO_BUS_PACKAGE = "no-bus-package"
    NO_LINGER = "no-linger"
    UNIT_MISSING = "unit-missing"
    UNIT_MASKED = "unit-masked"
    UNIT_STALE = "unit-stale"
    PORT_OF_FOREGROUND = "port-of-foreground"
    PORT_OF_UNIT = "port-of-another-unit"
    PORT_OF_USER = "port-of-another-user"
    PORT_OF_PROGRAM = "port-of-another-program"


@frozen(kw_only=True)
class Holder:
    """Who listens on the gateway's port.

    Args:
        unit: The systemd unit it belongs to, if that can be seen; ``unit_of_user`` tells whose.
        is_gateway_here: Whether it is the gateway of this very state directory.
    """

    uid: int
    user: str
    pid: int | None = None
    command: str | None = None
    unit: str | None = None
    unit_of_user: bool = False
    is_gateway_here: bool = False


@frozen(kw_only=True)
class ServiceFacts:
    """What was seen of this machine, this user and this unit.

    Args:
        user, uid, home: Whose gateway is meant; ``home_owner`` owns that home.
        sudo_user: Who called `sudo`, if anybody did.
        runtime_dir: Whether ``/run/user/UID`` is there and the user's own.
        manager: Whether the service manager that is to run the unit answers.
        bus_package: Whether sessions get a bus and a manager of their own at all.
        unit_path: Where the unit is, or belongs.
        stale: Whether it says something else than a new one would.
        config_path: The configuration of this user's gateway.
        port_free: A port nobody holds.
        verb: What the user wants of the service; to install it a unit need not be there.
    """

    user: str
    uid: int
    home: str
    home_owner: str
    systemd: bool = True
    container: bool = False
    sudo_user: str | None = None
    system: bool = False
    runtime_dir: bool = True
    manager: bool = True
    bus_package: bool = True
    linger: bool = True
    unit: str = "openclaw-gateway.service"
    unit_path: str = ""
    installed: bool = True
    masked: bool = False
    stale: bool = False
    active: bool = False
    main_pid: int | None = None
    port: int | None = None
    port_free: int | None = None
    config_path: str = ""
    holder: Holder | None = None
    profile: str | None = None
    verb: str = "install"

    @property
    def own_home(self) -> bool:
        """Tell whether the home belongs to who runs the command."""
        return self.home_owner == self.user

    def command(self, words: str) -> str:
        """Return a command of ours for this very unit."""
        profile = f"--profile {self.profile} " if self.profile else ""
        return f"openclaw {profile}{words}{' --system' if self.system else ''}"


@frozen(kw_only=True)
class Finding:
    """One trouble, its remedy as a sentence, and the command in it."""

    trouble: Trouble
    problem: str
    remedy: str
    command: str | None = None

    @property
    def blocks(self) -> bool:
        """Tell whether nothing can be started before it is cured."""
        return self.trouble not in (Trouble.NO_LINGER, Trouble.UNIT_STALE)


def judge(facts: ServiceFacts) -> tuple[Finding, ...]:
    """Return what is wrong, what must be cured first at the front."""
    first = _of_the_machine(facts)
    if first is not None:
        return (first,)
    found, needs_unit = [], facts.verb not in ("install", "uninstall")
    if facts.masked:
        found.append(_masked(facts))
    elif not facts.installed and needs_unit:
        found.append(_missing(facts))
    elif facts.installed and facts.stale and needs_unit:
        found.append(_stale(facts))
    port = _of_the_port(facts)
    if port is not None:
        found.append(port)
    if not facts.system and not facts.linger:
        found.append(no_linger(facts))
    return tuple(sorted(found, key=lambda one: not one.blocks))


def _of_the_machine(facts: ServiceFacts) -> Finding | None:
    """Return what makes it useless to look at the unit."""
    if not facts.own_home:
        return _foreign_home(facts)
    if not facts.systemd:
        return _not_systemd(facts)
    if facts.system:
        return _needs_root(facts) if facts.uid != 0 else None
    if facts.manager:
        return None
    if not facts.bus_package:
        return Finding(
            trouble=Trouble.NO_BUS_PACKAGE,
            problem="this system gives its users no service manager: the package is missing",
            remedy="install it with `sudo apt-get install dbus-user-session` (elsewhere: the D-Bus "
            "user session and pam_systemd), then log in again",
            command="sudo apt-get install dbus-user-session",
        )
    return _no_manager(facts)


def _foreign_home(facts: ServiceFacts) -> Finding:
    owner, again = shlex.quote(facts.home_owner), facts.command(f"gateway {facts.verb}")
    if facts.uid == 0 and facts.sudo_user == facts.home_owner:
        return Finding(
            trouble=Trouble.FOREIGN_HOME,
            problem=f"you are root, but the home is that of {facts.home_owner} ({facts.home}): "
            "what root writes there its owner could not change",
            remedy=f"run it as yourself, without sudo: `{again}`",
            command=again,
        )
    command = f"sudo -iu {owner} {again}"
    return Finding(
        trouble=Trouble.FOREIGN_HOME,
        problem=f"you are {facts.user}, but the home is that of {facts.home_owner} ({facts.home}): "
        "the gateway would be neither's",
        remedy=f"run it as the home's owner: `{command}`",
        command=command,
    )


def _not_systemd(facts: ServiceFacts) -> Finding:
    command = facts.command("gateway run").removesuffix(" --system")
    where = "in this container" if facts.container else "on this machine"
    rest = (
        "let the container's restart policy keep it"
        if facts.container
        else "let your own init system keep it (exit code 78 means: do not start it again)"
    )
    return Finding(
        trouble=Trouble.NOT_SYSTEMD,
        problem=f"systemd is not what started the processes {where}, so there are no services",
        remedy=f"run it in the foreground with `{command}`, and {rest}",
        command=command,
    )


def _needs_root(facts: ServiceFacts) -> Finding:
    command = f"sudo {facts.command(f'gateway {facts.verb}')}"
    return Finding(
        trouble=Trouble.NEEDS_ROOT,
        problem=f"a service of the whole machine needs root; you are {facts.user}",
        remedy=f"use `{command}`, or leave --system out for a service of your own",
        command=command,
    )


def _no_manager(facts: ServiceFacts) -> Finding:
    command = linger_command(facts)
    if facts.linger:
        again = f"sudo systemctl restart user@{facts.uid}.service"
        return Finding(
            trouble=Trouble.NO_USER_MANAGER,
            problem=f"user {facts.user} may linger, yet no service manager of theirs answers",
            remedy=f"start it with `{again}`",
            command=again,
        )
    return Finding(
        trouble=Trouble.NO_USER_MANAGER,
        problem=f"no service manager runs for user {facts.user}: this is no login session, "
        "and the user does not linger",
        remedy=f"start one that stays with `{command}`, then repeat this",
        command=command,
    )


def linger_command(facts: ServiceFacts) -> str:
    """Return the command that lets a user's services run without a login."""
    sudo = "" if facts.uid == 0 else "sudo "
    return f"{sudo}loginctl enable-linger {shlex.quote(facts.user)}"


def no_linger(facts: ServiceFacts) -> Finding:
    """Return the warning that the gateway ends with the last session of its user."""
    command = linger_command(facts)
    return Finding(
        trouble=Trouble.NO_LINGER,
        problem="linger: no (the gateway stops at logout)",
        remedy=f"let it stay with `{command}`",
        command=command,
    )


def _missing(facts: ServiceFacts) -> Finding:
    command = facts.command("gateway install")
    return Finding(
        trouble=Trouble.UNIT_MISSING,
        problem=f"no service is installed: {facts.unit_path} is not there",
        remedy=f"install it with `{command}`",
        command=command,
    )


def _masked(facts: ServiceFacts) -> Finding:
    scope = "" if facts.system else "--user "
    command = f"systemctl {scope}unmask {facts.unit}"
    return Finding(
        trouble=Trouble.UNIT_MASKED,
        problem=f"{facts.unit} is masked: somebody forbade to start it",
        remedy=f"allow it with `{command}`",
        command=command,
    )


def _stale(facts: ServiceFacts) -> Finding:
    command = facts.command("gateway install")
    return Finding(
        trouble=Trouble.UNIT_STALE,
        problem=f"{facts.unit_path} is not what this version of openclaw would install",
        remedy=f"write it anew with `{command}`",
        command=command,
    )


def _of_the_port(facts: ServiceFacts) -> Finding | None:
    """Return who else holds the port, None if it is free or our unit's own."""
    holder = facts.holder
    if holder is None or facts.port is None:
        return None
    if holder.pid is not None and facts.active and holder.pid == facts.main_pid:
        return None
    elsewhere = f"openclaw config set gateway.port {facts.port_free or facts.port + 10}"
    if facts.profile:
        elsewhere = elsewhere.replace("openclaw", f"openclaw --profile {facts.profile}", 1)
    who = f"pid {holder.pid}, {holder.command or '?'}" if holder.pid else "its process is hidden"
    if holder.uid != facts.uid and not facts.system:
        return Finding(
            trouble=Trouble.PORT_OF_USER,
            problem=f"port {facts.port} is held by user {holder.user} (uid {holder.uid}); your "
            f"configuration is {facts.config_path}, that program uses another one",
            remedy=f"take another port with `{elsewhere}`, or use that gateway as its own user",
            command=elsewhere,
        )
    if holder.unit is not None and holder.unit != facts.unit:
        stop = f"systemctl disable --now {holder.unit}"
        if holder.unit_of_user:
            stop = f"systemctl --user disable --now {holder.unit}"
        elif facts.uid != 0:
            stop = f"sudo {stop}"
        return Finding(
            trouble=Trouble.PORT_OF_UNIT,
            problem=f"port {facts.port} is held by another unit, {holder.unit} ({who})",
            remedy=f"end that one with `{stop}`, or take another port with `{elsewhere}`",
            command=stop,
        )
    if holder.is_gateway_here:
        stop = facts.command("gateway stop")
        return Finding(
            trouble=Trouble.PORT_OF_FOREGROUND,
            problem=f"the gateway of this state directory already runs, outside of the service "
            f"({who})",
            remedy=f"end it with `{stop}`, then repeat this",
            command=stop,
        )
    return Finding(
        trouble=Trouble.PORT_OF_PROGRAM,
        problem=f"port {facts.port} is held by another program ({who})",
        remedy=f"end that one, or take another port with `{elsewhere}`",
        command=elsewhere,
    )
