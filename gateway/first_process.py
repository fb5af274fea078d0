"""What the gateway owes as process 1 of a container, where no init stands in front of it.

Source: pid_namespaces(7): the kernel drops a signal whose handler process 1 has not set, and hands
it every process that lost its parent.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

from stores.errors import StoreError

FIRST = 1


def be_first_process() -> None:
    """Take on the duties of process 1, if this is it; call it before anything that takes time.

    Children that end are not waited for any more: the gateway starts none, and what an engine runs
    beside it (a shell, a health check) must leave no zombies, even while the event loop hangs.
    """
    if os.getpid() != FIRST:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    # Until the event loop listens for it: else `docker stop` would wait, then kill.
    signal.signal(signal.SIGTERM, _end_before_serving)


def _end_before_serving(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def refuse_shut_volume(state_dir: Path) -> None:
    """Refuse a state directory that was mounted into our container and that we may not write to.

    That is what becomes of a folder of the host that the engine had to make: it is root's.

    Raises:
        StoreError: with what to type on the host, where no command of ours can help.
    """
    if os.getpid() != FIRST or not state_dir.is_dir() or os.access(state_dir, os.W_OK | os.X_OK):
        return
    raise StoreError(
        f"{state_dir} belongs to uid {state_dir.stat().st_uid}, and the gateway runs as uid "
        f"{os.geteuid()} and may not write there",
        remedy="on the host, give it the folder that is mounted there: "
        f"`sudo chown -R {os.geteuid()}:{os.getegid()} FOLDER`; or mount a volume",
    )
