"""Deadlines that prove a promise on any machine: they count turns, not the clock.

A promise of a second is one of a machine that has a second to give. Where other programs hold the
processor, the gateway and the test are late together; a deadline by the clock would then fail for
what is no fault of the gateway's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

#: How long a turn is where nothing else runs; a turn that took longer counts as one all the same.
TURN_S = 0.01

#: What waits for no promise, but for anything at all, gives up after this.
PATIENCE_S = 30.0


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
