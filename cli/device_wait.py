"""`openclaw devices approve --wait`: look until a device asks, show it whole, and ask a person."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from cli.device_names import is_device_id
from cli.device_road import DeviceRoad, beside, items_of
from cli.device_table import card
from cli.output import note, printable
from cli.place import place
from stores.errors import StoreError, UsageError

if TYPE_CHECKING:
    from cli.offline import Files

#: Polling, for the request may come from a program that tells nobody.
LOOK_EVERY_S = 0.5


def refuse_words(
    *, wait: bool, request: str | None, device: str | None, yes: bool, latest: bool
) -> None:
    """Refuse options of ``approve`` that do not go together.

    Raises:
        UsageError: which names them.
    """
    if wait and (request is not None or latest):
        raise UsageError(
            "--wait waits for a request, so it takes neither REQUEST nor --latest",
            remedy="leave one of them out, or name a device with `--device ID`",
        )
    if not wait and (device is not None or yes):
        word = "--device" if device is not None else "--yes"
        raise UsageError(f"{word} belongs to --wait", remedy=f"add `--wait`, or leave {word} out")
    if yes and (device is None or not is_device_id(device)):
        # The beginning of an id can be ground by a stranger, and "the next one" is anybody.
        raise UsageError(
            "--yes lets in only one device that was named before it asked",
            remedy="give its whole id: `openclaw devices approve --wait --device ID --yes`",
        )


def wait_for_request(road: DeviceRoad, device: str | None, *, yes: bool) -> str | None:
    """Return the id of the request that was confirmed, None where nobody can be asked."""
    said_no = set[str]()
    if not yes and not sys.stdin.isatty():
        note("note: this is no terminal: the first request is shown, and not approved")
    whom = "a device" if device is None else f"device {printable(device[:16])}"
    waiting, (_, look, _) = False, looks(road)
    while True:
        for item in items_of(look(), "pending"):
            request_id = str(item.get("requestId"))
            if request_id in said_no or not _is_meant(item, device):
                continue
            note(f"Waits for approval:\n{card(item)}")
            if yes:
                return request_id
            if not sys.stdin.isatty():
                note(f"Let it in: {beside(f'approve {request_id}')}")
                return None
            if click.confirm("Does the device show this code? Let it in", err=True):
                return request_id
            said_no.add(request_id)
            waiting = False
        if not waiting:
            note(f"Waiting until {whom} asks to be let in; Ctrl-C ends it.")
            waiting = True
        time.sleep(LOOK_EVERY_S)


def looks(road: DeviceRoad) -> tuple[Mapping[str, Any], Callable[[], Mapping[str, Any]], bool]:
    """Return the list, how to look again, and whether that is in the files.

    It is where the gateway works on them: that costs nothing. A gateway that works on others is
    asked again and again, for these files say nothing of it.
    """
    listed = road.list()
    if road.road is None:
        return listed, _lister_of(road.open_files()), True
    if listed.get("store") == str(place().paths.devices_dir):
        from cli.offline import open_files  # late: a gateway elsewhere has other files

        files = open_files(place())
        if files.served and os.access(files.reached / "devices", os.R_OK | os.X_OK):
            return listed, _lister_of(files), True
    return listed, road.list_of_gateway, False


def _lister_of(files: Files) -> Callable[[], Mapping[str, Any]]:
    """Return what lists the files; a folder that was there and is not was taken away, not emptied."""
    was_there = os.path.isdir(files.reached / "devices")

    def look() -> Mapping[str, Any]:
        nonlocal was_there
        is_there = os.path.isdir(files.reached / "devices")
        if was_there and not is_there:
            raise StoreError(f"{files.directory} is gone")
        was_there = is_there
        return files.list()

    return look


def _is_meant(item: Mapping[str, Any], device: str | None) -> bool:
    if device is None:
        return True
    wanted = device.strip().lower()
    return len(wanted) >= 8 and str(item.get("deviceId", "")).startswith(wanted)
