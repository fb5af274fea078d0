"""The tests' own client: whatever happens to it, it leaves no socket behind."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from tests.wire import open_wire

UPGRADED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHALLENGE = b'{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}'


async def answer(stream: trio.SocketStream, stage: str) -> None:
    """Go as far with a client as the stage says."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some()
    if stage == "at the upgrade":
        return
    (key,) = [line[19:] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")]
    digest = hashlib.sha1(key + GUID).digest()  # RFC 6455, section 4.2.2
    accept = base64.b64encode(digest).decode()
    await stream.send_all(f"{UPGRADED}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    if stage == "at the goodbye":
        await stream.send_all(b"\x81" + bytes((len(CHALLENGE),)) + CHALLENGE)


@asynccontextmanager
async def deaf(stage: str, *, cut: bool = False) -> AsyncIterator[tuple[int, trio.Event]]:
    """Serve a gateway that falls silent at a stage, or cuts the line; yields its port and when."""
    reached = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await answer(stream, stage)
        reached.set()
        if not cut:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1], reached
        nursery.cancel_scope.cancel()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[trio.SocketStream]:
    """Return the list of the streams that clients open from now on."""
    streams: list[trio.SocketStream] = []
    dial = trio.open_tcp_stream

    async def dial_and_note(
        address: str, port: int, *, local_address: str | None = None
    ) -> trio.SocketStream:
        streams.append(await dial(address, port, local_address=local_address))
        return streams[-1]

    monkeypatch.setattr(trio, "open_tcp_stream", dial_and_note)
    return streams


async def use(port: int) -> None:
    """Connect and wait for a frame that never comes."""
    async with open_wire(port) as wire:
        await wire.receive()


@pytest.mark.parametrize(
    "stage",
    ["at the upgrade", "at the challenge", pytest.param("at the goodbye", marks=pytest.mark.slow)],
)
async def test_a_client_that_is_cancelled_leaves_no_socket(
    opened: list[trio.SocketStream], stage: str
):
    async with deaf(stage) as (port, reached), trio.open_nursery() as nursery:
        nursery.start_soon(use, port)
        await reached.wait()
        nursery.cancel_scope.cancel()

    assert [stream.socket.fileno() for stream in opened] == [-1]


@pytest.mark.parametrize("stage", ["at the challenge", "at the goodbye"])
async def test_a_client_whose_line_is_cut_leaves_no_socket(
    opened: list[trio.SocketStream], stage: str
):
    async with deaf(stage, cut=True) as (port, _):
        with pytest.raises(BaseExceptionGroup):
            await use(port)

    assert [stream.socket.fileno() for stream in opened] == [-1]
