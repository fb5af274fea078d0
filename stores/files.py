"""Locked, private, atomic files: what was there stays whole until what replaces it is on disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat as stat_bits
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.errors import CorruptStoreError, LockTimeoutError, NotAFileError, StoreError
from stores.owner import HERE, flocked
from stores.sync import sync
from stores.unusable import give_up_command, is_link, unusable

FILE_MODE = 0o600
DIR_MODE = 0o700


@frozen
class Stamp:
    """A file's (mtime in ns, size in bytes, inode): equal stamps mean an unchanged file."""

    mtime_ns: int
    size: int
    inode: int


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp that a stat result describes."""
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None while there is none.

    Raises:
        StoreError: the file cannot be looked at for another reason.
    """
    try:
        return stamp_of(os.lstat(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from error


def ensure_private_dir(path: Path) -> None:
    """Make sure ``path`` is a directory only its owner can enter, whatever the umask.

    New parents are made private too. A directory of another user is left as it is, and so is one
    that a symbolic link leads to: root must not be led to narrow ``/etc``.

    Raises:
        StoreError: it cannot be made, or something else has its name.
    """
    try:
        if not path.is_dir():
            if not path.parent.exists():
                ensure_private_dir(path.parent)
            with contextlib.suppress(FileExistsError):
                _make(path)
                owner = os.stat(path.parent)
                _give_to(path, owner.st_uid, owner.st_gid)
        status = os.stat(path)
        if not stat_bits.S_ISDIR(status.st_mode):
            raise StoreError(
                f"{path} is not a directory", remedy=f"move it away: `mv {path} {path}.old`"
            )
        open_to_others = stat_bits.S_IMODE(status.st_mode) & 0o077
        if open_to_others and status.st_uid == os.geteuid() and not path.is_symlink():
            _set_mode(path, DIR_MODE)
    except OSError as error:
        raise unusable(path, error) from error


def _make(path: Path) -> None:
    try:
        os.mkdir(path, DIR_MODE)
    except PermissionError as error:
        if os.stat(path.parent).st_uid == os.geteuid():
            raise
        raise StoreError(
            f"cannot make the folder {path}: {path.parent} is not yours to write to",
            remedy="name a folder of yours in `OPENCLAW_STATE_DIR`, or set `HOME` to one",
        ) from error


def _set_mode(target: Path | int, mode: int) -> None:
    # Some mounts of containers and of Windows know no modes and say so.
    with contextlib.suppress(PermissionError):
        os.chmod(target, mode)


def _give_to(target: Path | int, uid: int, gid: int) -> None:
    """Hand a file made by root to whom the folder belongs, so that its owner can still use it.

    Args:
        target: A descriptor, or a path of which a symbolic link is not followed: whoever owns the
            folder could otherwise be given any file of the system.
    """
    if os.geteuid() != 0 or uid == 0:
        return
    status = os.fstat(target) if isinstance(target, int) else os.lstat(target)
    if (status.st_uid, status.st_gid) == (uid, gid):
        return
    if isinstance(target, int):
        os.fchown(target, uid, gid)
    else:
        os.lchown(target, uid, gid)


def read_file(path: Path) -> tuple[bytes, Stamp] | None:
    """Return a file's bytes and the stamp they belong to, or None while there is none.

    Raises:
        StoreError: the file is a symbolic link, or cannot be read: never taken for empty.
    """
    # O_NONBLOCK: opening a pipe that somebody put there would wait for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(path, error) from error
    try:
        status = os.fstat(handle)
        _check_regular(path, status)
        chunks = []
        while chunk := os.read(handle, max(status.st_size + 1, 1 << 16)):
            chunks.append(chunk)
        return b"".join(chunks), stamp_of(status)
    except OSError as error:
        raise unusable(path, error) from error
    finally:
        os.close(handle)


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat_bits.S_ISREG(status.st_mode):
        away = shlex.join(["mv", str(path), f"{path}.old"])
        raise NotAFileError(f"{path} is not a regular file", remedy=f"move it away: `{away}`")


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON object that ``data`` holds.

    Raises:
        CorruptStoreError: it is not JSON, or not an object (an empty file is neither).
    """
    import orjson  # late: a missing file needs no parser

    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CorruptStoreError(
            f"{path} is not valid JSON ({error})", remedy=_give_up_remedy(path)
        ) from error
    if not isinstance(value, dict):
        raise CorruptStoreError(
            f"{path} holds a JSON {type(value).__name__} where an object belongs",
            remedy=_give_up_remedy(path),
        )
    return value


@frozen
class Staged:
    """New contents of a file, complete on disk beside it and not yet in its place."""

    path: Path
    temporary: Path
    stamp: Stamp
    durable: bool

    def commit(self) -> Stamp:
        """Put the new contents in place.

        Raises:
            StoreError: the old file is untouched, or the folder could not be synced after.
        """
        try:
            os.rename(self.temporary, self.path)
            if self.durable:
                _sync_dir(self.path.parent)
        except OSError as error:
            raise unusable(self.path, error, verb="write") from error
        return self.stamp

    def discard(self) -> None:
        """Remove what was not committed; does nothing after a commit."""
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)


def stage_file(path: Path, data: bytes, *, mode: int = FILE_MODE, durable: bool = True) -> Staged:
    """Write what shall replace ``path``; owner stays that of the file replaced (else of the folder).

    All that a full disk or a quota can refuse happens here, before anything is visible.

    Args:
        durable: Sync file and folder; leave out only for copies that can be made again.

    Raises:
        StoreError: nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        owner = _owner_to_keep(path)
        handle = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode
        )
        try:
            _set_mode(handle, mode)  # the umask may have taken bits away
            _give_to(handle, *owner)
            _write_all(handle, data)
            if durable:
                sync(handle)
            written = stamp_of(os.fstat(handle))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(handle)
    except OSError as error:
        raise unusable(path, error, verb="write") from error
    return Staged(path, temporary, written, durable)


def replace_file(path: Path, data: bytes, *, mode: int = FILE_MODE, durable: bool = True) -> Stamp:
    """Put ``data`` in place of ``path`` so that a reader sees the old or the new, never a part.

    A temporary file in the same folder is written, synced and renamed; see `stage_file`.

    Raises:
        StoreError: the old file is untouched, or the folder could not be synced after.
    """
    staged = stage_file(path, data, mode=mode, durable=durable)
    try:
        return staged.commit()
    finally:
        staged.discard()


def sweep_staged(path: Path) -> None:
    """Remove what killed writers of ``path`` left behind; the caller holds the lock of all writers."""
    with contextlib.suppress(OSError):
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)


