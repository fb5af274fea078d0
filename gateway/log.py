"""The log: human lines on stderr, JSON lines in a daily file, secrets taken out at the sink.

Records are formatted and written by one thread of their own, so that a slow disk or terminal
never holds up the event loop.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from attrs import define, field

from stores.errors import StoreError
from stores.files import append_line, ensure_private_dir

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

# A secret that got into a text by name, whoever put it there.
_NAMED_SECRET = re.compile(
    r"""((?:token|password|secret|authorization)["']?\s*[=:]\s*["']?(?:bearer\s+)?)"""
    r"""(?!\()([^\s"'&,;)}]{6,})""",
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

    _known: set[str] = field(factory=set)

    def learn(self, *secrets: str | None) -> None:
        """Remember values that may appear in no output."""
        self._known.update(secret for secret in secrets if secret and len(secret) >= 6)

    def clean(self, text: str) -> str:
        """Return ``text`` without any secret."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return _NAMED_SECRET.sub(rf"\g<1>{REDACTED}", text)


class _HumanLines(logging.Handler):
    """One line a record on a terminal or pipe: time, level where it matters, subsystem, text."""

    def __init__(self, stream: TextIO, redactor: Redactor, *, colour: bool) -> None:
        super().__init__()
        self._stream, self._redactor, self._colour = stream, redactor, colour

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(self._line(record) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads stderr any more; the file has the line

    def _line(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = escape_control(self._redactor.clean(record.getMessage()))
        level = _WORDS.get(record.levelname, record.levelname.lower())
        mark = "" if record.levelno == logging.INFO else f"{level}: "
        line = f"{at} [{_subsystem(record)}] {mark}{text}"
        if record.exc_text:
            line += "\n" + self._redactor.clean(record.exc_text)
        colour = _COLOURS.get(record.levelname) if self._colour else None
        return f"{colour}{line}\033[0m" if colour else line


class _JsonLines(logging.Handler):
    """One JSON object a record in ``gateway-YYYY-MM-DD.jsonl`` (UTC)."""

    def __init__(self, directory: Path, redactor: Redactor, *, max_file_bytes: int) -> None:
        super().__init__()
        self._directory, self._redactor, self._max = directory, redactor, max_file_bytes

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        facts: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _WORDS.get(record.levelname, record.levelname.lower()),
            "subsystem": _subsystem(record),
            "message": escape_control(self._redactor.clean(record.getMessage())),
        }
        conn = getattr(record, "conn", None)
        if conn:
            facts["conn"] = conn
        if record.exc_text:
            facts["exception"] = self._redactor.clean(record.exc_text)
        line = json.dumps(facts, ensure_ascii=False, default=str) + "\n"
        try:
            self._append(self._directory / f"gateway-{at:%Y-%m-%d}.jsonl", line)
        except (StoreError, OSError):
            self.handleError(record)

    def _append(self, path: Path, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace")
        if path.exists() and path.stat().st_size + len(data) > self._max:
            path.replace(path.with_name(f"{path.name}.1"))
        append_line(path, data)


def _subsystem(record: logging.LogRecord) -> str:
    return record.name.removeprefix("gateway.")


def log_file(directory: Path) -> Path:
    """Return where today's JSON lines go."""
    return directory / f"gateway-{datetime.now(UTC):%Y-%m-%d}.jsonl"


class _Deferred(logging.handlers.QueueHandler):
    """Hands records to the writer thread with their text already made."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.msg, record.args = record.getMessage(), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        return record


def open_log(
    directory: Path,
    redactor: Redactor,
    *,
    level: str,
    console_level: str,
    max_file_bytes: int,
    stream: TextIO | None = None,
    colour: bool | None = None,
) -> Callable[[], None]:
    """Start the log and return what flushes and ends it.

    Raises:
        StoreError: the folder for the files cannot be made.
    """
    ensure_private_dir(directory)
    out = sys.stderr if stream is None else stream
    human = _HumanLines(out, redactor, colour=out.isatty() if colour is None else colour)
    human.setLevel(LEVELS[console_level])
    lines = _JsonLines(directory, redactor, max_file_bytes=max_file_bytes)
    lines.setLevel(LEVELS[level])
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, human, lines, respect_handler_level=True)
    root = logging.getLogger("gateway")
    handler = _Deferred(waiting)
    root.addHandler(handler)
    root.setLevel(min(LEVELS[level], LEVELS[console_level]))
    root.propagate = False
    listener.start()

    def close() -> None:
        root.removeHandler(handler)
        listener.stop()

    return close
