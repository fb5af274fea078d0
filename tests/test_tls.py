"""A gateway that encrypts: what it shows, whom it lets in, and what it says to those it does not."""

from __future__ import annotations

import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import listener
from tests.patience import within
from tests.pems import Pair, a_pair
from tests.serving import TOKEN, Serving, open_gateway
from tests.test_listener import exchange
from tests.wire import key_of, open_wire

READ = ("operator.read",)


def trusting(cert: Path, *, client: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts one certificate and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cert)
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


def careless() -> ssl.SSLContext:
    """Return a client's context that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def named(pair: Pair, **more: object) -> dict[str, object]:
    """Return a configuration that names certificate and key."""
    tls = {"enabled": True, "certPath": str(pair.cert), "keyPath": str(pair.key)}
    return {"tls": tls | more}


@asynccontextmanager
async def encrypting(folder: Path, **config: object) -> AsyncIterator[tuple[Serving, Path]]:
    """Serve a gateway with the certificate that it makes itself; yields that too."""
    async with open_gateway(folder / "s", {"tls": {"enabled": True}} | config) as gateway:
        yield gateway, gateway.state_dir / "tls" / "gateway-cert.pem"


async def get(port: int, context: ssl.SSLContext, *, address: str = "127.0.0.1") -> bytes:
    """Ask for the health over https and return everything that comes until the goodbye."""
    stream = await trio.open_tcp_stream(address, port)
    line = trio.SSLStream(stream, context, server_hostname=address)
    answer = b""
    with trio.fail_after(15):
        async with stream:
            await line.send_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while chunk := await line.receive_some():
                answer += chunk
    return answer


def lines_about(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    """Return what was logged that has the words in it."""
    return [text for record in caplog.records if words in (text := record.getMessage())]


async def test_a_client_that_trusts_the_certificate_is_served(tmp_path: Path):
    async with encrypting(tmp_path) as (gateway, cert):
        async with open_wire(gateway.port, tls=trusting(cert)) as wire:
            hello = await wire.connect(key=key_of(1), token=TOKEN)

            assert hello["ok"], hello
            assert await wire.result("health")
        assert len(gateway.door.lobby) == 0


async def test_a_peer_of_this_machine_is_local_behind_tls_too(tmp_path: Path):
    async with encrypting(tmp_path) as (gateway, cert):
        async with open_wire(gateway.port, tls=trusting(cert)) as wire:
            assert (await wire.connect(key=key_of(1), token=TOKEN))["ok"]

        (device,) = gateway.store.read().paired.values()
        assert device.device_id == key_of(1).device_id


async def test_a_page_of_the_gateway_itself_has_an_origin_with_https(tmp_path: Path):
    async with encrypting(tmp_path) as (gateway, cert):
        origin = f"https://127.0.0.1:{gateway.port}"
        async with open_wire(gateway.port, tls=trusting(cert), origin=origin) as wire:
            answer = await wire.connect(
                key=key_of(1), token=TOKEN, client_id="openclaw-control-ui", mode="webchat"
            )

            assert answer["ok"], answer


async def test_many_large_frames_arrive_whole(tmp_path: Path):
    async with (
        encrypting(tmp_path) as (gateway, cert),
        open_wire(gateway.port, tls=trusting(cert)) as wire,
    ):
        assert (await wire.connect(key=key_of(1), token=TOKEN))["ok"]
        for _ in range(5):
            answer = await wire.call("no.such.method", {"filler": "x" * 400_000})
            assert answer["ok"] is False


async def test_an_http_answer_ends_with_the_goodbye_of_tls(tmp_path: Path):
    """Without it a strict client takes what it read for cut off; this one raises then."""
    async with encrypting(tmp_path) as (gateway, cert):
        answer = await get(gateway.port, trusting(cert))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.partition(b"\r\n\r\n")[2].startswith(b'{"ok":true,"status":"live",')
    assert answer.endswith(b"}}")


async def test_a_client_that_leaves_without_the_goodbye_of_tls_is_no_crash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, logger="gateway")
    async with encrypting(tmp_path) as (gateway, cert):
        for half_way in (False, True):
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            line = trio.SSLStream(stream, trusting(cert), server_hostname="127.0.0.1")
            await line.do_handshake()
            if half_way:
                await line.send_all(b"GET / HT")
            await stream.aclose()
        assert await get(gateway.port, trusting(cert))

    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("accept", "kind", "words"),
    [
        pytest.param(b"*/*", b"application/json", b"this port speaks TLS: use https", id="program"),
        pytest.param(
            b"text/html,*/*;q=0.8", b"text/html", b"<code>https://a&lt;b&gt;:1/</code>", id="page"
        ),
    ],
)
async def test_plain_http_is_told_that_the_port_speaks_tls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, accept: bytes, kind: bytes, words: bytes
):
    answer = b""
    async with encrypting(tmp_path) as (gateway, _):
        for _ in range(3):
            asked = b"GET / HTTP/1.1\r\nHost: a<b>:1\r\nAccept: " + accept + b"\r\n\r\n"
            answer = await exchange(gateway.port, asked)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: " + kind in answer
    assert words in answer
    (line,) = lines_about(caplog, "speaks plain HTTP to a port with TLS")
    assert "remote=127.0.0.1" in line


async def test_a_plain_websocket_handshake_is_told_the_same(tmp_path: Path):
    async with encrypting(tmp_path) as (gateway, _):
        answer = await exchange(gateway.port, b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")

    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["error"]["type"] == "tls-required"


async def test_tls_to_a_port_without_it_is_told_so_in_clear(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await trio.SSLStream(stream, careless()).do_handshake()
        await stream.aclose()

    assert isinstance(caught.value.__cause__, ssl.SSLError)
    assert caught.value.__cause__.reason == "WRONG_VERSION_NUMBER"


def client_hello() -> bytes:
    """Return the first words of a TLS client."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        careless().wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


