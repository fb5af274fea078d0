"""Plain HTTP on the gateway's port: health, the page, clear refusals, and who may read data."""

from __future__ import annotations

from pathlib import Path

import h11
import orjson
import pytest
import trio
from attrs import frozen

from gateway.pages import PAGES
from stores.files import ensure_private_dir
from tests.serving import open_gateway

ASSETS = f"/assets/{PAGES.digest}"
ICON, SCRIPT = f"{ASSETS}/icon.svg", f"{ASSETS}/main.js"


@frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = orjson.loads(self.body)
        return found


async def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Send one request and read its answer with another program's parser."""
    client = h11.Connection(h11.CLIENT)
    wanted = [("Host", host or f"127.0.0.1:{port}"), ("Connection", "close"), *headers]
    request = h11.Request(method=method, target=path, headers=wanted)
    data = client.send(request) or b""
    data += client.send(h11.EndOfMessage()) or b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        with trio.fail_after(5):
            while chunk := await stream.receive_some(65_536):
                client.receive_data(chunk)
        client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return Answer(response.status_code, dict(response.headers), body)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        pytest.param("/healthz", {"ok": True, "status": "live"}, id="healthz"),
        pytest.param("/health", {"ok": True, "status": "live"}, id="health"),
        pytest.param("/readyz", {"ready": True}, id="readyz"),
        pytest.param("/ready", {"ready": True}, id="ready"),
        pytest.param("/healthz?verbose=1", {"ok": True, "status": "live"}, id="query"),
    ],
)
async def test_health_is_told_to_everybody(tmp_path: Path, path: str, told: dict[str, object]):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, path, headers=(("X-Forwarded-For", "198.51.100.7"),))

    assert (answer.status, answer.json) == (200, told)
    assert answer.headers[b"cache-control"] == b"no-store"
    assert answer.headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize("path", ["/startup", "/startupz"])
async def test_startup_tells_version_and_age(tmp_path: Path, path: str):
    async with open_gateway(tmp_path / "state") as gateway:
        told = (await ask(gateway.port, path)).json

    assert told["ok"] is True
    assert told["status"] == "started"
    assert isinstance(told["uptimeMs"], int)
    assert told["version"]


async def test_a_store_that_cannot_be_trusted_is_not_ready(tmp_path: Path):
    devices = tmp_path / "state" / "devices"
    ensure_private_dir(devices)
    (devices / "paired.json").write_text("[broken")

    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, "/readyz", headers=(("X-Forwarded-For", "198.51.100.7"),))

    assert (answer.status, answer.json) == (503, {"ready": False})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/startupz", "/", ICON])
async def test_head_is_get_without_the_body(tmp_path: Path, path: str):
    async with open_gateway(tmp_path / "state") as gateway:
        whole = await ask(gateway.port, path)
        head = await ask(gateway.port, path, method="HEAD")

    assert head.body == b""
    assert head.status == whole.status == 200
    assert head.headers.keys() == whole.headers.keys()
    if path not in ("/readyz", "/startupz"):  # their age has grown
        assert head.headers[b"content-length"] == b"%d" % len(whole.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/healthz", "/"])
async def test_other_methods_are_refused(tmp_path: Path, method: str, path: str):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, path, method=method)

    assert answer.status == 405
    assert answer.headers[b"allow"] == b"GET, HEAD"
    assert answer.headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/", b"text/html; charset=utf-8", id="page"),
        pytest.param(ICON, b"image/svg+xml", id="icon"),
        pytest.param(SCRIPT, b"text/javascript; charset=utf-8", id="script"),
    ],
)
async def test_the_page_is_served_with_the_headers_that_guard_it(
    tmp_path: Path, path: str, kind: bytes
):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, path)

    assert answer.status == 200
    assert answer.headers[b"content-type"] == kind
    policy = answer.headers[b"content-security-policy"]
    assert b"default-src 'self'" in policy
    assert b"frame-ancestors 'none'" in policy
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"referrer-policy"] == b"no-referrer"
    assert answer.headers[b"x-frame-options"] == b"DENY"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/nothing", id="unknown"),
        pytest.param("/assets/", id="folder"),
        pytest.param("/assets/base.css", id="asset-without-its-version"),
        pytest.param("/assets/0123456789abcdef/base.css", id="asset-of-another-version"),
        pytest.param(f"{ASSETS}/none.css", id="missing-asset"),
        pytest.param(f"{ASSETS}/index.html", id="page-as-asset"),
        pytest.param(f"{ASSETS}/../http.py", id="dots"),
        pytest.param(f"{ASSETS}/%2e%2e/http.py", id="escaped-dots"),
        pytest.param(f"{ASSETS}//etc/passwd", id="absolute"),
        pytest.param(f"{ASSETS}/..%2f..%2fpyproject.toml", id="escaped-slash"),
        pytest.param(f"{ICON}%00.html", id="nul"),
        pytest.param("//healthz", id="two-slashes"),
        pytest.param("/healthz/", id="trailing-slash"),
    ],
)
async def test_what_is_not_there_is_not_found(tmp_path: Path, path: str):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, path)

    assert answer.status == 404
    assert answer.json["error"]


