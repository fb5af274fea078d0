"""What was acknowledged is on disk: through kill -9 in the middle of it all, and with two writers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, HandshakeError

from tests.scenarios.clients import READ, knock
from tests.scenarios.programs import Finished, Gateway, running_gateway
from tests.wire import Wire, key_of, open_wire

pytestmark = pytest.mark.slow

DEVICES = 200
TOKEN = "the-token-of-this-test"
FIRST = 5000


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return a state directory whose gateway believes the proxies that the devices come through."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    gateway = {"auth": {"token": TOKEN}, "trustedProxies": ["127.0.0.1"]}
    state_dir.joinpath("openclaw.json").write_text(json.dumps({"gateway": gateway}))
    return state_dir


def device(number: int) -> dict[str, Any]:
    """Return the words of a device with an address of its own."""
    address = f"198.51.{number // 250}.{number % 250 + 1}"
    return {
        "key": key_of(FIRST + number),
        "token": TOKEN,
        "scopes": READ,
        "headers": (("X-Forwarded-For", address),),
    }


@define(eq=False)
class Acknowledged:
    """What the gateway said it had done, request id -> device id; ``enough`` is set at a count."""

    until: int
    waiting: dict[str, str] = field(factory=dict)
    approved: dict[str, str] = field(factory=dict)
    enough: trio.Event = field(factory=trio.Event)

    def note(self, kind: dict[str, str], request_id: str, device_id: str) -> None:
        """Write one acknowledgement down."""
        kind[request_id] = device_id
        if len(self.waiting) + len(self.approved) >= self.until:
            self.enough.set()


async def until_cut(work: Callable[[], Awaitable[None]]) -> None:
    """Await a piece of work; that its gateway dies under it is no error."""
    try:
        await work()
    except* (OSError, ConnectionClosed, HandshakeError):
        pass
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def ask_to_pair(
    gateway: Gateway, number: int, said: Acknowledged, send: trio.MemorySendChannel[str]
) -> None:
    """Knock once, note the id that was told, and hand it to the operator."""
    words = device(number)
    async with open_wire(gateway.port, headers=words.pop("headers")) as wire:
        response = await wire.connect(**words)
        request_id = response["error"]["details"]["requestId"]
        said.note(said.waiting, request_id, words["key"].device_id)
        await send.send(request_id)


async def approve_all(
    gateway: Gateway, said: Acknowledged, receive: trio.MemoryReceiveChannel[str]
) -> None:
    """Approve every request as it comes, from one session of this machine."""
    async with open_operator(gateway) as wire:
        async for request_id in receive:
            result = await wire.result("device.pair.approve", {"requestId": request_id})
            said.note(said.approved, result["requestId"], result["device"]["deviceId"])


@asynccontextmanager
async def open_operator(gateway: Gateway) -> AsyncIterator[Wire]:
    """Open the session of an operator on the gateway's machine."""
    async with open_wire(gateway.port) as wire:
        assert (await wire.connect(key=key_of(FIRST - 1), token=TOKEN))["ok"]
        yield wire


async def pair_until_killed(gateway: Gateway, said: Acknowledged) -> None:
    """Let all devices knock at once while an operator approves, and kill the gateway at a count."""
    send, receive = trio.open_memory_channel[str](DEVICES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_cut, partial(approve_all, gateway, said, receive))
        for number in range(DEVICES):
            work = partial(ask_to_pair, gateway, number, said, send)
            nursery.start_soon(until_cut, work)
        with trio.fail_after(60):
            await said.enough.wait()
        gateway.process.kill()
        nursery.cancel_scope.cancel()


def check_nothing_lost(gateway: Gateway, said: Acknowledged) -> None:
    """Check the files of a gateway against what was acknowledged."""
    pending, paired = gateway.kept("pending.json"), gateway.kept("paired.json")
    for request_id, device_id in said.waiting.items():
        assert request_id in pending or device_id in paired
    for device_id in said.approved.values():
        assert paired[device_id]["tokens"]["operator"]["scopes"] == list(READ)
        assert "revokedAtMs" not in paired[device_id]["tokens"]["operator"]
    requested = {line["requestId"] for line in gateway.audit("device.requested")}
    approved = {line["requestId"] for line in gateway.audit("device.approved")}
    assert said.waiting.keys() <= requested
    assert said.approved.keys() <= approved


