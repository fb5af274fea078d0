"""The path of a key: how commands write it, and what a document holds at it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stores.errors import UsageError

KeyPath = tuple[str, ...]

_PLAIN = re.compile(r"[^.\[\]\"'\s]+")
_STEP = re.compile(
    r"""(?P<dot>\.?)(?:(?P<plain>[^.\[\]"'\s]+)
    |\[\s*(?:(?P<index>\d+)|"(?P<double>[^"]+)"|'(?P<single>[^']+)')\s*\])""",
    re.VERBOSE,
)


def parse_key(text: str) -> KeyPath:
    """Return the path that a user wrote: ``gateway.port``, ``a["b.c"]``, ``list[0].name``.

    Raises:
        UsageError: it is not the path of a key.
    """
    path: list[str] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        # a dot stands between two steps, and a bracket needs none in front of it
        if found is None or (found["dot"] and not path):
            break
        if path and found["plain"] is not None and not found["dot"]:
            break
        path.append(found["plain"] or found["index"] or found["double"] or found["single"])
        at = found.end()
    if not path or at < len(text):
        raise UsageError(
            f"{text!r} is not the path of a key", remedy="write it like `gateway.auth.mode`"
        )
    return tuple(path)


def dotted(path: KeyPath) -> str:
    """Return a key path the way messages and commands write it."""
    return "".join(_step(key, first=at == 0) for at, key in enumerate(path))


def _step(key: str, *, first: bool) -> str:
    if _PLAIN.fullmatch(key) is None:
        return f"[{json.dumps(key, ensure_ascii=False)}]"
    return key if first else f".{key}"


class _Missing:
    """Nothing is there, not even null."""


MISSING = _Missing()


def look_up(document: Any, path: KeyPath) -> Any:
    """Return what stands at a path, `MISSING` if nothing does; arrays are counted from 0."""
    found = document
    for key in path:
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return MISSING
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same to a reader; unlike ``==``, 1 is not true."""
    return canonical(one) == canonical(other)


def canonical(value: Any) -> str:
    """Return a text that is the same for the same value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, default=repr)


def leaves(document: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every value that is not an object; an array is one value."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    else:
        yield path
