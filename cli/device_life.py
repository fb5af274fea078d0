"""`openclaw devices remove`, `rename`, `block`, `unblock`: what becomes of a device that is known.

Rule: what takes something away is shown and asked about first, and never falls back to the files.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cli.device_names import find_device, is_device_id, refuse_empty, unknown_device
from cli.device_road import DeviceRoad, offline_option, without_store
from cli.device_table import card, name_of
from cli.output import json_text, note, printable, say
from cli.place import TargetOptions, target_options
from stores.errors import UsageError

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def refuse_unasked(*, yes: bool) -> None:
    """Refuse to take something away where nobody can be asked and nobody said yes.

    Raises:
        UsageError: which names ``--yes``.
    """
    if not yes and not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError(
            "this takes something away, and there is no terminal to ask on",
            remedy="say so with `--yes`",
        )


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; anything but yes ends the command with 1, and nothing has changed."""
    if not yes and not click.confirm(question, err=True):
        note("Nothing was changed.")
        click.get_current_context().exit(1)


def named(road: DeviceRoad, word: str, *, waiting: bool = False) -> dict[str, Any]:
    """Return the device that a word means, as the list tells of it.

    Raises:
        UserFacingError: none or several answer to it.
    """
    refuse_empty(word, "DEVICE")
    found = find_device(road.list(), word, waiting=waiting)
    if found is not None:
        return found
    if waiting and is_device_id(word):
        return {"deviceId": word.strip().lower()}  # not known here, and may be blocked all the same
    raise unknown_device(word)


def in_short(device: Mapping[str, Any]) -> str:
    """Return name and id of a device."""
    name, device_id = name_of(device), printable(device.get("deviceId", "?"))
    return device_id if device_id.startswith(name) else f"{name} ({device_id})"


@click.command("remove")
@click.argument("device")
@yes_option
@offline_option
@target_options
def remove(*, options: TargetOptions, device: str, yes: bool, offline: bool) -> None:
    """Forget a paired device: its tokens end now; it may ask to be let in again.

    DEVICE is its id, 8 characters of it, or its name.
    """
    refuse_unasked(yes=yes)
    road = DeviceRoad(options, offline, falls_back=False)
    found = named(road, device)
    if not yes:
        note(card(found))
    confirm("Forget this device", yes=yes)
    device_id = str(found["deviceId"])
    answer = road.ask(
        "device.pair.remove", {"deviceId": device_id}, lambda files: files.remove(device_id)
    )
    if options.as_json:
        say(json_text(without_store(answer)))
    else:
        say(f"Removed {in_short(found)}")


@click.command("rename")
@click.argument("device", required=False)
@click.argument("name", required=False)
@click.option("--device", "device_option", metavar="DEVICE", help="The same as the first word.")
@click.option("--name", "name_option", metavar="NAME", help="The same as the second word.")
@offline_option
@target_options
def rename(
    *,
    options: TargetOptions,
    device: str | None,
    name: str | None,
    device_option: str | None,
    name_option: str | None,
    offline: bool,
) -> None:
    """Give a paired device a name of yours, of 64 characters at most.

    DEVICE is its id, 8 characters of it, or its name.
    """
    words = [word for word in (device, name) if word is not None]
    which = device_option if device_option is not None else words.pop(0) if words else None
    label = name_option if name_option is not None else words.pop(0) if words else None
    if which is None or label is None or words:
        raise UsageError(
            "rename takes a device and a name", remedy="`openclaw devices rename DEVICE NAME`"
        )
    road = DeviceRoad(options, offline, falls_back=False)
    device_id = str(named(road, which)["deviceId"])
    from stores.device_life import checked_label  # late: no other command of these needs it

    label = checked_label(label, device_id)  # a gateway says it in words of its schema
    answer = road.ask(
        "device.pair.rename",
        {"deviceId": device_id, "label": label},
        lambda files: files.rename(device_id, label),
    )
    if options.as_json:
        say(json_text({key: answer.get(key) for key in ("deviceId", "label")}))
    else:
        say(f"Renamed {device_id} → {printable(answer.get('label', label))}")


@click.command("block")
@click.argument("device")
@yes_option
@offline_option
@target_options
def block(*, options: TargetOptions, device: str, yes: bool, offline: bool) -> None:
    """Let a device have nothing here any more: no session, no record, no request.

    DEVICE is its id, 8 characters of it, its name, or the code of its request. A device that is
    not known here is blocked by its whole id.
    """
    refuse_unasked(yes=yes)
    road = DeviceRoad(options, offline, falls_back=False)
    found = named(road, device, waiting=True)
    if not yes:
        note(card(found))
    confirm("Block this device", yes=yes)
    _tell_blocked(road, str(found["deviceId"]), found, blocked=True)


@click.command("unblock")
@click.argument("device")
@offline_option
@target_options
def unblock(*, options: TargetOptions, device: str, offline: bool) -> None:
    """Let a blocked device ask again; a paired one comes back with what it had.

    DEVICE is its id, 8 characters of it, or its name.
    """
    refuse_empty(device, "DEVICE")
    road = DeviceRoad(options, offline, falls_back=False)
    # A device that is blocked and not paired is in no list: then the store knows the beginning.
    found = find_device(road.list(), device) or {"deviceId": device.strip()}
    _tell_blocked(road, str(found["deviceId"]), found, blocked=False)


def _tell_blocked(
    road: DeviceRoad, device_id: str, found: Mapping[str, Any], *, blocked: bool
) -> None:
    method = "device.pair.block" if blocked else "device.pair.unblock"
    answer = road.ask(
        method, {"deviceId": device_id}, lambda files: files.block(device_id, blocked=blocked)
    )
    if road.options.as_json:
        say(json_text(without_store(answer)))
        return
    done = "Blocked" if blocked else "Unblocked"
    say(f"{done} {in_short({**found, 'deviceId': answer.get('deviceId', device_id)})}")
