"""The five ways in which no gateway answers, on real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import Any

import pytest
from attrs import evolve
from wsproto import events

from cli.client import Presented, call
from cli.failures import Failure, GatewayUnreachableError
from tests.peers import (
    IDENTITY,
    PATIENCE_S,
    FakeGateway,
    Serve,
    WebSocketPeer,
    closed_port,
    listening,
    says,
    silent,
    target_of,
    unreachable,
    upgrades,
)

WELL = {"ok": True}
HTTP_502 = b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 9\r\n\r\nno\x1b[31mit"
HTTP_200_UNTIL_THE_END = b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\n\r\n<html>"
#: RFC 6455 section 5.5.2, of a server.
UNASKED_PING = b"\x89\x00"


def test_a_closed_port_is_refused():
    port = closed_port()

    error = unreachable(port)

    assert error.how is Failure.REFUSED
    assert f"nothing listens at 127.0.0.1:{port}" in error.problem


def test_a_name_that_does_not_exist_is_refused_with_the_reason():
    target = evolve(target_of(1), url="ws://gone.invalid:1", dial_host="gone.invalid")

    with pytest.raises(GatewayUnreachableError) as caught:
        call(target, Presented(), IDENTITY, "health", timeout_s=5)

    assert caught.value.how is Failure.REFUSED
    assert "gone.invalid:1 cannot be reached" in caught.value.problem


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        pytest.param(HTTP_502, 502, "by nginx with HTTP 502: no?[31mit", id="proxy-502"),
        pytest.param(
            HTTP_200_UNTIL_THE_END, 200, "SimpleHTTP/0.6 with HTTP 200 (a web page)", id="200"
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, "with HTTP 204", id="no-body"),
    ],
)
def test_an_http_answer_is_told_with_status_server_and_excerpt(
    answer: bytes, status: int, said: str
):
    with listening(says(answer)) as port:
        error = unreachable(port)

    assert error.how is Failure.HTTP
    assert error.details["httpStatus"] == status
    assert said in error.problem


def test_what_is_not_even_http_is_told_apart():
    with listening(says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as port:
        error = unreachable(port)

    assert error.how is Failure.HTTP
    assert "is not a gateway" in error.problem
    assert error.details["excerpt"].startswith("SSH-2.0")


@pytest.mark.parametrize(
    "hello",
    [
        pytest.param({"type": "event", "event": "connect.challenge", "payload": {}}, id="no-nonce"),
        pytest.param({"type": "event", "event": "connect.challenge"}, id="no-payload"),
    ],
)
def test_a_websocket_server_that_is_no_gateway_is_told_apart(hello: dict[str, Any]):
    with listening(upgrades(lambda peer: peer.send(hello))) as port:
        error = unreachable(port)

    assert error.how is Failure.HTTP
    assert "not a gateway" in error.problem


def test_a_connection_cut_after_the_upgrade_is_dropped():
    with listening(upgrades(lambda peer: None)) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED
    assert "its challenge" in error.problem


def test_a_connection_cut_before_any_answer_is_dropped():
    with listening(lambda connection: None) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED
    assert "the answer to the WebSocket upgrade" in error.problem


def test_a_close_frame_tells_its_code_and_reason():
    with listening(upgrades(lambda peer: peer.close(1013, "gateway starting"))) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED
    assert error.details["closeCode"] == 1013
    assert "code 1013 (gateway starting)" in error.problem


def test_a_goodbye_right_behind_the_welcome_is_told_and_nothing_was_asked():
    def regrets(peer: WebSocketPeer) -> None:
        challenge = {"nonce": "n", "ts": int(time.time() * 1000)}
        peer.send({"type": "event", "event": "connect.challenge", "payload": challenge})
        welcome = {"type": "res", "id": peer.receive()["id"], "ok": True, "payload": WELL}
        in_one_piece = [
            peer.protocol.send(events.TextMessage(json.dumps(welcome))),
            peer.protocol.send(events.Ping()),
            peer.protocol.send(events.CloseConnection(4001, "device removed")),
            UNASKED_PING,
        ]
        peer.connection.sendall(b"".join(in_one_piece))
        silent(peer.connection)

    with listening(upgrades(regrets)) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED
    assert error.details["closeCode"] == 4001
    assert "device removed" in error.problem
    assert not error.asked


def test_a_frame_that_breaks_the_protocol_is_dropped():
    def garble(peer: WebSocketPeer) -> None:
        peer.connection.sendall(b"\xff\xff\xff\xff")

    with listening(upgrades(garble)) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED


@pytest.mark.parametrize(
    ("serve", "waited_for"),
    [
        pytest.param(silent, "the answer to the WebSocket upgrade", id="frozen-process"),
        pytest.param(
            upgrades(lambda peer: silent(peer.connection)), "its challenge", id="challenge"
        ),
    ],
)
def test_silence_is_a_timeout_that_says_what_was_awaited(serve: Serve, waited_for: str):
    with listening(serve) as port:
        started = time.monotonic()
        error = unreachable(port, timeout_s=0.1)

    assert error.how is Failure.TIMEOUT
    assert error.details["waitedFor"] == waited_for
    assert not error.asked
    assert time.monotonic() - started < PATIENCE_S / 2


def test_a_timeout_after_the_request_says_that_it_may_have_been_done():
    class Forgetful(FakeGateway):
        def __call__(self, connection: Any) -> None:
            try:
                super().__call__(connection)
            except KeyError:
                silent(connection)

    with listening(Forgetful()) as port:
        error = unreachable(port, timeout_s=0.2)

    assert error.how is Failure.TIMEOUT
    assert error.asked


def test_a_full_backlog_is_a_timeout_of_the_connection():
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        error = unreachable(port, timeout_s=0.1)

    assert error.how is Failure.TIMEOUT
    assert error.details["waitedFor"] == "the connection"


@pytest.mark.slow
def test_a_peer_that_does_not_read_is_a_timeout():
    def deaf(peer: WebSocketPeer) -> None:
        challenge = {"nonce": "n"}
        peer.send({"type": "event", "event": "connect.challenge", "payload": challenge})
        left.wait(PATIENCE_S)

    left = threading.Event()
    with listening(upgrades(deaf)) as port, pytest.raises(GatewayUnreachableError) as caught:
        call(target_of(port), Presented(token="x" * 12_000_000), IDENTITY, "health", timeout_s=0.2)
    left.set()

    assert caught.value.how is Failure.TIMEOUT


def test_an_answer_in_pieces_is_put_together():
    def in_pieces(peer: WebSocketPeer) -> None:
        for text, last in (('{"type": "event", "ev', False), ('ent": "connect.challenge"}', True)):
            data = peer.protocol.send(events.TextMessage(text, message_finished=last))
            peer.connection.sendall(data)

    with listening(upgrades(in_pieces)) as port:
        error = unreachable(port)

    assert error.how is Failure.HTTP  # the challenge was understood: it has no nonce


def test_an_endless_message_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cli.wire.MAX_MESSAGE_BYTES", 1_000)

    with listening(upgrades(lambda peer: peer.send_text("x" * 1_001))) as port:
        error = unreachable(port)

    assert error.how is Failure.DROPPED
    assert "larger than" in error.problem


def test_no_time_at_all_is_a_timeout():
    with listening(silent) as port:
        assert unreachable(port, timeout_s=0).how is Failure.TIMEOUT


def test_pings_are_answered_and_other_text_is_ignored():
    def chatter(peer: WebSocketPeer) -> None:
        peer.ping()
        peer.send_text("not JSON")
        peer.send_text("[]")
        peer.close(1000)

    with listening(upgrades(chatter)) as port:
        error = unreachable(port)

    assert error.details["closeCode"] == 1000


def test_an_ipv6_address_is_dialled_without_its_brackets():
    target = evolve(target_of(1), url="ws://[::1]:1", host="::1", dial_host="::1")

    with pytest.raises(GatewayUnreachableError) as caught:
        call(target, Presented(), IDENTITY, "health", timeout_s=5)

    assert caught.value.how is Failure.REFUSED


def json_error(message: str) -> bytes:
    body = json.dumps({"error": {"type": "not_found", "message": message}}).encode()
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_the_words_of_a_gateway_are_told_whole():
    message = "the host is not known here; " * 12 + "run \x1b`openclaw config set x y`"

    with listening(says(json_error(message))) as port:
        error = unreachable(port)

    assert error.problem.endswith("was answered with HTTP 403")
    assert error.remedy == message.replace("\x1b", "?")


@pytest.mark.parametrize(
    "body", [b"[]", b'{"error": "no"}', b'{"error": {"type": 1, "message": "x"}}', b"[" * 9999]
)
def test_json_of_something_else_is_an_excerpt(body: bytes):
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with listening(says(answer)) as port:
        error = unreachable(port)

    assert error.remedy is None
    assert f"HTTP 403: {body[:20].decode()}" in error.problem
