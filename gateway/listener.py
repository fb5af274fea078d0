"""From an accepted socket to a served connection: read the head, route it, contain what breaks.

The head is only looked at to route; the real parsers get every byte again and stay authoritative.
"""

from __future__ import annotations

import logging
import math
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

import trio
from attrs import frozen
from trio_websocket import ConnectionClosed, HandshakeError, wrap_server_stream
from wsproto.utilities import ProtocolError

from gateway import http, wrong_scheme
from gateway.corked import CorkedStream, receive_when_ready
from gateway.door import Door, Header, Visit, begin_visit, note_lost_upgrade
from gateway.policy.address import is_within
from gateway.policy.throttle import address_group
from gateway.session import MAX_CONNECT_BYTES, run_session
from gateway.tls import (
    HANDSHAKE_BYTE,
    HUNG_UP,
    NoAgreementError,
    ServerTls,
    first_byte,
    say_goodbye,
    shake_hands,
)

logger = logging.getLogger("gateway.ws")

#: A request's head must be complete within this, in size and time.
MAX_HEAD_BYTES = 16_384
HEAD_WITHIN_S = 10.0

#: How long a browser may take to ask for the page's next file on the same connection, and how many
#: it may ask for: the page has some thirty.
NEXT_REQUEST_WITHIN_S = 5.0
MAX_REQUESTS = 100

#: After our close, what the peer still sends is read and dropped, so that it sees our last words:
#: as much as the largest message that a session may have begun to send.
LINGER_S = 1.0
LINGER_BYTES = 32 * 1024 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_LINE_END = re.compile(rb"\r?\n")
_TLS_HANDSHAKE = b"\x16\x03"

#: A connection as it is read and written: in clear, or behind TLS.
Line = trio.SocketStream | trio.SSLStream[trio.SocketStream]

# What a peer can make happen in the middle of anything. A frame that arrives while we close lets
# the WebSocket library answer in a state in which nothing can be answered: a ProtocolError.
_PEER_TROUBLE = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    ConnectionClosed,
    HandshakeError,
    ProtocolError,
)


