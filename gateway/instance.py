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
import pwd
import socket
import stat
import time
from pathlib import Path
from typing import Any

from attrs import define

from stores.errors import ConfigError, StoreError
from stores.files import FILE_MODE, ensure_private_dir
from stores.port_owner import start_time_of

logger = logging.getLogger("gateway.main")

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

#: A marker without a note is that of a program that died while it made it, after this.
_NOTE_WITHIN_S = 10.0


class AlreadyRunningError(ConfigError):
    """Another gateway serves this state directory."""


@define(eq=False)
class InstanceLock:
    """The held lock; `release` lets the next gateway in.

    Args:
        marker: The file that stands for the lock where locks have no effect.
    """

    path: Path
    _handle: int
    marker: Path | None = None

    def describe(self, note: dict[str, Any]) -> None:
        """Write down who holds the lock, and what else is to be known: port, since when."""
        data = json.dumps(_holder() | note, indent=2).encode()
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, data, 0)

    def release(self) -> None:
        """Let go; the file stays, empty, so that nobody can lock a file that was replaced."""
        os.ftruncate(self._handle, 0)
        if self.marker is not None:
            self.marker.unlink(missing_ok=True)
        os.close(self._handle)


def take_instance_lock(path: Path) -> InstanceLock:
    """Take the lock of a state directory.

    Raises:
        AlreadyRunningError: at once, naming pid, port and since when.
        StoreError: the directory cannot be made or the file not opened.
    """
    ensure_private_dir(path.parent)
    handle = _open_private(path)
    try:
        effective = _lock(handle) and not _second_lock_succeeds(path)
    except BlockingIOError as error:
        note = read_note(path)
        os.close(handle)
        raise _already_running(path, note) from error
    except BaseException:
        os.close(handle)
        raise
    if effective:
        lock = InstanceLock(path, handle)
    else:
        os.close(handle)
        lock = _take_marker(path)
    lock.describe({})
    return lock


def read_note(path: Path) -> dict[str, Any]:
    """Return the note in a lock file, empty if there is none to read."""
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _open_private(path: Path, *, flags: int = _FLAGS) -> int:
    try:
        handle = os.open(path, flags, FILE_MODE)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise _unusable(path, "it is not a regular file")
    if os.geteuid() in (0, found.st_uid):
        os.fchmod(handle, FILE_MODE)
    if os.geteuid() == 0:
        # Made by root in somebody's directory: its owner's own gateway must be able to open it.
        folder = path.parent.stat()
        os.fchown(handle, folder.st_uid, folder.st_gid)
    return handle


def _unusable(path: Path, why: str) -> StoreError:
    return StoreError(
        f"the lock file {path} cannot be used: {why}",
        remedy=f"look at what it is with `ls -ld {path}`, and move it away if it is not a file",
    )


def _lock(handle: int) -> bool:
    """Take an flock; False where there is no such thing.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno == errno.EACCES:  # what some network file systems say instead
            raise BlockingIOError(error.errno, error.strerror) from error
        return False
    return True


def _second_lock_succeeds(path: Path) -> bool:
    """Tell whether another open file could be locked too: some mounts only pretend."""
    second = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return _lock(second)
    except BlockingIOError:
        return False
    finally:
        os.close(second)


def _holder() -> dict[str, Any]:
    """Return what tells this process from another one, of this container or of another."""
    pid = os.getpid()
    return {
        "pid": pid,
        "uid": os.getuid(),
        "startTime": start_time_of(pid),
        "host": socket.gethostname(),
        "pidSpace": _pid_space(),
    }


def _pid_space() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _already_running(path: Path, note: dict[str, Any]) -> AlreadyRunningError:
    facts = []
    if note.get("pid"):
        elsewhere = note.get("pidSpace") != _pid_space()
        facts.append(f"pid {note['pid']}" + (f" of host {note.get('host')}" if elsewhere else ""))
    if isinstance(note.get("uid"), int):
        facts.append(f"user {_user_name(note['uid'])}")
    facts += [f"port {note['port']}"] if note.get("port") else []
    facts += [f"since {note['startedAt']}"] if note.get("startedAt") else []
    said = f" ({', '.join(facts)})" if facts else ""
    return AlreadyRunningError(
        f"a gateway is already running on {path.parent}{said}",
        remedy="look at that one with `openclaw gateway status`, start it anew with `openclaw gateway "
        "restart`, or run a second one with `openclaw --profile NAME gateway run`",
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _take_marker(path: Path) -> InstanceLock:
    """Fall back to a file that only one program can create, where locks have no effect."""
    marker = path.with_name(f"{path.name}.held")
    for _ in range(2):
        try:
            handle = _open_private(marker, flags=_FLAGS | os.O_EXCL)
        except FileExistsError as error:
            note = read_note(marker)
            if not _is_stale(marker, note):
                refused = _already_running(path, note)
                refused.remedy = f"{refused.remedy}; if none runs, remove `{marker}`"
                raise refused from error
            marker.unlink(missing_ok=True)
        else:
            logger.warning(
                "file locks have no effect on %s; using %s instead", path.parent, marker.name
            )
            return InstanceLock(path, handle, marker)
    raise _already_running(path, {})


def _is_stale(marker: Path, note: dict[str, Any]) -> bool:
    """Tell whether who made the marker is surely gone."""
    pid = note.get("pid")
    if not isinstance(pid, int):
        try:
            return time.time() - marker.stat().st_mtime > _NOTE_WITHIN_S
        except OSError:
            return True
    if note.get("pidSpace") == _pid_space():
        return start_time_of(pid) != note.get("startTime")
    # A container that was started again has its old name and new pids. Another container's
    # processes cannot be seen from here.
    return bool(note.get("host") == socket.gethostname())
