"""From an accepted socket to a served connection: read the head, route it, contain what breaks.

The head is only looked at to route; the real parsers get every byte again and stay authoritative.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, HandshakeError, wrap_server_stream

from gateway import http
from gateway.corked import CorkedStream
from gateway.door import Door, Header, begin_visit
from gateway.session import MAX_CONNECT_BYTES, run_session

logger = logging.getLogger("gateway.ws")

#: A request's head must be complete within this, in size and time.
MAX_HEAD_BYTES = 16_384
HEAD_WITHIN_S = 10.0

#: After our close, what the peer still sends is read and dropped, so that it sees our last words.
LINGER_S = 1.0
LINGER_BYTES = 4 * 1024 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
# Headers the WebSocket library decodes as ASCII; it would raise on anything else.
_ASCII_HEADERS = frozenset({b"host", b"origin", b"connection", b"upgrade"})
_TLS_HANDSHAKE = b"\x16\x03"


@frozen
class Head:
    """The head of a request, split for routing; header names are lower case."""

    method: bytes
    headers: tuple[Header, ...]

    def value(self, name: bytes) -> bytes:
        """Return a header's value, empty if it was not sent."""
        return next((value for key, value in self.headers if key == name), b"")

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a WebSocket handshake (RFC 6455, section 4.1)."""
        return self.value(b"upgrade").lower() == b"websocket"

    @property
    def lost_upgrade(self) -> bool:
        """Whether it would be one if something on the way had not dropped ``Upgrade``."""
        return any(key.startswith(b"sec-websocket-") for key, _ in self.headers)

    @property
    def decodable(self) -> bool:
        """Whether the WebSocket library can read the headers it needs."""
        return all(
            value.isascii()
            for key, value in self.headers
            if key in _ASCII_HEADERS or key.startswith(b"sec-websocket-")
        )


def split_head(data: bytes) -> Head | None:
    """Return the head that ``data`` is, or None if it is not shaped like one."""
    first, *lines = _LINE_END.split(data.rstrip(b"\r\n"))
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return None
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            return None
        headers.append((name.lower(), value.strip()))
    return Head(words[0], tuple(headers))


async def contained(serve: Callable[[], Awaitable[None]], *, label: str) -> None:
    """Await ``serve()``; log what it raises instead of passing it on.

    The one broad catch of the gateway: whatever a peer does, only its own connection ends.
    """
    try:
        await serve()
    except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed, HandshakeError):
        logger.debug("conn=%s peer went away", label)
    except* Exception:
        logger.exception("conn=%s connection crashed", label, extra={"conn": label})


async def serve_stream(door: Door, stream: trio.SocketStream) -> None:
    """Serve one accepted connection to its end."""
    conn_id = str(uuid.uuid4())
    await contained(partial(_serve, door, stream, conn_id), label=conn_id)


async def _serve(door: Door, stream: trio.SocketStream, conn_id: str) -> None:
    try:
        peer, local = stream.socket.getpeername(), stream.socket.getsockname()
    except OSError:
        await trio.aclose_forcefully(stream)
        return
    with trio.CancelScope() as scope:
        seat = door.lobby.enter(peer[0], scope)
        try:
            await _route(door, stream, conn_id, peer, local, partial(door.lobby.leave, seat))
        finally:
            door.lobby.leave(seat)
            with trio.move_on_after(LINGER_S, shield=True):
                await _linger(stream)
            await trio.aclose_forcefully(stream)


async def _route(
    door: Door,
    stream: trio.SocketStream,
    conn_id: str,
    peer: tuple[Any, ...],
    local: tuple[Any, ...],
    admitted: Callable[[], None],
) -> None:
    with trio.move_on_after(HEAD_WITHIN_S) as patience:
        data, complete = await _read_head(stream)
    if patience.cancelled_caught or not data:
        return
    if data.startswith(_TLS_HANDSHAKE):
        logger.info("conn=%s remote=%s speaks TLS to a port without TLS", conn_id, peer[0])
        return
    head = split_head(data[:complete]) if complete else None
    if head is None:
        await http.refuse_head(stream, too_large=len(data) > MAX_HEAD_BYTES)
    elif not head.wants_websocket:
        await http.serve(door, stream, data, lost_upgrade=head.lost_upgrade)
    elif not head.decodable or head.method != b"GET":
        await http.refuse_head(stream, too_large=False)
    else:
        visit = begin_visit(door, conn_id, peer[:2], local[:2], head.headers)
        await _serve_websocket(stream, data, partial(run_session, door, visit, admitted))


async def _read_head(stream: trio.SocketStream) -> tuple[bytes, int]:
    """Return what was read, and where the head in it ends: 0 if it does not."""
    data = b""
    while len(data) <= MAX_HEAD_BYTES:
        chunk = await stream.receive_some(MAX_HEAD_BYTES + 1)
        if not chunk:
            return data, 0
        data += chunk
        if data.startswith(_TLS_HANDSHAKE):
            return data, 0
        end = _HEAD_END.search(data)
        if end is not None and end.end() <= MAX_HEAD_BYTES:
            return data, end.end()
    return data, 0


async def _serve_websocket(
    stream: trio.SocketStream,
    data: bytes,
    serve: Callable[..., Awaitable[None]],
) -> None:
    corked = CorkedStream(stream, data)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(HEAD_WITHIN_S) as patience:
            request = await wrap_server_stream(nursery, corked, max_message_size=MAX_CONNECT_BYTES)
            ws = await request.accept()
        if not patience.cancelled_caught:
            await serve(ws, corked)
        nursery.cancel_scope.cancel()


async def _linger(stream: trio.SocketStream) -> None:
    """Let the peer read our last words: closing with unread input would reset the connection."""
    try:
        await stream.send_eof()
        dropped = 0
        while dropped < LINGER_BYTES:
            chunk = await stream.receive_some(65_536)
            if not chunk:
                return
            dropped += len(chunk)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
