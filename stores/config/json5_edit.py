"""Set or unset one key of a JSON5 text.

Rule: the text is cut and pasted, never written anew, and no comment is ever lost: those inside
what is removed or replaced stay where it was.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen

from stores.config.json5 import parse_json5
from stores.config.keypath import KeyPath, dotted, look_up, same
from stores.config.spans import Node, Part, comments_in, scan
from stores.config.surgery import Layout, cut, hoist, paste, steps

_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def put(text: str, path: KeyPath, value: Any) -> str:
    """Return the text with one key set, everything else as it was.

    Sections on the way that are missing are added; so is the key, after the last one there. An
    object or array that is there already is changed where it differs.

    Raises:
        ValueError: something on the way can hold no such key.
    """
    node = scan(text)
    part: Part | None = None
    for depth, key in enumerate(path):
        if not node.opener:
            raise ValueError(f"{dotted(path[:depth]) or 'the root'} is not an object")
        part = node.at(key)
        if part is None:
            return _add(text, node, path[depth:], value)
        node = part.value
    assert part is not None
    return _replace(text, path, part, value)


def drop(text: str, path: KeyPath) -> str:
    """Return the text without one key, as often as it is written.

    Raises:
        ValueError: there is no such key.
    """
    node = scan(text)
    for key in path[:-1]:
        part = node.at(key)
        if part is None:
            raise ValueError(f"{dotted(path)} is not there")
        node = part.value
    index = node.find(path[-1])
    if index is None:
        raise ValueError(f"{dotted(path)} is not there")
    part = node.parts[index]
    end = part.end if part.comma is None else part.comma
    text = cut(text, node, index, comments_in(text[part.start : end]))
    again = node.is_object and [other.keys for other in node.parts].count(part.keys) > 1
    return drop(text, path) if again else text


def _replace(text: str, path: KeyPath, part: Part, value: Any) -> str:
    node = part.value
    old = look_up(parse_json5(text), path)
    if same(old, value):
        return text
    if isinstance(old, dict) and isinstance(value, dict):
        for key in old:
            if key not in value:
                text = drop(text, (*path, key))
        for key, item in value.items():
            text = put(text, (*path, key), item)
        return text
    if isinstance(old, list) and isinstance(value, list):
        return _replace_items(text, path, old, value)
    comments = comments_in(text[node.start : node.end])
    style = _Style.of(text, node.start)
    text = text[: node.start] + style.render(value, style.layout.indent) + text[node.end :]
    return hoist(text, part.start, comments)


def _replace_items(text: str, path: KeyPath, old: list[Any], new: list[Any]) -> str:
    for step in steps(old, new):
        here = (*path, str(step.index))
        if step.verb == "put":
            text = put(text, here, step.value)
        elif step.verb == "drop":
            text = drop(text, here)
        else:
            text = _insert(text, path, step.index, step.value)
    return text


def _insert(text: str, path: KeyPath, index: int, value: Any) -> str:
    node = scan(text)
    for key in path:
        part = node.at(key)
        assert part is not None
        node = part.value
    style = _Style.of(text, node.start)
    return paste(text, node, index, lambda indent: style.render(value, indent), style.layout)


def _add(text: str, node: Node, rest: KeyPath, value: Any) -> str:
    for missing in reversed(rest[1:]):
        value = {missing: value}
    style = _Style.of(text, node.start)
    if node.is_object:
        return paste(
            text,
            node,
            len(node.parts),
            lambda indent: style.member(rest[0], value, indent),
            style.layout,
        )
    if rest[0] != str(len(node.parts)):
        raise ValueError(f"an array has no place {rest[0]}")
    return paste(
        text, node, len(node.parts), lambda indent: style.render(value, indent), style.layout
    )


@frozen
class _Style:
    """How values are written so that they look like those around them."""

    layout: Layout
    quoted: bool

    @classmethod
    def of(cls, text: str, position: int) -> _Style:
        parts = scan(text).parts
        quoted = not parts or any(part.quoted for part in parts)
        return cls(Layout.around(text, position), quoted)

    def render(self, value: Any, indent: str) -> str:
        """Write a value, objects over several lines, arrays of plain values on one."""
        if isinstance(value, dict) and value:
            inner = indent + self.layout.unit
            lines = [f"{inner}{self.member(key, item, inner)}" for key, item in value.items()]
            newline = self.layout.newline
            return newline.join(["{", f",{newline}".join(lines), indent + "}"])
        if isinstance(value, list):
            return f"[{', '.join(self.render(item, indent) for item in value)}]"
        return json.dumps(value, ensure_ascii=False)

    def member(self, key: str, value: Any, indent: str) -> str:
        name = key if not self.quoted and _BARE.fullmatch(key) else json.dumps(key)
        return f"{name}: {self.render(value, indent)}"