@pytest.mark.parametrize("until", [15, 90, 220, 330])
async def test_a_kill_amid_200_pairings_loses_nothing_that_was_acknowledged(
    state_dir: Path, until: int
) -> None:
    said = Acknowledged(until)
    with running_gateway(state_dir) as gateway:
        await pair_until_killed(gateway, said)
        await trio.to_thread.run_sync(gateway.process.wait)

    check_nothing_lost(gateway, said)
    with running_gateway(state_dir) as again, trio.fail_after(30):
        async with open_operator(again) as wire:
            problems = (await wire.result("health"))["problems"]
            listed = await wire.result("device.pair.list")
        admitted = await come_back(again, said)
    check_nothing_lost(again, said)

    assert len(said.waiting) + len(said.approved) >= until
    assert problems == []
    assert {item["deviceId"] for item in listed["paired"]} >= set(said.approved.values())
    assert admitted == len(said.approved)
    assert not list(again.devices.glob("*.corrupt-*"))


async def come_back(gateway: Gateway, said: Acknowledged) -> int:
    """Let every device whose approval was acknowledged connect again; return how many got in."""
    admitted = 0
    for number in range(DEVICES):
        words = device(number)
        if words["key"].device_id in said.approved.values():
            async with open_wire(gateway.port, headers=words.pop("headers")) as wire:
                admitted += (await wire.connect(**words))["ok"]
    return admitted


def test_an_offline_approval_survives_a_kill_of_the_gateway(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        words = device(1)
        request_id = knock(gateway.port, **words).request_id
        assert gateway.openclaw("devices", "approve", request_id, "--offline").code == 0
        gateway.process.kill()

    with running_gateway(state_dir) as again:
        assert knock(again.port, **words).admitted


async def test_two_writers_lose_nothing_of_each_other(state_dir: Path) -> None:
    """A session approves a third of the devices while commands approve and reject the rest."""
    numbers = range(36)
    with running_gateway(state_dir) as gateway, trio.fail_after(60):
        said = Acknowledged(len(numbers))
        send, _receive = trio.open_memory_channel[str](len(numbers))
        for number in numbers:
            await ask_to_pair(gateway, number, said, send)
        ids = list(said.waiting)
        roads = [ids[0::3], ids[1::3], ids[2::3]]
        done: list[Finished] = []
        async with open_operator(gateway) as wire, trio.open_nursery() as nursery:
            nursery.start_soon(in_session, wire, roads[0])
            nursery.start_soon(trio.to_thread.run_sync, in_files, gateway, roads[1:], done)

    paired, pending = gateway.kept("paired.json"), gateway.kept("pending.json")
    assert [one.code for one in done] == [0] * 24, [one for one in done if one.code]
    assert pending == {}
    let_in = {said.waiting[one] for one in (*roads[0], *roads[1])}
    assert set(paired) - {key_of(FIRST - 1).device_id} == let_in
    approved = {line["requestId"]: line["via"] for line in gateway.audit("device.approved")}
    for request_id in roads[0]:
        assert approved[request_id] == "ws"
    for request_id in roads[1]:
        assert approved[request_id] == "files"
    rejected = {line["requestId"] for line in gateway.audit("device.rejected")}
    assert rejected == set(roads[2])


async def in_session(wire: Wire, ids: list[str]) -> None:
    """Approve over the WebSocket, one after the other."""
    for request_id in ids:
        await wire.result("device.pair.approve", {"requestId": request_id})


def in_files(gateway: Gateway, roads: list[list[str]], done: list[Finished]) -> None:
    """Approve the first and reject the second list, each by a process, many at a time."""
    verbs = [("approve", one) for one in roads[0]] + [("reject", one) for one in roads[1]]
    with ThreadPoolExecutor(8) as pool:
        work = [
            pool.submit(gateway.openclaw, "devices", verb, one, "--offline") for verb, one in verbs
        ]
        done += [one.result() for one in work]


def test_nobody_is_lost_when_strangers_and_commands_start_from_nothing(state_dir: Path) -> None:
    """The first contact makes folder, key and files; two programs may do that at once."""
    with running_gateway(state_dir) as gateway, ThreadPoolExecutor(6) as pool:
        words = [device(number) for number in range(6)]
        knocks = [pool.submit(knock, gateway.port, **one) for one in words]
        lists = [pool.submit(gateway.openclaw, "devices", "list", "--offline") for _ in range(3)]
        ids = {one.result().request_id for one in knocks}
        codes = {one.result().code for one in lists}

    assert codes == {0}
    assert set(gateway.kept("pending.json")) == ids
    assert len(ids) == 6
