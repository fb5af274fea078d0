"""`openclaw devices watch`: tell of every request as it comes, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import click
from attrs import define, field, frozen

from cli.device_road import DeviceRoad, beside, items_of, offline_option
from cli.device_table import card, name_of, waiting_commands, wall_ms
from cli.device_wait import LOOK_EVERY_S, looks
from cli.output import note, printable, say
from cli.place import TargetOptions, target_options
from cli.typed import as_typed
from cli.watch_runs import Run, Runs
from stores.errors import UsageError, UserFacingError

#: A gateway elsewhere is asked over the network, with a handshake each time.
ASK_EVERY_S = 5.0

Item = Mapping[str, Any]


@frozen
class Waiting:
    """What waits for a person: a device's request, or the commands of a node that is in.

    Args:
        kind: ``device`` or ``node``.
        command: What lets it in, as it is typed here.
        item: As `stores.listing` tells of it.
    """

    kind: str
    request_id: str
    device_id: str
    command: str
    item: Item

    def is_same(self, other: Waiting) -> bool:
        """Tell whether it has waited all the time: a code comes again where the same is asked again."""
        return self.item.get("firstSeenAtMs") == other.item.get("firstSeenAtMs")

    def as_json(self, event: str, **more: Any) -> str:
        """Return a line about it; ``name`` is what the device is called here."""
        facts = {"event": event, "kind": self.kind, "requestId": self.request_id}
        facts |= {"deviceId": self.device_id, "name": name_of(self.item)}
        return json.dumps(facts | more)  # ASCII: a terminal obeys none of it


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
    OPENCLAW_REQUEST_ID, OPENCLAW_DEVICE_NAME and OPENCLAW_APPROVE in its environment; what it
    writes goes to standard error.
    """
    runs = Runs(_words_of(program))
    road = DeviceRoad(options, offline)
    listed, look, in_files = looks(road)
    told = Told(as_json=options.as_json, runs=runs)
    note("Watching for devices that ask to be let in; Ctrl-C ends it.")
    with _ended_together(runs):
        while True:
            told.take_in(listed)
            listed = _next(look, told, LOOK_EVERY_S if in_files else ASK_EVERY_S)


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


@contextlib.contextmanager
def _ended_together(runs: Runs) -> Iterator[None]:
    """Let no program outlive the watch, however that is told to end."""

    def end(number: int, _: FrameType | None) -> None:
        runs.end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        runs.end()
        signal.signal(signal.SIGTERM, before)


def _next(look: Callable[[], Item], told: Told, every_s: float) -> Item:
    """Return the next list; while there is none say so once and go on."""
    said = ""
    while True:
        until_s = time.monotonic() + every_s
        while time.monotonic() < until_s:
            told.runs.turn(told.known)
            time.sleep(min(LOOK_EVERY_S, every_s))
        try:
            listed = look()
        except UserFacingError as error:
            if error.problem != said:
                note(f"note: {printable(error.problem)}; still watching")
            said = error.problem
        else:
            if said:
                note("note: the list can be read again")
            return listed


@define
class Told:
    """What was told already."""

    as_json: bool
    runs: Runs
    known: dict[str, Waiting] = field(factory=dict)

    def take_in(self, listed: Item) -> None:
        """Tell of what is new in a list, and of what is gone."""
        found = {one.request_id: one for one in waiting_in(listed)}
        for request_id, before in list(self.known.items()):
            now = found.get(request_id)
            if now is None or not now.is_same(before):
                del self.known[request_id]
                self._tell_end(before, outcome_of(before, listed))
        for request_id, one in found.items():
            if request_id not in self.known:
                self._tell(one)
            self.known[request_id] = one  # one that knocks again lives longer

    def _tell(self, one: Waiting) -> None:
        line = one.as_json("requested", command=one.command, facts=one.item)
        if self.as_json:
            _print(line)
        else:
            what = "Waits for approval" if one.kind == "device" else "Its commands wait"
            asked = "".join(f"\n    asks for  {commands}" for commands in _commands_of(one))
            _print(f"{what}:\n{card(one.item)}{asked}\nLet it in: {one.command}")
        env = {
            "OPENCLAW_REQUEST_ID": one.request_id,
            "OPENCLAW_DEVICE_NAME": name_of(one.item),
            "OPENCLAW_APPROVE": one.command,
        }
        self.runs.add(Run(one.request_id, line + "\n", env))

    def _tell_end(self, one: Waiting, outcome: str) -> None:
        if self.as_json:
            _print(one.as_json("ended", outcome=outcome))
        else:
            _print(f"{one.request_id} of {name_of(one.item)}: {outcome}")


def waiting_in(listed: Item) -> Iterator[Waiting]:
    """Yield what waits, the oldest first: devices, and nodes whose commands do."""
    pending = items_of(listed, "pending")
    for item in sorted(pending, key=lambda one: str(one.get("firstSeenAtMs", ""))):
        request_id = printable(item.get("requestId", ""))
        command = as_typed(beside(f"approve {request_id}"))
        yield Waiting("device", request_id, printable(item.get("deviceId", "")), command, item)
    for item in items_of(listed, "paired"):
        code = waiting_commands(item)
        if code is not None:
            command = as_typed(beside(f"approve {code}", group="nodes"))
            yield Waiting("node", code, printable(item.get("deviceId", "")), command, item)


def _commands_of(one: Waiting) -> Iterator[str]:
    surface = one.item.get("pendingNodeSurface")
    commands = surface.get("commands") if isinstance(surface, dict) else None
    if isinstance(commands, list):
        yield printable(", ".join(map(str, commands)))


def outcome_of(one: Waiting, listed: Item) -> str:
    """Return what became of a request that waits no more, as far as the list tells.

    Returns:
        ``approved``, ``rejected``, ``expired`` or ``replaced``; of a node's commands ``decided``,
        ``replaced``, or ``removed`` with the node.
    """
    others = (item for kind in ("pending", "paired") for item in items_of(listed, kind))
    mine = [item for item in others if item.get("deviceId") == one.item.get("deviceId")]
    if one.kind == "node":
        if any(waiting_commands(item) not in (None, one.request_id) for item in mine):
            return "replaced"
        return "decided" if mine else "removed"
    asked_ms = one.item.get("ts")
    for item in mine:
        at_ms = item.get("approvedAtMs")
        if isinstance(at_ms, int) and isinstance(asked_ms, int) and at_ms >= asked_ms:
            return "approved"
    if any(item.get("requestId") not in (None, one.request_id) for item in mine):
        return "replaced"
    ends_ms = one.item.get("expiresAtMs")
    return "expired" if isinstance(ends_ms, int) and wall_ms() >= ends_ms else "rejected"


def _print(text: str) -> None:
    """Print at once: a pipe has each line when it is written."""
    say(text)
    sys.stdout.flush()
