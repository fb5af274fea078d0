"""The one writer of the store: batches, failures, cancellation, and what is announced."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.hub import Session
from gateway.keeper import Keeper
from stores import pairing
from stores.devices import DeviceStore
from stores.errors import StoreError, UnknownRequestError
from stores.transition import Caller, Wish
from tests.builders import key_pair
from tests.patience import wait_until
from tests.serving import Serving, open_gateway

CLI = Caller("cli", uid=0)


def wish(seed: int, **changes: Any) -> Wish:
    key = key_pair(seed)
    facts: dict[str, Any] = {
        "device_id": key.device_id,
        "public_key": key.public_key,
        "role": "operator",
        "scopes": ("operator.read",),
        "platform": "linux",
        "device_family": None,
        "client_id": "cli",
        "client_mode": "cli",
        "display_name": None,
        "remote_ip": f"203.0.113.{seed % 250}",
        "why": "not-loopback",
        "origin": {"peer": "203.0.113.9", "client": "203.0.113.9"},
    }
    return Wish(**(facts | changes))


def asking(seed: int) -> Any:
    return partial(pairing.request, wish=wish(seed))


@asynccontextmanager
async def listening(tmp_path: Path) -> AsyncIterator[tuple[Serving, Keeper, Session]]:
    """Serve a gateway with one session that hears of pairings."""
    async with open_gateway(tmp_path / "s") as gateway:
        session = Session("c1")
        session.admit(role="operator", scopes=("operator.pairing",))
        gateway.runtime.hub.open(session)
        yield gateway, gateway.door.keeper, session


def heard(session: Session) -> list[tuple[str, str]]:
    """Return the pairing events that wait in a session's outbox, each with its device."""
    frames = [json.loads(frame) for frame in session.outbox]
    return [
        (frame["event"].rpartition(".")[2], frame["payload"]["deviceId"])
        for frame in frames
        if frame["event"].startswith("device.pair")
    ]


async def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something is so; the files are looked at from outside the event loop."""
    await wait_until(true)


async def test_what_comes_while_a_write_is_under_way_is_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes: list[int] = []
    apply = DeviceStore.apply

    def counted(self: DeviceStore, transitions: Any, *, now_ms: int) -> list[Any]:
        sizes.append(len(transitions))
        return apply(self, transitions, now_ms=now_ms)

    monkeypatch.setattr(DeviceStore, "apply", counted)
    async with listening(tmp_path) as (gateway, keeper, session):
        async with trio.open_nursery() as nursery:
            for seed in range(1, 61):
                nursery.start_soon(keeper.apply, asking(seed))

        assert len(gateway.store.read().pending) == 60
        assert len(heard(session)) == 60
        assert sum(sizes) == 60
        assert len(sizes) <= 3


async def test_one_transition_that_fails_hinders_no_other(tmp_path: Path):
    unknown = partial(pairing.approve, reference="ZZZZ-ZZZZ", caller=CLI)
    outcomes: list[object] = []

    async with listening(tmp_path) as (_, keeper, _session):

        async def attempt(transition: Any) -> None:
            try:
                outcomes.append(await keeper.apply(transition))
            except UnknownRequestError as error:
                outcomes.append(error)

        async with trio.open_nursery() as nursery:
            for transition in (asking(1), unknown, asking(2)):
                nursery.start_soon(attempt, transition)

    assert sum(isinstance(one, UnknownRequestError) for one in outcomes) == 1
    assert len(outcomes) == 3


async def test_a_store_that_cannot_be_written_refuses_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with listening(tmp_path) as (gateway, keeper, session):
        await keeper.apply(asking(1))
        devices = gateway.state_dir / "devices"
        aside = devices.rename(devices.with_name("aside"))
        devices.touch()

        with pytest.raises(StoreError):
            await keeper.apply(asking(2))
        with pytest.raises(StoreError):
            await keeper.apply(asking(3))

        devices.unlink()
        aside.rename(devices)
        await keeper.apply(asking(4))
        assert set(gateway.store.read().pending) == set(gateway.runtime.store.book.pending)
        assert [device for _, device in heard(session)] == [
            key_pair(seed).device_id for seed in (1, 4)
        ]
    assert [record for record in caplog.records if record.exc_info] == []


class Gate:
    """Holds writes back in their thread until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        apply = DeviceStore.apply

        def held(store: DeviceStore, transitions: Any, *, now_ms: int) -> list[Any]:
            self.entered.set()
            assert self.open.wait(5)
            return apply(store, transitions, now_ms=now_ms)

        monkeypatch.setattr(DeviceStore, "apply", held)


async def test_who_stops_waiting_does_not_stop_a_write_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with listening(tmp_path) as (gateway, keeper, session):
        gate = Gate(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.apply, asking(1))
            await wait_for(gate.entered.is_set)
            nursery.cancel_scope.cancel()
        gate.open.set()

        await wait_for(lambda: len(heard(session)) == 1)
        assert len(gateway.store.read().pending) == 1


async def test_who_stops_waiting_before_the_write_wants_it_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with listening(tmp_path) as (gateway, keeper, session):
        gate = Gate(monkeypatch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.apply, asking(1))
            await wait_for(gate.entered.is_set)
            with trio.move_on_after(0.02):
                await keeper.apply(asking(2))
            gate.open.set()
        await keeper.apply(asking(3))

        assert [device for _, device in heard(session)] == [
            key_pair(seed).device_id for seed in (1, 3)
        ]
        assert len(gateway.store.read().pending) == 2


