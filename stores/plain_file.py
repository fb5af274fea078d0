"""Files and folders that a user names or owns: looked at without waiting, refused in words."""

from __future__ import annotations

import os
import shlex
import stat as stat_bits
from pathlib import Path

from stores.errors import ConfigError

#: No configuration is nearly as large; a file that is has another purpose.
MAX_CONFIG_BYTES = 4 * 1024 * 1024


def read_regular(path: Path, *, most_bytes: int = MAX_CONFIG_BYTES) -> bytes:
    """Return the bytes of a regular file, which a symbolic link may lead to.

    Raises:
        ConfigError: it is a pipe, a device or a folder, or larger than ``most_bytes``.
        OSError: it cannot be read, or is not there.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(handle)
        if not stat_bits.S_ISREG(status.st_mode):
            raise ConfigError(
                f"cannot read {path}: it is {_kind_of(status.st_mode)}, no regular file",
                remedy=f"put a file there; look at what it is with `ls -ld {shlex.quote(str(path))}`",
            )
        chunks, left = list[bytes](), most_bytes + 1
        while left and (chunk := os.read(handle, min(left, 1 << 16))):
            chunks.append(chunk)
            left -= len(chunk)
    finally:
        os.close(handle)
    if not left:
        raise ConfigError(
            f"cannot read {path}: it is larger than {most_bytes >> 20} MiB, too large to be what it should be",
            remedy=f"look at what it is with `ls -ld {shlex.quote(str(path))}`",
        )
    return b"".join(chunks)


def _kind_of(mode: int) -> str:
    if stat_bits.S_ISDIR(mode):
        return "a folder"
    if stat_bits.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat_bits.S_ISSOCK(mode) else "a device"


def is_there(path: Path, *, of: Path) -> bool:
    """Tell whether there is a file at ``path``.

    Args:
        of: The folder to name if that cannot be told: the state directory.

    Raises:
        ConfigError: this user may not look into its folder.
    """
    try:
        os.stat(path)
    except PermissionError as error:
        clause, remedy = who_may(path.parent)
        problem = f"cannot read {of}: {error.strerror} ({clause})"
        raise ConfigError(problem, remedy=remedy) from error
    except (OSError, ValueError):  # nothing there, or nothing that could be: as `Path.exists`
        return False
    return True


def who_may(path: Path) -> tuple[str, str]:
    """Return who owns what keeps this user out, as a clause, and the remedy: to be that user."""
    import pwd  # late, as much of the rest: only a failure needs it

    def name_of(uid: int) -> str:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    shut, owner = _nearest_seen(path)
    us, them = os.geteuid(), name_of(owner)
    if owner == us:
        name = shlex.quote(str(shut))
        return f"{shut} is yours, and shut to you too", f"open it with `chmod u+rwX {name}`"
    clause = f"{shut} belongs to user {them}; you are {name_of(us)}"
    user = them if them != str(owner) else f"'#{owner}'"
    return clause, f"run it as that user: `sudo -u {user} openclaw …`"


def _nearest_seen(path: Path) -> tuple[Path, int]:
    """Return the path, or the deepest folder above it that can be seen, and the uid of its owner."""
    for one in (path, *path.parents):
        try:
            return one, os.stat(one).st_uid
        except OSError:
            continue
    return path, 0
