"""One gateway a state directory: an flock held for life, and a note of who holds it.

The lock is the truth, the note only information: a process in another container sees other pids,
and a pid is used again after a crash, but the kernel releases the lock of whoever dies.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any

from attrs import define, field

from stores.errors import ConfigError
from stores.files import FILE_MODE, ensure_private_dir
from stores.port_owner import start_time_of

logger = logging.getLogger("gateway.main")


class AlreadyRunningError(ConfigError):
    """Another gateway serves this state directory."""


@define(eq=False)
class InstanceLock:
    """The held lock; `release` lets the next gateway in."""

    path: Path
    _handle: int
    _exclusive_file: Path | None = field(default=None)

    def describe(self, note: dict[str, Any]) -> None:
        """Write down who holds the lock: pid, port, since when."""
        pid = os.getpid()
        facts = {"pid": pid, "uid": os.getuid(), "startTime": start_time_of(pid)} | note
        data = json.dumps(facts, indent=2).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, data, 0)

    def release(self) -> None:
        """Let go; the file stays, empty, so that nobody can lock a file that was replaced."""
        os.ftruncate(self._handle, 0)
        if self._exclusive_file is not None:
            self._exclusive_file.unlink(missing_ok=True)
        os.close(self._handle)


def take_instance_lock(path: Path) -> InstanceLock:
    """Take the lock of a state directory.

    Raises:
        AlreadyRunningError: at once, naming pid, port and since when.
        StoreError: the directory cannot be made or the file not opened.
    """
    ensure_private_dir(path.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(path, flags, FILE_MODE)
    os.fchmod(handle, FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        note = read_note(path)
        os.close(handle)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _already_running(path, note) from error
        return _take_exclusive_file(path)
    if _lock_has_no_effect(path):
        os.close(handle)
        return _take_exclusive_file(path)
    return InstanceLock(path, handle)


def read_note(path: Path) -> dict[str, Any]:
    """Return the note in a lock file, empty if there is none to read."""
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _already_running(path: Path, note: dict[str, Any]) -> AlreadyRunningError:
    facts = [f"pid {note['pid']}"] if note.get("pid") else []
    facts += [f"port {note['port']}"] if note.get("port") else []
    facts += [f"since {note['startedAt']}"] if note.get("startedAt") else []
    said = f" ({', '.join(facts)})" if facts else ""
    return AlreadyRunningError(
        f"a gateway is already running on {path.parent}{said}",
        remedy="use that one (`openclaw health`), stop it with Ctrl-C or SIGTERM, or run a second "
        "one with `openclaw --profile NAME gateway run`",
    )


def _lock_has_no_effect(path: Path) -> bool:
    """Tell whether a second open file could lock too: some mounts only pretend."""
    second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(second)
    return True


def _take_exclusive_file(path: Path) -> InstanceLock:
    """Fall back to a file that only one program can create, where locks have no effect."""
    marker = path.with_name(f"{path.name}.held")
    try:
        handle = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError as error:
        note = read_note(marker)
        pid = note.get("pid")
        if isinstance(pid, int) and start_time_of(pid) != note.get("startTime"):
            marker.unlink(missing_ok=True)
            return _take_exclusive_file(path)
        raise _already_running(path, note) from error
    logger.warning("file locks have no effect on %s; using %s instead", path.parent, marker.name)
    return InstanceLock(path, handle, marker)
