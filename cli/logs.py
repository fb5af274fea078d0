"""`openclaw logs`: what this machine's gateway wrote, read from its files in whatever state it is."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from cli.output import colour, note, printable, say
from cli.place import URL_VARIABLE, Place, place
from cli.published_options import without_effect
from stores.errors import StoreError, UsageError
from stores.log_files import Line, LogReader
from stores.timespan import ms_of

#: Lines shown when nobody says how many or since when.
LIMIT = 200
#: And since a time: all there is of a bad night, and no more than memory holds with ease.
LIMIT_SINCE = 100_000
#: How often the files are looked at while following, ms: change notification does not cross the
#: bind mounts of containers.
INTERVAL_MS = 250

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
_RESET = "\x1b[0m"
_COLOURS = {"error": "\x1b[31m", "fatal": "\x1b[31m", "warn": "\x1b[33m", "debug": "\x1b[2m"}


class NoLogError(StoreError):
    """No gateway has written a log in the folder."""


@frozen
class Record:
    """A line of the log; ``facts`` is empty if it is none of the gateway's, such as a torn one."""

    text: str
    facts: dict[str, Any]

    @property
    def level(self) -> str:
        """How serious it is, one of `LEVELS`."""
        said = self.facts.get("level")
        return said if said in LEVELS else "info"

    @property
    def at(self) -> datetime | None:
        """When it was written."""
        try:
            at = datetime.fromisoformat(str(self.facts.get("time")))
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def for_people(self, *, local_time: bool) -> str:
        """Return it as on the gateway's own console, but with the day."""
        if not self.facts:
            return printable(self.text)
        at = self.at
        if at is None:
            when = "?"
        elif local_time:
            when = at.astimezone().isoformat(sep=" ", timespec="seconds")
        else:
            when = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        mark = "" if self.level == "info" else f"{self.level}: "
        subsystem, message = (printable(self.facts.get(key, "?")) for key in _SHOWN)
        trace = str(self.facts.get("exception") or "")
        lines = [f"{when} [{subsystem}] {mark}{message}", *map(printable, trace.split("\n"))]
        return "\n".join(lines) if trace else lines[0]

    def for_programs(self) -> str:
        """Return it as the line of JSON it is, marked as one, with nothing that a terminal obeys."""
        if self.text.isprintable():
            return f'{{"type": "log", {self.text.strip()[1:]}'
        return json.dumps({"type": "log"} | self.facts).replace("\x7f", "\\u007f")


_SHOWN = ("subsystem", "message")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@frozen
class Wanted:
    """Which lines are shown, and how."""

    level: str | None
    since: datetime | None
    grep: str | None
    as_json: bool
    local_time: bool
    coloured: bool

    def shown(self, record: Record) -> str | None:
        """Return a line as it is printed, or None if it is not wanted."""
        if not record.facts and (self.as_json or self.level or self.since):
            return None
        if self.level is not None and LEVELS.index(record.level) < LEVELS.index(self.level):
            return None
        if self.since is not None and (record.at is None or record.at < self.since):
            return None
        text = record.for_people(local_time=self.local_time)
        if self.grep is not None:
            conn = str(record.facts.get("conn") or "")
            if self.grep not in f"{text}\n{conn}".casefold():
                return None
        if self.as_json:
            return record.for_programs()
        paint = _COLOURS.get(record.level) if self.coloured else None
        return f"{paint}{text}{_RESET}" if paint else text


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help=f"Show the newest N lines ({LIMIT}; with --since {LIMIT_SINCE}).",
)
@click.option("--since", metavar="TIME", help="Only what is newer: 2h, 30min, 2026-03-01T04:00.")
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Only lines of this level and worse.",
)
@click.option("--grep", metavar="TEXT", help="Only lines with this text in it, in any case.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the JSON lines, marked as lines of the log."
)
@click.option("--plain", "--no-color", "plain", is_flag=True, help="Print no colours.")
@click.option("--local-time", is_flag=True, help="Show times of this machine's zone, not UTC.")
@click.option("--utc", is_flag=True, hidden=True)  # published; it is what is done anyway
@click.option("--interval", "interval_ms", type=click.IntRange(10, 60_000), hidden=True)
@click.option("--max-bytes", type=int, hidden=True)
@click.option("--timeout", type=int, hidden=True)
@click.option("--url", hidden=True)
@click.option("--port", type=click.IntRange(1, 65535), hidden=True)
@without_effect(
    "the log is read from its files, without a credential",
    "--token",
    "--password",
    "--token-file",
    "--password-file",
    takes="TEXT",
)
@without_effect("nothing is called", "--expect-final")
def logs(
    *,
    follow: bool,
    limit: int | None,
    interval_ms: int | None,
    url: str | None,
    port: int | None,
    **words: Any,
) -> None:
    """Show what this machine's gateway wrote, whether it runs or not, or refuses this machine."""
    if url is not None:
        raise UsageError(
            "logs reads the files of this machine, and no other gateway's",
            remedy="run on that gateway's machine: `openclaw logs`",
        )
    here = place()
    if port is not None:
        _refuse_other_port(port, here)
    if here.env.get(URL_VARIABLE):
        note(f"{URL_VARIABLE} names another gateway; this is the log of this machine's own.")
    wanted = _wanted(words)
    reader = LogReader(here.paths.logs_dir)
    most = limit or (LIMIT if wanted.since is None else LIMIT_SINCE)
    shown = _show_newest(reader, wanted, most, may_be_empty=follow)
    if limit is None and shown == LIMIT_SINCE:
        note(f"There is more: these are the newest {shown} lines; `--limit N` shows N of them.")
    if follow:
        _follow(reader, wanted, (interval_ms or INTERVAL_MS) / 1000)


