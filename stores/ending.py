"""What became of a pairing request that is no longer pending, as the audit trail tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.errors import UnknownRequestError
from stores.records import DeviceBook, PendingRequest
from stores.request_id import plain_id
from stores.timespan import in_words

#: How much of the trail is read, from its end: some 600 decisions.
TAIL_BYTES = 256 * 1024

#: Scope names are short; a longer one is somebody's idea of a joke.
MAX_SHOWN = 64

_REQUESTED = "device.requested"
_ENDS = {
    "device.approved": "approved",
    "device.rejected": "rejected",
    "device.expired": "expired",
}
_SEE = "see `openclaw devices list`"


@frozen
class Line:
    """What counts of an audit line; ``at_ms`` is None when its time cannot be read.

    ``asked`` is what a request was for, None where the line does not say.
    """

    event: str
    request_id: str
    device_id: str
    at_ms: int | None
    asked: tuple[str, ...] | None = None


def tail_of(trail: Path) -> list[Line]:
    """Return the last lines of a trail, oldest first; what cannot be read is passed over."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(trail, flags)
    except OSError:
        return []
    try:
        size = os.fstat(handle).st_size
        data = os.pread(handle, TAIL_BYTES, max(0, size - TAIL_BYTES))
    except OSError:
        return []
    finally:
        os.close(handle)
    return lines_of(data.splitlines())


def lines_of(texts: Iterable[bytes]) -> list[Line]:
    """Return the lines about requests among lines of a trail; half a line is none."""
    import orjson  # late: only an unknown id needs it

    found = []
    for text in texts:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            line = _line(value)
            if line is not None:
                found.append(line)
    return found


def _line(value: Mapping[str, Any]) -> Line | None:
    event, request_id, device_id = (value.get(key) for key in ("event", "requestId", "deviceId"))
    if not (isinstance(request_id, str) and isinstance(device_id, str)):
        return None
    if not isinstance(event, str):
        return None
    if event != _REQUESTED and event not in _ENDS:
        return None
    try:
        at_ms = round(datetime.fromisoformat(value["ts"]).timestamp() * 1000)
    except (KeyError, TypeError, ValueError, OverflowError):
        at_ms = None
    return Line(event, request_id, device_id, at_ms, _asked(value))


def _asked(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return role and scopes of an audit line, the role in words."""
    role, scopes = value.get("role"), value.get("scopes")
    if not (isinstance(role, str) and isinstance(scopes, list)):
        return None
    return (f"the role {role}", *(scope for scope in scopes if isinstance(scope, str)))


def explained(
    error: UnknownRequestError,
    book: DeviceBook,
    lines: Sequence[Line],
    *,
    swept: Sequence[PendingRequest] = (),
    now_ms: int,
    ttl_ms: int,
) -> UnknownRequestError:
    """Return the error with what became of the request, or as it is where nothing is known.

    Args:
        lines: Oldest first.
        swept: Requests that expired unnoticed until now; they know better when that was.
    """
    if error.reference is None:
        return error
    wanted = plain_id(error.reference)
    over = {item.request_id: item.ts + ttl_ms for item in swept}
    known = [
        *lines,
        *(Line("device.expired", item.request_id, item.device_id, None) for item in swept),
    ]
    named = [at for at, line in enumerate(known) if _means(line, wanted)]
    if not named:
        return error
    asked = last = known[named[-1]]
    for line in known[named[-1] + 1 :]:
        if line.device_id == asked.device_id:
            last = line
    problem = f"request {asked.request_id}"
    waiting = book.pending_of(asked.device_id)
    if asked.event in _ENDS:  # what came later was about another request
        last = asked
        problem += f" {_ended(last, over.get(last.request_id, last.at_ms), now_ms)}"
    elif waiting:
        problem += f" was superseded by {waiting[-1].request_id}{_more(asked, waiting[-1])}"
    elif last.event not in _ENDS:
        return error
    elif last.request_id == asked.request_id:
        problem += f" {_ended(last, over.get(last.request_id, last.at_ms), now_ms)}"
    else:
        ended = _ended(last, over.get(last.request_id, last.at_ms), now_ms)
        problem += f" was superseded by {last.request_id}, which {ended}"
    return UnknownRequestError(
        problem,
        remedy=_remedy(last, waiting),
        wire_message=error.wire_message,
        reference=error.reference,
    )


def _more(old: Line, item: PendingRequest) -> str:
    """Return what a request asks for that the one it superseded did not, as a clause."""
    if old.asked is None:
        return ""
    now = (*(f"the role {role}" for role in item.asked_roles), *item.scopes)
    more = [_plain(each) for each in now if each not in old.asked]
    if item.stale_token:
        more.append("to come back without its token")
    if more:
        return f", which asks for more: {', '.join(more)}"
    return ", which names another platform or device family"


def _plain(name: str) -> str:
    """Return a name that a client chose as it may be shown."""
    return name if name.isprintable() and len(name) <= MAX_SHOWN else f"{ascii(name)[:MAX_SHOWN]}…"


def _means(line: Line, wanted: str) -> bool:
    return wanted in (plain_id(line.request_id), line.device_id.upper())


def _ended(line: Line, at_ms: int | None, now_ms: int) -> str:
    how = _ENDS[line.event]
    if at_ms is None:
        return how if how == "expired" else f"was {how}"
    ago = f"{in_words(now_ms - at_ms)} ago"
    if how == "expired":
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return f"expired {ago}, at {at:%H:%M} UTC"
    return f"was {how} {ago}"


def _remedy(line: Line, waiting: Sequence[PendingRequest]) -> str:
    if waiting:
        request_id = waiting[-1].request_id
        return f"that device waits as {request_id} now: `openclaw devices approve {request_id}`"
    if line.event == "device.approved":
        return f"nothing is left to decide: {_SEE}"
    return f"let the device try again, then {_SEE}"
