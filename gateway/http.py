"""Plain HTTP on the gateway's port: health, the Control UI, and clear refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h11
import trio
from attrs import evolve

from gateway import http_refusals as refusals
from gateway.door import Door, Visit
from gateway.pages import PAGES, PageFacts, below
from gateway.policy.origin import judge_origin
from gateway.protocol.close import Close
from gateway.refusal_page import PAGE_HEADERS, HttpRefusal
from gateway.reports import REPORTS, Denied

Headers = tuple[tuple[bytes, bytes], ...]
Answer = tuple[int, bytes, bytes, Headers]

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_COMMON = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden"}
_REASONS |= {304: b"Not Modified", 308: b"Permanent Redirect"}
_REASONS |= {404: b"Not Found", 429: b"Too Many Requests"}
_REASONS |= {405: b"Method Not Allowed", 426: b"Upgrade Required"}
_REASONS |= {431: b"Request Header Fields Too Large", 501: b"Not Implemented"}
_REASONS |= {503: b"Service Unavailable"}

#: How long a connection that there is no room for may take to say what it wants.
NO_ROOM_READS_S = 0.2

#: A peer that does not take its answer within this is not waited for.
SEND_WITHIN_S = 10.0


async def serve(
    door: Door,
    visit: Visit,
    stream: trio.abc.SendStream,
    data: bytes,
    *,
    lost: Sequence[str] = (),
) -> bool:
    """Answer one request whose head is in ``data``; tell whether another may follow it.

    A browser asks for the page's files one after the other and would shake hands for each anew;
    for anything else the connection is not worth keeping.

    Args:
        lost: What a WebSocket handshake lacks to be one; empty for any other request.
    """
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        await _send(stream, error.error_status_hint, refusals.BAD_REQUEST.to_json())
        return False
    if not isinstance(request, h11.Request):
        await refuse_head(stream)
        return False
    status, body, kind, extra = await _answer(door, visit, request, lost)
    with_body = b"" if request.method == b"HEAD" else body
    # Where two parsers could see different ends of this head, nothing follows it.
    plain = not connection.trailing_data[0] and data.count(b"\n") == data.count(b"\r\n")
    kept = plain and any(name == b"etag" for name, _ in extra) and _may_follow(request)
    size = len(body)
    sent = await _send(stream, status, with_body, kind=kind, extra=extra, length=size, kept=kept)
    return kept and sent


def _may_follow(request: h11.Request) -> bool:
    """Tell whether a client reads on here after its answer (RFC 9112, section 9.3)."""
    names = {name for name, _ in request.headers}
    closes = b"close" in b",".join(v.lower() for n, v in request.headers if n == b"connection")
    has_body = b"content-length" in names or b"transfer-encoding" in names
    return request.http_version == b"1.1" and not closes and not has_body


async def refuse_head(stream: trio.abc.SendStream) -> None:
    """Answer what is no head of a request."""
    await _send(stream, 400, refusals.BAD_REQUEST.to_json())


async def refuse_large_head(
    door: Door, visit: Visit, stream: trio.abc.SendStream, data: bytes
) -> None:
    """Answer a head that is too large to be read, of which ``data`` is the beginning."""
    _tell(door, visit, refusals.HEAD_TOO_LARGE)
    readable = b"text/html" in data.lower()
    status, body, kind, extra = _refused(refusals.HEAD_TOO_LARGE, as_page=readable)
    await _send(stream, status, body, kind=kind, extra=extra)


async def turn_away(door: Door, visit: Visit, stream: trio.SocketStream) -> None:
    """Answer a connection that there is no room for, without a look at what it wants."""
    _tell(door, visit, refusals.NO_ROOM)
    with trio.move_on_after(NO_ROOM_READS_S):
        # Closing with its request unread would reset the connection, and take the answer along.
        await stream.receive_some(65_536)
    await _send(stream, 503, refusals.NO_ROOM.to_json(), extra=((b"retry-after", b"2"),))


def _tell(door: Door, visit: Visit, refusal: HttpRefusal) -> None:
    """Log a refusal and keep it for those who ask why."""
    words = door.runtime.words
    command = f"{words.local} {refusal.command_in_full}" if refusal.command_in_full else None
    about: dict[str, Any] = {"code": f"HTTP {refusal.status}", "httpStatus": refusal.status}
    if refusal.seen is None:  # the head was not read, so nothing is known but the socket
        about["saw"] = {"peer": str(visit.address.peer), "client": str(visit.address.client)}
    door.tell_refusal(
        visit,
        Close(refusal.status, refusal.kind),
        sentence=f"{refusal.message[:1].upper()}{refusal.message[1:]}. {refusal.sentence}",
        command=command,
        about=about,
    )


def _refused(refusal: HttpRefusal, *, as_page: bool, extra: Headers = ()) -> Answer:
    if as_page:
        return refusal.status, refusal.to_html(), _HTML, (*PAGE_HEADERS, *extra)
    return refusal.status, refusal.to_json(), _JSON, extra


def _reads_pages(request: h11.Request) -> bool:
    """Tell whether a browser asks for something to show, rather than a program for data."""
    accepted = (value for name, value in request.headers if name == b"accept")
    return any(b"text/html" in value.lower() for value in accepted)


async def _answer(door: Door, visit: Visit, request: h11.Request, lost: Sequence[str]) -> Answer:
    path, _, query = request.target.partition(b"?")
    as_page = _reads_pages(request)
    if lost:
        refusal = refusals.lost_upgrade(visit, lost)
        _tell(door, visit, refusal)
        asked = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
        return _refused(refusal, as_page=as_page, extra=asked)
    text = below(visit.settings.page.base_path, path.decode("latin-1"))
    if text is None:
        # Relative, and so right behind a proxy too, whatever it puts in front.
        where = path.rpartition(b"/")[2] + b"/" + (b"?" + query if query else b"")
        return 308, b"", _HTML, ((b"location", where),)
    report = REPORTS.get(text.encode("latin-1"))
    page = _page(door, visit, request, text) if report is None else None
    if report is None and page is None:
        return _refused(_not_there(visit, text), as_page=as_page)
    if request.method not in (b"GET", b"HEAD"):
        allowed = ((b"allow", b"GET, HEAD"),)
        return _refused(refusals.NOT_ALLOWED, as_page=as_page, extra=allowed)
    if page is not None:
        return page
    assert report is not None
    if visit.origin is not None and not _origin_allowed(door, visit):
        refusal = refusals.origin_not_allowed(visit)
        _tell(door, visit, refusal)
        return _refused(refusal, as_page=as_page)
    found = await report(door, visit, request)
    if isinstance(found, Denied):
        _tell(door, visit, found.refusal)
        return _refused(found.refusal, as_page=as_page, extra=found.headers)
    return found.status, found.body, found.kind, ()


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


def _page(door: Door, visit: Visit, request: h11.Request, path: str) -> Answer | None:
    """Return the answer for a path of the Control UI, None for any other."""
    settings = visit.settings.page
    if not settings.enabled:
        return None
    if path in _PAGE_PATHS:
        served = PAGES.page(PageFacts(settings.allow_plain_http, door.runtime.port))
    else:
        found = PAGES.file(path)
        if found is None:
            return None
        served = found
    known = b", ".join(v for n, v in request.headers if n == b"if-none-match") or None
    accepts = b", ".join(v for n, v in request.headers if n == b"accept-encoding")
    return served.answer(known=known, accepts=accepts)


_PAGE_PATHS = frozenset({"/", "/index.html"})


def _not_there(visit: Visit, path: str) -> HttpRefusal:
    page = visit.settings.page
    if not page.enabled:
        return refusals.NO_PAGE if path in _PAGE_PATHS else refusals.NOT_FOUND
    # Whoever stands before an address of earlier is led to the one of now, which is no secret.
    where = f"The Control UI of this gateway is at {page.base_path.rstrip('/')}/ of its address."
    return evolve(refusals.NOT_FOUND, sentence=where)


async def _send(
    stream: trio.abc.SendStream,
    status: int,
    body: bytes,
    *,
    kind: bytes = _JSON,
    extra: Headers = (),
    length: int | None = None,
    kept: bool = False,
) -> bool:
    """Send an answer; tell whether the peer took all of it in time."""
    size = len(body) if length is None else length
    own = dict(extra)
    headers = [(b"connection", b"keep-alive" if kept else b"close")]
    if status != 304:
        headers += [(b"content-type", kind), (b"content-length", b"%d" % size)]
    headers += [(name, value) for name, value in _COMMON if name not in own]
    headers += extra
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Error"))]
    lines += [name + b": " + value for name, value in headers]
    with trio.move_on_after(SEND_WITHIN_S) as patience:
        await stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return not patience.cancelled_caught
