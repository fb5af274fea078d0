"""One WebSocket connection: challenge, connect, requests, goodbye."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import NoReturn

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.frame_protocol import FrameProtocol

from gateway.corked import CorkedStream
from gateway.door import Door, Visit
from gateway.handshake import Goodbye, Outcome, shake_hands
from gateway.hub import Session
from gateway.methods.call import Call
from gateway.methods.table import APART, METHODS, answer
from gateway.metrics import OTHER
from gateway.node_arrival import tell_changed
from gateway.protocol import close as closes
from gateway.protocol.close import Close
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.frames import (
    EventBody,
    InvalidFrame,
    NotJson,
    Request,
    event,
    parse_request,
    response_error,
    text_message,
)
from gateway.protocol.hello import MAX_PAYLOAD_BYTES

logger = logging.getLogger("gateway.ws")

#: Message size before admission, bytes; after it `MAX_PAYLOAD_BYTES` (protocol facts).
MAX_CONNECT_BYTES = 65_536

#: What a client is told of how long a restart takes.
RESTART_EXPECTED_MS = 1_500

#: How long a refused peer may take to take its answer and to answer the close.
CLOSE_GRACE_S = 2.0

#: A peer that answers no ping for this long is gone (protocol fact).
PONG_WITHIN_S = 25.0

#: Bytes that go out in one write at most, so that a full outbox is not copied as a whole.
MAX_WRITE_BYTES = 262_144

# Closes that the library never makes up by itself: with one of these nothing of ours was unread.
_GOODBYES = frozenset({1000, 1001, 1005})

# How the library names frames that break the protocol: their shape, and text that is not UTF-8.
_FRAME_FAULTS = frozenset({1002, 1007})

#: Requests of one session at most that are answered in tasks of their own at a time.
MAX_APART = 256

#: Refused calls in a row after which a session is ended (protocol fact).
MAX_REFUSED_CALLS = 10


_TOO_MANY_APART = ErrorShape(
    ErrorCode.UNAVAILABLE,
    f"{MAX_APART} requests of this connection wait for others already: wait for some answers",
    retryable=True,
)


async def run_session(
    door: Door,
    visit: Visit,
    proven: Callable[[], None],
    ws: WebSocketConnection,
    stream: CorkedStream,
    nursery: trio.Nursery,
) -> bool:
    """Serve one connection until it ends; tell whether the peer said goodbye first.

    Args:
        proven: Called when the peer has shown a right credential, before anything is written for
            it: from then on it makes no room for strangers.
        nursery: What reads the socket; the connection's other tasks join it, and cancelling it
            ends them all.
    """
    session = Session(visit.conn_id)
    try:
        goodbye = await _first_exchange(door, visit, session, ws, proven)
        if goodbye is not None:
            await _say_goodbye(door, visit, ws, goodbye)
            return False
        proven()
        door.tell_proxy(visit)
        door.runtime.metrics.admitted(str(session.role))
        await _serve_admitted(door, session, ws, stream, nursery)
    except ConnectionClosed as error:
        fault = _untold_fault(stream, error)
        if fault is not None:
            await _tell_fault(stream, fault)
        if not session.admitted:
            _log_hung_up(door, visit, error, fault)
        code = error.reason.code if error.reason else None
        return session.ending is None and code in _GOODBYES
    finally:
        _forget(door, session)


async def _first_exchange(
    door: Door,
    visit: Visit,
    session: Session,
    ws: WebSocketConnection,
    proven: Callable[[], None],
) -> Goodbye | None:
    """Challenge the peer and judge its answer; the hello of a session waits in its outbox."""
    nonce = str(uuid.uuid4())
    challenge = event("connect.challenge", {"nonce": nonce, "ts": door.runtime.now_ms()})
    timeout_ms = visit.settings.handshake_timeout_ms
    outcome: Outcome = Goodbye(
        closes.no_connect_within(timeout_ms), sentence="The peer did not connect in time."
    )
    with trio.move_on_after(timeout_ms / 1000):
        await ws.send_message(challenge)
        message = await ws.get_message()
        outcome = await shake_hands(door, visit, session, nonce, message, proven)
        if session.presence_key is not None:
            door.runtime.presence.arrive(session.presence_key)
    if isinstance(outcome, Goodbye):
        return outcome
    if session.ending is not None:
        # Removed or blocked while it was judged: it must not even see a hello.
        return Goodbye(session.ending, sentence="The device was removed while it connected.")
    session.put_first(outcome)
    return None


def _forget(door: Door, session: Session) -> None:
    """Take a connection out of everything that knows it."""
    runtime = door.runtime
    if session.ending is closes.SLOW_CONSUMER:
        logger.warning(
            "conn=%s client=%s from %s reads too slowly: ended with %d bytes unsent",
            session.conn_id,
            session.client,
            session.address,
            session.unsent_bytes,
            extra={"conn": session.conn_id},
        )
    runtime.hub.leave(session)
    runtime.pulse.forget(session)
    if runtime.nodes.depart(session):
        tell_changed(runtime, session.device_id or "")
    session.unbind()
    if session.presence_key is not None:
        runtime.presence.depart(session.presence_key, at_ms=runtime.now_ms())


async def _say_goodbye(door: Door, visit: Visit, ws: WebSocketConnection, goodbye: Goodbye) -> None:
    door.tell_refusal(
        visit,
        goodbye.close,
        sentence=goodbye.sentence,
        command=goodbye.command,
        hint=goodbye.hint,
        about=goodbye.about,
    )
    with trio.move_on_after(CLOSE_GRACE_S):
        if goodbye.frame is not None:
            await ws.send_message(goodbye.frame)
        await ws.aclose(goodbye.close.code, goodbye.close.reason)


def _untold_fault(stream: CorkedStream, error: ConnectionClosed) -> Close | None:
    """Return what is wrong with the peer's frames, if that is why the library hung up."""
    reason = error.reason
    if reason is None or reason.code not in _FRAME_FAULTS or stream.said_goodbye:
        return None
    return Close(reason.code, closes.truncate_reason(reason.reason or ""))


