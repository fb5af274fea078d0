"""One WebSocket connection: challenge, connect, requests, goodbye."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from gateway.admission import tell_presence
from gateway.corked import CorkedStream
from gateway.door import Door, Visit
from gateway.handshake import Goodbye, shake_hands
from gateway.hub import Session
from gateway.methods.call import Call
from gateway.methods.table import answer
from gateway.protocol import close as closes
from gateway.protocol.close import Close
from gateway.protocol.frames import (
    EventBody,
    InvalidFrame,
    NotJson,
    event,
    parse_request,
    response_error,
)
from gateway.protocol.hello import MAX_PAYLOAD_BYTES

logger = logging.getLogger("gateway.ws")

#: Message size before admission, bytes; after it `MAX_PAYLOAD_BYTES` (protocol facts).
MAX_CONNECT_BYTES = 65_536

#: How long a refused peer may take to take its answer and to answer the close.
CLOSE_GRACE_S = 2.0

#: A peer that answers no ping for this long is gone (protocol fact).
PONG_WITHIN_S = 25.0

#: Refused calls in a row after which a session is ended (protocol fact).
MAX_REFUSED_CALLS = 10


async def run_session(
    door: Door,
    visit: Visit,
    admitted: Callable[[], None],
    ws: WebSocketConnection,
    stream: CorkedStream,
) -> None:
    """Serve one connection until it ends.

    Args:
        admitted: Called once when the connection becomes a session.
    """
    nonce = str(uuid.uuid4())
    runtime = door.runtime
    await ws.send_message(event("connect.challenge", {"nonce": nonce, "ts": runtime.now_ms()}))
    session = Session(visit.conn_id)
    try:
        timeout_ms = visit.settings.handshake_timeout_ms
        with trio.move_on_after(timeout_ms / 1000) as patience:
            outcome = await shake_hands(door, visit, session, nonce, await ws.get_message())
        if patience.cancelled_caught:
            outcome = Goodbye(closes.no_connect_within(timeout_ms))
        if isinstance(outcome, Goodbye):
            await _say_goodbye(door, visit, ws, outcome)
            return
        admitted()
        await _serve_admitted(door, session, ws, stream, outcome)
    except ConnectionClosed as error:
        if not session.admitted:
            _log_hung_up(door, visit, error)
    finally:
        runtime.hub.leave(session)
        _leave_presence(door, session)


async def _say_goodbye(door: Door, visit: Visit, ws: WebSocketConnection, goodbye: Goodbye) -> None:
    door.refusals.write(
        visit.visitor(), goodbye.close, sentence=goodbye.sentence, command=goodbye.command
    )
    with trio.move_on_after(CLOSE_GRACE_S):
        if goodbye.frame is not None:
            await ws.send_message(goodbye.frame)
        await ws.aclose(goodbye.close.code, goodbye.close.reason)


def _log_hung_up(door: Door, visit: Visit, error: ConnectionClosed) -> None:
    """Log a peer that left before it connected, and one whose first message was too large."""
    code = error.reason.code if error.reason else 1006
    if code == closes.MESSAGE_TOO_BIG:
        door.refusals.write(
            visit.visitor(),
            Close(code, "message too large"),
            sentence=f"The first message is larger than {MAX_CONNECT_BYTES} bytes.",
        )
    else:
        logger.debug("conn=%s left before connect", visit.conn_id, extra={"conn": visit.conn_id})


async def _serve_admitted(
    door: Door, session: Session, ws: WebSocketConnection, stream: CorkedStream, hello: str
) -> None:
    # Private, and the only place: the library fixes the limit when the connection is made.
    ws._max_message_size = MAX_PAYLOAD_BYTES
    await ws.send_message(hello)
    logger.debug(
        "conn=%s admitted client=%s role=%s", session.conn_id, session.client, session.role
    )
    async with trio.open_nursery() as nursery:
        session.bind(nursery.cancel_scope, lambda: nursery.start_soon(_ping, session, ws))
        door.runtime.pulse.watch(session)
        nursery.start_soon(_write_out, session, ws, stream)
        try:
            await _read_requests(door, session, ws)
        finally:
            nursery.cancel_scope.cancel()


async def _read_requests(door: Door, session: Session, ws: WebSocketConnection) -> None:
    """Answer requests one after the other until the peer hangs up."""
    runtime, keeper = door.runtime, door.keeper
    while True:
        message = await ws.get_message()
        request = parse_request(message)
        if isinstance(request, NotJson):
            continue  # protocol fact: text that is not JSON is ignored
        if isinstance(request, InvalidFrame):
            reply = response_error(request.id, request.to_error())
        else:
            reply = await answer(Call(runtime, keeper, session, request.params), request)
        if session.outbox:
            session.send(reply)  # behind what waits already
        else:
            await ws.send_message(reply)
        if session.refused_calls > MAX_REFUSED_CALLS:
            session.end(closes.REPEATED_UNAUTHORIZED)
            await trio.sleep_forever()  # the writer says goodbye and ends this scope


async def _write_out(session: Session, ws: WebSocketConnection, stream: CorkedStream) -> None:
    """Write what is in the outbox, several frames in one write; say goodbye when asked to."""
    try:
        while True:
            while session.outbox:
                frames = tuple(session.outbox)
                session.outbox.clear()
                stream.cork()
                for frame in frames[:-1]:
                    await ws.send_message(frame)
                stream.uncork()  # the last frame takes the others with it
                await ws.send_message(frames[-1])
                session.unsent_bytes -= sum(map(len, frames))
            if session.ending is not None:
                await ws.aclose(session.ending.code, session.ending.reason)
                session.cut()
                return
            await session.wake.wait()
            session.wake = trio.Event()
    except ConnectionClosed:
        session.cut()


async def _ping(session: Session, ws: WebSocketConnection) -> None:
    with trio.move_on_after(PONG_WITHIN_S) as patience:
        try:
            await ws.ping()
        except ConnectionClosed:
            return
    if patience.cancelled_caught:
        logger.info("conn=%s answers no ping; ended", session.conn_id)
        session.cut()


def _leave_presence(door: Door, session: Session) -> None:
    key = session.presence_key
    if key is None:
        return
    entry = door.runtime.presence.entry(key)
    if entry is not None:
        door.runtime.presence.note(
            key, entry | {"reason": "disconnect", "ts": door.runtime.now_ms()}
        )
        tell_presence(door)


def shutdown_event() -> EventBody:
    """Return the event that goes before the close of a stopping gateway (protocol fact)."""
    return EventBody("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None})