@frozen
class Head:
    """The head of a request, split for routing; header names are lower case."""

    method: bytes
    headers: tuple[Header, ...]
    version: bytes = b"HTTP/1.1"

    def has_token(self, name: bytes, token: bytes) -> bool:
        """Tell whether a header that is a list (RFC 9110, section 5.6.1) holds a token."""
        values = (value for key, value in self.headers if key == name)
        return any(word.strip().lower() == token for v in values for word in v.split(b","))

    def value(self, name: bytes) -> str | None:
        """Return a header's value, None if there is not exactly one."""
        values = [value for key, value in self.headers if key == name]
        return values[0].decode("latin-1") if len(values) == 1 else None

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a WebSocket handshake (RFC 6455, section 4.1)."""
        return not self._missing

    @property
    def lost(self) -> tuple[str, ...]:
        """What a handshake lacks that something on the way dropped; empty of any other request."""
        asked = any(key.startswith(b"sec-websocket-") for key, _ in self.headers)
        return self._missing if asked and self.method == b"GET" else ()

    @property
    def _missing(self) -> tuple[str, ...]:
        # RFC 6455, section 4.1: HTTP/1.1 or higher, and both of these.
        there = {
            "HTTP/1.1 (it came as HTTP/1.0)": self.version != b"HTTP/1.0",
            "the header `Upgrade: websocket`": self.has_token(b"upgrade", b"websocket"),
            "the header `Connection: Upgrade`": self.has_token(b"connection", b"upgrade"),
        }
        return tuple(name for name, found in there.items() if not found)


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
    return Head(words[0], tuple(headers), words[2])


async def contained(serve: Callable[[], Awaitable[None]], *, label: str) -> None:
    """Await ``serve()``; log what it raises instead of passing it on.

    The one broad catch of the gateway: whatever a peer does, only its own connection ends.
    """
    try:
        await serve()
    except* _PEER_TROUBLE:
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
    address = ip_address(peer[0].partition("%")[0])
    # A trusted proxy's own address is never a budget: it stands for everybody behind it.
    proxied = is_within(address, door.runtime.settings.trusted)
    with trio.CancelScope(deadline=trio.current_time() + HEAD_WITHIN_S) as scope:
        seat = door.lobby.enter(None if proxied else address_group(address), scope)
        try:
            visit_of = partial(begin_visit, door, conn_id, peer[:2], local[:2])
            if seat.no_room:
                if door.runtime.settings.tls is None:
                    await http.turn_away(door, visit_of(()), stream)
                return
            line: Line | None = stream
            tls = door.runtime.settings.tls
            if tls is not None:
                line = await _encrypt(door, tls, stream, conn_id, peer[0])
            if line is None or not await _route(door, line, conn_id, seat, visit_of):
                await _linger(stream, line)
        finally:
            door.lobby.leave(seat)
            stream.socket.close()


async def _encrypt(
    door: Door, tls: ServerTls, stream: trio.SocketStream, conn_id: str, peer: str
) -> Line | None:
    """Shake hands; None if the peer and this gateway do not agree, which both were told."""
    first = await first_byte(stream)
    if first == HANDSHAKE_BYTE:
        try:
            return await shake_hands(stream, tls, peer)
        except NoAgreementError as error:
            door.tell_disagreement(conn_id, peer, str(error))
            return None
    if not first:
        return None
    data, complete = await _read_head(stream)
    head = split_head(data[:complete]) if complete else None
    door.tell_disagreement(conn_id, peer, wrong_scheme.SPEAKS_PLAIN)
    host = head.value(b"host") if head else None
    wants_page = head is not None and head.has_token(b"accept", b"text/html")
    await stream.send_all(wrong_scheme.use_tls(host=host, wants_page=wants_page))
    return None


async def _route(
    door: Door,
    stream: Line,
    conn_id: str,
    seat: Any,
    visit_of: Callable[[tuple[Header, ...]], Visit],
) -> bool:
    """Serve what is asked for, one request after the other; tell whether the peer said goodbye first."""
    ahead = b""
    for number in range(MAX_REQUESTS):
        try:
            data, complete = await _read_head(stream, ahead)
        except trio.BrokenResourceError:
            if isinstance(stream, trio.SocketStream):
                raise
            data, complete = b"", 0
        if not data:
            if isinstance(stream, trio.SSLStream) and not number:
                door.tell_disagreement(conn_id, visit_of(()).peer[0], HUNG_UP)
            return True
        head = split_head(data[:complete]) if complete else None
        visit = visit_of(head.headers if head else ())
        door.lobby.heard(seat, address_group(visit.address.client))
        if head is not None and head.wants_websocket:
            admitted = partial(door.lobby.leave, seat)
            serve = partial(run_session, door, visit, admitted)
            return await _serve_websocket(stream, data, serve, seat.scope)
        if head is None:
            await _refuse(door, stream, conn_id, visit, data)
            return False
        if not await _serve_http(door, stream, visit, head, data[:complete]):
            return False
        ahead = data[complete:]
        seat.scope.deadline = trio.current_time() + NEXT_REQUEST_WITHIN_S
    return False


async def _serve_http(door: Door, stream: Line, visit: Visit, head: Head, data: bytes) -> bool:
    lost = head.lost
    if lost:
        note_lost_upgrade(door, visit, head.headers)
    return await http.serve(door, visit, stream, data, lost=lost)


async def _refuse(door: Door, stream: Line, conn_id: str, visit: Visit, data: bytes) -> None:
    """Answer what is no head of a request."""
    if data.startswith(_TLS_HANDSHAKE):
        door.tell_disagreement(conn_id, visit.peer[0], wrong_scheme.SPEAKS_TLS)
        await stream.send_all(wrong_scheme.use_plain())
    elif len(data) > MAX_HEAD_BYTES:
        await http.refuse_large_head(door, visit, stream, data)
    else:
        await http.refuse_head(stream)


async def _read_head(stream: Line, ahead: bytes = b"") -> tuple[bytes, int]:
    """Return what was read, and where the head in it ends: 0 if it does not.

    Args:
        ahead: What was read already, together with the request before.
    """
    data = bytearray()
    while len(data) <= MAX_HEAD_BYTES:
        searched = max(0, len(data) - _LONGEST_END)
        chunk, ahead = ahead or await _receive(stream, MAX_HEAD_BYTES + 1), b""
        if not chunk:
            break
        data += chunk
        if data.startswith(_TLS_HANDSHAKE):
            break
        end = _HEAD_END.search(data, searched)
        if end is not None and end.end() <= MAX_HEAD_BYTES:
            return bytes(data), end.end()
    return bytes(data), 0


async def _receive(stream: Line, max_bytes: int) -> bytes | bytearray:
    """Return the next bytes; a socket is read once it is readable, which spares a turn of the loop."""
    if isinstance(stream, trio.SocketStream):
        return await receive_when_ready(stream.socket, max_bytes)
    return await stream.receive_some(max_bytes)


async def _serve_websocket(
    stream: Line,
    data: bytes,
    serve: Callable[..., Awaitable[bool]],
    scope: trio.CancelScope,
) -> bool:
    """Shake hands within what is left of the head's time, then serve for as long as it takes."""
    corked = CorkedStream(stream, data)
    ws, left = None, False
    try:
        async with trio.open_nursery() as nursery:
            # A handshake that the library turned down would be waited for in vain.
            corked.on_close = nursery.cancel_scope.cancel
            request = await wrap_server_stream(nursery, corked, max_message_size=MAX_CONNECT_BYTES)
            corked.cork()  # the challenge, which follows at once, takes the answer along
            ws = await request.accept()
            corked.uncork()
            corked.on_close = None
            scope.deadline = math.inf
            left = await serve(ws, corked, nursery)
            nursery.cancel_scope.cancel()
    except* ValueError:
        # The library decodes header values as ASCII, and Host as IDNA, before it looks at them.
        if ws is not None:
            raise
        corked.on_close = None
    if ws is None and not corked.sent_bytes:
        await http.refuse_head(stream)
    elif not corked.sent_bytes:  # the peer hung up before its challenge, and gets its answer still
        with trio.move_on_after(LINGER_S):
            await corked.give_out()
    return left


async def _linger(stream: trio.SocketStream, line: Line | None) -> None:
    """Let the peer read our last words: closing with unread input would reset the connection."""
    with trio.move_on_after(LINGER_S):
        if isinstance(line, trio.SSLStream):
            await say_goodbye(line)
        await stream.send_eof()
        dropped = 0
        while dropped < LINGER_BYTES:
            chunk = await stream.receive_some(65_536)
            if not chunk:
                return
            dropped += len(chunk)
