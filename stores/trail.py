"""Read the audit trail of the device store: what happened to one device, or all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stores.audit import KEPT

#: How many lines about one device are told, the last ones.
MOST_LINES = 50


def parts_of(trail: Path) -> list[Path]:
    """Return the files of a trail that may be there, oldest first."""
    return [
        *(trail.with_name(f"{trail.name}.{number}") for number in range(KEPT, 0, -1)),
        trail,
    ]


def entries_of(trail: Path, *, about: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lines of a trail, oldest first; what cannot be read is passed over.

    Args:
        about: Only lines about this device id.
    """
    import orjson  # late: most commands read no trail

    wanted = None if about is None else about.encode()
    for part in parts_of(trail):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            handle = os.open(part, flags)
        except OSError:
            continue
        with os.fdopen(handle, "rb") as file:
            for line in file:
                if wanted is not None and wanted not in line:
                    continue
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(value, dict) and about in (None, value.get("deviceId")):
                    yield value


def last_about(trail: Path, device_id: str) -> list[dict[str, Any]]:
    """Return the last lines about one device, oldest first."""
    return list(entries_of(trail, about=device_id))[-MOST_LINES:]
