"""The entrance under hostile bytes: whatever arrives, the process lives and others notice nothing."""

from __future__ import annotations

import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import listener
from gateway.listener import contained, split_head
from tests.patience import within
from tests.serving import TOKEN, Serving, open_gateway
from tests.wire import connect_params, open_wire

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def handshake(extra: bytes = b"", **changed: bytes) -> bytes:
    """Return a handshake with a header replaced, or others added."""
    lines = HANDSHAKE.split(b"\r\n")[:-1]
    for name, value in changed.items():
        key = name.replace("_", "-").lower().encode()
        lines = [line for line in lines if not line.lower().startswith(key + b":")]
        lines.append(key + b": " + value)
    return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n"


async def exchange(port: int, data: bytes, *, pieces: int = 0, eof: bool = True) -> bytes:
    """Send raw bytes, perhaps in small pieces, and return all that comes back."""
    answer = b""
    with trio.fail_after(12):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            try:
                if pieces:
                    for start in range(0, len(data), pieces):
                        await stream.send_all(data[start : start + pieces])
                        await trio.lowlevel.checkpoint()
                else:
                    await stream.send_all(data)
                if eof:
                    await stream.send_eof()
                while chunk := await stream.receive_some(65_536):
                    answer += chunk
            except trio.BrokenResourceError:
                pass
    return answer


@asynccontextmanager
async def unharmed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Serving]:
    """Serve a gateway; fail if its log holds a traceback or its other session noticed anything."""
    caplog.set_level(logging.DEBUG, logger="gateway")
    async with open_gateway(tmp_path / "state") as gateway, open_wire(gateway.port) as other:
        assert (await other.connect(token=TOKEN, scopes=("operator.read",)))["ok"]

        yield gateway

        assert await other.result("health")
        assert len(gateway.door.lobby) == 0
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


