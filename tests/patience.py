"""Deadlines that prove a promise on any machine: they count turns, not the clock.

A promise of a second is one of a machine that has a second to give. Where other programs hold the
processor, the gateway and the test are late together; a deadline by the clock would then fail for
what is no fault of the gateway's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

#: How long a turn is where nothing else runs; a turn that took longer counts as one all the same.
TURN_S = 0.01

#: What waits for no promise, but for anything at all, gives up after this.
PATIENCE_S = 30.0


class Stopwatch:
    """Measures the time since it was made, less what other programs took from some processes.

    Nothing is taken off where the kernel does not count how long threads wait for a processor.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._held_up_s, self._began_s = self._held_up(), time.monotonic()

    def read_s(self, last_of: int | None = None) -> float:
        """Return the time; ``last_of`` is a process of which all that it waited is taken off."""
        took_s = time.monotonic() - self._began_s
        # A thread that ended took its count with it.
        took_s -= max(0.0, self._held_up() - self._held_up_s)
        return took_s if last_of is None else took_s - _waited_s(last_of)

    def _held_up(self) -> float:
        return sum(map(_waited_s, self._pids))


def _waited_s(pid: int) -> float:
    counts = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[1]) for one in counts) / 1e9


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Fail unless the body ends within so many seconds of this process's own time."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_give_up_after, seconds)
        yield
        nursery.cancel_scope.cancel()


async def _give_up_after(seconds: float) -> None:
    for _ in range(round(seconds / TURN_S)):
        await trio.sleep(TURN_S)
    raise AssertionError(f"not within {seconds} s")


async def wait_until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Look again and again until something is so, which no event tells of."""
    async with within(within_s):
        while not true():  # noqa: ASYNC110  # looked at from outside, where no event is set
            await trio.sleep(TURN_S)
