"""`openclaw devices`: see who waits and who is in, let in and turn away.

On the gateway's own machine these always work: over the WebSocket while the gateway answers, else
in the files it works on. A clear answer of the gateway is never second-guessed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from cli.device_table import name_of, names, paired_table, pending_table, short_scopes
from cli.failures import (
    FAILED,
    CallError,
    GatewayRefusedError,
    GatewayUnreachableError,
)
from cli.output import json_text, note, printable, say, styled
from cli.place import TIMEOUT_MS, URL_VARIABLE, TargetOptions, place, target_options
from stores.errors import ConfigError, StoreError, UnknownRequestError, UsageError, UserFacingError

if TYPE_CHECKING:
    from cli.offline import Files

#: What the WebSocket may take where the files can answer too, so that both fit in 2 s.
SHORT_TIMEOUT_MS = 1_200

_offline = click.option(
    "--offline", is_flag=True, help="Work on the files at once, without asking the gateway."
)


@click.group("devices")
def devices() -> None:
    """List, approve and reject devices."""


@devices.command("list")
@_offline
@target_options
def list_devices(*, options: TargetOptions, offline: bool) -> None:
    """Show who waits for approval and who is paired."""
    answer = _by_either_road(options, offline, "device.pair.list", {}, lambda files: files.list())
    _show(answer, as_json=options.as_json)


@devices.command("approve")
@click.argument("request", required=False)
@click.option(
    "--latest", is_flag=True, help="Show what waits, newest first, and how to approve it."
)
@_offline
@target_options
@click.pass_context
def approve(
    context: click.Context,
    *,
    options: TargetOptions,
    request: str | None,
    latest: bool,
    offline: bool,
) -> None:
    """Let a waiting device in.

    REQUEST is the code that the device shows (any case, with or without the dash) or a device id.
    """
    _refuse_empty(request)
    if request is None or latest:
        _point_out(options, offline, "approve")
        context.exit(FAILED)
    answer = _by_either_road(
        options,
        offline,
        "device.pair.approve",
        {"requestId": request},
        lambda files: files.approve(request),
    )
    if options.as_json:
        say(json_text(_without_store(answer)))
        return
    device = answer.get("device")
    device = device if isinstance(device, dict) else {}
    say(
        f"Approved {printable(device.get('deviceId', '?'))} ({printable(answer.get('requestId', request))})"
    )
    roles, scopes = (
        names(device.get("roles")),
        short_scopes(device.get("approvedScopes", device.get("scopes"))),
    )
    say(f"  {name_of(device)}: {roles or 'no role'}" + (f" with {scopes}" if scopes else ""))
    say("  It gets in at its next try.")


@devices.command("reject")
@click.argument("request", required=False)
@_offline
@target_options
@click.pass_context
def reject(
    context: click.Context, *, options: TargetOptions, request: str | None, offline: bool
) -> None:
    """Turn a waiting device away; it may ask again.

    REQUEST is the code that the device shows or a device id.
    """
    _refuse_empty(request)
    if request is None:
        _point_out(options, offline, "reject")
        context.exit(FAILED)
    answer = _by_either_road(
        options,
        offline,
        "device.pair.reject",
        {"requestId": request},
        lambda files: files.reject(request),
    )
    if options.as_json:
        say(json_text(_without_store(answer)))
        return
    say(
        f"Rejected {printable(answer.get('deviceId', '?'))} ({printable(answer.get('requestId', request))})"
    )


def _refuse_empty(request: str | None) -> None:
    if request is not None and not request.strip():
        raise UsageError(
            "REQUEST is empty",
            remedy="give the code that the device shows; see what waits with `openclaw devices list`",
        )


def _by_either_road(
    options: TargetOptions,
    offline: bool,  # noqa: FBT001  # as click hands it over
    method: str,
    params: Mapping[str, Any],
    in_files: Callable[[Files], dict[str, Any]],
) -> dict[str, Any]:
    """Return the answer of the gateway, or of the files, with ``source`` and ``store``."""
    if offline:
        if options.url is not None:
            raise UsageError(
                "--offline works on the files of this machine, --url names another gateway",
                remedy="leave one of them out",
            )
        return _from_files(in_files)
    try:
        return _from_gateway(options, method, params)
    except _FallBack as fall_back:
        try:
            return _from_files(in_files, because=fall_back)
        except UnknownRequestError as error:
            if fall_back.asked:
                raise _perhaps_done(error) from error
            raise
        except StoreError as error:
            note(f"note: {printable(error.problem)}")
            raise fall_back.error from None


class _FallBack(Exception):  # noqa: N818  # no error yet: the files may still answer
    """The gateway cannot help, and the files of this machine may stand in."""

    def __init__(self, error: UserFacingError, *, asked: bool = False) -> None:
        super().__init__(error.problem)
        self.error = error
        self.asked = asked
        cause = error.cause if isinstance(error, CallError) else error
        self.answered = isinstance(cause, GatewayRefusedError)


def _from_gateway(options: TargetOptions, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    from cli.road import ask, find_road  # late: offline commands need neither

    here = place()
    named_elsewhere = options.url is not None or bool(here.env.get(URL_VARIABLE, "").strip())
    try:
        road = find_road(options)
    except ConfigError as error:
        if named_elsewhere:
            raise
        raise _FallBack(error) from error
    may_fall_back = road.target.is_local_default and not named_elsewhere
    wait_ms = options.timeout_ms or (SHORT_TIMEOUT_MS if may_fall_back else TIMEOUT_MS)
    try:
        answer = ask(road, method, params, timeout_s=wait_ms / 1000)
    except CallError as error:
        cause = error.cause
        clear = isinstance(cause, GatewayRefusedError) and not cause.refuses_us
        if clear or not may_fall_back:
            raise
        asked = isinstance(cause, GatewayUnreachableError) and cause.asked
        raise _FallBack(error, asked=asked) from error
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    return {**payload, "source": "gateway"} | _store_of(answer.hello, local=may_fall_back)


def _store_of(hello: Mapping[str, Any], *, local: bool) -> dict[str, str]:
    """Return the store a gateway works on, as far as it says so."""
    snapshot = hello.get("snapshot")
    state_dir = snapshot.get("stateDir") if isinstance(snapshot, dict) else None
    if isinstance(state_dir, str):
        return {"store": f"{state_dir}/devices"}
    return {"store": str(place().paths.devices_dir)} if local else {}


def _from_files(
    in_files: Callable[[Files], dict[str, Any]], *, because: _FallBack | None = None
) -> dict[str, Any]:
    from cli.offline import open_files  # late: while the gateway answers, nobody opens the store

    files = open_files(place())
    where = f"the local state in {files.directory}"
    if because is None:
        note(printable(f"Using {where}"))
    elif because.answered and not files.served:
        # The gateway of a container behind a published port, or of another profile: what is in
        # these files says nothing about the device it was asked about.
        note(
            printable(f"note: no gateway runs on {where}, so the one that answered works on others")
        )
        raise because.error
    else:
        why = because.error.problem.partition("; looked for ")[0]
        note(printable(f"{why}; using {where}"))
    return in_files(files) | {"source": "files", "store": str(files.directory)}


def _perhaps_done(error: UnknownRequestError) -> UnknownRequestError:
    """Explain a request that is gone after the gateway was asked and did not answer in time."""
    return UnknownRequestError(
        f"{error.problem}; the gateway had been asked and may have decided it before",
        remedy="see what became of it with `openclaw devices list`",
        wire_message=error.wire_message,
    )


def _without_store(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "store"}


def _point_out(options: TargetOptions, offline: bool, verb: str) -> None:  # noqa: FBT001  # as above
    """List what waits and say how to name one: no command decides about a device nobody named."""
    answer = _by_either_road(options, offline, "device.pair.list", {}, lambda files: files.list())
    pending = _items(answer, "pending")
    if not pending:
        raise UserFacingError(
            "no device waits for approval",
            remedy="let the device connect, then see `openclaw devices list`",
        )
    if options.as_json:
        problem = UserFacingError(
            f"no request was named, and {len(pending)} wait",
            remedy=f"name one: {_how_to(verb, pending, tick='`')}",
        )
        from cli.failures import envelope  # late: only this answer needs it

        told = envelope(problem, FAILED)
        told["error"]["details"] = {"pending": pending}
        say(json_text(told))
    else:
        say(pending_table(pending))
    note(f"No request was named. To {verb} one: {_how_to(verb, pending)}")


def _how_to(verb: str, pending: list[dict[str, Any]], *, tick: str = "") -> str:
    """Return what to type; of several requests none is named, for any may be a stranger's."""
    start = f"openclaw devices {verb}"
    if len(pending) == 1:
        return f"{tick}{start} {printable(pending[0].get('requestId', 'REQUEST'))}{tick}"
    return f"{tick}{start} CODE{tick} (the code that the device shows)"


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say(json_text(answer))
        return
    pending, paired = _items(answer, "pending"), _items(answer, "paired")
    if not pending and not paired:
        say("No device pairing entries.")
        return
    if pending:
        _head(f"Pending ({len(pending)})")
        say(pending_table(pending))
        say(f"Let one in: {_how_to('approve', pending)}")
    if pending and paired:
        say()
    if paired:
        _head(f"Paired ({len(paired)})")
        say(paired_table(paired))


def _head(text: str) -> None:
    say(styled(text, "bold", sys.stdout))


def _items(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = answer.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
