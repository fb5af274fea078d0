"""Whose a state directory is: root becomes that user, and nobody is led to somebody else's files.

Root that opens files in a folder of another user can be led by that user's symbolic links to any
file of the machine. So it gives up being root first; what is then made belongs to the right user
by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shlex
import stat as stat_bits
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from attrs import frozen

from stores.errors import LockTimeoutError, StoreError

#: File systems that show everything as open to all whatever `chmod` says.
_WITHOUT_MODES = frozenset(
    {"9p", "drvfs", "fakeowner", "virtiofs", "vfat", "exfat", "ntfs", "ntfs3", "cifs", "smb3"}
    | {"fuse.grpcfuse", "fuse.osxfs", "fuse.sshfs", "fuse.vmhgfs-fuse", "fuseblk", "vboxsf"}
)


#: The working directory, which can be reached though the folders above it are shut.
HERE = Path("/proc/self/cwd")


@frozen
class Owner:
    """Whose a state directory is.

    Args:
        reached: Where the directory can be reached: as the working directory, if a folder above it
            is shut to its owner, as those of container volumes are.
        became: Whether this process was root and is that user now.
    """

    uid: int
    reached: Path
    became: bool = False

    @property
    def name(self) -> str:
        """The user's name, else the uid."""
        return user_name(self.uid)


def user_name(uid: int) -> str:
    """Return the name of a user, or ``uid N``."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


@cache
def owner_words(uid: int) -> str:
    """Return a user as people and the kernel call it, such as ``www-data (uid 33)``; asked once."""
    name = user_name(uid)
    return name if name.startswith("uid ") else f"{name} (uid {uid})"


def sudo_user(uid: int) -> str:
    """Return how ``sudo -u`` is told a user, with or without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"'#{uid}'"


def will_become(state_dir: Path) -> bool:
    """Tell whether `take_ownership` is going to give up being root."""
    try:
        found = os.lstat(state_dir)
    except OSError:
        return False
    return os.geteuid() == 0 and found.st_uid != 0 and not stat_bits.S_ISLNK(found.st_mode)


def take_ownership(state_dir: Path) -> Owner | None:
    """Become the user of a state directory, if this is root and it is not root's; None without one.

    Call it before anything in the folder is looked at. It cannot be undone.

    Raises:
        StoreError: the folder is not one that can be trusted to be that user's, or this process
            may not become them.
    """
    try:
        found = os.lstat(state_dir)
    except OSError:
        return None  # nothing there, or not for us to see: the files will tell
    us = os.geteuid()
    if stat_bits.S_ISLNK(found.st_mode):
        target = _owner_behind(state_dir)
        if us == 0 or {found.st_uid, target} != {us}:
            raise _is_link(state_dir)
        return Owner(us, state_dir)
    if us != 0 or found.st_uid == 0:
        return Owner(found.st_uid, state_dir)
    if _open_to_others(state_dir, found):
        raise open_to_others(state_dir, found)
    return _become(state_dir, found)


def refuse_open_folder(state_dir: Path) -> None:
    """Refuse to change anything in a state directory that others may write to.

    Raises:
        StoreError: with the command that closes it.
    """
    try:
        found = os.stat(state_dir)
    except OSError:
        return
    if found.st_uid == 0 and os.geteuid() != 0 and not found.st_mode & 0o002:
        return  # a volume that root shares with a group, as orchestrators do: not ours to narrow
    if _open_to_others(state_dir, found):
        raise open_to_others(state_dir, found)


def open_to_others(state_dir: Path, found: os.stat_result) -> StoreError:
    """Return what is wrong with a folder that others may write to."""
    mode = stat_bits.S_IMODE(found.st_mode)
    path = shlex.quote(str(state_dir))
    commands = f"`chmod 700 {path}`"
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        commands = f"`sudo chmod 700 {path}`"
    return StoreError(
        f"{state_dir} is open to others (mode {mode:04o}, user {user_name(found.st_uid)}): anybody "
        "may have put other files there",
        remedy=f"look at what it holds, then close it with {commands}",
    )


def _open_to_others(path: Path, found: os.stat_result) -> bool:
    return bool(stat_bits.S_IMODE(found.st_mode) & 0o022) and not modes_mean_nothing(path)


def modes_mean_nothing(path: Path) -> bool:
    """Tell whether a folder is on a mount of Docker Desktop, WSL or the like, which has no modes."""
    try:
        real = os.path.realpath(path)
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return kind_of_mount(real, mounts) in _WITHOUT_MODES


def kind_of_mount(real: str, mounts: Iterable[str]) -> str:
    """Return the file system type that a path without links is on.

    Source: proc_pid_mountinfo(5); later lines are mounted over earlier ones.
    """
    kind, longest = "", -1
    for line in mounts:
        before, _, after = line.partition(" - ")
        parts = before.split()
        point = parts[4].replace("\\040", " ") if len(parts) > 4 else ""
        inside = point and (real == point or real.startswith(point.rstrip("/") + "/"))
        if inside and len(point) >= longest:
            kind, longest = after.split(" ")[0], len(point)
    return kind


def _owner_behind(link: Path) -> int | None:
    try:
        return os.stat(link).st_uid
    except OSError:
        return None


def _is_link(state_dir: Path) -> StoreError:
    real = os.path.realpath(state_dir)
    return StoreError(
        f"{state_dir} is a symbolic link to {real}, and whoever made it decides where that leads",
        remedy="if that is the folder you mean, name it: "
        f"`OPENCLAW_STATE_DIR={shlex.quote(real)} openclaw devices list`",
    )


def _become(  # pragma: no cover  # afterwards its process cannot write what it covered
    state_dir: Path, found: os.stat_result
) -> Owner:
    """Give up being root for the user of a folder, and stay able to reach it."""
    uid, gid = found.st_uid, found.st_gid
    try:
        name, gid = pwd.getpwuid(uid).pw_name, pwd.getpwuid(uid).pw_gid
    except KeyError:
        name = None  # a user of a container
    handle = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid != uid:
            raise StoreError(
                f"{state_dir} changed hands while it was opened", remedy="look at it, and try again"
            )
        try:
            if name is None:
                os.setgroups([gid])
            else:
                os.initgroups(name, gid)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        except OSError as error:
            raise StoreError(
                f"{state_dir} belongs to user {user_name(uid)}, and this root may not become them "
                f"({error.strerror})",
                remedy=f"run it as that user: `sudo -u {sudo_user(uid)} openclaw devices list`",
            ) from error
        reached = state_dir
        if not os.access(state_dir, os.R_OK | os.X_OK):
            os.fchdir(handle)
            reached = HERE
    finally:
        os.close(handle)
    return Owner(uid, reached, became=True)


@contextlib.contextmanager
def flocked(lock: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold a lock file as `stores.files.locked` does, by the path given and no other.

    Raises:
        LockTimeoutError: somebody else held it for ``timeout_s``.
        StoreError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(lock, flags, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot lock {lock}: {error.strerror}", remedy=f"look at it with `ls -ld {lock}`"
        ) from error
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LockTimeoutError(
                        f"{lock} is held by another process and was not released within {timeout_s:g} s",
                        remedy="wait for it to finish, or end that process, then try again",
                    ) from error
                time.sleep(0.01)  # polling: the kernel has no wait with an end
        yield
    finally:
        os.close(handle)
