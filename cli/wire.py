"""A WebSocket to a gateway over a blocking socket, which tells exactly how it failed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import wsproto
from attrs import define, field
from wsproto import events
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from cli import tls_line
from cli.failures import Failure, GatewayUnreachableError

if TYPE_CHECKING:
    from stores.target import Target

READ_BYTES = 65_536
#: Protocol fact: no published gateway sends a larger message.
MAX_MESSAGE_BYTES = 26_214_400
EXCERPT_CHARACTERS = 160
#: Of a sentence of the gateway itself, which a cut would rob of its end: the command to type.
MESSAGE_CHARACTERS = 1_000
#: For the goodbye.
COURTESY_S = 0.3
#: A Ctrl-C that comes right before a blocking call is heard when the call ends.
SLICE_S = 0.25


def _marked(wire: Wire, _: object, waiting_for: str) -> str:
    wire.marks[waiting_for] = time.monotonic()
    return waiting_for


@define(eq=False)
class Wire:
    """An open WebSocket; every step counts against one deadline.

    Args:
        waiting_for: What is awaited, for the message of a timeout.
        asked: Whether the request itself has been sent.
        marks: Since when each thing was awaited, monotonic; theirs who open the wire.
        headers: More headers for the upgrade.
    """

    target: Target
    deadline: float
    waiting_for: str = field(default="the connection", on_setattr=_marked)
    asked: bool = False
    marks: dict[str, float] = field(factory=dict)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    _socket: socket.socket = field(init=False)
    _protocol: wsproto.WSConnection = field(init=False)
    _first: bytes = b""
    _parts: list[str] = field(factory=list)
    _held: int = 0
    _messages: list[str] = field(factory=list)
    _goodbye: events.CloseConnection | None = None

    @classmethod
    def open(
        cls,
        target: Target,
        *,
        deadline: float,
        marks: dict[str, float] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Self:
        """Connect and upgrade.

        Raises:
            GatewayUnreachableError: in one of the five ways.
        """
        wire = cls(target, deadline, marks={} if marks is None else marks, headers=headers)
        wire._dial()
        try:
            if target.secure:
                wire._encrypt()
            wire._upgrade()
        except BaseException:
            wire._socket.close()
            raise
        return wire

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError, LocalProtocolError):
            self._socket.settimeout(COURTESY_S)
            self._socket.sendall(self._protocol.send(events.CloseConnection(code=1000)))
        self._socket.close()

    def send(self, text: str) -> None:
        """Send one message, unless the other side said goodbye: `receive` tells what it said."""
        if self._goodbye is not None:
            self.asked = False
            return
        self._write(self._protocol.send(events.TextMessage(text)))

    def receive(self) -> str:
        """Return the next message.

        Raises:
            GatewayUnreachableError: the connection ended, or the deadline passed.
        """
        while not self._messages:
            if self._goodbye is not None:
                raise self._closed(self._goodbye)
            self._take(self._read())
        return self._messages.pop(0)

    def _dial(self) -> None:
        self.waiting_for = "the connection"
        address = (self.target.dial_host, self.target.port)
        try:
            self._socket = socket.create_connection(address, timeout=self._left_s())
        except TimeoutError as error:
            raise self._timeout() from error
        except ConnectionRefusedError as error:
            raise GatewayUnreachableError(
                Failure.REFUSED, f"nothing listens at {self._place} (connection refused)"
            ) from error
        except OSError as error:
            # no route, no such name: nothing was there to drop or to answer
            why = error.strerror or str(error)
            raise GatewayUnreachableError(
                Failure.REFUSED, f"{self._place} cannot be reached ({why})"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _encrypt(self) -> None:
        self.waiting_for = "the TLS handshake"
        try:
            self._socket.settimeout(self._left_s())
            self._socket = tls_line.encrypt(self._socket, self.target)
        except TimeoutError as error:
            raise self._timeout() from error

    def _upgrade(self) -> None:
        self.waiting_for = "the answer to the WebSocket upgrade"
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        parts = urlsplit(self.target.url)
        more = [(name.encode(), value.encode()) for name, value in self.headers]
        opening = events.Request(host=parts.netloc, target=parts.path or "/", extra_headers=more)
        self._write(self._protocol.send(opening))
        rejection: events.RejectConnection | None = None
        body = b""
        while True:
            try:
                self._feed(self._read())
            except GatewayUnreachableError:
                if rejection is None:
                    raise
                raise self._rejected(rejection, body) from None  # a body that ends with the wire
            for event in self._protocol.events():
                if isinstance(event, events.AcceptConnection):
                    self._take(b"")
                    return
                if isinstance(event, events.RejectConnection):
                    rejection = event
                elif isinstance(event, events.RejectData):
                    body += event.data
                if rejection is not None and (
                    not rejection.has_body
                    or len(body) > READ_BYTES
                    or (isinstance(event, events.RejectData) and event.body_finished)
                ):
                    raise self._rejected(rejection, body)

    def _feed(self, data: bytes) -> None:
        """Give the parser what came before the upgrade was answered."""
        self._first = (self._first + data)[:EXCERPT_CHARACTERS]
        try:
            self._protocol.receive_data(data)
        except RemoteProtocolError as error:
            if self._first.startswith(tls_line.TLS_RECORDS):
                raise tls_line.speaks_tls(self.target) from error
            raise GatewayUnreachableError(
                Failure.HTTP,
                f"what listens at {self._place} is not a gateway: it answered the WebSocket "
                "upgrade with something else",
                details={"excerpt": _excerpt(self._first)},
            ) from error

    def _take(self, data: bytes) -> None:
        """Give the parser what came after it, and keep whole messages."""
        if data:
            self._protocol.receive_data(data)
        for event in self._protocol.events():
            self._take_event(event)

    def _take_event(self, event: events.Event) -> None:
        if isinstance(event, events.TextMessage):
            self._parts.append(event.data)
            self._held += len(event.data)
            if self._held > MAX_MESSAGE_BYTES:
                raise self._dropped("it sent a message larger than 25 MiB")
            if event.message_finished:
                self._messages.append("".join(self._parts))
                self._parts, self._held = [], 0
        elif isinstance(event, events.Ping) and self._goodbye is None:
            self._write(self._protocol.send(event.response()))
        elif isinstance(event, events.CloseConnection):
            self._goodbye = event  # what it said before is read first

    def _read(self) -> bytes:
        try:
            data = self._receive_some()
        except TimeoutError as error:
            raise self._timeout() from error
        except ssl.SSLError as error:
            raise tls_line.broke(self.target, error) from error
        except OSError as error:
            data, why = b"", error.strerror or str(error)
        else:
            why = "it ended without a close frame"
        if data:
            return data
        if self._first or self.target.secure or not self._upgrading:
            raise self._dropped(why)
        self._socket.close()  # a server that takes one client at a time waits for it
        if tls_line.certificate_there(self.target) is not None:
            raise tls_line.speaks_tls(self.target)
        raise self._dropped(why)

    def _receive_some(self) -> bytes:
        while True:
            left_s = self._left_s()
            self._socket.settimeout(min(left_s, SLICE_S))
            try:
                return self._socket.recv(READ_BYTES)
            except TimeoutError:
                if left_s <= SLICE_S:
                    raise

    @property
    def _upgrading(self) -> bool:
        return self._protocol.state is wsproto.connection.ConnectionState.CONNECTING

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left_s())
            self._socket.sendall(data)
        except TimeoutError as error:
            raise self._timeout() from error
        except OSError:
            return  # what the other side said before it went is still to be read

    def _left_s(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._timeout()
        return left

    @property
    def _place(self) -> str:
        return urlsplit(self.target.url).netloc

    def _timeout(self) -> GatewayUnreachableError:
        return GatewayUnreachableError(
            Failure.TIMEOUT,
            f"{self._place} did not answer in time (waited for {self.waiting_for})",
            details={"waitedFor": self.waiting_for},
            asked=self.asked,
        )

    def _dropped(self, why: str, **details: object) -> GatewayUnreachableError:
        return GatewayUnreachableError(
            Failure.DROPPED,
            f"{self._place} dropped the connection while this command waited for "
            f"{self.waiting_for}: {why}",
            details=details | {"waitedFor": self.waiting_for},
            asked=self.asked,
        )

    def _closed(self, goodbye: events.CloseConnection) -> GatewayUnreachableError:
        reason = _excerpt((goodbye.reason or "").encode())
        why = f"it closed it with code {int(goodbye.code)}" + (f" ({reason})" if reason else "")
        return self._dropped(why, closeCode=int(goodbye.code), closeReason=reason)

    def _rejected(self, event: events.RejectConnection, body: bytes) -> GatewayUnreachableError:
        if event.status_code == 400 and tls_line.wants_tls(body):
            return tls_line.speaks_tls(self.target)
        status, server, excerpt = event.status_code, _header(event, b"server"), _excerpt(body)
        details: dict[str, object] = {"httpStatus": status, "excerpt": excerpt}
        if server:
            details["server"] = server
        refusal = _own_details(body)
        if refusal:
            details["refusal"] = refusal
        by = f" by {server}" if server else ""
        told = _own_words(body)
        said = f": {excerpt}" if excerpt and told is None else ""
        if is_web_page(excerpt):  # its first tags tell nobody anything
            said = " (a web page)"
        return GatewayUnreachableError(
            Failure.HTTP,
            f"the WebSocket upgrade at {self._place} was answered{by} with HTTP {status}{said}",
            remedy=told,
            details=details,
        )


def is_web_page(excerpt: str) -> bool:
    """Tell whether a body begins as HTML does."""
    return excerpt.lstrip().lower().startswith(("<!doctype", "<html"))


def _header(event: events.RejectConnection, name: bytes) -> str:
    for key, value in event.headers:
        if key.lower() == name:
            return _excerpt(value)
    return ""


def _own_details(body: bytes) -> dict[str, object]:
    """Return what a gateway's JSON error says besides: what was seen, and the remedy; else none."""
    import json  # late: only a rejection needs it

    try:
        details = json.loads(body)["details"]
        found = {key: details[key] for key in ("saw", "remedy")}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return found if all(isinstance(one, dict) for one in found.values()) else {}


def _own_words(body: bytes) -> str | None:
    """Return the message of a gateway's JSON error whole, for it says what to do; else None."""
    import json  # late: only a rejection needs it

    try:
        error = json.loads(body)["error"]
        kind, message = error["type"], error["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not (isinstance(kind, str) and isinstance(message, str) and message.strip()):
        return None
    return _excerpt(message.encode("utf-8", "replace"), most=MESSAGE_CHARACTERS)


def _excerpt(data: bytes, *, most: int = EXCERPT_CHARACTERS) -> str:
    """Return the beginning of what a stranger sent, on one line and without control characters."""
    text = " ".join(data.decode("utf-8", "replace").split())
    safe = "".join(char if char.isprintable() else "?" for char in text)
    return safe if len(safe) <= most else f"{safe[:most]}…"
