"""The gateway's log over the wire: the end of the newest file, and what came since a cursor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gateway.methods.call import Call, checked, unavailable
from gateway.protocol.schema import COUNT, Closed, Integer
from stores.errors import StoreError
from stores.log_files import log_files

#: Lines and bytes of one answer when the caller names none, and at most (protocol facts).
LINES, MAX_LINES = 500, 5_000
BYTES, MAX_BYTES = 250_000, 1_000_000

_TAIL = Closed(
    {
        "cursor?": COUNT,
        "limit?": Integer(1, MAX_LINES),
        "maxBytes?": Integer(1, MAX_BYTES),
    }
)


async def logs_tail(call: Call) -> dict[str, Any]:
    """Answer ``logs.tail``: whole lines of the newest file, and the cursor to go on from.

    A cursor beyond the file, as after a new day has begun one, begins at its end again (``reset``).
    """
    params = checked(call, "logs.tail", _TAIL)
    folder = call.runtime.paths.logs_dir

    def read() -> dict[str, Any]:
        newest = next(reversed(log_files(folder)), None)
        if newest is None:
            return _answer(folder, b"", cursor=0, size=0)
        return tail(
            folder / newest.name,
            cursor=params.get("cursor"),
            limit=params.get("limit", LINES),
            max_bytes=params.get("maxBytes", BYTES),
        )

    try:
        return await call.runtime.in_thread(read)
    except (OSError, StoreError) as error:
        raise unavailable("the gateway's log cannot be read now") from error


def tail(path: Path, *, cursor: int | None, limit: int, max_bytes: int) -> dict[str, Any]:
    """Return what of a log file came since ``cursor``, or its end.

    Raises:
        OSError: it cannot be read, or is a symbolic link.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = os.fstat(handle).st_size
        oldest = max(0, size - max_bytes)
        known = cursor is not None and cursor <= size
        behind = known and cursor is not None and cursor < oldest
        start = cursor if known and not behind and cursor is not None else oldest
        data = os.pread(handle, size - start, start)
        # In the midst of a line that part of it is dropped; the byte before tells.
        if start and os.pread(handle, 1, start - 1) != b"\n":
            data = data.partition(b"\n")[2]
    finally:
        os.close(handle)
    whole = data[: data.rfind(b"\n") + 1]  # the last line may still be written
    answer = _answer(path, whole, cursor=size - (len(data) - len(whole)), size=size)
    lines: list[str] = answer["lines"]
    answer["truncated"] = behind or (cursor is None and start > 0) or len(lines) > limit
    answer["reset"] = behind or (cursor is not None and not known)
    answer["lines"] = lines[-limit:]
    return answer


def _answer(path: Path, whole: bytes, *, cursor: int, size: int) -> dict[str, Any]:
    lines = whole.decode("utf-8", "replace").split("\n")[:-1]
    facts = {"file": str(path), "cursor": cursor, "size": size, "lines": lines}
    return facts | {"truncated": False, "reset": False}
