"""A whole gateway under hostile peers, and one paired session that must notice nothing of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field, frozen

from stores.keys import KeyPair
from tests.patience import Stopwatch
from tests.scenarios.clients import new_key
from tests.scenarios.programs import Gateway, running_gateway
from tests.wire import Wire, open_wire

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

#: How long the session may wait for one answer while 2 busy processors serve its enemies too, s.
ANSWERS_WITHIN_S = 2.0

#: Every connection of the siege is gone this long after its peer hung up, s.
CALM_WITHIN_S = 10.0


def cpu_s(gateway: Gateway) -> float:
    """Return how much processor time a gateway has used, s."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(gateway: Gateway) -> float:
    """Return the most memory a gateway ever held, MiB."""
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def descriptors(gateway: Gateway) -> int:
    """Return how many files and sockets a gateway has open."""
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


@define(eq=False)
class Siege:
    """The gateway, its paired session, and how that session was served meanwhile."""

    gateway: Gateway
    session: Wire
    key: KeyPair
    waits_s: list[float] = field(factory=list)

    async def watch(self) -> None:
        """Ask for health again and again, and note how long each answer took.

        What other programs took from both ends is not counted.
        """
        while True:
            watch = Stopwatch(self.gateway.process.pid, os.getpid())
            with trio.fail_after(20):
                await self.session.result("health")
            self.waits_s.append(watch.read_s())
            await trio.sleep(0.02)


@asynccontextmanager
async def besieged(
    tmp_path: Path, *, grows_mib: float, env: Mapping[str, str] | None = None, lines: int = 200
) -> AsyncIterator[Siege]:
    """Serve a gateway while the body attacks it; fail if that had any effect that lasts.

    Args:
        grows_mib: Memory it may need on top of what it needs in peace.
        lines: Log lines it may write.
    """
    state = tmp_path / "home" / ".openclaw"
    with running_gateway(state, env=env) as gateway:
        async with open_wire(gateway.port) as session, trio.open_nursery() as nursery:
            siege = Siege(gateway, session, new_key())
            assert (await session.connect(key=siege.key, token=gateway.token))["ok"]
            before, files, logged = peak_mib(gateway), descriptors(gateway), len(gateway.logged())
            nursery.start_soon(siege.watch)

            yield siege

            await _calm(gateway, files)
            nursery.cancel_scope.cancel()
        assert gateway.process.poll() is None
        assert gateway.kept("paired.json").keys() >= {siege.key.device_id}
        assert peak_mib(gateway) - before < grows_mib
        assert len(gateway.logged()) - logged <= lines
        assert siege.waits_s
        assert max(siege.waits_s) < ANSWERS_WITHIN_S
    for text in (gateway.said(), *map(str, gateway.logged())):
        assert "Traceback" not in text, text
        assert "crashed" not in text, text


async def _calm(gateway: Gateway, files: int) -> None:
    with trio.fail_after(CALM_WITHIN_S):
        while descriptors(gateway) > files:  # noqa: ASYNC110  # another process sets no event
            await trio.sleep(0.05)


@frozen
class Heard:
    """All that a raw exchange gave: the status of the answer, the close code, and every byte."""

    data: bytes

    @property
    def status(self) -> int | None:
        """The status of the HTTP answer, or None if there was none."""
        if not self.data.startswith(b"HTTP/1.1 "):
            return None
        return int(self.data[9:12])

    @property
    def close_code(self) -> int | None:
        """The code of the WebSocket close, or None if the line was cut without one."""
        rest = self.data.partition(b"\r\n\r\n")[2]
        while len(rest) >= 2:
            opcode, size, start = rest[0] & 0x0F, rest[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(rest[2:10], "big"), 10
            if opcode == 8:
                return int.from_bytes(rest[start : start + 2], "big") if size >= 2 else 1005
            rest = rest[start + size :]
        return None


async def exchange(
    port: int,
    *pieces: bytes,
    source: str = "127.0.0.1",
    hang_up: bool = True,
    upgraded: bool = False,
) -> Heard:
    """Send pieces one by one and return all that comes back until the gateway hangs up.

    Args:
        hang_up: Whether to close the sending half after the last piece.
        upgraded: Whether to shake hands and hear the challenge before the first piece.
    """
    answer = b""
    with trio.fail_after(20):
        stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
        async with stream:
            with contextlib.suppress(trio.BrokenResourceError):
                if upgraded:
                    await stream.send_all(HANDSHAKE)
                    while b"connect.challenge" not in answer:
                        answer += await stream.receive_some(65_536)
                for piece in pieces:
                    await stream.send_all(piece)
                    await trio.lowlevel.checkpoint()
                if hang_up:
                    await stream.send_eof()
            with contextlib.suppress(trio.BrokenResourceError):
                while chunk := await stream.receive_some(65_536):
                    answer += chunk
    return Heard(answer)
