"""An admitted session: its requests, its events and its end, over real sockets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from gateway import handshake
from gateway import session as session_module
from gateway.hub import Session
from gateway.protocol.close import Close
from gateway.protocol.frames import EventBody
from gateway.protocol.hello import MAX_PAYLOAD_BYTES
from tests.patience import PATIENCE_S, wait_until, within
from tests.rawframes import READ, a_frame, admitted, send_raw, wait_until_gone
from tests.serving import TOKEN, open_gateway
from tests.wire import connect_params, key_of, open_wire


async def test_an_admitted_peer_may_send_large_messages(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)

        response = await wire.call("nonsense", {"x": "y" * 1_000_000})

        assert response["error"]["message"].startswith("missing scope: operator.admin")


@pytest.mark.slow
async def test_an_admitted_peer_sees_that_its_message_is_too_large(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await send_raw(wire, a_frame(b" " * (MAX_PAYLOAD_BYTES + 1_000_000)))

            nursery.start_soon(send)
            assert (await wire.closed())[0] == 1009


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        pytest.param({"type": "req", "id": "7", "method": "health", "extra": 1}, "7", id="extra"),
        pytest.param({"type": "event", "event": "x"}, "invalid", id="event"),
        pytest.param([], "invalid", id="array"),
        pytest.param({"type": "req", "id": 7, "method": "health"}, "invalid", id="number-as-id"),
    ],
)
async def test_an_invalid_frame_of_a_session_is_answered(
    tmp_path: Path, message: object, request_id: str
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        await wire.send(message)

        response = await wire.answer(request_id)
        assert response["error"]["code"] == "INVALID_REQUEST"
        assert response["error"]["message"].startswith("invalid request frame: ")
        assert await wire.result("health")


async def test_what_is_not_json_is_ignored_in_a_session(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        for noise in ("nonsense", b"\xff", "{", ""):
            await wire.send(noise)

        assert await wire.result("health")
        assert wire.events == []


async def test_a_second_connect_is_refused_and_the_session_goes_on(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)

        response = await wire.call("connect", {})

        text = "connect is only valid as the first request"
        assert response["error"] == {"code": "INVALID_REQUEST", "message": text}
        assert await wire.result("health")


async def test_endless_refused_calls_end_the_session(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        for _ in range(11):
            assert not (await wire.call("device.pair.list"))["ok"]

        assert await wire.closed() == (1008, "repeated unauthorized calls")


async def test_answers_and_broadcasts_arrive_in_the_order_in_which_they_were_made(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        for number in range(50):
            gateway.runtime.hub.broadcast(EventBody("tick", {"ts": number}))
            await wire.send({"type": "req", "id": str(number), "method": "health"})
        await wait_until(lambda: not session.unsent_bytes)
        seen: list[int | str] = []
        while len(seen) < 100:
            frame = await wire.receive()
            seen.append(frame.get("seq") or f"answer {frame['id']}")

        assert [one for one in seen if isinstance(one, int)] == list(range(1, 51))
        assert [one for one in seen if isinstance(one, str)] == [f"answer {n}" for n in range(50)]


@pytest.mark.slow
async def test_a_peer_that_reads_nothing_is_ended_and_nobody_else_notices(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s") as gateway,
        open_wire(gateway.port) as deaf,
        open_wire(gateway.port) as other,
    ):
        await admitted(deaf)
        await admitted(other)
        hub = gateway.runtime.hub
        for session in hub:
            session.max_buffered_bytes = 4_000_000
        victim = next(iter(hub))
        deaf_reader = deaf.ws._stream  # its own reader takes one message and then waits
        text = "x" * 100_000
        for _ in range(400):
            victim.send(json.dumps({"type": "event", "event": "tick", "payload": text}))
            await trio.lowlevel.checkpoint()
        assert victim.ending is not None
        assert victim.ending.reason == "slow consumer"

        async with within(1):
            assert await other.result("health")
        await wait_until_gone(gateway, 1)
        assert deaf_reader is deaf.ws._stream


async def test_a_slow_peer_misses_events_that_may_be_missed(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        session.unsent_bytes = session.max_buffered_bytes // 2 + 1  # as if the peer read nothing
        gateway.runtime.hub.broadcast(EventBody("tick", {"ts": 1}))

        assert not session.outbox
        assert session.ending is None
        session.unsent_bytes = 0


async def test_a_device_removed_while_connected_is_told_and_does_nothing_more(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(key=key_of(1), token=TOKEN))["ok"]
        (session,) = gateway.runtime.hub
        session.end(Close(4001, "device removed"))
        await wire.ws.send_message('{"type":"req","id":"late","method":"device.pair.list"}')

        assert await wire.closed() == (4001, "device removed")


async def test_a_silent_peer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "PONG_WITHIN_S", 0.05)

    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        # hears, says nothing
        monkeypatch.setattr(wire.ws._wsproto, "receive_data", lambda data: None)
        session.ping()

        await wait_until_gone(gateway)


@pytest.mark.slow
async def test_a_peer_that_answers_pings_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "PONG_WITHIN_S", 0.5)

    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        (session,) = gateway.runtime.hub
        for _ in range(3):
            session.ping()
            await trio.sleep(0.2)

        assert await wire.result("health")


async def test_a_stopping_gateway_says_so_before_it_closes(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await admitted(wire)
        gateway.stop.set()

        shutdown = await wire.event("shutdown")
        assert shutdown["payload"] == {"reason": "gateway stopping", "restartExpectedMs": None}
        assert await wire.closed() == (1012, "service restart")


@pytest.mark.slow
async def test_a_peer_that_never_answers_the_close_does_not_hold_the_gateway(tmp_path: Path):
    with trio.fail_after(PATIENCE_S):
        async with open_gateway(tmp_path / "s") as gateway:
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"Sec-WebSocket-Version: 13\r\n\r\n"
            )
            received = b""
            while b"nonce" not in received:
                received += await stream.receive_some()
            params = connect_params(None, token=TOKEN, scopes=READ)
            frame = {"type": "req", "id": "1", "method": "connect", "params": params}
            await stream.send_all(a_frame(json.dumps(frame).encode()))
            while b"hello-ok" not in received:
                received += await stream.receive_some()
    await stream.aclose()


async def test_a_connection_removed_while_it_is_judged_never_sees_a_hello(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    judge = handshake.shake_hands

    async def removed_meanwhile(*arguments: object) -> object:
        outcome = await judge(*arguments)  # type: ignore[arg-type]  # passed on as they came
        session = arguments[2]
        assert isinstance(session, Session)
        session.end(Close(4001, "device removed"))
        return outcome

    monkeypatch.setattr(session_module, "shake_hands", removed_meanwhile)
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        params = connect_params(wire.challenge["nonce"], key=key_of(1), token=TOKEN)
        await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})

        with pytest.raises(ConnectionClosed) as ended:
            await wire.receive()
        assert ended.value.reason is not None
        assert ended.value.reason.code == 4001


async def test_sessions_leave_nothing_behind(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        for number in range(40):
            async with open_wire(gateway.port) as wire:
                key = key_of(1) if number % 2 else None
                assert (await wire.connect(key=key, token=TOKEN, scopes=READ))["ok"]
        await wait_until_gone(gateway)

        assert len(gateway.runtime.pulse) == 0
        assert len(gateway.door.lobby) == 0
        assert gateway.runtime.hub.connected_devices() == set()
        assert not gateway.runtime.hub._by_device


async def test_a_device_removed_in_the_files_loses_its_session_within_a_second(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(key=key_of(1), token=TOKEN))["ok"]
        paired = gateway.state_dir / "devices" / "paired.json"
        paired.write_text("{}")

        async with within(1.5):
            assert await wire.closed() == (4001, "device removed")


async def test_leaving_before_connect_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="gateway")

    async with open_gateway(tmp_path / "s") as gateway:
        async with open_wire(gateway.port):
            pass
        await trio.sleep(0.02)

    assert caplog.records == []


def hold_writer_back(monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Let no session write what is in its outbox before the event returned is set."""
    go, write_out = trio.Event(), session_module._write_out

    async def later(*arguments: Any) -> None:
        await go.wait()
        await write_out(*arguments)

    monkeypatch.setattr(session_module, "_write_out", later)
    return go


async def test_an_answer_never_overtakes_what_waits_in_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    go = hold_writer_back(monkeypatch)
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        params = connect_params(wire.challenge["nonce"], token=TOKEN, scopes=READ)
        await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})
        await wire.send({"type": "req", "id": "2", "method": "health"})
        await trio.sleep(0.1)
        go.set()

        assert [(await wire.receive())["id"] for _ in range(2)] == ["1", "2"]


async def test_nothing_more_is_done_for_a_device_that_is_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[object] = []
    answer = session_module.answer  # type: ignore[attr-defined]  # where it is looked up

    async def watched(*arguments: Any) -> Any:
        done.append(arguments)
        return await answer(*arguments)

    monkeypatch.setattr(session_module, "answer", watched)
    hold_writer_back(monkeypatch)  # as a peer does that reads nothing
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        params = connect_params(wire.challenge["nonce"], token=TOKEN, scopes=READ)
        await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})
        await wait_until(lambda: len(gateway.runtime.hub))
        (session,) = gateway.runtime.hub
        session.end(Close(4001, "device removed"))
        await wire.send({"type": "req", "id": "2", "method": "health"})
        await trio.sleep(0.05)

        assert done == []
        session.cut()
