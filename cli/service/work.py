"""What the commands of the service do, and what they tell of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
from attrs import field, frozen

from cli.config_words import running_gateway
from cli.explain import lines_of
from cli.failures import envelope, exit_code
from cli.output import json_text, note, printable, say
from cli.progress import progress
from cli.service.install import (
    ServiceError,
    ready_to_install,
    refuse_blocked,
    refuse_home_of_no_manager,
    refuse_unfit_for_system,
    remove_unit,
    warnings_of,
    write_unit,
)
from cli.service.report import UnitReport, port_in_force, unit_report
from cli.service.service import Service
from cli.service.verdict import Trouble
from cli.service.waiting import NotHealthyError, logs_command, start_and_wait
from cli.typed import as_typed, typable
from cli.whose import in_full
from stores.errors import StoreError, UserFacingError
from stores.paths import Paths
from stores.plain_file import who_may
from stores.port_owner import port_owner
from stores.running import end_gateway


@frozen(kw_only=True)
class Outcome:
    """What a command of the service did, for people and for programs."""

    result: str
    message: str
    report: UnitReport
    warnings: list[str] = field(factory=list)
    hints: list[str] = field(factory=list)

    def as_json(self, action: str) -> dict[str, Any]:
        """Return it as published commands print it, with the unit's report."""
        return {
            "action": action,
            "ok": True,
            "result": self.result,
            "message": self.message,
            "hints": list(map(typable, self.hints)),
            "warnings": list(map(typable, self.warnings)),
            "service": self.report.service_json(),
            "unit": self.report.as_json(),
        }


def perform(action: str, work: Callable[[], Outcome], *, as_json: bool) -> None:
    """Do the work of a command and tell what came of it."""
    try:
        with progress(f"waiting for the service to {action}"):
            outcome = work()
    except UserFacingError as error:
        context = click.get_current_context()
        error.remedy = in_full(error.remedy, context.command_path, os.environ)
        _tell_failure(action, error, as_json=as_json)
        context.exit(exit_code(error))
    tell(action, outcome, as_json=as_json)


def tell(action: str, outcome: Outcome, *, as_json: bool) -> None:
    """Print what a command did."""
    if as_json:
        say(json_text(outcome.as_json(action)))
        return
    for line in (outcome.message, *outcome.hints):
        say(typable(printable(line)))
    for line in outcome.warnings:
        note(printable(f"note: {line}"))


def _tell_failure(action: str, error: UserFacingError, *, as_json: bool) -> None:
    for line in lines_of(error):
        note(line, as_is=True)
    if not as_json:
        return
    told = envelope(error, exit_code(error)) | {"action": action}
    if isinstance(error, NotHealthyError):
        told["result"] = "restart-health-failed"
    if isinstance(error, ServiceError):
        missing = error.finding.trouble is Trouble.UNIT_MISSING
        told |= {"result": "not-loaded"} if missing else {}
        if error.finding.command is not None:
            told["error"]["remedy"]["command"] = as_typed(error.finding.command)
        remedy = typable(error.finding.remedy)
        told["hints"] = [remedy]
        told["hintItems"] = [{"kind": str(error.finding.trouble), "text": remedy}]
    say(json_text(told))


def install(service: Service, *, force: bool) -> Outcome:
    """Write the unit if need be, start it, and wait until the gateway answers.

    Raises:
        UserFacingError: what keeps it from running.
    """
    if service.system:
        refuse_unfit_for_system(service)
    service, report = ready_to_install(service)
    refuse_home_of_no_manager(service)
    changed, kept = write_unit(service, force=force)
    state = report.state
    if changed or state.load != "loaded":
        service.manager.do("daemon-reload")
    if changed or state.enabled != "enabled":
        service.manager.do("enable", service.name)
    port = start_and_wait(service, "restart" if changed and report.active else "start")
    nothing_done = not changed and state.enabled == "enabled" and report.active
    report = unit_report(service)
    runs = f"pid {report.state.main_pid} answers on {f'port {port}' if port else 'its address'}"
    hints = [f"Unit: {service.path}", f"Logs: {logs_command(service)}"]
    if not service.system and report.facts.linger:
        hints.append("linger: yes (the gateway stays after logout)")
    if kept is not None:
        hints.append(f"The unit that was there is kept as {kept}")
    return Outcome(
        result="already-installed" if nothing_done else "installed",
        message=f"{service.name} is {'already ' if nothing_done else ''}installed and runs: {runs}",
        report=report,
        warnings=[*warnings_of(service, report), *_complaints(report)],
        hints=hints,
    )


