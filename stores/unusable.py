"""What is told about a file that cannot be used: who may, and the one command that helps."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

from stores.errors import StoreError
from stores.plain_file import who_may


def give_up_command(path: Path) -> str:
    """Return how to move a damaged file away, for where nothing is known that could replace it."""
    return f"`mv {shlex.quote(str(path))} {shlex.quote(f'{path}.broken')}`"


def put_back_command(path: Path, spare: Path) -> str:
    """Return how to put the spare copy where something else has the name of its file."""
    away, back = ["mv", str(path), f"{path}.old"], ["cp", "-p", str(spare), str(path)]
    return f"{shlex.join(away)} && {shlex.join(back)}"


def is_link(path: Path) -> StoreError:
    """Return what to tell about a store file that is a symbolic link."""
    named = shlex.quote(str(path))
    return StoreError(
        f"{path} is a symbolic link, and a store file must not be one",
        remedy=f"put the file itself there: "
        f'`cp --remove-destination "$(readlink -f {named})" {named}`',
    )


def unusable(path: Path, error: OSError, *, verb: str = "read") -> StoreError:
    """Return what to tell about a file that cannot be used, by what the kernel said."""
    if error.errno == errno.ELOOP:  # O_NOFOLLOW met a symbolic link
        return is_link(path)
    if error.errno == errno.EACCES and os.geteuid() != 0:
        clause, remedy = who_may(path)
        return StoreError(
            f"cannot {verb} {path}: {error.strerror} ({clause})", remedy=_give_back(path) or remedy
        )
    return StoreError(
        f"cannot {verb} {path}: {error.strerror or error}", remedy=_way_out(path, error.errno)
    )


def _give_back(path: Path) -> str | None:
    """Return how to get back a file of somebody else in a folder of this user; None if it is not one."""
    try:
        folder, file = os.stat(path.parent), os.lstat(path)
    except OSError:
        return None
    if folder.st_uid != os.geteuid() or file.st_uid == folder.st_uid:
        return None
    owner = f"{folder.st_uid}:{folder.st_gid}"
    return f"give it back to its owner: `sudo chown -h {owner} {shlex.quote(str(path))}`"


def _way_out(path: Path, number: int | None) -> str:
    """Return what to do about a disk or a mount that refuses, by what it said."""
    name, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    match number:
        case errno.ENOSPC | errno.EDQUOT:
            return f"make room there: `df -h {folder}` and `df -i {folder}` say what is full"
        case errno.EISDIR | errno.ENXIO:  # a folder, a pipe
            return f"move it away: `{shlex.join(['mv', str(path), f'{path}.old'])}`"
        case errno.EROFS:
            return f"mount it writable: `findmnt -T {folder}` says what is mounted read-only"
        case errno.EBUSY:
            return f"mount its folder instead of that single file: `findmnt {name}` shows the mount"
        case _:
            return f"check who owns it and what it allows: `ls -ld {folder} {name}`"
