"""Spans of time in words."""

from __future__ import annotations

import re


def in_words(ms: float) -> str:
    """Return a span of time roughly: ``40 s``, ``3 min``, ``2 h``, ``5 d``."""
    seconds = max(0, int(ms / 1000))
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (name == "min" and seconds >= size):
            return f"{seconds // size} {name}"
    return f"{seconds} s"


_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}


def ms_of(text: str) -> int | None:
    """Return a span of time as people write it, ``90d`` or ``12 h``, in ms; None if it is none."""
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*([a-z]+)\s*", text.lower())
    if found is None or found[2] not in _UNITS_MS:
        return None
    return int(found[1]) * _UNITS_MS[found[2]]
