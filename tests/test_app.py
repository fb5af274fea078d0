"""The task tree: what starts, what stops first, and what a broken service means."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from gateway import app
from gateway.app import run_gateway
from tests.patience import within
from tests.serving import TOKEN, open_gateway
from tests.wire import open_wire


async def test_nothing_listens_once_it_stops_though_sessions_still_drain(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(token=TOKEN, scopes=("operator.read",)))["ok"]
        gateway.stop.set()
        await wire.event("shutdown")

        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", gateway.port)
        assert await wire.closed() == (1012, "service restart")


async def test_who_is_not_admitted_yet_is_let_go_when_it_stops(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        gateway.stop.set()

        async with within(2):
            assert (await wire.closed())[0] in (1000, 1006)


async def test_a_bug_in_a_service_ends_the_gateway(tmp_path: Path):
    async def broken() -> None:
        raise KeyError("a bug")

    async with open_gateway(tmp_path / "s") as gateway:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        with pytest.RaisesGroup(pytest.RaisesGroup(KeyError)):
            await run_gateway(
                gateway.door, listeners, [broken], stop=trio.Event(), on_ready=lambda: None
            )


async def test_sessions_that_do_not_go_are_given_up_after_the_drain(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app, "serve_stream", _never_done)
    first, _second = memory_stream_pair()

    class OneCaller(trio.abc.Listener[trio.abc.Stream]):
        called = False

        async def accept(self) -> trio.abc.Stream:
            if self.called:
                await trio.sleep_forever()
            self.called = True
            return first

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    stop = trio.Event()
    began_s = trio.current_time()

    async def stop_soon() -> None:
        await trio.sleep(1)
        stop.set()

    async with open_gateway(tmp_path / "s") as gateway:
        listeners = [OneCaller()]
        await run_gateway(
            gateway.door,
            listeners,  # type: ignore[arg-type]  # a caller who never hangs up
            [stop_soon],
            stop=stop,
            on_ready=lambda: None,
        )
        assert 1 <= trio.current_time() - began_s <= 1 + app.DRAIN_S + 0.1


@pytest.mark.slow
async def test_health_and_presence_events_carry_their_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.pulse.HEALTH_EVERY_S", 0.05)
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(token=TOKEN, scopes=("operator.read",)))["ok"]
        versions = [(await wire.event("health"))["stateVersion"]["health"] for _ in range(2)]

        assert versions[1] == versions[0] + 1


async def _never_done(*_: object) -> None:
    await trio.sleep_forever()
