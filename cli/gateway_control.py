"""`openclaw gateway reload` and `restart`: take the configuration in, now or by starting anew."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from attrs import evolve

from cli.config_words import Running, running_gateway
from cli.device_road import beside
from cli.failures import CallError, Failure, GatewayRefusedError, GatewayUnreachableError
from cli.output import json_text, note, printable, say
from cli.place import TIMEOUT_MS, TargetOptions, place, target_options
from cli.progress import progress
from cli.published_options import Span, without_effect
from cli.typed import AsSaid
from stores.credentials import CredentialsRequiredError
from stores.errors import ConfigError, UserFacingError

if TYPE_CHECKING:
    from cli.road import Road
    from stores.paths import Paths

#: How often a gateway that starts anew is looked for.
_LOOK_EVERY_S = 0.05


class NotReloadedError(UserFacingError):
    """The gateway keeps what it ran with."""


class NobodyHereError(NotReloadedError):
    """No gateway of this user runs on the state directory."""


@click.command("reload")
@target_options
def reload(*, options: TargetOptions) -> None:
    """Let the running gateway load its configuration, and tell what came of it."""
    from cli.road import ask, find_road  # late: it loads the configuration's reader

    timeout_s = (options.timeout_ms or TIMEOUT_MS) / 1000
    try:
        road = find_road(options, port=_port_in_force(options))
    except ConfigError:
        # The file is broken, so how to reach the gateway is not known; its pid may be.
        _tell_signalled(_reload_by_signal(here=_only_here(options)), as_json=options.as_json)
        return
    try:
        answer = ask(road, "gateway.reload", {}, timeout_s=timeout_s).payload
    except CallError as error:
        if not _signal_may_help(error, road):
            raise
        try:
            pid = _reload_by_signal(here=True)
        except NobodyHereError:
            if isinstance(error.cause, GatewayUnreachableError):
                raise error from None  # nobody answers: that is the news, and what helps is in it
            note(f"note: {error.problem}")
            raise
        note(f"note: {error.problem}")
        _tell_signalled(pid, as_json=options.as_json)
        return
    told = answer if isinstance(answer, dict) else {}
    _tell_reloaded(told, as_json=options.as_json, elsewhere=not road.target.is_local_default)


def _only_here(options: TargetOptions) -> bool:
    """Tell whether no other gateway than this machine's can be meant."""
    return options.url is None and not os.environ.get("OPENCLAW_GATEWAY_URL", "").strip()


def _port_in_force(options: TargetOptions) -> int | None:
    """Return where the gateway listens now: a changed port is the usual reason to come here."""
    running = running_gateway(place().paths) if _only_here(options) else None
    return running.port if running is not None else None


def _signal_may_help(error: CallError, road: Road) -> bool:
    """Tell whether the gateway is this machine's own and did not refuse the reload itself."""
    cause = error.cause
    unheard = isinstance(cause, GatewayUnreachableError | CredentialsRequiredError)
    refused = isinstance(cause, GatewayRefusedError) and cause.refuses_us
    return road.target.is_local_default and (unheard or refused)


def _reload_by_signal(*, here: bool) -> int:
    """Ask by SIGHUP, which needs no secret, and return whom: who may send it is the kernel's to say.

    Raises:
        NobodyHereError: no gateway of this user can be seen.
        NotReloadedError: its process is stopped by a signal.
    """
    paths = place().paths
    running = running_gateway(paths) if here else None
    if running is not None and is_stopped(paths):
        raise NotReloadedError(
            f"the gateway's process (pid {running.pid}) is stopped by a signal, so it reloads "
            "nothing",
            remedy=f"let it go on with `kill -CONT {running.pid}`",
        )
    if running is None or not _send_hangup(running):
        raise NobodyHereError(
            "no gateway of this user runs on this state directory",
            remedy="start it with `openclaw gateway run`",
        )
    return running.pid


def _tell_signalled(pid: int, *, as_json: bool) -> None:
    if as_json:
        say(json_text({"ok": None, "signal": "SIGHUP", "pid": pid}))
    else:
        say(f"Asked the gateway (pid {pid}) to reload, by SIGHUP; its log says the outcome.")


def is_stopped(paths: Paths) -> bool:
    """Tell whether the process of this state directory's gateway is stopped by a signal."""
    from stores.running import Standing, read_running  # late: only where no gateway answers

    running = read_running(paths.state_dir)
    return running is not None and running.standing is Standing.STOPPED


