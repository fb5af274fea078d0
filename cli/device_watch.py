"""`openclaw devices watch`: tell of every request as it comes, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from attrs import frozen

from cli.device_road import DeviceRoad, beside, items_of, offline_option
from cli.device_table import card, name_of, waiting_commands, wall_ms
from cli.device_wait import LOOK_EVERY_S, looks
from cli.output import note, printable, say
from cli.place import TargetOptions, target_options
from stores.errors import UsageError, UserFacingError

#: A gateway elsewhere is asked over the network, with a handshake each time.
ASK_EVERY_S = 5.0
#: How long a program of ``--run`` may take.
RUN_WITHIN_S = 30.0

Item = Mapping[str, Any]


@frozen
class Waiting:
    """What waits for a person: a device's request, or the commands of a node that is in.

    Args:
        kind: ``device`` or ``node``.
        command: What lets it in.
        item: As `stores.listing` tells of it.
    """

    kind: str
    request_id: str
    device_id: str
    command: str
    item: Item

    def as_json(self) -> dict[str, Any]:
        """Return the facts of an event; ``name`` is what the device is called here."""
        return {
            "kind": self.kind,
            "requestId": self.request_id,
            "deviceId": self.device_id,
            "name": name_of(self.item),
        }


@click.command("watch")
@click.option(
    "--run",
    "program",
    metavar="COMMAND",
    help="Run this for each request, which it reads as JSON; no shell.",
)
@offline_option
@target_options
def watch(*, options: TargetOptions, program: str | None, offline: bool) -> None:
    """Tell of every request that waits as it comes, and what became of it; Ctrl-C ends it.

    With --json one line of JSON each. COMMAND is run with that line on its standard input and
    OPENCLAW_REQUEST_ID, OPENCLAW_DEVICE_NAME and OPENCLAW_APPROVE in its environment.
    """
    words = _words_of(program)
    road = DeviceRoad(options, offline)
    look, in_files = looks(road)
    listed = look()
    known: dict[str, Waiting] = {}
    note("Watching for devices that ask to be let in; Ctrl-C ends it.")
    while True:
        found = {one.request_id: one for one in _waiting(listed)}
        for request_id in [one for one in known if one not in found]:
            _tell_end(known.pop(request_id), listed, as_json=options.as_json)
        for request_id, one in found.items():
            if request_id not in known:
                _tell(one, words, as_json=options.as_json)
            known[request_id] = one  # one that knocks again lives longer
        listed = _next(look, LOOK_EVERY_S if in_files else ASK_EVERY_S)


def _words_of(program: str | None) -> list[str]:
    """Return the words of ``--run``, none if it was not said.

    Raises:
        UsageError: it is no command.
    """
    if program is None:
        return []
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise UsageError(f"--run: {str(error).lower()} in {printable(program)!r}") from error
    if not words:
        raise UsageError("--run names no program", remedy="give it a command, in quotes")
    return words


def _next(look: Callable[[], Item], every_s: float) -> Item:
    """Return the next list; while there is none say so once and go on."""
    said = ""
    while True:
        time.sleep(every_s)
        try:
            listed: Item = look()
        except UserFacingError as error:
            if error.problem != said:
                note(f"note: {printable(error.problem)}; still watching")
            said = error.problem
        else:
            if said:
                note("note: the list can be read again")
            return listed


def _waiting(listed: Item) -> Iterator[Waiting]:
    """Yield what waits: devices, and nodes whose commands do."""
    for item in items_of(listed, "pending"):
        request_id = printable(item.get("requestId", ""))
        command = beside(f"approve {request_id}")
        yield Waiting("device", request_id, printable(item.get("deviceId", "")), command, item)
    for item in items_of(listed, "paired"):
        code = waiting_commands(item)
        if code is not None:
            command = beside(f"approve {code}", group="nodes")
            yield Waiting("node", code, printable(item.get("deviceId", "")), command, item)


def _tell(one: Waiting, words: list[str], *, as_json: bool) -> None:
    facts = {"event": "requested"} | one.as_json() | {"command": one.command, "facts": one.item}
    line = _line(facts)
    if as_json:
        say(line)
    else:
        what = "Waits for approval" if one.kind == "device" else "Its commands wait for approval"
        say(f"{what}:\n{card(one.item)}\nLet it in: {one.command}")
    _flush()
    if words:
        _run(words, one, line)


def _tell_end(one: Waiting, listed: Item, *, as_json: bool) -> None:
    outcome = outcome_of(one, listed)
    if as_json:
        say(_line({"event": "ended"} | one.as_json() | {"outcome": outcome}))
    else:
        say(f"{one.request_id} of {name_of(one.item)}: {outcome}")
    _flush()


def outcome_of(one: Waiting, listed: Item) -> str:
    """Return what became of a request that waits no more, as far as the list tells."""
    others = (item for kind in ("pending", "paired") for item in items_of(listed, kind))
    mine = [item for item in others if item.get("deviceId") == one.item.get("deviceId")]
    if one.kind == "node":
        return "decided" if mine else "removed"
    asked_ms = one.item.get("ts")
    for item in mine:
        at_ms = item.get("approvedAtMs")
        if isinstance(at_ms, int) and isinstance(asked_ms, int) and at_ms >= asked_ms:
            return "approved"
    if any("requestId" in item for item in mine):
        return "replaced by another request"
    ends_ms = one.item.get("expiresAtMs")
    return "expired" if isinstance(ends_ms, int) and wall_ms() >= ends_ms else "rejected"


def _run(words: list[str], one: Waiting, line: str) -> None:
    """Run the program of the command line; what it does wrong is said, and ends nothing."""
    env = os.environ | {
        "OPENCLAW_REQUEST_ID": one.request_id,
        "OPENCLAW_DEVICE_NAME": name_of(one.item),
        "OPENCLAW_APPROVE": one.command,
    }
    trouble = None
    try:
        done = subprocess.run(
            words, input=line + "\n", env=env, text=True, timeout=RUN_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        trouble = f"did not end within {RUN_WITHIN_S:.0f} s"
    except OSError as error:
        trouble = f"cannot be run: {error.strerror}"
    else:
        if done.returncode:
            trouble = f"ended with {done.returncode}"
    if trouble is not None:
        note(f"note: {printable(words[0])} {trouble}; still watching")


def _line(facts: Item) -> str:
    # ASCII: a terminal obeys none of it
    return json.dumps(facts)


def _flush() -> None:
    """Let a pipe have the line now; one that is closed is found by the next line."""
    with contextlib.suppress(AttributeError):
        sys.stdout.flush()
