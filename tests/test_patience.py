"""The deadlines that the tests set do fail what is late."""

from __future__ import annotations

import os

import pytest
import trio

from tests.patience import Stopwatch, wait_until, within


async def test_what_is_late_fails(autojump_clock: trio.testing.MockClock):
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="not within 0.5 s")):
        async with within(0.5):
            await trio.sleep(0.6)


async def test_what_is_in_time_passes_and_what_it_raises_comes_out(
    autojump_clock: trio.testing.MockClock,
):
    async with within(0.5):
        await trio.sleep(0.4)
    with pytest.RaisesGroup(KeyError):
        async with within(0.5):
            raise KeyError


async def test_what_never_comes_true_is_not_waited_for_for_ever(
    autojump_clock: trio.testing.MockClock,
):
    with pytest.RaisesGroup(AssertionError):
        await wait_until(lambda: False, within_s=0.1)


async def test_a_stopwatch_counts_what_the_program_itself_takes():
    watch = Stopwatch(os.getpid())
    await trio.sleep(0.05)

    assert 0 < watch.read_s() < 30
