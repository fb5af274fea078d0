"""Refused requests of plain HTTP: for programs and for people, and no word of ours in either."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.listener import split_head
from tests.serving import Serving
from tests.sessions import a_gateway
from tests.test_docs import command_tree, misfit
from tests.test_http import ask

WEBSOCKET = (("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x"))
PAGE = ("Accept", "text/html,application/xhtml+xml")
EVIL = "https://evil.example"
KEPT = "https://kept.example"
CONFIG: dict[str, object] = {
    "controlUi": {"allowedOrigins": [KEPT]},
    "trustedProxies": ["10.9.8.7"],
    "publicOrigin": "https://public.example",
}


def newest(gateway: Serving) -> dict[str, Any]:
    """Return what the ring of refusals keeps of the last one."""
    return gateway.runtime.refusals.listing()[0]


async def test_a_foreign_page_reads_both_values_and_the_command(tmp_path: Path):
    async with a_gateway(tmp_path, CONFIG) as gateway:
        host = f"127.0.0.1:{gateway.port}"
        answer = await ask(gateway.port, "/readyz", headers=(("Origin", EVIL),))
        kept = newest(gateway)

    told: Any = answer.json
    assert (answer.status, told["error"]["type"]) == (403, "origin-not-allowed")
    assert EVIL in told["error"]["message"]
    assert host in told["error"]["message"]
    assert told["details"]["saw"] == {"forwardedFor": None, "host": host, "origin": EVIL}
    remedy = told["details"]["remedy"]
    command = "openclaw config set gateway.controlUi.allowedOrigins"
    assert remedy["command"] == f"{command} '[\"{EVIL}\"]'"
    assert remedy["where"] == "gateway-host"
    assert kept["command"].endswith(f'allowedOrigins \'["{KEPT}", "{EVIL}"]\'')
    assert (kept["httpStatus"], kept["code"]) == (403, "HTTP 403")
    assert kept["saw"]["peer"] == "127.0.0.1"
    for line in (remedy["command"], kept["command"]):
        assert misfit(command_tree(), line.rpartition("openclaw ")[2]) is None


@pytest.mark.parametrize("headers", [(), (PAGE,)], ids=["json", "html"])
@pytest.mark.parametrize(
    ("path", "more"),
    [
        pytest.param("/readyz", (("Origin", EVIL),), id="403"),
        pytest.param("/", WEBSOCKET, id="426"),
        pytest.param("/nothing", (), id="404"),
    ],
)
async def test_a_stranger_reads_nothing_of_ours(tmp_path: Path, path: str, more: Any, headers: Any):
    async with a_gateway(tmp_path, CONFIG) as gateway:
        answer = await ask(gateway.port, path, host="asked.example", headers=(*more, *headers))

    ours = (KEPT, "10.9.8.7", "public.example", str(tmp_path), "127.0.0.1:" + str(gateway.port))
    assert [word for word in ours if word.encode() in answer.body] == []


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        pytest.param("/readyz", (("Origin", EVIL),), 403, id="403"),
        pytest.param("/", WEBSOCKET, 426, id="426"),
        pytest.param("/nothing", (), 404, id="404"),
    ],
)
async def test_a_browser_reads_a_page_that_needs_nothing_else(
    tmp_path: Path, path: str, more: Any, status: int
):
    async with a_gateway(tmp_path) as gateway:
        answer = await ask(gateway.port, path, headers=(*more, PAGE))

    assert answer.status == status
    assert answer.headers[b"content-type"] == b"text/html; charset=utf-8"
    policy = answer.headers[b"content-security-policy"].decode()
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    style = re.search(rb"<style>(.*?)</style>", answer.body)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not re.search(rb"<script|<link|<img|src=|href=|style=", answer.body)
    assert (b"<pre><code>" in answer.body) is (status != 404)


async def test_what_a_client_sent_is_escaped_on_the_page(tmp_path: Path):
    nasty = '"><script>alert(1)</script>'
    async with a_gateway(tmp_path) as gateway:
        headers = (("Origin", EVIL + nasty), ("X-Forwarded-For", nasty), PAGE)
        answer = await ask(gateway.port, "/readyz", host=f"h{nasty}", headers=headers)

    assert answer.status == 403
    assert b"<script" not in answer.body
    assert b"&lt;script&gt;" in answer.body
    assert b"config set" not in answer.body  # it is no origin, so nothing tells to allow it


@pytest.mark.parametrize(
    ("first", "lines", "missing"),
    [
        pytest.param("HTTP/1.1", ("Connection: Upgrade",), ["Upgrade: websocket"], id="upgrade"),
        pytest.param("HTTP/1.1", ("Upgrade: websocket",), ["Connection: Upgrade"], id="connection"),
        pytest.param(
            "HTTP/1.1",
            ("Connection: close",),
            ["Upgrade: websocket", "Connection: Upgrade"],
            id="both",
        ),
        pytest.param(
            "HTTP/1.0", ("Upgrade: websocket", "Connection: Upgrade"), ["HTTP/1.1"], id="old-proxy"
        ),
        pytest.param(
            "HTTP/1.0",
            ("Connection: close",),
            ["HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"],
            id="nginx-as-it-comes",
        ),
    ],
)
async def test_a_lost_upgrade_names_what_is_missing_and_nothing_else(
    tmp_path: Path, first: str, lines: tuple[str, ...], missing: list[str]
):
    async with a_gateway(tmp_path) as gateway:
        host = f"Host: a:{gateway.port}"
        head = "\r\n".join((f"GET / {first}", host, "Sec-WebSocket-Version: 13", *lines, "", ""))
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(head.encode())
            body = b""
            while chunk := await stream.receive_some(65_536):
                body += chunk
        kept = newest(gateway)

    assert body.startswith(b"HTTP/1.1 426 ")
    named = body.partition(b"without ")[2].partition(b": a proxy on the way")[0].decode()
    every = ("Upgrade: websocket", "Connection: Upgrade", "HTTP/1.1")
    assert [name for name in every if name in named] == [name for name in every if name in missing]
    assert b"proxy_set_header Upgrade $http_upgrade;" in body
    assert f"proxy_pass http://127.0.0.1:{gateway.port};".encode() in body
    assert f"reverse_proxy 127.0.0.1:{gateway.port}".encode() in body
    assert kept["code"] == "HTTP 426"
    assert named in kept["sentence"]


@pytest.mark.parametrize(
    ("head", "lost"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a", False, id="plain"),
        pytest.param(b"GET / HTTP/1.0\r\nHost: a", False, id="plain-1.0"),
        pytest.param(b"POST / HTTP/1.1\r\nSec-WebSocket-Key: x", False, id="post"),
        pytest.param(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x", True, id="lost"),
    ],
)
def test_only_a_handshake_can_lose_its_upgrade(head: bytes, lost: bool):
    found = split_head(head)

    assert found is not None
    assert bool(found.lost) is lost


@pytest.mark.parametrize("accept", [b"", b"Accept: text/html\r\n"])
async def test_a_head_that_is_too_large_says_what_it_mostly_is(tmp_path: Path, accept: bytes):
    async with a_gateway(tmp_path) as gateway:
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            head = b"GET / HTTP/1.1\r\nHost: a\r\n" + accept + b"Cookie: " + b"c" * 17_000
            await stream.send_all(head)
            body = b""
            while chunk := await stream.receive_some(65_536):
                body += chunk
        kept = newest(gateway)

    assert body.startswith(b"HTTP/1.1 431 ")
    assert (b"<!doctype html>" in body) is bool(accept)
    assert b"cookies" in body
    assert (kept["code"], kept["saw"]) == (
        "HTTP 431",
        {"peer": "127.0.0.1", "client": "127.0.0.1"},
    )


async def test_where_no_room_can_be_made_the_newcomer_is_told_when_to_come_back(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway:
        gateway.door.lobby.max_waiting = 0
        full = await ask(gateway.port, "/healthz")
        kept = newest(gateway)
        gateway.door.lobby.max_waiting = 10
        free = await ask(gateway.port, "/healthz")

    assert (full.status, full.headers[b"retry-after"]) == (503, b"2")
    told: Any = full.json
    assert told["error"]["type"] == "too-many-connections"
    assert kept["code"] == "HTTP 503"
    assert free.status == 200


async def test_the_same_refusal_again_and_again_is_one_entry(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway:
        for _ in range(5):
            await ask(gateway.port, "/readyz", headers=(("Origin", EVIL),))
        (kept,) = gateway.runtime.refusals.listing()

    assert kept["count"] == 5


@pytest.mark.parametrize("path", ["/healthz", "/", "/nothing"])
async def test_what_is_no_refusal_is_not_kept(tmp_path: Path, path: str):
    async with a_gateway(tmp_path) as gateway:
        await ask(gateway.port, path)

        assert gateway.runtime.refusals.listing() == []
