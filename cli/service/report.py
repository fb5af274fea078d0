"""What a machine says of the gateway's service: gathered here, judged in `cli.service.verdict`."""

from __future__ import annotations

import os
import pwd
import re
import socket
from pathlib import Path
from typing import Any

from attrs import frozen

from cli.config_words import Running, running_gateway
from cli.service.service import Service, home_of, service_here
from cli.service.systemd import (
    UnitState,
    gives_users_a_manager,
    is_running_systemd,
    lingers,
    manager_for,
)
from cli.service.verdict import Finding, Holder, ServiceFacts, judge
from cli.typed import as_typed, typable
from stores.errors import UserFacingError
from stores.paths import DEFAULT_PORT
from stores.port_owner import port_owner

_UNIT_OF_CGROUP = re.compile(r"[^/]+\.service")


@frozen(kw_only=True)
class UnitReport:
    """The unit half of a status: facts, what systemd says, and what is wrong."""

    service: Service
    facts: ServiceFacts
    state: UnitState
    running: Running | None
    findings: tuple[Finding, ...]

    @property
    def active(self) -> bool:
        """Tell whether the service runs."""
        return self.state.active in ("active", "reloading", "activating")

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        facts, state, holder = self.facts, self.state, self.facts.holder
        return {
            "name": self.service.name,
            "path": str(self.service.path),
            "scope": "system" if self.service.system else "user",
            "installed": facts.installed,
            "stale": facts.stale,
            "enabled": state.enabled == "enabled",
            "active": self.active,
            "state": f"{state.active} ({state.sub})" if state.active else None,
            "mainPid": state.main_pid,
            "result": state.result or None,
            "lastExit": state.exit_status,
            "says": state.status_text or None,
            "restarts": state.restarts,
            "linger": None if self.service.system else facts.linger,
            "userManager": None if self.service.system else facts.manager,
            "port": facts.port,
            "portOwner": None
            if holder is None
            else {
                "uid": holder.uid,
                "user": holder.user,
                "pid": holder.pid,
                "command": holder.command,
                "unit": holder.unit,
            },
            "findings": [
                {"kind": str(one.trouble), "problem": one.problem, "remedy": typable(one.remedy)}
                | ({"command": as_typed(one.command)} if one.command else {})
                for one in self.findings
            ],
        }

    def service_json(self) -> dict[str, Any]:
        """Return what published commands print as ``service``."""
        state = self.state
        status = "running" if self.active else "stopped"
        known = self.facts.manager or not self.facts.installed
        return {
            "label": "systemd",
            "loaded": self.state.enabled == "enabled",
            "loadedText": "enabled",
            "notLoadedText": "disabled",
            "runtime": {
                "status": status if known else "unknown",
                "state": state.active or None,
                "subState": state.sub or None,
                "pid": state.main_pid,
                "lastExitStatus": state.exit_status,
                "detail": None if known else "no service manager answers",
                "missingUnit": not self.facts.installed,
            },
            "configAudit": {
                "ok": not self.findings,
                "issues": [
                    {"code": str(one.trouble), "message": one.problem} for one in self.findings
                ],
            },
        }


def unit_report(service: Service | None = None, *, verb: str = "status") -> UnitReport:
    """Gather what is to be known of the service, and judge it; changes nothing.

    Args:
        verb: The command that asks: to install a service, its unit need not be there.
    """
    service = service or service_here()
    systemd = is_running_systemd()
    manager = systemd and service.manager.answers()
    state = service.manager.state(service.name) if manager else UnitState()
    running = running_gateway(service.paths)
    present = service.present()
    uid = os.geteuid()
    home = str(home_of(service.place))
    user = name_of(uid)
    port = port_in_force(service, running)
    facts = ServiceFacts(
        user=user,
        uid=uid,
        home=home,
        home_owner=_owner_of(home, uid),
        systemd=systemd,
        container=_in_container(),
        sudo_user=service.place.env.get("SUDO_USER") or None,
        system=service.system,
        manager=manager,
        bus_package=gives_users_a_manager(),
        linger=service.system or lingers(user),
        unit=service.name,
        unit_path=str(service.path),
        installed=present is not None,
        masked=state.load == "masked" or _is_masked(service.path),
        stale=present is not None and _is_stale(service, present),
        active=state.active in ("active", "reloading"),
        main_pid=state.main_pid,
        port=port,
        port_free=_a_free_port(port) if port else None,
        config_path=str(service.paths.config_path),
        holder=_holder(service, port, running),
        profile=service.place.paths.profile,
        verb=verb,
    )
    return UnitReport(
        service=service,
        facts=facts,
        state=state,
        running=running,
        findings=judge(facts),
    )


def _is_stale(service: Service, present: str) -> bool:
    """Tell whether a new unit would say something else; no for a program that can write none."""
    try:
        return present != service.text()
    except UserFacingError:
        return False


def name_of(uid: int) -> str:
    """Return the name of a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _owner_of(home: str, uid: int) -> str:
    """Return who owns a home; of one that is not there, whoever would make it."""
    try:
        return name_of(os.stat(home).st_uid)
    except OSError:
        return name_of(uid)


def _in_container() -> bool:
    return any(os.path.exists(one) for one in ("/.dockerenv", "/run/.containerenv"))


def _is_masked(path: Path) -> bool:
    try:
        return os.readlink(path) == os.devnull
    except OSError:
        return False


def port_in_force(service: Service, running: Running | None) -> int | None:
    """Return the port the service listens on, None if its configuration does not say."""
    if running is not None and running.port:
        return running.port
    from stores.config.load import load_config  # late: only here
    from stores.target import resolve_port

    # of the shell's variables the service sees none but those that its unit names
    env = {"HOME": str(home_of(service.place))} | dict(service.environment)
    try:
        loaded = load_config(service.paths, env)
        return resolve_port(loaded, env, default=service.paths.default_port).number or None
    except UserFacingError:
        return None


def _a_free_port(near: int) -> int:
    for number in range(near + 10, near + 200, 10):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", number))
            except (OSError, OverflowError):
                continue
            return number
    return DEFAULT_PORT


def _holder(service: Service, port: int | None, running: Running | None) -> Holder | None:
    owner = port_owner(port) if port else None
    if owner is None:
        return None
    unit, of_user = _unit_of(service, owner.pid)
    return Holder(
        uid=owner.uid,
        user=name_of(owner.uid),
        pid=owner.pid,
        command=owner.command,
        unit=unit,
        unit_of_user=of_user,
        is_gateway_here=running is not None and running.pid == owner.pid,
    )


def _unit_of(service: Service, pid: int | None) -> tuple[str | None, bool]:
    """Return the service whose program a process is, and whether it is a user's."""
    if pid is None:
        return None, False
    try:
        cgroup = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None, False
    names = [one for part in cgroup.split("/") if _UNIT_OF_CGROUP.fullmatch(one := part.strip())]
    last, of_user = (names[-1] if names else ""), "user@" in cgroup
    if not last or last.startswith("user@"):
        return None, False
    manager = manager_for(service.place.env, uid=os.geteuid(), system=not of_user)
    # what a shell or cron started is in their unit, and ending that would be no remedy
    return (last, of_user) if manager.state(last).main_pid == pid else (None, False)