def _owner_to_keep(path: Path) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        status = os.stat(path.parent)
    else:
        if stat_bits.S_ISLNK(status.st_mode):
            raise is_link(path)
    return status.st_uid, status.st_gid


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_dir(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system syncs folders
            raise
    finally:
        os.close(handle)


def append_line(path: Path, data: bytes) -> None:
    """Append whole lines to a private file in one write; no data only makes sure that it would work.

    A line that a killed writer left unfinished is ended first.

    Raises:
        StoreError: the file is a symbolic link or cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, FILE_MODE)
        try:
            status = os.fstat(handle)
            _check_regular(path, status)
            if status.st_size == 0:
                folder = os.stat(path.parent)
                _give_to(handle, folder.st_uid, folder.st_gid)
            elif data and os.pread(handle, 1, status.st_size - 1) != b"\n":
                data = b"\n" + data
            if stat_bits.S_IMODE(status.st_mode) != FILE_MODE:
                _set_mode(handle, FILE_MODE)
            _write_all(handle, data)
        finally:
            os.close(handle)
    except OSError as error:
        raise unusable(path, error, verb="write") from error


@contextlib.contextmanager
def locked(lock: Path, *, timeout_s: float = 5.0) -> Iterator[None]:
    """Hold the sidecar lock ``lock`` while the body runs.

    Locking: a fresh lock object each time, so two threads of one process exclude each other too.

    Raises:
        LockTimeoutError: somebody else held it for ``timeout_s``; the text names the holder.
    """
    from filelock import FileLock, Timeout  # late: readers take no lock and need not load it

    if lock.is_relative_to(HERE):  # filelock resolves it to a path that is shut to this user
        with flocked(lock, timeout_s=timeout_s):
            yield
        return
    ensure_private_dir(lock.parent)
    holder = FileLock(lock, timeout=timeout_s, mode=FILE_MODE)
    try:
        holder.acquire(poll_interval=0.01)
    except Timeout as error:
        raise LockTimeoutError(
            f"{lock} is held by {lock_holder(lock)} and was not released within {timeout_s:g} s",
            remedy="wait for it to finish, or end that process, then try again",
        ) from error
    except OSError as error:
        raise unusable(lock, error, verb="lock") from error
    try:
        with contextlib.suppress(OSError):
            folder = os.stat(lock.parent)
            _give_to(lock, folder.st_uid, folder.st_gid)
        yield
    finally:
        holder.release()


def lock_holder(lock: Path) -> str:
    """Say which process holds a lock, in words, from the kernel's table of locks (Linux)."""
    try:
        inode = os.stat(lock).st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return "another process"
    for line in lines:
        parts = line.split()
        if "->" in parts or len(parts) < 6 or not parts[5].endswith(f":{inode}"):
            continue
        pid = parts[4]
        if pid in ("0", "-1"):
            return "a process outside this container"
        with contextlib.suppress(OSError):
            return f"process {pid} ({_words_of(Path(f'/proc/{pid}/cmdline').read_bytes())})"
        return f"process {pid}"
    return "another process"


def _words_of(command_line: bytes) -> str:
    """Return a command line fit to be shown: without options, which may hold a secret."""
    words = command_line.decode(errors="replace").rstrip("\0").split("\0")
    shown = " ".join(takewhile(lambda word: not word.startswith("--"), words))
    return "".join(c if c.isprintable() else "?" for c in shown)[:80]


def _give_up_remedy(path: Path) -> str:
    return f"repair it, or give up what it holds: {give_up_command(path)}"


def check_writable(folder: Path) -> None:
    """Refuse a folder in which this process could write nothing now; one that is not there is fine.

    Raises:
        StoreError: it is mounted read-only, or not open to this user.
    """
    if os.access(folder, os.W_OK | os.X_OK) or not os.path.lexists(folder):
        return
    number = errno.EACCES
    with contextlib.suppress(OSError):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            number = errno.EROFS
    raise unusable(folder, OSError(number, os.strerror(number)), verb="write in")