async def _tell_fault(stream: CorkedStream, fault: Close) -> None:
    """Send the close frame of RFC 6455, section 7.1.7, which the library leaves out."""
    words = FrameProtocol(client=False, extensions=[]).close(fault.code, fault.reason)
    # Busy: half a frame is on its way, and nothing can follow it.
    gone = (trio.BusyResourceError, trio.BrokenResourceError, trio.ClosedResourceError)
    with trio.move_on_after(CLOSE_GRACE_S), suppress(*gone):
        await stream.say_last(bytes(words))


def _log_hung_up(
    door: Door, visit: Visit, error: ConnectionClosed, fault: Close | None = None
) -> None:
    """Log a peer that left before it connected, and one whose first message could not be read."""
    if fault is not None:
        door.tell_refusal(
            visit,
            fault,
            sentence="What arrived is no WebSocket frame: the client, or a proxy, spoils it.",
        )
        return
    code = error.reason.code if error.reason else 1006
    if code == closes.MESSAGE_TOO_BIG:
        door.tell_refusal(
            visit,
            Close(code, "message too large"),
            sentence=f"The first message is larger than {MAX_CONNECT_BYTES} bytes.",
        )
    else:
        logger.debug("conn=%s left before connect", visit.conn_id, extra={"conn": visit.conn_id})


def allow_large_messages(ws: WebSocketConnection) -> None:
    """Raise the size limit of an admitted peer's messages."""
    # Private, and the only place: the library fixes the limit when the connection is made. A test
    # fails when it moves.
    ws._max_message_size = MAX_PAYLOAD_BYTES


async def _serve_admitted(
    door: Door,
    session: Session,
    ws: WebSocketConnection,
    stream: CorkedStream,
    nursery: trio.Nursery,
) -> NoReturn:
    allow_large_messages(ws)
    logger.debug(
        "conn=%s admitted client=%s role=%s", session.conn_id, session.client, session.role
    )
    session.bind(
        nursery.cancel_scope,
        lambda: nursery.start_soon(_ping, session, ws),
        lambda: nursery.start_soon(_write_out, session, ws, stream),
        partial(_send_now, session, ws, stream),
    )
    session.traffic = stream
    door.runtime.pulse.watch(session)
    hello = session.outbox.popleft()
    await ws.send_message(hello)  # here, not by the writer: most sessions need none for long
    session.sent(len(hello))
    session.rouse()
    await _read_requests(door, session, ws, stream, nursery)


