"""Find the line of a key in the text it was read from."""

from __future__ import annotations

from stores.config.keypath import KeyPath
from stores.config.spans import Node, scan
from stores.config.toml_spans import scan_toml


def line_of(raw: str, path: KeyPath, *, toml: bool) -> int | None:
    """Return the line of a key, counted from 1, or None if the text does not show it."""
    find = _line_in_toml if toml else _line_in_json5
    return find(raw, path)


def _line_in_json5(raw: str, path: KeyPath) -> int | None:
    try:
        node = scan(raw)
    except (ValueError, RecursionError):
        return None
    position = None
    for key in path:
        part = node.at(key)
        if part is None:
            return None
        position, node = part.start, part.value
    return None if position is None else _line(raw, position)


def _line_in_toml(raw: str, path: KeyPath) -> int | None:
    try:
        sections = scan_toml(raw)
    except (ValueError, RecursionError):
        return None
    for section in sections:
        if section.name and path and section.path[: len(path)] == path:
            return _line(raw, section.start)
        rest = path[len(section.path) :]
        if section.path == path[: len(section.path)]:
            position = _inside(Node(0, 0, "{", section.parts), rest)
            if position is not None:
                return _line(raw, position)
    return None


def _inside(node: Node, rest: KeyPath) -> int | None:
    """Return where the part begins that a path below a value leads to, or through."""
    for index, part in enumerate(node.parts):
        keys = (str(index),) if node.opener == "[" else part.keys
        if rest and keys[: len(rest)] == rest:
            return part.start
        if rest[: len(keys)] == keys:
            found = _inside(part.value, rest[len(keys) :])
            if found is not None:
                return found
    return None


def _line(raw: str, position: int) -> int:
    return raw.count("\n", 0, position) + 1
