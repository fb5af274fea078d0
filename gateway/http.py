"""Plain HTTP on the gateway's port: health, a first page, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h11
import orjson
import trio

from gateway.door import Door, Visit
from gateway.policy.origin import judge_origin

Answer = tuple[int, bytes, bytes, tuple[tuple[bytes, bytes], ...]]

_JSON = b"application/json"
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
_REASONS = {200: b"OK", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found"}
_REASONS |= {405: b"Method Not Allowed", 426: b"Upgrade Required"}
_REASONS |= {431: b"Request Header Fields Too Large", 501: b"Not Implemented"}
_REASONS |= {503: b"Service Unavailable"}

#: A peer that does not take its answer within this is not waited for.
SEND_WITHIN_S = 10.0


async def serve(
    door: Door, visit: Visit, stream: trio.SocketStream, data: bytes, *, lost_upgrade: bool
) -> None:
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
    status, body, kind, extra = _answer(door, visit, request, lost_upgrade=lost_upgrade)
    with_body = b"" if request.method == b"HEAD" else body
    await _send(stream, status, with_body, kind=kind, extra=extra, length=len(body))


async def refuse_head(stream: trio.SocketStream, *, too_large: bool) -> None:
    """Answer a head that is too large, or no head at all."""
    if too_large:
        await _send(stream, 431, _error("head-too-large", "the request head exceeds 16 KiB"))
    else:
        await _send(stream, 400, _error("bad-request", "malformed request"))


def _answer(door: Door, visit: Visit, request: h11.Request, *, lost_upgrade: bool) -> Answer:
    path = request.target.partition(b"?")[0]
    if lost_upgrade:
        text = (
            "a WebSocket handshake arrived without its Upgrade or Connection header: a proxy on "
            "the way drops it (nginx: proxy_http_version 1.1; proxy_set_header Upgrade "
            '$http_upgrade; proxy_set_header Connection "upgrade";)'
        )
        asked = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
        return 426, _error("upgrade-required", text), _JSON, asked
    report = _REPORTS.get(path)
    page = _file(path) if report is None else None
    if report is None and page is None:
        return 404, _error("not-found", "there is nothing here"), _JSON, ()
    if request.method not in (b"GET", b"HEAD"):
        text = "only GET and HEAD are answered here"
        return 405, _error("method-not-allowed", text), _JSON, ((b"allow", b"GET, HEAD"),)
    if page is not None:
        return 200, page[0], page[1], _PAGE
    assert report is not None
    if visit.origin is not None and not _origin_allowed(door, visit):
        text = (
            f"pages of {visit.origin} may not read this under the host {visit.host}: allow the "
            "origin in gateway.controlUi.allowedOrigins"
        )
        return 403, _error("origin-not-allowed", text), _JSON, ()
    status, found = report(door)
    return status, orjson.dumps(found), _JSON, ()


def _origin_allowed(door: Door, visit: Visit) -> bool:
    """Tell whether a web page may read data; the Host counts too, against DNS rebinding."""
    return judge_origin(
        visit.origin,
        visit.host,
        client_id="",
        client_mode="",
        allowed_origins=visit.settings.allowed_origins,
        public_origin=visit.settings.public_origin,
        machine_names=door.runtime.machine_names,
        peer_is_loopback=visit.address.direct_loopback,
    ).allowed


def _live(_door: Door) -> tuple[int, dict[str, Any]]:
    return 200, {"ok": True, "status": "live"}


def _started(door: Door) -> tuple[int, dict[str, Any]]:
    runtime = door.runtime
    known = {"version": runtime.presence.server_version, "uptimeMs": runtime.uptime_ms}
    return 200, {"ok": True, "status": "started"} | known


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
_UI = Path(__file__).with_name("ui")
_files: dict[bytes, tuple[bytes, bytes]] = {}


def _load_files() -> None:
    # All of them once: what is served can then never depend on what a path in a request says.
    for item in _UI.iterdir():
        kind = _KINDS.get(item.suffix[1:])
        if kind is not None:
            name = b"/" if item.name == "index.html" else b"/assets/" + item.name.encode()
            _files[name] = (item.read_bytes(), kind)


def _file(path: bytes) -> tuple[bytes, bytes] | None:
    return _files.get(path)


def _error(kind: str, message: str) -> bytes:
    return orjson.dumps({"error": {"type": kind, "message": message}})


async def _send(
    stream: trio.SocketStream,
    status: int,
    body: bytes,
    *,
    kind: bytes = _JSON,
    extra: tuple[tuple[bytes, bytes], ...] = (),
    length: int | None = None,
) -> None:
    size = len(body) if length is None else length
    own = dict(extra)
    headers = [(b"content-type", kind), (b"content-length", b"%d" % size)]
    headers += [(name, value) for name, value in _COMMON if name not in own]
    headers += extra
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Error"))]
    lines += [name + b": " + value for name, value in headers]
    with trio.move_on_after(SEND_WITHIN_S):
        await stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n" + body)


_load_files()