def uninstall(service: Service) -> Outcome:
    """Stop the service and remove its unit.

    Raises:
        UserFacingError: it is not this user's to remove.
    """
    report = unit_report(service, verb="uninstall")
    _refuse_not_ours(report)
    if not report.facts.installed:
        return Outcome(
            result="not-loaded", message=f"No service is installed ({service.path}).", report=report
        )
    kept = remove_unit(report)
    return Outcome(
        result="uninstalled",
        message=f"{service.name} is removed; configuration and devices stay in "
        f"{service.paths.state_dir}",
        report=unit_report(service, verb="uninstall"),
        hints=[f"The unit was not written by openclaw; it is kept as {kept}"] if kept else [],
    )


def _refuse_not_ours(report: UnitReport) -> None:
    """Refuse what no command may do here, whatever the unit is like."""
    stops = (Trouble.FOREIGN_HOME, Trouble.NEEDS_ROOT)
    refuse_blocked(tuple(one for one in report.findings if one.trouble in stops))


def start(service: Service) -> Outcome:
    """Start the installed service, and wait until the gateway answers.

    Raises:
        UserFacingError: what keeps it from running.
    """
    report = unit_report(service, verb="start")
    refuse_blocked(report.findings)
    return _started(service, report, "start")


def _started(service: Service, report: UnitReport, verb: str) -> Outcome:
    """Let systemd start the service, or start it again."""
    done = {"start": "already runs" if report.active else "is started"}.get(verb, "is restarted")
    port = start_and_wait(service, verb)
    after = unit_report(service)
    return Outcome(
        result=f"{verb}ed",
        message=f"{service.name} {done}: pid {after.state.main_pid}, port {port or '?'}",
        report=after,
        warnings=[
            *(f"{one.problem}; {one.remedy}" for one in report.findings if not one.blocks),
            *_complaints(after),
        ],
    )


def _complaints(report: UnitReport) -> list[str]:
    """Return what the gateway says of itself, if it is more than that it listens."""
    said = report.state.status_text
    return [] if not said or said.startswith("listening") else [f"the gateway {said}"]


def restart_if_service(service: Service, *, as_json: bool) -> bool:
    """Restart the gateway if it is this service, and tell of it; False if it is none."""
    report = unit_report(service, verb="restart")
    outside = report.running is not None and report.running.pid != report.state.main_pid
    if not service.system and (outside or not report.facts.installed):
        return False  # one that runs in the foreground starts anew by itself

    def work() -> Outcome:
        refuse_blocked(report.findings)
        _refuse_taken_port(service, report)
        return _started(service, report, "restart")

    perform("restart", work, as_json=as_json)
    return True


def _refuse_taken_port(service: Service, report: UnitReport) -> None:
    """Refuse to restart a gateway that runs where the one that comes back could not listen.

    Raises:
        UserFacingError: the configuration names another port by now, and somebody else holds it.
    """
    wanted = port_in_force(service, None)
    if wanted is None or report.running is None or wanted == report.running.port:
        return
    owner = port_owner(wanted)
    if owner is not None:
        raise UserFacingError(
            f"not restarted: port {wanted}, which the configuration names now, is held by "
            f"{owner.in_words()}",
            remedy="name a free one with `openclaw config set gateway.port N`",
        )


def stop(service: Service) -> Outcome:
    """Stop the service, and the gateway of the same state directory that no service is.

    Raises:
        UserFacingError: it is not this user's to stop, or does not end.
    """
    report = unit_report(service, verb="stop")
    _refuse_not_ours(report)
    told = []
    if report.facts.manager and report.state.active not in ("", "inactive"):
        service.manager.do("stop", service.name)
        service.manager.systemctl("reset-failed", service.name)
        told.append(f"{service.name} is stopped; it starts again at the next boot or login")
    running = running_gateway(service.paths)
    if running is None and not told:
        _refuse_unseen(service.paths)
    if running is not None:
        end_gateway(running.pid, service.paths.state_dir)
        told.append(f"the gateway outside of the service (pid {running.pid}) is ended")
    return Outcome(
        result="stopped" if told else "not-loaded",
        message="; ".join(told) or f"No gateway runs on {service.paths.state_dir}.",
        report=unit_report(service),
    )


def _refuse_unseen(paths: Paths) -> None:
    """Refuse to say that no gateway runs where this user may not look.

    Raises:
        StoreError: with the user who may.
    """
    try:
        paths.lock_path.open("rb").close()
    except PermissionError as error:
        clause, remedy = who_may(paths.lock_path)
        raise StoreError(
            f"cannot tell whether a gateway runs on {paths.state_dir}: {clause}", remedy=remedy
        ) from error
    except OSError:
        return