async def _read_requests(
    door: Door,
    session: Session,
    ws: WebSocketConnection,
    stream: CorkedStream,
    nursery: trio.Nursery,
) -> NoReturn:
    """Answer requests one after the other until the peer hangs up, which raises.

    Those that wait for somebody else are answered apart, so that they hold up no other.
    """
    runtime, keeper = door.runtime, door.keeper
    while True:
        message = await ws.get_message()
        if session.ending is not None:
            await trio.sleep_forever()  # nothing more is done for a removed device
        request = parse_request(message)
        if isinstance(request, NotJson):
            continue  # protocol fact: text that is not JSON is ignored
        if isinstance(request, InvalidFrame):
            reply = response_error(request.id, request.to_error())
        elif request.method in APART and session.apart < MAX_APART:
            session.apart += 1
            nursery.start_soon(_answer_apart, door, session, request)
            await session.wait_read_on()
            continue
        elif request.method in APART:
            reply = response_error(request.id, _TOO_MANY_APART)
        else:
            began_s = perf_counter()
            reply = await answer(Call(runtime, keeper, session, request.params), request)
            _count(door, session, request, perf_counter() - began_s)
        if session.unsent_bytes:
            session.respond(reply)  # behind what waits already
        elif not _send_now(session, ws, stream, text_message(reply.encode())):
            await ws.send_message(reply)
        session.answered()
        await session.wait_read_on()
        if session.refused_calls > MAX_REFUSED_CALLS:
            session.end(closes.REPEATED_UNAUTHORIZED)
            await trio.sleep_forever()  # the writer says goodbye and ends this scope


async def _answer_apart(door: Door, session: Session, request: Request) -> None:
    """Answer one request in a task of its own, which ends with the connection."""
    try:
        call = Call(door.runtime, door.keeper, session, request.params)
        began_s = perf_counter()
        session.respond(await answer(call, request))
        _count(door, session, request, perf_counter() - began_s)
    finally:
        session.apart -= 1
    if session.refused_calls > MAX_REFUSED_CALLS:
        session.end(closes.REPEATED_UNAUTHORIZED)


def _count(door: Door, session: Session, request: Request, seconds: float) -> None:
    """Count an answer; what is no method of ours is counted under one name, whatever it says."""
    session.requests += 1
    method = request.method if request.method in METHODS else OTHER
    door.runtime.metrics.answered(method, seconds)


async def _write_out(session: Session, ws: WebSocketConnection, stream: CorkedStream) -> None:
    """Write what is in the outbox, several frames in one write; say goodbye when asked to."""
    try:
        if session.half_sent_bytes:
            async with _turn_to_send(ws):
                await stream.flush()
            session.sent(session.half_sent_bytes)
            session.half_sent_bytes = 0
        while session.outbox:
            session.sent(await _write_batch(session, ws, stream))
        if session.ending is not None and not session.owes_answer:
            await ws.aclose(session.ending.code, session.ending.reason)
            session.cut()
    except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        session.cut()
    finally:
        session.wrote_all()


def _turn_to_send(ws: WebSocketConnection) -> trio.StrictFIFOLock:
    """Return what everybody holds who writes to the peer: answers, pings, pongs, a close."""
    # Private, and the only place. A test fails when it moves.
    return ws._stream_lock


def _send_now(
    session: Session, ws: WebSocketConnection, stream: CorkedStream, message: bytes
) -> bool:
    """Send a message if nobody else is at it and the socket takes it; False if it must wait.

    Telling a thousand sessions costs a system call for each this way, and no task. It goes past
    the library, whose frames of text are the same bytes: nothing of its state depends on them.
    """
    if ws.closed is not None or _turn_to_send(ws).locked():
        return False
    left = stream.send_at_once(message)
    if left:
        session.half_sent(left)
    return left is not None


async def _write_batch(session: Session, ws: WebSocketConnection, stream: CorkedStream) -> int:
    """Write frames from the outbox in one write and return their size."""
    size = 0
    stream.cork()
    while True:
        frame = session.outbox.popleft()
        size += len(frame)
        if not session.outbox or size >= MAX_WRITE_BYTES:
            stream.uncork()  # the last frame takes the others with it
            await ws.send_message(frame)
            return size
        await ws.send_message(frame)


async def _ping(session: Session, ws: WebSocketConnection) -> None:
    with trio.move_on_after(PONG_WITHIN_S) as patience:
        try:
            await ws.ping()
        except ConnectionClosed:
            return
    if patience.cancelled_caught:
        logger.info("conn=%s answers no ping; ended", session.conn_id)
        session.cut()


def shutdown_event(*, restarts: bool = False) -> EventBody:
    """Return the event that goes before the close of a stopping gateway (protocol fact)."""
    reason = "gateway restarting" if restarts else "gateway stopping"
    expected_ms = RESTART_EXPECTED_MS if restarts else None
    return EventBody("shutdown", {"reason": reason, "restartExpectedMs": expected_ms})
