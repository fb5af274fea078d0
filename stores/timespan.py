"""Spans of time in words."""

from __future__ import annotations


def in_words(ms: float) -> str:
    """Return a span of time roughly: ``40 s``, ``3 min``, ``2 h``, ``5 d``."""
    seconds = max(0, int(ms / 1000))
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (name == "min" and seconds >= size):
            return f"{seconds // size} {name}"
    return f"{seconds} s"
