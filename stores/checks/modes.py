"""Whose the gateway's files are, and who else may read or change them.

Only what a gateway writes is looked at: other programs may keep files in the same directory.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat as stat_bits
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from stores.checks.finding import Finding, Scene, Severity, named
from stores.owner import modes_mean_nothing, user_name
from stores.paths import JSON_NAME, TOML_NAME

#: Folders of a gateway; what is in all but the logs and locks can hold a secret.
FOLDERS = ("devices", "identity", "config-history", "tls", "logs", "nodes")
FILES = (JSON_NAME, TOML_NAME, "gateway.lock", "gateway.lock.held", "config.lock", ".env")
_WITHOUT_SECRETS = ("logs", "gateway.lock", "gateway.lock.held", "config.lock")

#: A folder with more in it than this is not all looked at.
MOST_ENTRIES = 5_000


@frozen
class Entry:
    """A file or folder as it is."""

    path: Path
    mode: int
    uid: int
    gid: int
    is_folder: bool = False
    is_link: bool = False
    secret: bool = True

    @property
    def right(self) -> int:
        """The mode it should have."""
        return 0o700 if self.is_folder else 0o600


def entries(scene: Scene) -> list[Entry]:
    """Return the gateway's files and folders, the state directory first."""
    return list(_entries(scene.state_dir, scene.paths.config_path))


def _entries(state_dir: Path, config: Path) -> Iterator[Entry]:
    found = _entry(state_dir, follow=True)
    if found is None:
        return
    yield found
    for name in FOLDERS:
        folder = _entry(state_dir / name)
        if folder is not None:
            yield folder
            if folder.is_folder:
                yield from _inside(folder.path)
    others = [state_dir / name for name in FILES]
    for path in dict.fromkeys([*others, config]):
        file = _entry(path)
        if file is not None:
            yield file


def _inside(folder: Path) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as inside:
            names = sorted(one.path for _, one in zip(range(MOST_ENTRIES), inside, strict=False))
    except OSError:
        return
    for name in names:
        found = _entry(Path(name))
        if found is not None:
            yield found
            if found.is_folder and folder.name == "config-history":
                yield from _inside(found.path)


def _entry(path: Path, *, follow: bool = False) -> Entry | None:
    try:
        found = os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
    return Entry(
        path,
        stat_bits.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        is_folder=stat_bits.S_ISDIR(found.st_mode),
        is_link=stat_bits.S_ISLNK(found.st_mode),
        secret=not {path.name, path.parent.name} & set(_WITHOUT_SECRETS),
    )


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what others may do with the gateway's files, and what belongs to somebody else."""
    found = entries(scene)
    if not found:
        return
    if modes_mean_nothing(scene.state_dir):
        yield Finding(
            id="modes-without-effect",
            severity=Severity.INFO,
            title="The state directory is on a file system without modes",
            saw=f"{scene.state_dir} shows every file as open to all; who may read it is decided "
            "outside of this machine",
            command=f"findmnt -T {shlex.quote(str(scene.state_dir))}",
            security=True,
        )
        return
    yield from judge(found, fix=scene.command("doctor --fix"), euid=os.geteuid())


def judge(found: list[Entry], *, fix: str, euid: int) -> Iterator[Finding]:
    """Yield findings about entries, of which the first is the state directory; pure."""
    top = found[0]
    files = [one for one in found if not one.is_link]
    writable = [one for one in files if one.mode & 0o022 and not _is_shared_volume(one, top, euid)]
    readable = [one for one in files if one.mode & 0o055 and one not in writable]
    readable = [one for one in readable if not _is_shared_volume(one, top, euid)]
    if writable:
        yield Finding(
            id="open-to-write",
            severity=Severity.ERROR,
            title="Other users may change files of the gateway",
            saw=f"{_shown(writable)}; look at what they hold before you trust it",
            command=_chmod(writable, euid, fix),
            fixable=_all_ours(writable, euid),
            security=True,
        )
    if readable:
        reached = top.mode & 0o011 and any(one.secret and not one.is_folder for one in readable)
        yield Finding(
            id="open-to-read",
            severity=Severity.ERROR if reached else Severity.WARNING,
            title="Other users may read files of the gateway",
            saw=_shown(readable),
            command=_chmod(readable, euid, fix),
            fixable=_all_ours(readable, euid),
            security=True,
        )
    foreign = [one for one in found if one.uid != top.uid]
    if foreign:
        paths = " ".join(shlex.quote(str(one.path)) for one in foreign)
        users = sorted({user_name(one.uid) for one in foreign})
        yield Finding(
            id="foreign-owner",
            severity=Severity.ERROR,
            title="Files of the gateway belong to another user",
            saw=f"{named(one.path for one in foreign)} belong to {', '.join(users)}, and the state "
            f"directory to {user_name(top.uid)}",
            command=f"sudo chown -h {top.uid}:{top.gid} {paths}",
            security=True,
        )


def _is_shared_volume(one: Entry, top: Entry, euid: int) -> bool:
    """Tell whether it is a volume of root's that an orchestrator shares with a group."""
    return one is top and one.uid == 0 and euid != 0 and not one.mode & 0o002


def _shown(found: list[Entry]) -> str:
    return named(f"{one.path} has mode {one.mode:04o}" for one in found)


def _all_ours(found: Iterable[Entry], euid: int) -> bool:
    return all(one.uid == euid for one in found)


def _chmod(found: list[Entry], euid: int, fix: str) -> str:
    if _all_ours(found, euid):
        return fix
    one = next(one for one in found if one.uid != euid)
    return f"sudo chmod {one.right:o} {shlex.quote(str(one.path))}"


def close(scene: Scene) -> None:
    """Take from others what they may do with files of this user; links are never followed."""
    if modes_mean_nothing(scene.state_dir):
        return
    for one in entries(scene):
        if one.is_link or one.uid != os.geteuid() or not one.mode & 0o077:
            continue
        kind = os.O_DIRECTORY if one.is_folder else 0
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | kind
        # the state directory itself may be reached through a link of its owner's
        follow = 0 if one.path == scene.state_dir else os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            handle = os.open(one.path, flags | follow)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    os.fchmod(handle, one.right)
            finally:
                os.close(handle)
