"""The gateway's log files: how they are named and bounded, and how they are read.

Rule: a file is only ever appended to and never renamed, and the gateway never goes back to an
earlier one. So what a reader knows of a file, how much of it was read, stays true through every
rotation and restart.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat as stat_bits
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field, frozen

from stores.errors import StoreError
from stores.plain_file import who_may

#: Days of log that are kept: two weeks is how far back people ask what happened.
KEPT_DAYS = 14

#: And no more bytes than so many full files hold: a gateway under siege must not fill the disk.
KEPT_FULL_FILES = 10

_NAME = re.compile(r"gateway-([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.([1-9][0-9]{0,8}))?\.jsonl")

#: Read in one go.
BLOCK_BYTES = 1 << 16

#: A longer line is none of the gateway's; it is passed over in pieces of this size.
MAX_LINE_BYTES = 1 << 20


@frozen(order=True)
class LogFile:
    """One file of the log; in the order in which they are written.

    Args:
        day: ``YYYY-MM-DD``, UTC.
        number: 0 for the first of a day; each file that grew full is followed by the next number.
    """

    day: str
    number: int

    @property
    def name(self) -> str:
        """Return its name in the folder."""
        return f"gateway-{self.day}{f'.{self.number}' if self.number else ''}.jsonl"

    @property
    def next(self) -> LogFile:
        """Return the file that follows this one on the same day."""
        return LogFile(self.day, self.number + 1)


def log_files(directory: Path) -> list[LogFile]:
    """Return the log's files, in the order in which they were written.

    Raises:
        StoreError: the folder cannot be read. One that is not there holds nothing.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(directory, error) from error
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(LogFile(one[1], int(one[2] or 0)) for one in found if one is not None)


def file_to_write(directory: Path, day: str) -> LogFile:
    """Return the file to go on with on a day: the newest there is, or the first of that day.

    A file of a later day is gone on with too: the clock was put back, and order matters more.
    """
    newest = next(reversed(log_files(directory)), None)
    return LogFile(day, 0) if newest is None or newest.day < day else newest


def drop_old(directory: Path, current: LogFile, *, full_bytes: int) -> None:
    """Remove all but the newest `KEPT_DAYS` days, and the oldest files of too many bytes.

    Days are counted, not compared with today: a clock that was wrong once removes nothing.
    What cannot be removed stays, without a word: the log goes on.

    Args:
        current: The file that is written now; it stays.
        full_bytes: The size at which a file is followed by another.
    """
    files = log_files(directory)
    days = sorted({file.day for file in (*files, current)}, reverse=True)[:KEPT_DAYS]
    room = (KEPT_FULL_FILES - 1) * full_bytes  # the current one is the tenth
    for one in reversed([file for file in files if file < current]):
        path = directory / one.name
        with contextlib.suppress(OSError):
            room -= path.lstat().st_size
            if room < 0 or one.day not in days:
                path.unlink()


@frozen
class Line:
    """A line of the log as it is in the file, without its end."""

    file: LogFile
    text: bytes


@define
class _Read:
    """How much of a file was read, and of which: a name may come to mean another file."""

    inode: int
    offset: int


@define(eq=False)
class LogReader:
    """What of one folder's log was read already: each whole line comes once.

    Symbolic links and whatever else is no plain file are passed over: the lines of this folder, and
    of no other, are what is asked for.
    """

    directory: Path
    _read: dict[LogFile, _Read] = field(factory=dict)

    def backwards(self) -> Iterator[Line]:
        """Yield the lines that are there now, the newest first; `new_lines` goes on after them."""
        ends: list[LogFile] = []
        for file in log_files(self.directory):
            with _opened(self.directory / file.name) as handle:
                if handle is not None:
                    status = os.fstat(handle)
                    end = _last_line_end(handle, status.st_size)
                    self._read[file] = _Read(status.st_ino, end)
                    ends.append(file)
        return self._backwards(tuple((file, self._read[file].offset) for file in reversed(ends)))

    def _backwards(self, ends: Iterable[tuple[LogFile, int]]) -> Iterator[Line]:
        for file, end in ends:
            with _opened(self.directory / file.name) as handle:
                if handle is not None:
                    for text in _lines_backwards(handle, end):
                        yield Line(file, text)

    def new_lines(self) -> Iterator[Line]:
        """Yield the whole lines that were added since, the oldest first."""
        files = log_files(self.directory)  # before any is read: what is older is complete
        for gone in self._read.keys() - set(files):
            del self._read[gone]
        for file in files:
            with _opened(self.directory / file.name) as handle:
                if handle is not None:
                    for text in self._added(file, handle):
                        yield Line(file, text)

    def _added(self, file: LogFile, handle: int) -> Iterator[bytes]:
        status = os.fstat(handle)
        read = self._read.get(file)
        if read is None or read.inode != status.st_ino or read.offset > status.st_size:
            read = self._read[file] = _Read(status.st_ino, 0)
        end = _last_line_end(handle, status.st_size)
        while read.offset < end:
            data = os.pread(handle, min(end - read.offset, MAX_LINE_BYTES), read.offset)
            whole = data.rfind(b"\n") + 1 or len(data)
            if not data:
                return  # cut off meanwhile
            read.offset += whole
            yield from data[:whole].removesuffix(b"\n").split(b"\n")


def _last_line_end(handle: int, size: int) -> int:
    """Return where the last whole line ends: what follows is being written."""
    at = size
    while at > 0:
        start = max(0, at - BLOCK_BYTES)
        found = os.pread(handle, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _lines_backwards(handle: int, end: int) -> Iterator[bytes]:
    rest, at = b"", end
    while at > 0:
        start = max(0, at - BLOCK_BYTES)
        rest, at = os.pread(handle, at - start, start) + rest, start
        if len(rest) > MAX_LINE_BYTES:
            rest = rest[-BLOCK_BYTES:]
        first, *lines = rest.removesuffix(b"\n").split(b"\n")
        if lines:
            yield from reversed(lines)
            rest = first + b"\n"
    if rest:
        yield rest.removesuffix(b"\n")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a plain file to read it; None if it is none, or gone.

    Raises:
        StoreError: this user may not read it.
    """
    # O_NONBLOCK: opening a pipe that somebody put there would wait for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except OSError:
        yield None
        return
    try:
        yield handle if stat_bits.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def _unreadable(path: Path, error: OSError) -> StoreError:
    if isinstance(error, PermissionError):
        clause, remedy = who_may(path)
        return StoreError(f"cannot read {path}: {error.strerror} ({clause})", remedy=remedy)
    return StoreError(
        f"cannot read {path}: {error.strerror or error}", remedy=f"look at it with `ls -ld {path}`"
    )
