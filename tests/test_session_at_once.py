"""What is sent without a task: to whom, in which order, and when it must wait for the writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from gateway import session as session_module
from gateway.hub import Hub, Session
from gateway.protocol.close import Close
from gateway.protocol.frames import EventBody
from tests.rawframes import a_frame, admitted, send_raw
from tests.serving import TOKEN, open_gateway
from tests.test_tls import encrypting, trusting
from tests.wire import Wire, key_of, open_wire

TICK = EventBody("tick", {"ts": 1})

#: An event that fills what the kernel holds for a connection after a few of them.
LARGE = EventBody("health", {"text": "ü" * 150_000})


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Return the sessions whose writer was started, in order."""
    started: list[Session] = []
    write_out = session_module._write_out

    async def watched(session: Session, *rest: Any) -> None:
        started.append(session)
        await write_out(session, *rest)

    monkeypatch.setattr(session_module, "_write_out", watched)
    return started


def line_of(session: Session) -> WebSocketConnection:
    """Return the connection that a live session writes to."""
    found = session._send_now.args[1]  # type: ignore[attr-defined]  # a partial, once it is bound
    assert isinstance(found, WebSocketConnection)
    return found


async def numbers(wire: Wire, count: int) -> list[int]:
    """Return the numbers of the next events."""
    return [(await wire.receive())["seq"] for _ in range(count)]


async def test_who_waits_for_nothing_is_told_without_a_task(tmp_path: Path, writers: list[Session]):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        for _ in range(3):
            gateway.runtime.hub.broadcast(TICK)

        assert await numbers(wire, 3) == [1, 2, 3]
        assert (await wire.call("health"))["ok"]
        assert writers == []


async def test_who_does_not_read_costs_a_writer_and_gets_all_in_order_later(
    tmp_path: Path, writers: list[Session]
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        told = 0
        while not session.half_sent_bytes:
            gateway.runtime.hub.broadcast(LARGE)
            told += 1
        await wire.send({"type": "req", "id": "late", "method": "health"})
        gateway.runtime.hub.broadcast(TICK)
        waiting = len(session.outbox)

        assert await numbers(wire, told + 1) == list(range(1, told + 2))
        assert (await wire.receive())["id"] == "late"
        assert waiting == 1
        assert session.unsent_bytes == session.half_sent_bytes == 0
        assert session in writers


async def test_a_large_answer_to_who_does_not_read_holds_up_its_next_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    async def answer(_call: Any, request: Any) -> str:
        asked.append(request.id)
        frame = {"type": "res", "id": request.id, "ok": True, "payload": "x" * 900_000}
        return json.dumps(frame)

    monkeypatch.setattr(session_module, "answer", answer)
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        for number in range(60):
            await wire.send({"type": "req", "id": str(number), "method": "health"})
        await trio.testing.wait_all_tasks_blocked(0.05)
        unsent, before = session.unsent_bytes, len(asked)

        got = [(await wire.answer(str(number)))["id"] for number in range(60)]
        assert before < 60
        assert unsent < 2 * session_module.MAX_WRITE_BYTES + 2_000_000
        assert got == asked == [str(number) for number in range(60)]


async def test_nothing_comes_between_what_somebody_else_is_writing(
    tmp_path: Path, writers: list[Session]
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        async with session_module._turn_to_send(line_of(session)):
            gateway.runtime.hub.broadcast(TICK)
            waiting = len(session.outbox)

        assert await numbers(wire, 1) == [1]
        assert (waiting, writers) == (1, [session])


async def test_the_turn_to_send_is_what_the_library_takes_to_write(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        line = line_of(session)
        async with trio.open_nursery() as nursery, session_module._turn_to_send(line):
            nursery.start_soon(line.send_message, "{}")
            await trio.testing.wait_all_tasks_blocked()
            assert session_module._turn_to_send(line).statistics().tasks_waiting == 1

        assert await wire.receive() == {}


async def test_a_peer_that_says_goodbye_is_told_nothing_more(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        line, send_now = line_of(session), session._send_now
        await send_raw(wire, a_frame(b"\x03\xe8", opcode=8))
        while line.closed is None:
            await trio.lowlevel.checkpoint()

        assert not send_now(b"\x81\x02{}")


async def test_a_session_that_is_ended_hears_its_goodbye_last(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        gateway.runtime.hub.broadcast(TICK)
        session.end(Close(4001, "device removed"))
        gateway.runtime.hub.broadcast(TICK)

        assert await numbers(wire, 1) == [1]
        with pytest.raises(ConnectionClosed):
            await wire.receive()


async def test_an_encrypted_session_is_told_by_its_writer(tmp_path: Path, writers: list[Session]):
    async with (
        encrypting(tmp_path) as (gateway, cert),
        open_wire(gateway.port, tls=trusting(cert)) as wire,
    ):
        assert (await wire.connect(key=key_of(1), token=TOKEN))["ok"]
        gateway.runtime.hub.broadcast(TICK)

        assert (await wire.event("tick"))["seq"] >= 1
        assert writers


# ------------------------------------------------------------------ what a session decides by itself


def bound(taken: list[bytes], *, takes: bool = True) -> Session:
    """Return a session whose line takes what is sent at once, or does not."""
    session = Session("c1")
    session.admit(role="operator", scopes=("operator.read",))

    def send_now(message: bytes) -> bool:
        if takes:
            taken.append(message)
        return takes

    session.bind(trio.CancelScope(), lambda: None, lambda: None, send_now)
    return session


def test_what_can_go_at_once_goes_at_once():
    taken: list[bytes] = []
    session, hub = bound(taken), Hub()
    hub.open(session)

    hub.broadcast(TICK)
    session.send("{}")

    assert taken == [TICK.message(1), b"\x81\x02{}"]
    assert (len(session.outbox), session.unsent_bytes) == (0, 0)


def test_what_the_line_does_not_take_waits_under_the_same_number():
    session = bound([], takes=False)

    session.send_event(TICK)

    assert list(session.outbox) == [TICK.numbered(1)]


def test_nothing_overtakes_what_waits():
    taken: list[bytes] = []
    session = bound(taken)
    session.put_first("hello")

    session.send_event(TICK)
    session.send("{}")

    assert taken == []
    assert list(session.outbox) == ["hello", TICK.numbered(1), "{}"]


def test_nothing_overtakes_the_rest_of_what_went_out_in_half():
    taken: list[bytes] = []
    session = bound(taken)
    session.half_sent(7)

    session.send_event(TICK)

    assert taken == []
    assert (list(session.outbox), session.half_sent_bytes) == ([TICK.numbered(1)], 7)


async def test_nothing_goes_at_once_to_who_is_owed_an_answer_or_is_over():
    taken: list[bytes] = []
    owed, over, gone = bound(taken), bound(taken), bound(taken)
    owed.owes_answer = True
    over.end(Close(4001))
    gone.unbind()

    for session in (owed, over, gone):
        session.send_event(TICK)

    assert taken == []
    assert [len(session.outbox) for session in (owed, over, gone)] == [1, 0, 1]


async def test_what_is_too_much_for_any_outbox_ends_the_session_before_it_is_sent():
    taken: list[bytes] = []
    session = bound(taken)
    session.max_buffered_bytes = 10

    session.send("x" * 11)

    assert taken == []
    assert session.ending is not None
