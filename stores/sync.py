"""Syncing to the disk, and how long it takes: the one part of a write that the disk decides alone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar

_syncs: ContextVar[list[float] | None] = ContextVar("syncs", default=None)


@contextlib.contextmanager
def timed_syncs() -> Iterator[list[float]]:
    """Collect how long each `sync` within the block takes, s."""
    took_s: list[float] = []
    before = _syncs.set(took_s)
    try:
        yield took_s
    finally:
        _syncs.reset(before)


def sync(handle: int) -> None:
    """Wait until what was written to a file, or changed in a folder, is on the disk.

    Raises:
        OSError: as `os.fsync`.
    """
    began_s = time.perf_counter()
    os.fsync(handle)
    took_s = _syncs.get()
    if took_s is not None:
        took_s.append(time.perf_counter() - began_s)
