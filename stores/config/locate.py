"""Find the line of a key in the text it was read from."""

from __future__ import annotations

import re

from stores.config.spans import scan

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNED = re.compile(
    r"""\s*((?:[A-Za-z0-9_$-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*="""
)


def line_of(raw: str, path: tuple[str, ...], *, toml: bool) -> int | None:
    """Return the line of a key, counted from 1, or None if the text does not show it."""
    find = _line_in_toml if toml else _line_in_json5
    return find(raw, path)


def _line_in_json5(raw: str, path: tuple[str, ...]) -> int | None:
    try:
        node = scan(raw)
    except (ValueError, RecursionError):
        return None
    position = None
    for key in path:
        if key in node.members:
            position, node = node.members[key].key_start, node.members[key].value
        elif key.isdecimal() and int(key) < len(node.items):
            node = node.items[int(key)]
            position = node.start
        else:
            return None
    return None if position is None else raw.count("\n", 0, position) + 1


def _line_in_toml(raw: str, path: tuple[str, ...]) -> int | None:
    """Read headers and assignments line by line: enough to point at, no more is claimed."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(raw.splitlines(), 1):
        here = table
        if header := _HEADER.match(line):
            here = table = _toml_keys(header[1])
        elif assigned := _ASSIGNED.match(line):
            here = table + _toml_keys(assigned[1])
        if path and here == path:
            return number
    return None


def _toml_keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