NASTY = [
    pytest.param(b"\x00" * 100 + b"\r\n\r\n", 400, id="zeros"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="duplicate-host"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no-host"),
    pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", 200, id="lf-only"),
    pytest.param(b"GET / HTTP/1.0\r\n\r\n", 200, id="http-1.0"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, id="obs-fold"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nName : v\r\n\r\n", 400, id="space-before-colon"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\n\r\n", 400, id="no-colon"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", 400, id="empty-name"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, id="bare-cr"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, id="nul-in-value"),
    pytest.param(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="target-not-ascii"),
    pytest.param(b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="absolute-form"),
    pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="two-spaces"),
    pytest.param(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, id="http-9.9"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="http-2-preface"),
    pytest.param(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400, id="empty-lines-first"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a", 400, id="half-a-head-then-eof"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000, 431, id="head-too-large"),
    pytest.param(
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 3000 + b"\r\n", 431, id="many-headers"
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 501, id="odd-encoding"
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, id="negative-length"
    ),
    pytest.param(handshake(host=b"\xff\xfe"), 400, id="host-not-ascii"),
    pytest.param(handshake(host=b"xn--\x80"), 400, id="host-bad-punycode"),
    pytest.param(handshake(host=b"a" * 200), 101, id="host-label-too-long"),
    pytest.param(handshake(connection=b"Upgrade, \xe9"), 400, id="connection-not-ascii"),
    pytest.param(handshake(sec_websocket_protocol=b"\xe9"), 400, id="protocol-not-ascii"),
    pytest.param(handshake(sec_websocket_extensions=b"\xe9"), 400, id="extensions-not-ascii"),
    pytest.param(handshake(sec_websocket_version=b"\xe9"), 426, id="version-not-ascii"),
    pytest.param(handshake(sec_websocket_version=b"12"), 426, id="version-12"),
    pytest.param(handshake(b"Host: again\r\n"), 400, id="handshake-duplicate-host"),
    pytest.param(handshake(upgrade=b"h2c, websocket"), 400, id="two-upgrades"),
    pytest.param(handshake().replace(b"GET", b"POST"), 400, id="handshake-by-post"),
    pytest.param(handshake().replace(b"Sec-WebSocket-Key", b"X-Key"), 400, id="no-key"),
    pytest.param(handshake(connection=b"keep-alive"), 426, id="connection-dropped"),
    pytest.param(handshake(upgrade=b"nothing"), 426, id="upgrade-dropped"),
]


@pytest.mark.parametrize(("data", "status"), NASTY)
async def test_a_malformed_head_is_answered_and_nobody_else_notices(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, status: int
):
    async with unharmed(tmp_path, caplog) as gateway:
        whole = await exchange(gateway.port, data)

        assert whole.startswith(b"HTTP/1.1 %d " % status), whole[:200]


async def test_the_challenge_comes_along_with_the_answer(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            await stream.send_all(handshake())
            answer = await stream.receive_some(65_536)

    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"connect.challenge" in answer


@pytest.mark.slow
@pytest.mark.parametrize(("data", "status"), NASTY)
async def test_a_malformed_head_byte_by_byte_is_answered_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, status: int
):
    async with unharmed(tmp_path, caplog) as gateway:
        split = await exchange(gateway.port, data, pieces=1 if len(data) < 2000 else 700)

        assert split.startswith(b"HTTP/1.1 %d " % status), split[:200]


async def test_a_turned_down_handshake_does_not_wait_for_a_deadline(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway, within(1):
        answer = await exchange(gateway.port, handshake(b"", sec_websocket_version=b"1"))

    assert answer.startswith(b"HTTP/1.1 426")


async def test_silence_is_closed_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with unharmed(tmp_path, caplog) as gateway:
        assert await exchange(gateway.port, b"") == b""


async def test_tls_to_the_plain_port_is_answered_in_clear(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500

    async with unharmed(tmp_path, caplog) as gateway:
        answer = await exchange(gateway.port, hello)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"this port does not speak TLS: use http:// or ws://" in answer


async def test_tls_to_the_plain_port_is_logged_once_for_a_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with unharmed(tmp_path, caplog) as gateway:
        for _ in range(5):
            await exchange(gateway.port, b"\x16\x03\x01\x00\x05hello")

    assert sum("speaks TLS" in record.getMessage() for record in caplog.records) == 1


async def test_requests_sent_at_once_are_one_answer_and_a_close(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    async with unharmed(tmp_path, caplog) as gateway:
        answer = await exchange(gateway.port, one * 50)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.partition(b"\r\n\r\n")[2].startswith(b'{"ok":true,"status":"live",')
    assert answer.endswith(b"}}")


async def test_a_head_that_dribbles_in_is_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "HEAD_WITHIN_S", 0.05)

    async with unharmed(tmp_path, caplog) as gateway:
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            await stream.send_all(b"GET / HT")
            async with within(2):
                assert await stream.receive_some() == b""


async def test_a_reset_in_the_middle_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with unharmed(tmp_path, caplog) as gateway:
        for data in (b"", b"GET /", handshake(), handshake() + b"\x81\xff"):
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            await stream.send_all(data)
            stream.setsockopt(
                trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            await stream.aclose()
        await trio.sleep(0.05)


async def test_more_strangers_than_one_address_may_have_make_room_by_silence(tmp_path: Path):
    environment = {"OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP": "3"}

    async with open_gateway(tmp_path / "state", env=environment) as gateway:
        silent = [await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(2)]
        async with open_wire(gateway.port) as wire:
            for _ in range(6):
                silent.append(await trio.open_tcp_stream("127.0.0.1", gateway.port))
                await trio.sleep(0.01)
                assert len(gateway.door.lobby) <= 3
            async with within(2):
                assert await silent[0].receive_some() == b""
        async with open_wire(gateway.port) as wire:
            assert (await wire.connect(token=TOKEN, scopes=("operator.read",)))["ok"]
        for stream in silent:
            await stream.aclose()


async def test_clients_behind_a_trusted_proxy_have_budgets_of_their_own(tmp_path: Path):
    environment = {"OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP": "1"}
    config: dict[str, object] = {"trustedProxies": ["127.0.0.1"]}

    async with (
        open_gateway(tmp_path / "state", config, env=environment) as gateway,
        open_wire(gateway.port, headers=(("X-Forwarded-For", "203.0.113.1"),)) as one,
        open_wire(gateway.port, headers=(("X-Forwarded-For", "203.0.113.2"),)) as two,
    ):
        assert len(gateway.door.lobby) == 2
        for wire in (one, two):
            answer = await wire.connect(token=TOKEN, scopes=("operator.read",))
            assert answer["ok"]


async def test_a_flood_of_strangers_leaves_admitted_sessions_alone(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(token=TOKEN, scopes=("operator.read",)))["ok"]
        streams = [await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(100)]
        await trio.sleep(0.05)

        assert len(gateway.door.lobby) <= 32
        assert await wire.result("health")
        for stream in streams:
            await stream.aclose()


async def test_what_a_bug_raises_is_logged_and_contained(caplog: pytest.LogCaptureFixture):
    async def broken() -> None:
        raise KeyError("a bug")

    await contained(broken, label="c1")

    (record,) = caplog.records
    assert record.exc_info
    assert "connection crashed" in record.getMessage()


TOKEN_BYTES = st.sampled_from(
    [
        b"GET",
        b"POST",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b":",
        b"Host",
        b"Upgrade",
        b"websocket",
        b"Connection",
        b"Sec-WebSocket-Key",
        b"\xff",
        b"\x00",
        b",",
        b";",
        b"=",
        b'"',
        b"Sec-WebSocket-Version: 13\r\n",
        b"Content-Length: 5\r\n",
        b"\r\n\r\n",
        b"xn--",
    ]
)


@given(st.lists(TOKEN_BYTES | st.binary(max_size=8), max_size=40).map(b"".join))
def test_splitting_any_bytes_gives_a_head_or_none(data: bytes):
    head = split_head(data)

    assert head is None or all(name == name.lower() for name, _ in head.headers)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.lists(
        st.one_of(
            st.lists(TOKEN_BYTES | st.binary(max_size=8), max_size=30).map(b"".join),
            st.lists(TOKEN_BYTES | st.binary(max_size=8), max_size=8)
            .map(b"".join)
            .map(lambda extra: HANDSHAKE + b"X-Fuzz: " + extra + b"\r\n\r\n"),
            st.binary(max_size=60).map(lambda value: handshake(host=value.replace(b"\n", b""))),
            st.binary(max_size=60).map(lambda frames: handshake() + frames),
        ),
        min_size=8,
        max_size=8,
    ),
)
def test_no_bytes_whatever_crash_a_connection(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    heads: list[bytes],
):
    async def attack() -> None:
        async with (
            unharmed(tmp_path_factory.mktemp("fuzz"), caplog) as gateway,
            trio.open_nursery() as nursery,
        ):
            for data in heads:
                nursery.start_soon(exchange, gateway.port, data)

    caplog.clear()
    trio.run(attack)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.binary(max_size=80), min_size=6, max_size=6))
def test_no_frames_whatever_crash_a_session(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    frames: list[bytes],
):
    async def attack() -> None:
        async with (
            unharmed(tmp_path_factory.mktemp("fuzz"), caplog) as gateway,
            trio.open_nursery() as nursery,
        ):
            for data in frames:
                nursery.start_soon(admitted_then, gateway.port, data)

    caplog.clear()
    trio.run(attack)


async def admitted_then(port: int, data: bytes) -> None:
    """Open a session, then send raw bytes instead of frames, and hang up."""
    async with open_wire(port) as wire:
        params = connect_params(wire.challenge["nonce"], token=TOKEN, scopes=("operator.read",))
        await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})
        assert (await wire.answer("1"))["ok"]
        stream = wire.ws._stream  # the raw bytes of a peer that has lost its mind
        await stream.send_all(data)
