"""The text frames of the wire: reading requests, writing responses and events.

Every shape is closed: published clients drop a frame with a property they do not know, so what
is new goes into ``payload`` or ``error.details`` and never beside them.
"""

from __future__ import annotations

import struct
from typing import Any

import orjson
from attrs import field, frozen

from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.schema import ANY, NAME, Closed, OneOf, Text, fault

# What was parsed must be writable again, and orjson writes 254 levels; nothing real has ten.
MAX_DEPTH = 128

# The first byte of a text message in one frame (RFC 6455, section 5.2).
_FINAL_TEXT = 0x81

# Protocol fact: the id of the answer to a frame that has none.
NO_ID = "invalid"

_FRAME = Closed(
    {
        "type": OneOf(frozenset({"req"})),
        "id": NAME,
        "method": NAME,
        "params?": ANY,
        "traceparent?": Text(min_chars=0, max_chars=128),
        "expectedProfileId?": Text(max_chars=128),
    }
)


@frozen
class Request:
    """A valid request; ``params`` is None if it was null or not sent."""

    id: str
    method: str
    params: Any = field(default=None, repr=False)


@frozen
class InvalidFrame:
    """JSON that is no request. ``id`` is the one to answer with."""

    id: str
    why: str

    def to_error(self) -> ErrorShape:
        """Return what the peer is told once it is connected."""
        return ErrorShape(ErrorCode.INVALID_REQUEST, f"invalid request frame: {self.why}")


@frozen
class NotJson:
    """Text that is not JSON, or bytes that are not UTF-8."""


NOT_JSON = NotJson()


@frozen
class StateVersion:
    """How often the presence list and the health object have changed."""

    presence: int
    health: int

    def to_wire(self) -> dict[str, int]:
        """Return the ``stateVersion`` object."""
        return {"presence": self.presence, "health": self.health}


def parse_request(text: str | bytes | bytearray) -> Request | InvalidFrame | NotJson:
    """Return what a peer sent, judged; bytes are read as UTF-8. Never raises.

    Of equal keys the last one counts. Numbers that no double holds, NaN and lone surrogates are
    not JSON here.
    """
    try:
        if not isinstance(text, str):
            text = str(text, "utf-8")
        frame = orjson.loads(text)
    except ValueError:
        return NOT_JSON
    if len(text) > 2 * MAX_DEPTH and _may_be_deep(text) and _is_deep(frame):
        return InvalidFrame(_id_of(frame), f"nested deeper than {MAX_DEPTH} levels")
    if type(frame) is dict and len(frame) == 4 and "params" in frame and frame.get("type") == "req":
        # What every published client sends; anything else takes the road that can explain.
        request_id, method = frame.get("id"), frame.get("method")
        if type(request_id) is str and request_id and type(method) is str and method:
            return Request(request_id, method, frame["params"])
    why = fault(_FRAME, frame)
    if why is not None:
        return InvalidFrame(_id_of(frame), why)
    return Request(frame["id"], frame["method"], frame.get("params"))


def request(request_id: str, method: str, params: Any = None) -> str:
    """Return the text of a request, as a client sends it."""
    frame = {"type": "req", "id": request_id, "method": method}
    if params is not None:
        frame["params"] = params
    return orjson.dumps(frame).decode()


def response_ok(request_id: str, payload: Any) -> str:
    """Return the text of a successful response; a payload of None is sent as null.

    Raises:
        TypeError: ``payload`` is not JSON (a bug of the caller).
    """
    frame = {"type": "res", "id": request_id, "ok": True, "payload": payload}
    return orjson.dumps(frame).decode()


def response_error(request_id: str, error: ErrorShape) -> str:
    """Return the text of a refusal."""
    frame = {"type": "res", "id": request_id, "ok": False, "error": error.to_wire()}
    return orjson.dumps(frame).decode()


def event(
    name: str, payload: Any, *, seq: int | None = None, state_version: StateVersion | None = None
) -> str:
    """Return the text of an event for one connection.

    Args:
        seq: Its number on that connection, from 1; None for an event meant for it alone.
    """
    frame: dict[str, Any] = {"type": "event", "event": name, "payload": payload}
    if state_version is not None:
        frame["stateVersion"] = state_version.to_wire()
    if seq is not None:
        frame["seq"] = seq
    return orjson.dumps(frame).decode()


def text_message(payload: bytes) -> bytes:
    """Return a text as a server's WebSocket message: one frame, no mask (RFC 6455, section 5.2)."""
    return _message_head(len(payload)) + payload


def _message_head(size: int) -> bytes:
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 65_536:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size)


class EventBody:
    """An event serialised once for all connections; only the number differs between them."""

    __slots__ = ("_bytes", "_head", "name")

    def __init__(self, name: str, payload: Any, state_version: StateVersion | None = None) -> None:
        self.name = name
        self._head = event(name, payload, state_version=state_version)[:-1]
        self._bytes = b""

    def message(self, seq: int) -> bytes:
        """Return the WebSocket message whose text is ``numbered(seq)``."""
        if not self._bytes:
            self._bytes = self._head.encode() + b',"seq":'
        tail = b"%d}" % seq
        return b"%b%b%b" % (_message_head(len(self._bytes) + len(tail)), self._bytes, tail)

    def numbered(self, seq: int) -> str:
        """Return what `event` returns with this ``seq``."""
        return f'{self._head},"seq":{seq}}}'

    def unnumbered(self) -> str:
        """Return what `event` returns without a ``seq``."""
        return self._head + "}"


def _id_of(frame: object) -> str:
    if type(frame) is dict:
        request_id = frame.get("id")
        if type(request_id) is str and request_id:
            return request_id
    return NO_ID


def _may_be_deep(text: str) -> bool:
    # Brackets inside strings count too: this only spares the walk below, it decides nothing.
    return text.count("[") + text.count("{") > MAX_DEPTH


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True
