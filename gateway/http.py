"""Plain HTTP on the gateway's port: health, a first page, and clear refusals."""

from __future__ import annotations

from importlib import resources
from typing import Any

import h11
import orjson
import trio

from gateway.door import Door

_COMMON = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
)
_PAGE = (
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-frame-options", b"DENY"),
)
_REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed"}
_REASONS |= {426: b"Upgrade Required", 431: b"Request Header Fields Too Large"}
_REASONS |= {503: b"Service Unavailable"}


async def serve(door: Door, stream: trio.SocketStream, data: bytes, *, lost_upgrade: bool) -> None:
    """Answer one request whose head is in ``data``, then close: nothing here is worth keeping."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        await _send(stream, error.error_status_hint, _error("bad-request", "malformed request"))
        return
    if not isinstance(request, h11.Request):
        await _send(stream, 400, _error("bad-request", "malformed request"))
        return
    status, body, kind, extra = _answer(door, request, lost_upgrade=lost_upgrade)
    with_body = b"" if request.method == b"HEAD" else body
    await _send(stream, status, with_body, kind=kind, extra=extra, length=len(body))


async def refuse_head(stream: trio.SocketStream, *, too_large: bool) -> None:
    """Answer a head that is too large, or no head at all."""
    if too_large:
        await _send(stream, 431, _error("head-too-large", "the request head exceeds 16 KiB"))
    else:
        await _send(stream, 400, _error("bad-request", "malformed request"))


def _answer(
    door: Door, request: h11.Request, *, lost_upgrade: bool
) -> tuple[int, bytes, bytes, tuple[tuple[bytes, bytes], ...]]:
    path = request.target.partition(b"?")[0]
    json_kind = b"application/json"
    if lost_upgrade:
        text = (
            "a WebSocket handshake arrived without its Upgrade header: a proxy on the way drops "
            "it (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            'proxy_set_header Connection "upgrade";)'
        )
        extra = ((b"upgrade", b"websocket"),)
        return 426, _error("upgrade-required", text), json_kind, extra
    report = _REPORTS.get(path)
    known = report is not None or path == b"/"
    if known and request.method not in (b"GET", b"HEAD"):
        text = "only GET and HEAD are answered here"
        return 405, _error("method-not-allowed", text), json_kind, ((b"allow", b"GET, HEAD"),)
    if report is not None:
        status, found = report(door)
        return status, orjson.dumps(found), json_kind, ()
    if path == b"/" or path.startswith(b"/assets/"):
        page = _file(
            "index.html" if path == b"/" else path.removeprefix(b"/assets/").decode("latin-1")
        )
        if page is not None:
            return 200, page[0], page[1], _PAGE
    return 404, _error("not-found", "there is nothing here"), json_kind, ()


def _live(_door: Door) -> tuple[int, dict[str, Any]]:
    return 200, {"ok": True, "status": "live"}


def _started(door: Door) -> tuple[int, dict[str, Any]]:
    version = door.runtime.presence.server_version
    return 200, {"ok": True, "status": "started", "version": version}


def _ready(door: Door) -> tuple[int, dict[str, Any]]:
    """Ready means that devices can be decided about; what fails in detail is in the log."""
    ready = not door.runtime.store.problems
    return (200 if ready else 503), {"ready": ready}


_REPORTS = {
    b"/health": _live,
    b"/healthz": _live,
    b"/startup": _started,
    b"/startupz": _started,
    b"/ready": _ready,
    b"/readyz": _ready,
}

_KINDS = {"html": b"text/html; charset=utf-8", "css": b"text/css; charset=utf-8"}
_files: dict[str, tuple[bytes, bytes]] = {}


def _load_files() -> None:
    for item in resources.files("gateway").joinpath("ui").iterdir():
        kind = _KINDS.get(item.name.rpartition(".")[2])
        if kind is not None:
            _files[item.name] = (item.read_bytes(), kind)


def _file(name: str) -> tuple[bytes, bytes] | None:
    return _files.get(name)


def _error(kind: str, message: str) -> bytes:
    return orjson.dumps({"error": {"type": kind, "message": message}})


async def _send(
    stream: trio.SocketStream,
    status: int,
    body: bytes,
    *,
    kind: bytes = b"application/json",
    extra: tuple[tuple[bytes, bytes], ...] = (),
    length: int | None = None,
) -> None:
    size = len(body) if length is None else length
    headers = [(b"content-type", kind), (b"content-length", b"%d" % size), *_COMMON, *extra]
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Error"))]
    lines += [name + b": " + value for name, value in headers]
    with trio.move_on_after(10):
        await stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n" + body)


_load_files()