def _refuse_other_port(port: int, here: Place) -> None:
    """Refuse to show the log of one gateway where the port of another was named.

    Raises:
        UsageError: with the state directory of the one that was meant, where it can be seen.
    """
    from stores.running import read_running  # late, both: few name a port
    from stores.serving import gateway_on

    ours = here.paths.state_dir
    running, other = read_running(ours), gateway_on(port)
    if running is not None and running.alive and running.port == port:
        return
    if other is None or other.state_dir is None or other.state_dir == ours:
        note(f"note: --port has no effect: this is the log of the gateway of {ours}")
        return
    folder = shlex.quote(str(other.state_dir))
    raise UsageError(
        f"--port: the gateway on port {port} is not that of {ours}, whose log this would be",
        remedy=f"read its own with `OPENCLAW_STATE_DIR={folder} openclaw logs`",
    )


def _wanted(words: dict[str, Any]) -> Wanted:
    since, grep = words["since"], words["grep"]
    return Wanted(
        level=words["level"],
        since=None if since is None else _time_of(since, local_time=words["local_time"]),
        grep=None if grep is None else grep.casefold(),
        as_json=words["as_json"],
        local_time=words["local_time"],
        coloured=not words["plain"] and colour.on(sys.stdout),
    )


def _show_newest(reader: LogReader, wanted: Wanted, limit: int, *, may_be_empty: bool) -> int:
    """Print the newest lines that are wanted, the oldest of them first; return how many."""
    seen = False

    def shown() -> Iterator[str]:
        nonlocal seen
        for line in reader.backwards():
            record, seen = _record_of(line), True
            if wanted.since is not None and record.at is not None and record.at < wanted.since:
                return
            text = wanted.shown(record)
            if text is not None:
                yield text

    texts = list(islice(shown(), limit))
    for text in reversed(texts):
        say(text)
    if not seen:
        if not may_be_empty:
            raise _no_log(reader.directory)
        note(f"no gateway has written a log in {reader.directory} yet; waiting for one")
    return len(texts)


def _follow(reader: LogReader, wanted: Wanted, interval_s: float) -> None:
    """Print what is added until interrupted."""
    while True:
        _flush()
        time.sleep(interval_s)
        _say_all(wanted.shown(_record_of(line)) for line in reader.new_lines())


def _say_all(texts: Iterable[str | None]) -> None:
    for text in texts:
        if text is not None:
            say(text)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _record_of(line: Line) -> Record:
    text = line.text.decode("utf-8", "backslashreplace")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    return Record(text, facts if isinstance(facts, dict) else {})


def _time_of(text: str, *, local_time: bool) -> datetime:
    span_ms = ms_of(text)
    if span_ms is not None:
        try:
            return datetime.now(UTC) - timedelta(milliseconds=span_ms)
        except OverflowError:  # before the year 1: all there is
            return _EARLIEST
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"--since {printable(text, limit=60)!r} is neither a span nor a time",
            remedy="write `openclaw logs --since 2h`, or a time such as 2026-03-01T04:00",
        ) from error
    if at.tzinfo is not None:
        return at
    try:
        return at.astimezone() if local_time else at.replace(tzinfo=UTC)
    except (OverflowError, ValueError):  # the edge of the calendar, moved over it by the zone
        return at.replace(tzinfo=UTC)


def _no_log(directory: Path) -> NoLogError:
    return NoLogError(
        f"no gateway has written a log in {directory}",
        remedy="start one with `openclaw gateway run`, or name the state directory it lives in: "
        "`openclaw --profile NAME logs`, or OPENCLAW_STATE_DIR",
    )
