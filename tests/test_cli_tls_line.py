"""Which certificate a command accepts, and what it says of every other one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cli import tls_line
from cli.client import Presented, call
from cli.failures import Failure, GatewayUnreachableError
from stores.fingerprint import in_pairs
from stores.target import FLAG, Target, Trust
from tests.peers import IDENTITY, FakeGateway, listening, says, silent, speaks_tls, target_of

WELL = {"ok": True}
ZEROS = "0" * 64


def health(target: Target) -> Any:
    return call(target, Presented(token="T0KEN"), IDENTITY, "health", timeout_s=5).payload


def failing(target: Target) -> GatewayUnreachableError:
    """Return how a call fails; every failure here is one of TLS."""
    with pytest.raises(GatewayUnreachableError) as caught:
        health(target)
    assert caught.value.how is Failure.TLS
    return caught.value


def elsewhere(port: int, **changes: Any) -> Target:
    """Return a target that is this machine but does not look like it."""
    target = evolve(
        target_of(port),
        url=f"wss://gateway.example:{port}",
        host="gateway.example",
        trust=Trust.REMOTE,
    )
    return evolve(target, **changes)


def test_the_pinned_certificate_is_enough(tmp_path: Path):
    serve, fingerprint = speaks_tls(tmp_path, FakeGateway(answers={"health": WELL}))

    with listening(serve) as port:
        assert health(elsewhere(port, tls_fingerprint=fingerprint)) == WELL


@pytest.mark.parametrize("local", [True, False])
def test_the_secret_never_reaches_another_certificate_than_the_pinned_one(
    tmp_path: Path, local: bool
):
    gateway = FakeGateway(answers={"health": WELL})
    serve, _ = speaks_tls(tmp_path, gateway)

    with listening(serve) as port:
        target = target_of(port, secure=True) if local else elsewhere(port)
        failing(evolve(target, tls_fingerprint=ZEROS))

    assert gateway.connects == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"pin_source": "gateway.remote.tlsFingerprint in /s/openclaw.json"},
            "`openclaw config set gateway.remote.tlsFingerprint sha256:{}`",
            id="configuration",
        ),
        pytest.param(
            {"pin_source": FLAG, "trust": Trust.FLAGS}, "`--tls-fingerprint sha256:{}`", id="flag"
        ),
        pytest.param({"pin_source": FLAG}, "`--tls-fingerprint sha256:{}`", id="flag-of-remote"),
    ],
)
def test_a_mismatch_says_both_fingerprints_whose_they_are_and_how_to_pin_anew(
    tmp_path: Path, changes: dict[str, Any], words: str
):
    serve, found = speaks_tls(tmp_path, silent)

    with listening(serve) as port:
        error = failing(elsewhere(port, tls_fingerprint=ZEROS, **changes))

    assert f"has the fingerprint sha256 {in_pairs(found)}" in error.problem
    assert f"{changes['pin_source']} says {in_pairs(ZEROS)}" in error.problem
    assert words.format(found) in str(error.remedy)
    assert "`openclaw gateway fingerprint`" in str(error.remedy)


def test_a_stranger_at_the_port_of_this_machines_gateway_is_called_one(tmp_path: Path):
    serve, _ = speaks_tls(tmp_path, silent)

    with listening(serve) as port:
        target = evolve(target_of(port, secure=True), tls_fingerprint=ZEROS, pin_source="/s/c.pem")
        error = failing(target)

    assert "/s/c.pem says 00:00" in error.problem
    assert "something else may hold the port" in error.problem
    assert error.remedy is None  # who holds the port is said by whoever knows how to look


def test_an_untrusted_certificate_is_shown_so_that_it_can_be_compared_and_pinned(tmp_path: Path):
    serve, found = speaks_tls(tmp_path, silent)

    with listening(serve) as port:
        error = failing(elsewhere(port))

    assert "certificate is not trusted (self-signed certificate)" in error.problem
    assert in_pairs(found) in error.problem
    assert f"tlsFingerprint sha256:{found}`" in str(error.remedy)


def test_an_untrusted_certificate_of_a_server_that_is_gone_by_then_is_only_untrusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tls_line, "certificate_there", lambda _: None)
    serve, _ = speaks_tls(tmp_path, silent)

    with listening(serve) as port:
        error = failing(elsewhere(port))

    assert error.problem.endswith("its certificate is not trusted (self-signed certificate)")


@pytest.mark.parametrize(
    ("trust", "remedy"),
    [
        pytest.param(Trust.LOCAL, None, id="local"),
        pytest.param(Trust.REMOTE, "config set gateway.remote.url ws://", id="remote"),
        pytest.param(Trust.ENVIRONMENT, "export OPENCLAW_GATEWAY_URL=ws://", id="environment"),
        pytest.param(Trust.FLAGS, "--url ws://", id="flag"),
    ],
)
def test_tls_to_a_plain_port_of_this_machine_is_corrected_where_it_was_said(
    trust: Trust, remedy: str | None
):
    with listening(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = failing(evolve(target_of(port, secure=True), trust=trust))

    assert f"does not speak TLS; try ws://127.0.0.1:{port}" in error.problem
    assert error.remedy is None if remedy is None else remedy in str(error.remedy)


def test_tls_to_a_plain_port_elsewhere_never_suggests_plain_text():
    with listening(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = failing(elsewhere(port))

    assert "try ws://" not in str(error)
    assert "config set gateway.tls.enabled true" in str(error.remedy)
    assert f"ssh -N -L {port}:127.0.0.1:{port} gateway.example" in str(error.remedy)


def test_plain_words_to_this_gateways_tls_port_are_corrected_where_they_were_said():
    body = b'{"error":{"type":"tls-required","message":"this port speaks TLS"}}'
    answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    with listening(says(answer)) as port:
        error = failing(evolve(target_of(port), trust=Trust.FLAGS))

    assert f"the port speaks TLS; try wss://127.0.0.1:{port}" in error.problem
    assert f"--url wss://127.0.0.1:{port}" in str(error.remedy)


def test_an_alert_is_passed_on():
    with listening(says(b"\x15\x03\x03\x00\x02\x02\x28")) as port:
        error = failing(target_of(port, secure=True))

    assert "ended the handshake (sslv3 alert handshake failure)" in error.problem


def test_a_port_that_wants_client_certificates_is_named_with_the_way_round(tmp_path: Path):
    pem = tmp_path / "peer.pem"
    serve, fingerprint = speaks_tls(tmp_path, silent, demands=pem)

    with listening(serve) as port:
        error = failing(elsewhere(port, tls_fingerprint=fingerprint))

    assert "asks for a client certificate" in error.problem
    assert f"--url wss://127.0.0.1:{port}" in str(error.remedy)


def test_nothing_is_trusted_by_accident():
    context = tls_line._context(checked=True)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
