"""The log: human lines on stderr, JSON lines in a daily file, secrets taken out at the sink.

Records are formatted and written by one thread of their own, so that a slow disk or terminal
never holds up the event loop; while it cannot keep up, records are counted instead of kept.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import queue
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from attrs import define, field

from stores.errors import StoreError
from stores.files import append_line, ensure_private_dir
from stores.log_files import LogFile, drop_old, file_to_write

REDACTED = "***"

LEVELS = {
    "silent": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
_COLOURS = {"ERROR": "\033[31m", "CRITICAL": "\033[31m", "WARNING": "\033[33m", "DEBUG": "\033[2m"}
_WORDS = {"WARNING": "warn", "CRITICAL": "fatal"}

#: Records that may wait to be written.
MAX_WAITING = 10_000

#: Lines kept while the file cannot be written, the newest ones.
MAX_UNWRITTEN = 100

#: How long the last records are waited for at the end.
CLOSE_WITHIN_S = 2.0

#: Trio's own complaints belong into the log too: a listener that has no descriptors left.
_ROOTS = ("gateway", "trio")

# It complains ten times a second while no connection can be taken in, with a traceback each.
_LISTENER = "trio.serve_listeners"
LISTENER_QUIET_S = 30.0

_VALUE = r"""[^\s"'&,;)}\]]{6,}"""
# A secret that got into a text by name, whoever put it there: `token=x`, `"token": "x"`,
# `Authorization: Bearer x`. After a bare colon a word may be prose (`gateway.auth.token: expected
# text`), so there it has to look like a secret: a digit in it.
_NAMED_SECRET = re.compile(
    r"""((?:token|password|secret)["']?(?:\s*=\s*["']?|\s*:\s*["']|\s*:\s*(?=[^\s]*\d))"""
    r"""|authorization["']?\s*[=:]\s*["']?(?:bearer\s+|basic\s+)?|\bbearer\s+(?=[^\s]*\d))"""
    rf"""{_VALUE}""",
    re.IGNORECASE,
)


def escape_control(text: str) -> str:
    """Return ``text`` with every character that is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


@define(eq=False)
class Redactor:
    """Takes secrets out of text: known values, and whatever stands behind a telling name."""

    # Replaced as a whole: it is read by the thread that writes.
    _known: tuple[str, ...] = ()

    def learn(self, *secrets: str | None) -> None:
        """Remember values that may appear in no output."""
        known = {*self._known, *(secret for secret in secrets if secret and len(secret) >= 6)}
        # The longest first: one may be the beginning of another.
        self._known = tuple(sorted(known, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """Return ``text`` without any secret."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return _NAMED_SECRET.sub(rf"\g<1>{REDACTED}", text)


@define(eq=False)
class _Sink:
    """What formats records: each text cleaned of secrets and of control characters."""

    clean: Callable[[str], str]
    level: int

    def message(self, record: logging.LogRecord) -> str:
        return escape_control(self.clean(record.getMessage()))

    def traceback(self, record: logging.LogRecord) -> str | None:
        if not record.exc_text:
            return None
        lines = self.clean(record.exc_text).split("\n")
        return "\n".join(escape_control(line) for line in lines)


@define(eq=False)
class _HumanLines(_Sink):
    """One line a record on a terminal or pipe: time, level where it matters, subsystem, text."""

    stream: TextIO
    colour: bool

    def write(self, record: logging.LogRecord) -> None:
        # ValueError: closed. Nobody reads stderr any more; the file has the line.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(self._line(record) + "\n")
            self.stream.flush()

    def _line(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        mark = "" if record.levelno == logging.INFO else f"{_level(record)}: "
        line = f"{at} [{_subsystem(record)}] {mark}{self.message(record)}"
        trace = self.traceback(record)
        if trace:
            line += f"\n{trace}"
        colour = _COLOURS.get(record.levelname) if self.colour else None
        return f"{colour}{line}\033[0m" if colour else line


@define(eq=False)
class _JsonLines(_Sink):
    """One JSON object a record in ``gateway-YYYY-MM-DD.jsonl`` (UTC), and in those that follow it."""

    directory: Path
    max_file_bytes: int
    complain: Callable[[str], None]
    _failing: bool = False
    _current: LogFile | None = None
    # What could not be written yet: no descriptor left, or no space; the trouble itself is in it.
    _unwritten: deque[str] = field(factory=lambda: deque(maxlen=MAX_UNWRITTEN))

    def write(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        facts: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _level(record),
            "subsystem": _subsystem(record),
            "message": self.message(record),
        }
        conn = getattr(record, "conn", None)
        if conn:
            facts["conn"] = escape_control(str(conn))
        trace = self.traceback(record)
        if trace:
            facts["exception"] = trace
        self._unwritten.append(json.dumps(facts, ensure_ascii=False) + "\n")
        try:
            while self._unwritten:
                self._append(f"{at:%Y-%m-%d}", self._unwritten[0])
                self._unwritten.popleft()
        except (StoreError, OSError) as error:
            if not self._failing:  # once, not a line a line
                self.complain(f"the log file cannot be written: {error}")
            self._failing = True
        else:
            self._failing = False

    def _append(self, day: str, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace")
        file = self._current or file_to_write(self.directory, day)
        if file.day < day:  # never back: who follows the log has read the earlier file to its end
            file = LogFile(day, 0)
        while self._is_full(file, len(data)):
            file = file.next
        if not (self.directory / file.name).exists():
            ensure_private_dir(self.directory)  # somebody may have made room by removing it
        append_line(self.directory / file.name, data)
        if file != self._current:
            self._current = file
            drop_old(self.directory, file, full_bytes=self.max_file_bytes)

    def _is_full(self, file: LogFile, more_bytes: int) -> bool:
        try:
            size = os.stat(self.directory / file.name).st_size
        except FileNotFoundError:
            return False
        return size > 0 and size + more_bytes > self.max_file_bytes


def _subsystem(record: logging.LogRecord) -> str:
    return record.name.removeprefix("gateway.")


def _level(record: logging.LogRecord) -> str:
    return _WORDS.get(record.levelname, record.levelname.lower())


def log_file(directory: Path) -> Path:
    """Return where JSON lines go now."""
    return directory / file_to_write(directory, f"{datetime.now(UTC):%Y-%m-%d}").name


class _Writer(logging.Handler):
    """Hands records, with their text already made, to the thread that writes them."""

    def __init__(self, sinks: list[_HumanLines | _JsonLines]) -> None:
        super().__init__()
        self._sinks = sinks
        self._waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._dropped = 0
        self._listener_told_s = -math.inf
        # A daemon: a terminal that blocks for ever must not keep the process.
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue; made text, because its arguments may change later."""
        if record.name == _LISTENER and not self._reword(record):
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self._dropped += 1
            return
        with contextlib.suppress(TypeError, ValueError):  # arguments that do not fit: the bare text
            record.msg = record.getMessage()
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        self._waiting.put(record)

    def _reword(self, record: logging.LogRecord) -> bool:
        """Say what the listener means and what helps; False if that was said a moment ago."""
        now_s = time.monotonic()
        if now_s - self._listener_told_s < LISTENER_QUIET_S:
            return False
        self._listener_told_s = now_s
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError):
            record.msg, record.args, record.exc_info = _no_room(error), None, None
        return True

    def complain(self, text: str) -> None:
        """Write a line about the log itself, past the queue; only the writing thread may."""
        self._write(_about_the_log(text), only=_HumanLines)

    def finish(self) -> None:
        """Write what waits, as far as that takes no longer than `CLOSE_WITHIN_S`."""
        self._waiting.put(None)
        self._thread.join(CLOSE_WITHIN_S)

    def _serve(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._write(record)
            if self._waiting.empty():
                self._tell_dropped()
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._write(_about_the_log(f"{dropped} log lines were dropped: output is too slow"))

    def _write(self, record: logging.LogRecord, *, only: type[_Sink] = _Sink) -> None:
        for sink in self._sinks:
            if record.levelno >= sink.level and isinstance(sink, only):
                sink.write(record)


def _no_room(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, "OSError")
    line = f"new connections have to wait: {name} ({error.strerror})"
    if error.errno == errno.EMFILE:
        line += (
            "; raise the limit of open files where the gateway is started: `ulimit -n 65536`, "
            "LimitNOFILE=65536 of a service, --ulimit nofile=65536 of a container"
        )
    return line


def _about_the_log(text: str) -> logging.LogRecord:
    return logging.LogRecord("gateway.log", logging.WARNING, __file__, 0, text, None, None)


@define(eq=False)
class Log:
    """The open log: what it lets through may change while it is open."""

    _handler: _Writer
    _file: _JsonLines
    _human: _HumanLines | None

    def adjust(self, *, level: str, console_level: str, max_file_bytes: int) -> None:
        """Let these levels through from now on."""
        self._file.level, self._file.max_file_bytes = LEVELS[level], max_file_bytes
        if self._human is not None:
            self._human.level = LEVELS[console_level]
        sinks = [self._file, self._human] if self._human is not None else [self._file]
        logging.getLogger(_ROOTS[0]).setLevel(min(sink.level for sink in sinks))

    def close(self) -> None:
        """Write what waits, and end the log."""
        for name in _ROOTS:
            root = logging.getLogger(name)
            root.removeHandler(self._handler)
            root.propagate = True
        self._handler.finish()


def open_log(
    directory: Path,
    clean: Callable[[str], str],
    *,
    level: str,
    console_level: str,
    max_file_bytes: int,
    stream: TextIO | None = None,
    colour: bool | None = None,
) -> Log:
    """Start the log; whoever opened it closes it.

    Args:
        clean: Returns a text as it may be written: without a secret.

    Raises:
        StoreError: the folder for the files cannot be made.
    """
    ensure_private_dir(directory)
    sinks: list[_HumanLines | _JsonLines] = []
    handler = _Writer(sinks)
    # The file first: a terminal that blocks keeps nothing from it.
    file = _JsonLines(clean, LEVELS[level], directory, max_file_bytes, handler.complain)
    sinks.append(file)
    out: TextIO | None = sys.stderr if stream is None else stream
    human = None
    if out is not None:  # started without one
        tty = out.isatty() if colour is None else colour
        human = _HumanLines(clean, LEVELS[console_level], out, tty)
        sinks.append(human)
    for name in _ROOTS:
        root = logging.getLogger(name)
        root.addHandler(handler)
        root.propagate = False
    log = Log(handler, file, human)
    log.adjust(level=level, console_level=console_level, max_file_bytes=max_file_bytes)
    return log