async def refused(port: int, context: ssl.SSLContext) -> str:
    """Try to shake hands and read; return what OpenSSL calls the failure."""

    def talk() -> None:
        # Not by Trio's stream, which keeps to itself the alert that says what was wrong.
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
        ):
            line.recv(1)

    with pytest.raises(ssl.SSLError) as caught:
        await trio.to_thread.run_sync(talk)
    return str(caught.value.reason)


async def test_a_client_that_does_not_trust_the_certificate_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with encrypting(tmp_path) as (gateway, _):
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        assert await refused(gateway.port, stranger) == "CERTIFICATE_VERIFY_FAILED"
        await exchange(gateway.port, b"")

    (line,) = lines_about(caplog, "does not trust this gateway's certificate")
    assert "`openclaw gateway fingerprint`" in line


@pytest.mark.parametrize("how", ["half-way", "with-a-goodbye", "at-the-end"])
async def test_a_client_that_hangs_up_at_the_handshake_is_named_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
):
    async with encrypting(tmp_path) as (gateway, cert):
        for _ in range(3):
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            if how == "at-the-end":
                line = trio.SSLStream(stream, trusting(cert), server_hostname="127.0.0.1")
                await line.do_handshake()
            else:
                await stream.send_all(client_hello())
                await stream.receive_some()
                if how == "with-a-goodbye":  # RFC 8446, section 6.1
                    await stream.send_all(b"\x15\x03\x03\x00\x02\x01\x00")
            await stream.aclose()
        await get(gateway.port, trusting(cert))

    (line_in_log,) = lines_about(caplog, "hung up at the TLS handshake")
    assert "remote=127.0.0.1" in line_in_log


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_tls_older_than_1_2_is_refused_with_an_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    old = careless()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")

    async with encrypting(tmp_path) as (gateway, _):
        assert "ALERT_PROTOCOL_VERSION" in await refused(gateway.port, old)

    assert lines_about(caplog, "1.2 is the oldest served")


async def test_a_handshake_that_never_ends_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "HEAD_WITHIN_S", 0.05)
    async with encrypting(tmp_path) as (gateway, _):
        for begun in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
                await stream.send_all(begun)
                async with within(2):
                    assert await stream.receive_some() == b""
        assert len(gateway.door.lobby) == 0


async def test_a_client_that_only_shakes_hands_counts_against_the_budget(tmp_path: Path):
    async with open_gateway(
        tmp_path / "s",
        {"tls": {"enabled": True}},
        env={"OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP": "2"},
    ) as gateway:
        silent = [await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(5)]
        await trio.sleep(0.02)

        assert len(gateway.door.lobby) <= 2
        for stream in silent:
            await stream.aclose()


async def test_with_authorities_only_their_clients_come_in_from_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    authority = a_pair(tmp_path, "authority", authority=True)
    server, guest = a_pair(tmp_path, "server"), a_pair(tmp_path, "guest", by=authority)
    stranger = a_pair(tmp_path, "stranger")
    config = named(server, caPath=str(authority.cert))

    async with open_gateway(tmp_path / "s", config) as gateway:
        here = await get(gateway.port, trusting(server.cert))
        monkeypatch.setattr("gateway.tls._is_loopback", lambda _: False)  # as from another machine
        known = await get(gateway.port, trusting(server.cert, client=guest))
        nobody = await refused(gateway.port, trusting(server.cert))
        unknown = await refused(gateway.port, trusting(server.cert, client=stranger))

    assert here.startswith(b"HTTP/1.1 200")
    assert known.startswith(b"HTTP/1.1 200")
    assert nobody == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert unknown == "TLSV1_ALERT_UNKNOWN_CA"
    assert lines_about(caplog, "showed no certificate, and gateway.tls.caPath asks for one")
    assert lines_about(caplog, "nobody in gateway.tls.caPath vouches for")


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.binary(max_size=200).map(lambda data: b"\x16\x03\x01" + data),
            st.binary(max_size=200).map(
                lambda data: b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4" + data
            ),
            st.binary(max_size=60).map(
                lambda data: b"GET / HTTP/1.1\r\nHost: " + data + b"\r\n\r\n"
            ),
        ),
        min_size=8,
        max_size=8,
    )
)
def test_no_bytes_whatever_crash_an_encrypted_port(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    heads: list[bytes],
):
    async def attack() -> None:
        async with encrypting(tmp_path_factory.mktemp("fuzz")) as (gateway, cert):
            async with open_wire(gateway.port, tls=trusting(cert)) as other:
                assert (await other.connect(token=TOKEN, scopes=READ))["ok"]
                async with trio.open_nursery() as nursery:
                    for data in heads:
                        nursery.start_soon(exchange, gateway.port, data)
                assert await other.result("health")
            assert len(gateway.door.lobby) == 0

    caplog.clear()
    caplog.set_level(logging.DEBUG, logger="gateway")
    trio.run(attack)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_a_client_hello_with_wrong_bytes_in_it_crashes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    data: bytes,
    cut: int,
):
    hello = client_hello()

    async def attack() -> None:
        async with encrypting(tmp_path_factory.mktemp("fuzz")) as (gateway, cert):
            await exchange(gateway.port, hello[:cut] + data + hello[cut + len(data) :])
            assert await get(gateway.port, trusting(cert))

    caplog.clear()
    trio.run(attack)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
