"""One WebSocket connection before it is admitted, and how it comes in, over real sockets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from trio_websocket import WebSocketConnection

from gateway import handshake
from gateway import session as session_module
from gateway.protocol.hello import MAX_PAYLOAD_BYTES
from gateway.session import MAX_CONNECT_BYTES, allow_large_messages
from tests.patience import within
from tests.rawframes import READ, a_frame, admitted, send_raw
from tests.serving import TOKEN, open_gateway
from tests.wire import connect_params, open_wire


async def test_the_challenge_comes_at_once_with_a_nonce_and_a_time(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s") as gateway,
        within(0.75),
        open_wire(gateway.port) as one,
        open_wire(gateway.port) as two,
    ):
        assert one.challenge["nonce"] != two.challenge["nonce"]
        assert isinstance(one.challenge["ts"], int)


async def test_who_does_not_connect_in_time_is_told_so(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s", {"handshakeTimeoutMs": 250}) as gateway,
        open_wire(gateway.port) as wire,
    ):
        assert await wire.closed() == (1000, "no connect within 0.25 s")


@pytest.mark.parametrize(
    ("message", "close"),
    [
        pytest.param("no json", (1000, ""), id="not-json"),
        pytest.param(b"\xff\xfe", (1000, ""), id="binary-not-utf-8"),
        pytest.param("", (1000, ""), id="empty"),
        pytest.param("[]", (1008, "invalid request frame"), id="array"),
        pytest.param('{"type":"res"}', (1008, "invalid request frame"), id="response"),
        pytest.param(
            {"type": "req", "id": "", "method": "connect"},
            (1008, "invalid request frame"),
            id="empty-id",
        ),
        pytest.param("[" * 10_000, (1000, ""), id="deep-nesting-cut-short"),
        pytest.param("[" * 10_000 + "]" * 10_000, (1000, ""), id="deep-nesting"),
    ],
)
async def test_a_first_message_that_is_no_request_ends_the_connection(
    tmp_path: Path, message: object, close: tuple[int, str]
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await wire.send(message)

        assert await wire.closed() == close


async def test_a_first_request_other_than_connect_is_answered_and_ended(tmp_path: Path):
    text = "invalid handshake: first request must be connect"

    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        response = await wire.call("health")

        assert response["error"] == {"code": "INVALID_REQUEST", "message": text}
        assert await wire.closed() == (1008, text)


async def test_a_ping_before_connect_is_answered(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        async with within(1):
            await wire.ws.ping()

        await admitted(wire)


async def test_binary_frames_are_read_as_text(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        params = connect_params(wire.challenge["nonce"], token=TOKEN, scopes=READ)
        frame = {"type": "req", "id": "1", "method": "connect", "params": params}
        await wire.send(json.dumps(frame).encode())

        assert (await wire.answer("1"))["ok"]


async def test_text_that_is_not_utf_8_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await send_raw(wire, a_frame(b"\xff\xfe"))

        assert (await wire.closed())[0] == 1007
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([a_frame(b"x" * (MAX_CONNECT_BYTES + 1))], id="one-frame"),
        pytest.param(
            [
                a_frame(b"x" * 40_000, final=False),
                a_frame(b"x" * 40_000, opcode=0, final=False),
            ],
            id="fragments",
        ),
        pytest.param([a_frame(b"x" * 20_000_000)], id="much-more-on-the-way"),
        pytest.param([a_frame(b"x" * (MAX_CONNECT_BYTES + 1)) * 3], id="three-in-a-row"),
    ],
)
async def test_a_first_message_that_is_too_large_is_told_1009(
    tmp_path: Path, parts: list[bytes], caplog: pytest.LogCaptureFixture
):
    async with (
        open_gateway(tmp_path / "s") as gateway,
        open_wire(gateway.port) as wire,
        trio.open_nursery() as nursery,
    ):

        async def send() -> None:
            for part in parts:
                await send_raw(wire, part)

        nursery.start_soon(send)
        async with within(5):
            assert (await wire.closed())[0] == 1009
        nursery.cancel_scope.cancel()
    lines = [record.getMessage() for record in caplog.records]
    assert any("code=1009 reason=message too large" in line for line in lines)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_first_message_of_the_full_size_is_read(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await wire.send('"' + "x" * (MAX_CONNECT_BYTES - 2) + '"')

        assert await wire.closed() == (1008, "invalid request frame")


async def test_compression_is_never_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    offer = (("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),)

    async with (
        open_gateway(tmp_path / "s") as gateway,
        open_wire(gateway.port, headers=offer) as wire,
    ):
        names = [name.lower() for name, _ in wire.ws.handshake_headers]
        assert b"sec-websocket-extensions" not in names

        await send_raw(wire, a_frame(b"\x00" * 10, reserved=0x40))  # RSV1: compressed

        assert (await wire.closed())[0] == 1002
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.slow
async def test_a_bomb_of_many_small_frames_starves_nobody(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s", {"handshakeTimeoutMs": 1000}) as gateway,
        open_wire(gateway.port) as other,
        open_wire(gateway.port) as wire,
    ):
        await admitted(other)
        async with trio.open_nursery() as nursery:

            async def bomb() -> None:
                await send_raw(wire, a_frame(b"", final=False))
                while True:
                    await send_raw(wire, a_frame(b"", opcode=0, final=False) * 1000)

            nursery.start_soon(bomb)
            for _ in range(5):
                async with within(1):
                    await other.result("health")
            assert (await wire.closed())[0] == 1000
            nursery.cancel_scope.cancel()


async def test_frames_before_admission_wait_in_the_socket_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hold, held = trio.Event(), trio.Event()
    judge = handshake.shake_hands

    async def slow(*arguments: object) -> object:
        held.set()
        await hold.wait()
        return await judge(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(session_module, "shake_hands", slow)
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        params = connect_params(wire.challenge["nonce"], token=TOKEN, scopes=READ)
        await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})
        await held.wait()
        with trio.move_on_after(0.2) as stuck:
            while True:
                await send_raw(wire, a_frame(b"[]" + b" " * 60_000))
        hold.set()

        assert stuck.cancelled_caught


async def test_the_library_still_keeps_its_size_limit_where_it_is_changed(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert isinstance(wire.ws, WebSocketConnection)
        assert "_max_message_size" in vars(wire.ws)

        allow_large_messages(wire.ws)

        assert wire.ws._max_message_size == MAX_PAYLOAD_BYTES


async def test_a_ping_into_our_close_is_no_crash(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with (
        open_gateway(tmp_path / "s") as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        received = b""
        while b"nonce" not in received:
            received += await stream.receive_some()
        await stream.send_all(a_frame(b"[]"))
        while b"invalid request frame" not in received:
            received += await stream.receive_some()
        await stream.send_all(a_frame(b"still there?", opcode=9))
        async with within(5):
            while await stream.receive_some():
                pass
    assert [record for record in caplog.records if record.exc_info] == []
