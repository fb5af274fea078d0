"""``gateway why`` right after a refusal, on whichever road the client came."""

from __future__ import annotations

import json
import shlex
import socket
import ssl
from collections.abc import Callable
from html import unescape
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key
from tests.scenarios.programs import Gateway, running_gateway

pytestmark = pytest.mark.slow

TOKEN = "the-token-of-this-gateway"


def written(state_dir: Path, *, encrypted: bool) -> Path:
    """Write a configuration and return the state directory."""
    state_dir.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}, "tls": {"enabled": encrypted}}
    state_dir.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return state_dir


def ask(port: int, **headers: str) -> tuple[int, str, str]:
    """Send one plain request; return status, content type and body of the answer, unescaped."""
    wire = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        wire.request("GET", "/readyz", headers=named)
        answer = wire.getresponse()
        kind = answer.getheader("content-type") or ""
        return answer.status, kind, unescape(answer.read().decode())
    finally:
        wire.close()


def by_websocket(gateway: Gateway) -> None:
    knock(gateway.port, key=new_key(), token=TOKEN, scopes=READ, headers=FROM_AFAR)


def by_foreign_page(gateway: Gateway) -> None:
    ask(gateway.port, Origin="https://ui.example")


def by_proxy_that_drops(gateway: Gateway) -> None:
    ask(gateway.port, Sec_WebSocket_Version="13")


def by_tls(gateway: Gateway) -> None:
    """Speak TLS and believe no certificate but those that authorities signed."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


Road = Callable[[Gateway], None]


@pytest.mark.parametrize(
    ("road", "encrypted", "answer", "command"),
    [
        pytest.param(by_websocket, False, "pairing required: ", "devices approve ", id="ws"),
        pytest.param(
            by_foreign_page,
            False,
            "HTTP 403: origin-not-allowed",
            "config set gateway.controlUi.allowedOrigins ",
            id="http-403",
        ),
        pytest.param(by_proxy_that_drops, False, "HTTP 426: upgrade-required", None, id="http-426"),
        pytest.param(
            by_proxy_that_drops,
            True,
            "speaks plain HTTP to a port with TLS [tls]",
            "gateway fingerprint",
            id="plain-to-tls",
        ),
        pytest.param(
            by_tls,
            False,
            "speaks TLS to a port without TLS [tls]",
            "config set gateway.tls.enabled true",
            id="tls-to-plain",
        ),
        pytest.param(
            by_tls,
            True,
            "no TLS handshake: the client does not trust this gateway's certificate",
            "gateway fingerprint",
            id="untrusted-certificate",
        ),
    ],
)
def test_why_tells_the_refusal_of_a_moment_ago(
    tmp_path: Path, road: Road, *, encrypted: bool, answer: str, command: str | None
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", encrypted=encrypted)
    with running_gateway(state_dir) as gateway:
        road(gateway)
        told = gateway.openclaw("gateway", "why")
        entry = gateway.openclaw("gateway", "why", "--json").json["refusal"]
        by_method = gateway.openclaw("gateway", "call", "gateway.refusals.list", "--json")
        words = shlex.split(str(entry.get("command") or "").partition(" openclaw ")[2])
        pasted = gateway.openclaw(*words) if words else None

    assert told.code == 0, told
    assert answer in told.out.splitlines()[1]
    assert "peer            127.0.0.1" in told.out
    assert "\nWhy\n  " in told.out
    assert entry["saw"]["client"] == "127.0.0.1"
    assert by_method.code == 0, by_method
    assert by_method.json["refusals"][0]["connId"] == entry["connId"]
    if command is None:
        assert "command" not in entry
    else:
        assert f" openclaw {command}" in entry["command"]
        assert told.out.splitlines()[-1].strip() == entry["command"]
        assert pasted is not None
        assert pasted.code == 0, pasted
    assert TOKEN not in told.out


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        pytest.param(
            {"Origin": "https://ui.example"},
            403,
            ("https://ui.example", "127.0.0.1:{port}", "openclaw config set gateway.controlUi."),
            id="403",
        ),
        pytest.param(
            {"Sec_WebSocket_Version": "13"},
            426,
            ("`Upgrade: websocket`", "proxy_set_header Upgrade $http_upgrade;", "reverse_proxy"),
            id="426",
        ),
    ],
)
def test_a_browser_reads_the_same_as_a_page(
    tmp_path: Path, headers: dict[str, str], status: int, words: tuple[str, ...]
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", encrypted=False)
    with running_gateway(state_dir) as gateway:
        found, kind, page = ask(gateway.port, Accept="text/html,*/*;q=0.8", **headers)
        _, plain, body = ask(gateway.port, Accept="*/*", **headers)
        why = gateway.openclaw("gateway", "why", "--json").json["refusal"]

    assert (found, kind.partition(";")[0]) == (status, "text/html")
    for said in words:
        assert said.format(port=gateway.port) in page
        assert said.format(port=gateway.port) in body
    assert plain == "application/json"
    assert why["httpStatus"] == status
    assert "<script" not in page
