"""`openclaw devices`: see who waits and who is in, let in and turn away."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cli.device_names import find_device, find_request, is_plain, refuse_empty, unknown_device
from cli.device_road import DeviceRoad, beside, items_of, offline_option, without_store
from cli.device_table import (
    card,
    history_lines,
    name_of,
    names,
    paired_table,
    pending_table,
    short_scopes,
    waiting_commands,
)
from cli.failures import FAILED
from cli.late_group import LateGroup
from cli.output import json_text, note, printable, say, styled
from cli.place import TargetOptions, place, target_options
from cli.typed import as_typed, program_words
from stores.errors import UserFacingError


@click.group(
    "devices",
    cls=LateGroup,
    table={
        "list": ("cli.devices:list_devices", "Show who waits for approval and who is paired."),
        "show": ("cli.devices:show", "Show everything about one device, with its history."),
        "approve": ("cli.devices:approve", "Let a waiting device in."),
        "watch": ("cli.device_watch:watch", "Tell of every request as it comes."),
        "reject": ("cli.devices:reject", "Turn a waiting device away; it may ask again."),
        "remove": ("cli.device_life:remove", "Forget a paired device; it may ask again."),
        "rename": ("cli.device_life:rename", "Give a paired device a name of yours."),
        "block": ("cli.device_life:block", "Let a device have nothing here any more."),
        "unblock": ("cli.device_life:unblock", "Let a blocked device ask again."),
        "rotate": ("cli.device_token:rotate", "Replace the token of a device."),
        "revoke": ("cli.device_token:revoke", "End the token of a device for good."),
        "prune": ("cli.device_sweep:prune", "Forget devices that were not seen for long."),
        "clear": ("cli.device_sweep:clear", "Forget every device, or every request."),
        "invite": ("cli.invite:invite", "Make a link or code that lets a device in unasked."),
        "verify": ("cli.device_verify:verify", "Check the files of the device store."),
    },
)
def devices() -> None:
    """List the devices, decide who gets in, and look after those that are in."""


@click.command("list")
@offline_option
@target_options
def list_devices(*, options: TargetOptions, offline: bool) -> None:
    """Show who waits for approval and who is paired."""
    answer = DeviceRoad(options, offline).list()
    if options.as_json:
        say(json_text(answer))
        return
    pending, paired = items_of(answer, "pending"), items_of(answer, "paired")
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
    waiting = sum(waiting_commands(item) is not None for item in paired)
    if waiting:
        of = "one node" if waiting == 1 else f"{waiting} nodes"
        say(f"Commands of {of} wait for approval: {program_words()} nodes pending")


@click.command("show")
@click.argument("device")
@offline_option
@target_options
def show(*, options: TargetOptions, device: str, offline: bool) -> None:
    """Show everything about one device, with its history.

    DEVICE is its id or 8 characters of it, its name, or the code of its request.
    """
    refuse_empty(device, "DEVICE")
    road = DeviceRoad(options, offline)
    listed = road.list()
    found = find_device(listed, device, waiting=True)
    if found is None:
        raise unknown_device(device)
    device_id = found.get("deviceId")
    mine = {
        kind: [item for item in items_of(listed, kind) if item.get("deviceId") == device_id]
        for kind in ("pending", "paired")
    }
    history = _history(road, listed, str(device_id))
    if options.as_json:
        facts = {"deviceId": device_id, "pending": mine["pending"]}
        facts["paired"] = mine["paired"][0] if mine["paired"] else None
        facts |= {"history": history, "source": listed.get("source"), "store": listed.get("store")}
        say(json_text(facts))
        return
    for kind, items in mine.items():
        for item in items:
            _head(kind.capitalize())
            say(card(item))
    if history is None:
        note("Its history is kept on the gateway's machine.")
    elif history:
        _head("History (UTC)")
        say("\n".join(history_lines(history)))


def _history(
    road: DeviceRoad, listed: Mapping[str, Any], device_id: str
) -> list[dict[str, Any]] | None:
    """Return the lines of the audit trail about a device, None where the trail is not here."""
    from cli.offline import open_files  # late: only this command reads it
    from stores.trail import last_about

    if road.road is not None and listed.get("store") != str(place().paths.devices_dir):
        return None
    trail = open_files(place()).store.audit_trail
    return last_about(trail, device_id) if trail.parent.is_dir() else None


@click.command("approve")
@click.argument("request", required=False)
@click.option(
    "--latest", is_flag=True, help="Show what waits, newest first, and how to approve it."
)
@click.option("--wait", is_flag=True, help="Wait for a device to ask, show it, and ask you.")
@click.option("--device", metavar="ID", help="With --wait: only this device.")
@click.option("--yes", is_flag=True, help="With --wait and the whole id of --device: do not ask.")
@offline_option
@target_options
@click.pass_context
def approve(  # noqa: PLR0913  # one parameter an option, as click hands them over
    context: click.Context,
    *,
    options: TargetOptions,
    request: str | None,
    latest: bool,
    wait: bool,
    device: str | None,
    yes: bool,
    offline: bool,
) -> None:
    """Let a waiting device in.

    REQUEST is the code that the device shows (any case, with or without the dash), its device id
    or 8 characters of it, or the name you gave it.
    """
    from cli.device_wait import refuse_words, wait_for_request  # late: it is small, and rare

    refuse_words(wait=wait, request=request, device=device, yes=yes, latest=latest)
    road = DeviceRoad(options, offline)
    if wait:
        meant = wait_for_request(road, device, yes=yes)
    elif request is None or latest:
        _point_out(road, "approve")
        meant = None
    else:
        meant = _request_meant(road, request, "approve")
    if meant is None:
        context.exit(FAILED)
    decided = meant
    answer = road.ask(
        "device.pair.approve", {"requestId": decided}, lambda files: files.approve(decided)
    )
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    shown = answer.get("device")
    shown = shown if isinstance(shown, dict) else {}
    say(f"Approved {_id_of(shown)} ({printable(answer.get('requestId', decided))})")
    roles = names(shown.get("roles"))
    scopes = short_scopes(shown.get("approvedScopes", shown.get("scopes")))
    say(
        printable(
            f"  {name_of(shown)}: {roles or 'no role'}" + (f" with {scopes}" if scopes else "")
        )
    )
    say("  It gets in at its next try.")
    if _new_as_node(shown):
        say(f"  Its commands may wait then: {program_words()} nodes pending")


@click.command("reject")
@click.argument("request", required=False)
@offline_option
@target_options
@click.pass_context
def reject(
    context: click.Context, *, options: TargetOptions, request: str | None, offline: bool
) -> None:
    """Turn a waiting device away; it may ask again.

    REQUEST is the code that the device shows, its device id or 8 characters of it, or its name.
    """
    road = DeviceRoad(options, offline)
    if request is None:
        _point_out(road, "reject")
        context.exit(FAILED)
    decided = _request_meant(road, request, "reject") or request
    answer = road.ask(
        "device.pair.reject", {"requestId": decided}, lambda files: files.reject(decided)
    )
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    say(f"Rejected {_id_of(answer)} ({printable(answer.get('requestId', decided))})")


def _new_as_node(device: Mapping[str, Any]) -> bool:
    """Tell whether the approval that just was made gave a device its token as node."""
    at_ms, tokens = device.get("approvedAtMs"), items_of(device, "tokens")
    return any(one.get("role") == "node" and one.get("createdAtMs") == at_ms for one in tokens)


def _id_of(item: Mapping[str, Any]) -> str:
    return printable(item.get("deviceId", "?"))


def _request_meant(road: DeviceRoad, word: str, verb: str) -> str | None:
    """Return the id of the request that a word means.

    A name that a device gave itself lets nobody in: its request is shown, and None returned.
    """
    refuse_empty(word, "REQUEST")
    if is_plain(word):
        return word
    listed = road.list()
    found, unsure = find_request(listed, word)
    if not unsure or verb == "reject":
        return found
    item = next(i for i in items_of(listed, "pending") if i.get("requestId") == found)
    what = "a device chooses its own name, so the name alone lets nobody in"
    _point_out(road, verb, pending=[item], what=what)
    return None


def _point_out(
    road: DeviceRoad,
    verb: str,
    *,
    pending: list[dict[str, Any]] | None = None,
    what: str | None = None,
) -> None:
    """List what waits and say how to name one: no command decides about a device nobody named."""
    if pending is None:
        pending = items_of(road.list(), "pending")
    if not pending:
        raise UserFacingError(
            "no device waits for approval",
            remedy="let the device connect, then see `openclaw devices list`",
        )
    if road.options.as_json:
        problem = UserFacingError(
            what or f"no request was named, and {len(pending)} wait",
            remedy=f"name one: {_how_to(verb, pending, tick='`')}",
        )
        from cli.failures import envelope  # late: only this answer needs it

        told = envelope(problem, FAILED)
        told["error"]["details"] = {"pending": pending}
        say(json_text(told))
    else:
        say(pending_table(pending))
    said = what or "no request was named"
    note(f"{said[:1].upper()}{said[1:]}. To {verb} one: {_how_to(verb, pending)}")


def _how_to(verb: str, pending: list[dict[str, Any]], *, tick: str = "") -> str:
    """Return what to type; of several requests none is named, for any may be a stranger's."""
    one = str(pending[0].get("requestId", "REQUEST")) if len(pending) == 1 else "CODE"
    command = beside(f"{verb} {one}")
    told = f"{tick}{command}{tick}" if tick else as_typed(command)
    return told if len(pending) == 1 else f"{told} (the code that the device shows)"


def _head(text: str) -> None:
    say(styled(text, "bold", sys.stdout))
