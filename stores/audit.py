"""The append-only audit trail of the device store: one JSON line per decision.

Locking: lines are appended under the store lock, so that lines of two programs never mix and
their order is the order of the decisions.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stores.errors import StoreError
from stores.files import append_line, stamp
from stores.records import AuditEntry

#: A trail above this size is put aside before the next line is written.
ROTATE_AT_BYTES = 16 * 1024 * 1024

#: Trails put aside that are kept, newest first.
KEPT = 8


def line_of(entry: AuditEntry, *, now_ms: int, via: str) -> dict[str, Any]:
    """Return an audit line: ``ts`` is RFC 3339 UTC, ``via`` the road (``ws`` or ``files``)."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    facts: dict[str, Any] = {
        "ts": at.replace("+00:00", "Z"),
        "event": entry.event,
        "requestId": entry.request_id,
        "deviceId": entry.device_id or None,
        "role": entry.role,
        "scopes": None if entry.scopes is None else list(entry.scopes),
        "by": dict(entry.by),
        "via": via,
        "from": None if not entry.origin else dict(entry.origin),
        "reason": entry.reason,
    }
    return {key: fact for key, fact in facts.items() if fact is not None}


def lines_of(entries: Iterable[AuditEntry], *, now_ms: int, via: str) -> bytes:
    """Return one line of JSON per entry, as they go into the trail."""
    import orjson  # late: reading a store writes no audit line

    return b"".join(
        orjson.dumps(line_of(entry, now_ms=now_ms, via=via)) + b"\n" for entry in entries
    )


def append(trail: Path, lines: bytes) -> None:
    """Append whole lines, putting a full trail aside first; the caller holds the store lock.

    Without lines it only makes sure that the trail can be written.

    Raises:
        StoreError: the trail cannot be written.
    """
    present = stamp(trail)
    if lines and present is not None and present.size + len(lines) > ROTATE_AT_BYTES:
        _put_aside(trail)
    append_line(trail, lines)


def _put_aside(trail: Path) -> None:
    """Count every trail put aside one up; the oldest is overwritten by the one before it."""
    try:
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(_aside(trail, number), _aside(trail, number + 1))
        os.replace(trail, _aside(trail, 1))
    except OSError as error:
        raise StoreError(
            f"cannot put the full audit trail {trail} aside: {error.strerror}",
            remedy=f"check what is in its way: `ls -ld {trail}*`",
        ) from error


def _aside(trail: Path, number: int) -> Path:
    return trail.with_name(f"{trail.name}.{number}")
