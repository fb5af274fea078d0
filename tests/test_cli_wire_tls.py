"""A gateway that encrypts where none was expected, or does not, and whose certificate it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from cli.client import Presented, call
from cli.failures import Failure, GatewayUnreachableError
from stores.fingerprint import in_pairs
from stores.target import Target, Trust
from tests.peers import (
    IDENTITY,
    FakeGateway,
    listening,
    says,
    silent,
    speaks_tls,
    target_of,
    unreachable,
)

WELL = {"ok": True}
NGINX_400 = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 50\r\n\r\n"
    b"The plain HTTP request was sent to HTTPS port     "
)


def test_tls_where_plain_was_expected_is_a_mismatch(tmp_path: Path):
    serve, _ = speaks_tls(tmp_path, silent)

    with listening(serve) as port:
        error = unreachable(port)

    assert error.how is Failure.TLS
    assert "wss://" in error.problem


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x16", id="tls-alert"),
        pytest.param(NGINX_400, id="nginx-in-words"),
    ],
)
def test_a_tls_server_that_answers_plain_text_is_a_mismatch(answer: bytes):
    with listening(says(answer)) as port:
        error = unreachable(port)

    assert error.how is Failure.TLS


def test_plain_where_tls_was_expected_is_a_mismatch():
    with listening(says(NGINX_400)) as port:
        error = unreachable(port, secure=True)

    assert error.how is Failure.TLS
    assert "ws://" in error.problem


def test_a_self_signed_certificate_serves_on_loopback(tmp_path: Path):
    serve, _ = speaks_tls(tmp_path, FakeGateway(answers={"health": WELL}))

    with listening(serve) as port:
        answer = call(target_of(port, secure=True), Presented(), IDENTITY, "health", timeout_s=5)

    assert answer.payload == WELL


def test_an_untrusted_certificate_elsewhere_is_refused(tmp_path: Path):
    serve, _ = speaks_tls(tmp_path, FakeGateway(answers={"health": WELL}))

    with listening(serve) as port, pytest.raises(GatewayUnreachableError) as caught:
        call(elsewhere(port), Presented(), IDENTITY, "health", timeout_s=5)

    assert caught.value.how is Failure.TLS
    assert "certificate is not trusted" in caught.value.problem


def test_a_pinned_certificate_is_taken_elsewhere(tmp_path: Path):
    serve, fingerprint = speaks_tls(tmp_path, FakeGateway(answers={"health": WELL}))

    with listening(serve) as port:
        answer = call(
            elsewhere(port, pinned=fingerprint), Presented(), IDENTITY, "health", timeout_s=5
        )

    assert answer.payload == WELL


def test_another_certificate_than_the_pinned_one_is_refused(tmp_path: Path):
    serve, fingerprint = speaks_tls(tmp_path, FakeGateway(answers={"health": WELL}))

    with listening(serve) as port, pytest.raises(GatewayUnreachableError) as caught:
        call(elsewhere(port, pinned="0" * 64), Presented(), IDENTITY, "health", timeout_s=5)

    assert caught.value.how is Failure.TLS
    assert in_pairs(fingerprint) in caught.value.problem


def test_silence_instead_of_a_tls_handshake_is_a_timeout():
    with listening(silent) as port:
        error = unreachable(port, secure=True, timeout_s=0.1)

    assert error.how is Failure.TIMEOUT
    assert error.details["waitedFor"] == "the TLS handshake"


def elsewhere(port: int, *, pinned: str | None = None) -> Target:
    """Return a target that is this machine but does not look like it."""
    url = f"wss://gateway.example:{port}"
    return evolve(
        target_of(port), url=url, host="gateway.example", trust=Trust.REMOTE, tls_fingerprint=pinned
    )