async def test_a_stopping_gateway_finishes_its_write_and_refuses_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outcomes: dict[int, object] = {}

    async def attempt(keeper: Keeper, seed: int) -> None:
        try:
            outcomes[seed] = await keeper.apply(asking(seed))
        except StoreError as error:
            outcomes[seed] = error.problem

    async with trio.open_nursery() as nursery:
        async with listening(tmp_path) as (gateway, keeper, _):
            gate = Gate(monkeypatch)
            nursery.start_soon(attempt, keeper, 1)
            await wait_for(gate.entered.is_set)
            nursery.start_soon(attempt, keeper, 2)
            await trio.sleep(0.01)
            gateway.stop.set()
            await trio.sleep(0.01)
            gate.open.set()
        await attempt(keeper, 3)

    assert getattr(outcomes[1], "device_id", None) == key_pair(1).device_id
    assert outcomes[2] == outcomes[3] == "the gateway is stopping"


@pytest.mark.slow
async def test_what_another_program_decides_is_announced_within_a_second(tmp_path: Path):
    async with listening(tmp_path) as (gateway, keeper, session):
        item = await keeper.apply(asking(1))
        session.outbox.clear()
        gateway.store.approve(item.request_id, caller=CLI, now_ms=gateway.runtime.now_ms())
        await wait_until(lambda: heard(session), within_s=1)

        assert heard(session) == [("resolved", key_pair(1).device_id)]


@pytest.mark.slow
async def test_no_event_is_lost_or_doubled_between_own_writes_and_looks(tmp_path: Path):
    async with listening(tmp_path) as (gateway, keeper, session):
        session.max_buffered_bytes = 1 << 30

        async def look() -> None:
            while True:
                await keeper.look()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(look)
            for seed in range(1, 31):
                item = await keeper.apply(asking(seed))
                if seed % 2:
                    await gateway.runtime.in_thread(
                        partial(
                            gateway.store.approve,
                            item.request_id,
                            caller=CLI,
                            now_ms=gateway.runtime.now_ms(),
                        )
                    )
                else:
                    reject = partial(pairing.reject, reference=item.request_id, caller=CLI)
                    await keeper.apply(reject)
            await keeper.look()
            nursery.cancel_scope.cancel()

        for seed in range(1, 31):
            device = key_pair(seed).device_id
            told = [event for event, about in heard(session) if about == device]
            assert told == ["requested", "resolved"], seed


async def test_files_that_cannot_be_read_are_complained_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with listening(tmp_path) as (gateway, keeper, _):
        paired = gateway.state_dir / "devices" / "paired.json"
        paired.parent.mkdir(exist_ok=True)
        paired.symlink_to("/etc/hostname")
        for _ in range(3):
            await keeper.look()
        paired.unlink()
        await keeper.look()

        assert len([r for r in caplog.records if "paired.json" in r.getMessage()]) == 1


@pytest.mark.slow
async def test_a_request_nobody_decided_expires_and_that_is_told(tmp_path: Path):
    async with open_gateway(tmp_path / "s", {"pairing": {"requestTtlMs": 1000}}) as gateway:
        session = Session("c1")
        session.admit(role="operator", scopes=("operator.pairing",))
        gateway.runtime.hub.open(session)
        await gateway.door.keeper.apply(asking(1))

        await wait_for(lambda: len(heard(session)) == 2)

        told = json.loads(session.outbox[-1])["payload"]
        assert (told["decision"], told["reason"]) == ("rejected", "expired")
        assert gateway.store.read().pending == {}


async def test_a_damaged_file_is_told_in_the_log_once_and_when_it_is_whole_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="gateway")
    async with listening(tmp_path) as (gateway, keeper, _):
        await keeper.apply(asking(1))
        file = gateway.state_dir / "devices" / "pending.json"
        whole = file.read_bytes()
        file.write_text("{ bro")
        for _ in range(3):
            await keeper.look()
        file.write_bytes(whole)
        await keeper.look()

    told = [record.getMessage() for record in caplog.records if record.name == "gateway.devices"]
    assert sum("is not valid JSON" in line for line in told) == 1
    assert told[-1] == "the files of the device store are in order again"


async def test_a_device_that_stays_connected_is_not_forgotten_as_one_that_never_comes(tmp_path):
    async with listening(tmp_path) as (gateway, keeper, session):
        await keeper.apply(asking(1))
        await keeper.apply(partial(pairing.approve, reference=key_pair(1).device_id, caller=CLI))
        session.device_id = key_pair(1).device_id
        approved_ms = gateway.runtime.now_ms()

        keeper.touch_present()
        gateway.runtime.store.flush(now_ms=approved_ms)

        device = gateway.store.read().paired[key_pair(1).device_id]
        assert device.last_seen_at_ms is not None
        assert device.last_seen_at_ms >= approved_ms
        session.device_id = None


async def test_five_hundred_requests_at_once_cost_a_handful_of_syncs(tmp_path, monkeypatch):
    synced, fsync = list[int](), os.fsync
    roomy: dict[str, object] = {"pairing": {"maxPending": 1000}}

    def counted(handle: int) -> None:
        synced.append(handle)
        fsync(handle)

    async with open_gateway(tmp_path, roomy) as gateway:
        monkeypatch.setattr(os, "fsync", counted)
        async with trio.open_nursery() as nursery:
            for seed in range(1, 501):
                nursery.start_soon(gateway.door.keeper.apply, asking(seed))

        assert len(gateway.store.read().pending) == 500
        assert len(synced) <= 12
