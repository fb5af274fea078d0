"""What a command prints: tables, times in words, and text from strangers made harmless."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from cli.typed import typable

#: A table is never drawn wider than this on anything but a terminal.
PLAIN_COLUMNS = 80
GAP = "  "
#: A column is not made narrower than this while another one can give.
NARROWEST = 8
CELL_CHARACTERS = 200

_BOLD, _DIM, _RED, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
_STYLES = {"bold": _BOLD, "dim": _DIM, "red": _RED}


class NoOutputError(OSError):
    """Standard output is closed, or what it goes to is full."""


class Colour:
    """Whether to colour, as the command line says; None leaves it to the terminal."""

    wanted: bool | None = None

    def on(self, stream: TextIO | None) -> bool:
        """Tell whether text for a stream may carry colour."""
        if stream is None:  # closed before the program began
            return False
        if self.wanted is not None:
            return self.wanted
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"


colour = Colour()


def printable(text: object, *, limit: int | None = None) -> str:
    """Return text that a terminal only shows: whatever could steer it is spelt out.

    Args:
        limit: Most characters to return; a cut shows as an ellipsis.
    """
    plain = str(text)
    if not (plain.isascii() and plain.isprintable()):
        plain = "".join(char if char.isprintable() else _spelt(char) for char in plain)
    return plain if limit is None or len(plain) <= limit else f"{plain[: limit - 1]}…"


def _spelt(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_text(value: Any) -> str:
    """Return indented JSON that no terminal acts upon."""
    import json  # late: most commands print none

    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    # JSON leaves these as they are, and a terminal obeys some of them
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def styled(text: str, style: str, stream: TextIO | None) -> str:
    """Return text in a style if the stream takes colour."""
    return f"{_STYLES[style]}{text}{_RESET}" if colour.on(stream) else text


def say(text: str = "") -> None:
    """Print a result.

    Raises:
        OSError: there is no standard output, or it cannot be written.
    """
    if sys.stdout is None:  # `>&-`; print() would leave it at that
        raise NoOutputError(errno.EBADF, "standard output is closed")
    try:
        print(text, file=sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NoOutputError(error.errno, error.strerror or str(error)) from error


def note(text: str, *, as_is: bool = False) -> None:
    """Print a remark that is not the result; one that cannot be printed changes nothing.

    Args:
        as_is: Whether its commands are as they are to be typed, perhaps on another machine.
    """
    if sys.stderr is not None:  # print() would take standard output
        with contextlib.suppress(OSError):
            print(text if as_is else typable(text), file=sys.stderr)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table whose long cells wrap at words, as wide as the terminal at most."""
    cells = [[printable(cell, limit=CELL_CHARACTERS) for cell in row] for row in rows]
    widths = _fit([heads, *cells], columns())
    lines = [styled(line, "bold", sys.stdout) for line in _drawn(heads, widths)]
    for row in cells:
        lines += _drawn(row, widths)
    return "\n".join(lines)


def columns() -> int:
    """Return how wide text may be drawn."""
    import shutil  # late: only tables ask

    return max(40, shutil.get_terminal_size((PLAIN_COLUMNS, 24)).columns)


def _fit(rows: Sequence[Sequence[str]], columns: int) -> list[int]:
    """Return column widths: what the cells need, the widest cut until all fit."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    # a word that cannot be broken well (an id, an address) keeps its column as wide as it is
    words = [
        max(_width(w) for cell in column for w in cell.split(" "))
        for column in zip(*rows, strict=True)
    ]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - columns
    for floors in (words, [NARROWEST] * len(widths)):
        while excess > 0:
            room = [width - floor for width, floor in zip(widths, floors, strict=True)]
            widest = max(range(len(widths)), key=lambda i: (room[i] > 0, widths[i]))
            if room[widest] <= 0:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _drawn(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, columns))
    lines = []
    for index in range(height):
        parts = [column[index] if index < len(column) else "" for column in columns]
        padded = [
            part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """Return text in lines of a width at most, the later ones after ``indent``."""
    head, *rest = _wrapped(text, width)
    if rest and indent:
        rest = _wrapped(" ".join(rest), width - len(indent))
    return [head, *(f"{indent}{line}" for line in rest)]


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in _words(text, width):
        if line and _width(line) + 1 + _width(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        while _width(line) > width:
            head = _head(line, width)
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line]


def _words(text: str, width: int) -> Iterator[str]:
    """Yield what a line is not broken within: words, and commands in backticks that fit on one."""
    held: list[str] = []
    for word in text.split(" "):
        held.append(word)
        whole = " ".join(held)
        if whole.count("`") % 2 and _width(whole) <= width:
            continue  # the command goes on
        yield from [whole] if _width(whole) <= width else held
        held = []
    yield from held


def _head(text: str, width: int) -> str:
    end = len(text)
    while end > 1 and _width(text[:end]) > width:
        end -= 1
    return text[:end]


def _width(text: str) -> int:
    """Return how many terminal columns a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # late: most text is ASCII

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