async def test_a_handshake_whose_upgrade_was_dropped_is_told_what_the_proxy_lost(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, "/", headers=(("Sec-WebSocket-Version", "13"),))

    assert answer.status == 426
    assert answer.headers[b"upgrade"] == b"websocket"
    assert b"proxy_set_header Upgrade" in answer.body


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        pytest.param("https://evil.example", None, 403, id="foreign-page"),
        pytest.param("null", None, 403, id="null"),
        pytest.param("http://evil.example", "evil.example", 403, id="dns-rebinding"),
        pytest.param("http://127.0.0.1:{port}", None, 200, id="own-page"),
        pytest.param("http://localhost:5173", None, 200, id="page-of-this-machine"),
        pytest.param("https://allowed.example", None, 200, id="listed"),
    ],
)
async def test_a_web_page_reads_data_only_if_it_is_allowed(
    tmp_path: Path, origin: str, host: str | None, status: int
):
    config: dict[str, object] = {"controlUi": {"allowedOrigins": ["https://allowed.example"]}}

    async with open_gateway(tmp_path / "state", config) as gateway:
        asked = (("Origin", origin.format(port=gateway.port)),)
        answer = await ask(gateway.port, "/readyz", host=host, headers=asked)

    assert answer.status == status
    if status == 403:
        assert origin.encode() in answer.body
        assert b"gateway.controlUi.allowedOrigins" in answer.body


async def test_an_origin_sent_twice_is_not_read_by_half(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        own = ("Origin", f"http://127.0.0.1:{gateway.port}")
        twice = (own, ("Origin", "https://evil.example"))
        answer = await ask(gateway.port, "/readyz", headers=twice)

    assert answer.status == 403


async def test_the_page_itself_is_served_to_any_page(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, "/", headers=(("Origin", "https://evil.example"),))

    assert answer.status == 200


async def several(port: int, *heads: bytes) -> list[tuple[int, bytes]]:
    """Send requests on one connection, each when the one before was answered; return the answers.

    What follows an answer that ended the connection is not sent.
    """
    answers = []
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(5):
            for head in heads:
                await stream.send_all(head)
                client = h11.Connection(h11.CLIENT)
                client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
                client.send(h11.EndOfMessage())
                body = b""
                response: h11.Response | None = None
                while True:
                    event = client.next_event()
                    if event is h11.NEED_DATA:
                        client.receive_data(await stream.receive_some(65_536))
                    elif isinstance(event, h11.Response):
                        response = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    else:
                        break
                assert response is not None
                answers.append((response.status_code, body))
                if (b"connection", b"close") in response.headers.raw_items():
                    break
    return answers


def head(path: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: a", *lines, "", ""]).encode()


async def test_a_browser_asks_for_several_files_on_one_connection(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        one = await several(gateway.port, head("/"), head(ICON), head("/healthz"), head("/"))
        apart = [(await ask(gateway.port, path)).body for path in ("/", ICON)]
    assert [status for status, _ in one] == [200, 200, 200]  # data ends the connection
    assert [body for _, body in one[:2]] == apart


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(head("/", "Connection: close"), id="asked-to-close"),
        pytest.param(head("/", version="1.0"), id="http-1.0"),
        pytest.param(head("/", "Content-Length: 4"), id="with-a-body"),
        pytest.param(head("/", "Transfer-Encoding: chunked"), id="with-chunks"),
        pytest.param(head("/").replace(b"\r\n", b"\n"), id="lf-only"),
        pytest.param(head("/nothing"), id="not-found"),
        pytest.param(head("/readyz"), id="data"),
        pytest.param(head("/", method="POST"), id="not-allowed"),
    ],
)
async def test_after_anything_else_the_connection_ends(tmp_path: Path, first: bytes):
    async with open_gateway(tmp_path / "state") as gateway:
        answers = await several(gateway.port, first, head("/"))

    assert len(answers) == 1


async def test_two_requests_sent_at_once_are_both_answered(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "state") as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(head(SCRIPT) + head(ICON, "Connection: close"))
        data = b""
        with trio.fail_after(5):
            while chunk := await stream.receive_some(65_536):
                data += chunk

    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert b"text/javascript" in data
    assert b"image/svg+xml" in data


async def test_a_connection_that_is_kept_and_not_used_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.listener.NEXT_REQUEST_WITHIN_S", 0.05)
    async with open_gateway(tmp_path / "state") as gateway:
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(head(ICON))
            with trio.fail_after(5):
                while await stream.receive_some(65_536):
                    pass
        assert len(gateway.door.lobby) == 0


async def test_a_websocket_may_follow_the_page_on_its_connection(tmp_path: Path):
    asks = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    async with (
        open_gateway(tmp_path / "state") as gateway,
        await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream,
    ):
        await stream.send_all(head(ICON) + head("/", *asks, key))
        data = b""
        with trio.fail_after(5):
            while b"connect.challenge" not in data:
                data += await stream.receive_some(65_536)

    assert b"101 Switching Protocols" in data