def _send_hangup(running: Running) -> bool:
    try:
        os.kill(running.pid, signal.SIGHUP)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def _tell_reloaded(answer: dict[str, Any], *, as_json: bool, elsewhere: bool = False) -> None:
    """Print the outcome of a reload.

    Raises:
        NotReloadedError: nothing was taken in.
    """
    if answer.get("ok") is not True:
        remedy = printable(answer.get("remedy") or "", limit=1_000) or None
        raise NotReloadedError(
            f"not reloaded: {printable(answer.get('problem') or '?', limit=1_000)}",
            remedy=AsSaid(remedy) if remedy and elsewhere else remedy,
        )
    if as_json:
        say(json_text(answer))
        return
    applied, waiting = _names(answer.get("applied")), _names(answer.get("restartRequired"))
    say(f"Applied: {applied}" if applied else "Reloaded; nothing changed for the gateway.")
    if waiting:
        say(f"Needs a restart: {waiting}")
        note(f"Restart it with `{beside('restart', 'gateway')}`.")


def _names(value: object) -> str:
    return printable(", ".join(map(str, value))) if isinstance(value, list) else ""


@click.command("restart")
@click.option("--system", is_flag=True, help="The service of the machine, not of a user.")
@click.option(
    "--wait",
    "wait_ms",
    type=Span(),
    metavar="SPAN",
    help="Wait this long for a gateway in the foreground to come back: 30s, 2min; 0 is an hour.",
)
@without_effect(
    "sessions are told and given time in any case",
    "--force",
    "--safe",
    "--skip-deferral",
    "--preserve-definition",
)
@target_options
def restart(*, options: TargetOptions, system: bool, wait_ms: int | None) -> None:
    """Let the running gateway start anew: as the service it is, or as the same process."""
    if _restarted_as_service(options, system=system):
        if wait_ms is not None:
            note("note: --wait has no effect on a service: its unit says how long it may take")
        return
    from cli.road import ask, find_road  # late: it loads the configuration's reader

    timeout_s = (options.timeout_ms or TIMEOUT_MS) / 1000
    deadline = time.monotonic() + (timeout_s if wait_ms is None else wait_ms / 1000)
    road = find_road(options, port=_port_in_force(options))
    try:
        answer = ask(road, "gateway.restart.request", {}, timeout_s=timeout_s).payload
    except CallError as error:
        _offer_a_signal(error, road)
        raise
    told = answer if isinstance(answer, dict) else {}
    again = None
    if road.target.is_local_default:
        with progress("waiting for the gateway to come back"):
            again = _wait_for_the_new_one(road, told, deadline)
    if options.as_json:
        done = {"action": "restart", "ok": True, "result": "restarted"}
        say(json_text(told | {"url": again} | done))
    elif again is None:
        say("Asked the gateway to start anew.")
    else:
        port = urlsplit(again).port
        say(f"Restarted: the gateway listens on port {port} again (pid {told.get('pid')}).")


def _offer_a_signal(error: CallError, road: Road) -> None:
    """Name the way that needs no secret, to whoever may end the process that refuses."""
    cause = error.cause
    running = running_gateway(place().paths) if _signal_may_help(error, road) else None
    if running is None:
        return
    if isinstance(cause, GatewayUnreachableError) and cause.how is Failure.TIMEOUT:
        if not is_stopped(place().paths):
            cause.remedy = (
                "it hangs, so it cannot start anew by itself: end it with `openclaw gateway stop`, "
                "and start it again with `openclaw gateway run`"
            )
        return
    if not isinstance(cause, GatewayRefusedError) or cause.remedy is not None:
        return
    cause.remedy = (
        f"it runs with the settings it was started with; end it with `kill {running.pid}`, and "
        "start it again with `openclaw gateway run`"
    )


def _restarted_as_service(options: TargetOptions, *, system: bool) -> bool:
    """Let systemd restart the gateway if it runs it; tell whether it does."""
    if not (system or _only_here(options)):
        return False
    from cli.service.service import service_here  # late, both: a gateway may be no service

    service = service_here(system=system)
    if not (system or service.path.exists()):
        return False
    from cli.service.work import restart_if_service

    return restart_if_service(service, as_json=options.as_json)


def _url_of(road: Road, port: int | None) -> str:
    """Return where the gateway that came back is to be called; it may serve another scheme now."""
    from stores.own_gateway import as_it_serves  # late: only a restart asks

    url = f"{road.target.url.partition('://')[0]}://{road.target.host}:{port}"
    again = evolve(road.target, url=url, port=port or road.target.port)
    return as_it_serves(again, road.loaded, road.place.env, road.place.paths).url


def _wait_for_the_new_one(road: Road, told: dict[str, Any], deadline: float) -> str | None:
    """Wait until the process says that it listens again; return where."""
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            running = running_gateway(road.place.paths)
            since_ms = running.started_at_ms if running is not None else None
            if since_ms is not None and since_ms > int(told.get("startedAtMs") or 0):
                assert running is not None
                return _url_of(road, running.port)
        time.sleep(_LOOK_EVERY_S)
    raise NotReloadedError("the gateway did not come back in time", remedy="see what its log says")
