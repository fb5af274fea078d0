"""Writing and removing the unit: idempotent, atomic, and never through a link."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import sys
import time
from pathlib import Path

from cli.service.report import UnitReport, name_of, unit_report
from cli.service.service import Service, home_of, kept_beside, program_path, service_here
from cli.service.unit import account
from cli.service.verdict import Finding, Trouble
from stores.errors import UserFacingError

#: How long logind may take to start a user's manager once the user lingers.
MANAGER_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05

#: A hardened system unit sees nothing there.
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108  # nothing is put there

#: Variables of a shell that the service does not get, and what to do instead.
_LEFT_OUT = {
    "OPENCLAW_GATEWAY_PORT": "set it with `openclaw config set gateway.port N`",
    "OPENCLAW_GATEWAY_TOKEN": "the one in the configuration counts",
    "OPENCLAW_GATEWAY_PASSWORD": "the one in the configuration counts",
}


class ServiceError(UserFacingError):
    """The service cannot be had like this; ``finding`` is the verdict that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.problem, remedy=finding.remedy)
        self.finding = finding


def refuse_blocked(findings: tuple[Finding, ...]) -> None:
    """Refuse to go on where something must be cured first.

    Raises:
        ServiceError: the first such thing.
    """
    for finding in findings:
        if finding.blocks:
            raise ServiceError(finding)


def ready_to_install(service: Service) -> tuple[Service, UnitReport]:
    """Return the service once everything it stands on is there; lets its user linger on the way.

    Raises:
        ServiceError: something is missing that only the user can bring.
    """
    report = unit_report(service, verb="install")
    facts = report.facts
    if facts.system or facts.linger or not facts.systemd or not facts.own_home:
        refuse_blocked(report.findings)
        return service, report
    if not facts.bus_package or not service.manager.enable_linger(facts.user):
        refuse_blocked(report.findings)
        return service, report  # works, until logout: the findings say so
    deadline = time.monotonic() + MANAGER_WITHIN_S
    while (
        not (service := service_here(service.place)).manager.answers()
        and time.monotonic() < deadline
    ):
        time.sleep(_LOOK_EVERY_S)
    report = unit_report(service, verb="install")
    refuse_blocked(report.findings)
    return service, report


def refuse_unfit_for_system(service: Service) -> None:
    """Refuse a system unit that could not start: its program hidden, or its account missing.

    Raises:
        UserFacingError: what to do first.
    """
    assert service.run_as is not None
    program = program_path(sys.argv[0], service.place.env.get("PATH", ""))
    if os.path.realpath(program).startswith(_HIDDEN) or program.startswith(_HIDDEN):
        raise UserFacingError(
            f"{program} is in a folder that the hardened service of the machine cannot see",
            remedy="install openclaw for everybody, for example in a venv below /opt, or leave "
            "--system out",
        )
    try:
        pwd.getpwnam(account(service.run_as))
    except KeyError as error:
        raise UserFacingError(
            f"there is no account {service.run_as} for the service to run as",
            remedy=f"make it with `useradd --system --user-group {service.run_as}`, "
            "or name another one with --run-as",
        ) from error


def refuse_home_of_no_manager(service: Service) -> None:
    """Refuse to write a unit where the user's manager would never look for it.

    Raises:
        UserFacingError: HOME is not the home of the account, and the manager knows the account's.
    """
    home, own = home_of(service.place), pwd.getpwuid(os.geteuid()).pw_dir
    if service.system or os.path.realpath(home) == os.path.realpath(own):
        return
    if service.manager.looks_in(service.path.parent):
        return
    state = shlex.quote(str(service.paths.state_dir))
    raise UserFacingError(
        f"HOME is {home}, but the services of {name_of(os.geteuid())} are looked for in {own}",
        remedy=f"install it there with `HOME={shlex.quote(own)} OPENCLAW_STATE_DIR={state} "
        "openclaw gateway install`",
    )


def write_unit(service: Service, *, force: bool) -> tuple[bool, Path | None]:
    """Write the unit if it says something else; tell whether it did, and where the old one is.

    Raises:
        UserFacingError: the folder cannot be written, or the unit is a link.
    """
    text, present = service.text(), service.present()
    if service.path.is_symlink():
        raise UserFacingError(
            f"{service.path} is a symbolic link, so another program looks after it",
            remedy=f"remove it with `rm {service.path}`, then install again",
        )
    if present == text and not force:
        return False, None
    kept = kept_beside(service.path, present, text)
    mode = 0o644 if service.system else 0o600
    try:
        service.path.parent.mkdir(parents=True, exist_ok=True)
        if kept is not None:
            assert present is not None
            _replace(kept, present, 0o600)  # units of others were seen to hold secrets
        _replace(service.path, text, mode)
    except OSError as error:
        raise UserFacingError(
            f"{service.path} cannot be written: {error.strerror or error}",
            remedy=f"see whose the folder is with `ls -ld {service.path.parent}`",
        ) from error
    return True, kept


def _replace(path: Path, text: str, mode: int) -> None:
    """Put a file in place as one step; what was there stays whole until then."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    handle = os.open(draft, flags, mode)
    try:
        with open(handle, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def remove_unit(report: UnitReport) -> Path | None:
    """End the service and remove its unit; return where one that somebody else wrote is kept."""
    service = report.service
    if report.facts.manager:
        service.manager.systemctl("disable", "--now", service.name)
    wants = service.path.parent / "default.target.wants" / service.name
    if not service.system and wants.is_symlink():  # without a manager nobody else removes it
        wants.unlink()
    present = service.present()
    kept = kept_beside(service.path, present, "")
    if kept is not None and present is not None:
        _replace(kept, present, 0o600)
    service.path.unlink(missing_ok=True)
    if report.facts.manager:
        service.manager.systemctl("daemon-reload")
        service.manager.systemctl("reset-failed", service.name)
    return kept


def warnings_of(service: Service, report: UnitReport) -> list[str]:
    """Return what a user should know before being surprised by it."""
    env, facts = service.place.env, report.facts
    told = [
        f"{name} of this shell is not taken into the service; {instead}"
        for name, instead in _LEFT_OUT.items()
        if env.get(name, "").strip()
    ]
    if facts.sudo_user and facts.sudo_user != facts.user and not facts.system:
        told.append(
            f"this is {facts.user}'s own gateway ({service.paths.state_dir}); for one of "
            f"{facts.sudo_user} use `openclaw gateway install` without sudo"
        )
    told += [
        f"{one.problem}; {one.remedy}"
        for one in report.findings
        if one.trouble is Trouble.NO_LINGER
    ]
    return told
