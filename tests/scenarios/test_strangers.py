"""Five thousand strangers at the door from one address, and nobody who belongs here notices."""

from __future__ import annotations

import contextlib
import random
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from stores.keys import KeyPair
from tests.scenarios.clients import READ, knocking, new_key
from tests.scenarios.programs import running_gateway
from tests.scenarios.siege import HANDSHAKE, Siege, besieged, cpu_s, descriptors
from tests.wire import Wire, open_wire

pytestmark = pytest.mark.slow

STRANGERS, OPENING_AT_ONCE = 5_000, 64
#: What the limits of unauthenticated connections leave of them: 32 of an address, 1024 in all.
PER_ADDRESS, IN_ALL = 32, 1_024

TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)


@pytest.fixture(autouse=True)
def _many_descriptors() -> Iterator[None]:
    """Let this process hold as many sockets as the strangers are; they are its own too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STRANGERS + 1_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))  # fails without privilege
    elif soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def hang_on(stream: trio.SocketStream, kind: int) -> None:
    """Behave like one kind of stranger, and stay for as long as one is let."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        if kind == 1:  # half a head, and then nothing
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        elif kind == 2:  # an upgrade, and then not a word
            await stream.send_all(HANDSHAKE)
        elif kind == 3:
            await stream.send_all(TLS_HELLO)
        elif kind == 4:  # a byte every now and then
            for byte in HANDSHAKE:
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)
        while await stream.receive_some(65_536):
            pass


@asynccontextmanager
async def strangers(
    port: int, count: int, *, sources: int = 1, steady: bool = False
) -> AsyncIterator[list[trio.SocketStream]]:
    """Keep strangers of every kind at the door; ``steady`` sends a new one for each that is ended."""
    streams: list[trio.SocketStream] = []
    numbers = iter(range(count if not steady else 10**9))
    rng = random.Random(count)

    async def come(nursery: trio.Nursery) -> None:
        for number in numbers:
            source = f"127.0.{20 + number % sources // 200}.{number % sources % 200 + 1}"
            if sources == 1:
                source = "127.0.0.1"
            with contextlib.suppress(OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
                if steady:
                    await hang_on_once(stream, rng.randrange(4))
                else:
                    streams.append(stream)
                    nursery.start_soon(hang_on, stream, number % 5)

    try:
        async with trio.open_nursery() as staying, trio.open_nursery() as coming:
            for _ in range(OPENING_AT_ONCE):
                coming.start_soon(come, staying)
            if not steady:
                while len(streams) < count:  # noqa: ASYNC110  # OSErrors keep it from being an event
                    await trio.sleep(0.01)
            yield streams
            coming.cancel_scope.cancel()
            staying.cancel_scope.cancel()
    finally:
        for stream in streams:
            stream.socket.close()


async def hang_on_once(stream: trio.SocketStream, kind: int) -> None:
    """Stay until the gateway ends it, then hang up."""
    try:
        await hang_on(stream, kind)
    finally:
        stream.socket.close()


async def come_in(siege: Siege, times: int, *, new: bool = False) -> tuple[float, int]:
    """Connect as the paired device, or as a new one each time, until it succeeds.

    Returns:
        How long the slowest took, s, and how many tries were cut off.
    """
    slowest_s, cut_off = 0.0, 0
    for _ in range(times):
        began, key = trio.current_time(), new_key() if new else siege.key
        while not await got_in(siege, key):
            cut_off += 1
        slowest_s = max(slowest_s, trio.current_time() - began)
        await trio.sleep(0.05)
    return slowest_s, cut_off


async def got_in(siege: Siege, key: KeyPair) -> bool:
    """Connect once; a refusal fails the test, a cut line does not."""
    known = None
    # The client library waits for ever when the line is cut before the upgrade is answered.
    with trio.move_on_after(3):
        try:
            known = await knocking(siege.gateway.port, "status", key=key, token=siege.gateway.token)
        except* (ConnectionClosed, OSError, trio.BrokenResourceError):
            pass
    assert known is None or known.answers[0]["ok"]
    return known is not None


async def test_5000_silent_strangers_of_one_address_keep_nobody_out(tmp_path: Path) -> None:
    async with besieged(tmp_path, grows_mib=64, lines=40) as siege:
        before = descriptors(siege.gateway)
        async with strangers(siege.gateway.port, STRANGERS) as streams:
            held = descriptors(siege.gateway)
            slowest_s, cut_off = await come_in(siege, 20)
        assert len(streams) == STRANGERS

    assert held - before <= PER_ADDRESS + 8
    assert slowest_s < 2.0
    assert cut_off == 0
    assert len(siege.waits_s) > 20


async def test_strangers_of_many_addresses_are_no_more_than_the_gateway_holds(
    tmp_path: Path,
) -> None:
    async with besieged(tmp_path, grows_mib=160, lines=260) as siege:
        before = descriptors(siege.gateway)
        async with strangers(siege.gateway.port, STRANGERS, sources=250):
            held = descriptors(siege.gateway)
            slowest_s, cut_off = await come_in(siege, 20)

    assert PER_ADDRESS < held - before <= IN_ALL + 8
    assert slowest_s < 2.0
    assert cut_off == 0


@pytest.mark.parametrize("new", [pytest.param(False, id="known"), pytest.param(True, id="new")])
async def test_strangers_who_never_stop_coming_keep_nobody_out(tmp_path: Path, new: bool) -> None:
    async with besieged(tmp_path, grows_mib=64, lines=100) as siege:
        async with strangers(siege.gateway.port, 0, steady=True):
            await trio.sleep(0.5)
            _, cut_off = await come_in(siege, 30, new=new)
        busy_s = cpu_s(siege.gateway)
        await trio.sleep(1)
        busy_s = cpu_s(siege.gateway) - busy_s

    # At 5,000 a second the 32 seats of an address turn over in 6 ms: a try may be cut, most are not.
    assert cut_off <= 10
    assert busy_s < 0.2


#: What a user's shell may say: far fewer than a gateway likes.
FEW = ("sh", "-c", 'ulimit -n 72 && exec "$@"', "sh")


async def test_without_descriptors_those_who_are_in_stay_and_the_log_says_what_helps(
    tmp_path: Path,
) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw", inside=FEW) as gateway:
        words: dict[str, Any] = {"token": gateway.token, "scopes": READ}
        inside: list[Wire] = []

        async def enter() -> None:
            async with open_wire(gateway.port) as wire:
                assert (await wire.connect(**words))["ok"]
                inside.append(wire)
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            with trio.fail_after(10):
                while "LimitNOFILE" not in gateway.said():
                    nursery.start_soon(enter)
                    await trio.sleep(0.02)
            answers = [await wire.result("health") for wire in inside]
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        again = await knocking(gateway.port, "health", **words)
    said, logged = gateway.said(), gateway.logged()

    assert len(answers) > 20
    assert again.answers[0]["ok"]
    assert said.count("LimitNOFILE") == 1
    assert any("LimitNOFILE" in line["message"] for line in logged)
    assert "Traceback" not in said


def test_a_low_soft_limit_of_descriptors_is_raised_at_the_start(tmp_path: Path) -> None:
    low = ("sh", "-c", 'ulimit -Sn 256 && exec "$@"', "sh")
    with running_gateway(tmp_path / "home" / ".openclaw", inside=low) as gateway:
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()

    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    soft, hard = line.split()[3:5]
    assert int(soft) == min(int(hard), 65_536)
