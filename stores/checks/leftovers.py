"""What programs that were killed left behind, and locks that lock nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from stores.checks.finding import Finding, Scene, Severity, counted, named
from stores.checks.modes import FOLDERS
from stores.running import Standing, read_running

#: What a writer that died before its rename leaves; see `stores.files.stage_file`.
_STAGED = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")
#: No writer takes this long.
_STAGED_FOR_MS = 600_000
_LOCKS = ("devices/store.lock", "config.lock")


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what is left over, and a file system without locks."""
    left = list(_staged(scene))
    if left:
        yield Finding(
            id="temporary-files",
            severity=Severity.INFO,
            title="A program that was killed left temporary files",
            saw=f"{counted(len(left), 'file')} that nothing reads: {named(left)}",
            command=scene.command("doctor --fix"),
            fixable=True,
        )
    running = scene.running
    if running is not None and running.standing is Standing.ENDED:
        yield Finding(
            id="stale-lock",
            severity=Severity.INFO,
            title="The last gateway was killed, and its note is still there",
            saw=f"{scene.paths.lock_path} names pid {running.pid}, which is gone; the next gateway "
            "starts all the same",
            command=scene.command("doctor --fix"),
            fixable=True,
        )
    lock = _without_effect(scene.state_dir)
    if lock is not None:
        yield Finding(
            id="locks-without-effect",
            severity=Severity.WARNING,
            title="File locks have no effect where the state directory is",
            saw=f"two programs can hold {lock} at once, so that writes of a command and of the "
            "gateway may undo each other; keep the directory on a volume of the machine's own",
            command=f"findmnt -T {shlex.quote(str(scene.state_dir))}",
        )


def _staged(scene: Scene) -> Iterator[Path]:
    for folder in (scene.state_dir, *(scene.state_dir / name for name in FOLDERS)):
        with contextlib.suppress(OSError), os.scandir(folder) as inside:
            for one in inside:
                if _STAGED.fullmatch(one.name) and one.is_file(follow_symlinks=False):
                    age_ms = scene.now_ms - one.stat(follow_symlinks=False).st_mtime_ns // 1_000_000
                    if age_ms > _STAGED_FOR_MS:
                        yield Path(one.path)


def _without_effect(state_dir: Path) -> Path | None:
    """Return a lock of ours that two can hold at once; None where locks work, or there is none."""
    for name in _LOCKS:
        path = state_dir / name
        with contextlib.ExitStack() as handles:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                first, second = os.open(path, flags), os.open(path, flags)
            except OSError:
                continue
            handles.callback(os.close, first)
            handles.callback(os.close, second)
            return path if _locks(first) and _locks(second) else None
    return None


def _locks(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # there is no such thing there: nothing keeps anybody out
    return True


def remove(scene: Scene) -> None:
    """Remove temporary files, and the note of a gateway that is gone."""
    for path in _staged(scene):
        with contextlib.suppress(OSError):
            path.unlink()
    found = read_running(scene.state_dir)
    if found is not None and found.standing is Standing.ENDED:
        _forget_note(scene.paths.lock_path, found.pid)


def _forget_note(lock: Path, pid: int) -> None:
    """Empty the note, unless a gateway holds the lock by now."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(lock, flags)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        # where locks have no effect this file stands for one, and who made it is gone
        marker = lock.with_name(f"{lock.name}.held")
        with contextlib.suppress(OSError):
            if f'"pid": {pid},' in marker.read_text():
                marker.unlink()
    except OSError:
        return
    finally:
        os.close(handle)
