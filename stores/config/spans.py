"""Where each key and value of a JSON5 text stands, so that one of them can be changed in place.

Rule: the text is changed by cutting and pasting, never written anew, so whatever is not the value
asked for stays byte for byte what it was.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import field, frozen

_TOKEN = re.compile(
    r"""(?P<gap>(?:\s|\ufeff|//[^\n]*|/\*.*?\*/)+)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<mark>[{}\[\]:,])
    |(?P<word>[^\s{}\[\]:,"'/]+)""",
    re.DOTALL | re.VERBOSE,
)
_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_REST_OF_LINE = re.compile(r"[^\S\r\n]*(?=\r?\n)")
_CLOSER = {"{": "}", "[": "]"}


@frozen
class Node:
    """A value of the text; of an object or array also what it holds.

    ``tail`` is where the last thing before the closing bracket ends, be it value, comma or
    comment; ``last_end`` where the last value ends; ``comma`` tells of a trailing comma.
    """

    start: int
    end: int
    members: dict[str, Member] = field(factory=dict)
    items: tuple[Node, ...] = ()
    is_object: bool = False
    tail: int = 0
    last_end: int = 0
    comma: bool = False


@frozen
class Member:
    """A key of an object and its value; of keys written twice the last one counts."""

    key_start: int
    quoted: bool
    value: Node


@frozen
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """Walk over a text that a real parser has accepted already."""

    def __init__(self, text: str) -> None:
        self.tokens = [
            _Token(found.lastgroup or "", found.group(), found.start(), found.end())
            for found in _TOKEN.finditer(text)
        ]
        self.text = text
        self.at = 0

    def peek(self) -> _Token:
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "gap":
            self.at += 1
        if self.at == len(self.tokens):
            raise ValueError("the text ends too soon")
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.peek()
        self.at += 1
        return token

    def value(self) -> Node:
        token = self.take()
        if token.kind == "mark":
            if token.text not in _CLOSER:
                raise ValueError(f"unexpected {token.text}")
            return self.container(token)
        return Node(token.start, token.end)

    def container(self, opener: _Token) -> Node:
        members: dict[str, Member] = {}
        items: list[Node] = []
        last_end, comma = opener.end, False
        while self.peek().text != _CLOSER[opener.text]:
            if comma or last_end == opener.end:
                node = self.member(members) if opener.text == "{" else self.value()
                items.append(node)
                last_end, comma = node.end, False
            elif self.take().text == ",":
                comma = True
            else:
                raise ValueError("a comma is missing")
        before = self.tokens[self.at - 1]
        closer = self.take()
        tail = before.end if before.kind != "gap" else before.start + _end_of_words(before.text)
        return Node(
            opener.start,
            closer.end,
            members,
            () if opener.text == "{" else tuple(items),
            opener.text == "{",
            tail,
            last_end,
            comma,
        )

    def member(self, members: dict[str, Member]) -> Node:
        token = self.take()
        if token.kind not in ("string", "word") or self.take().text != ":":
            raise ValueError("a key is missing")
        quoted = token.kind == "string"
        value = self.value()
        members[_key(token.text) if quoted else token.text] = Member(token.start, quoted, value)
        return value


def _end_of_words(gap: str) -> int:
    """Return where the last comment of a gap ends, its line included, and mere layout begins."""
    end = len(gap.rstrip())
    rest = _REST_OF_LINE.match(gap, end)
    return end if rest is None else rest.end()


def _key(text: str) -> str:
    if "\\" not in text:
        return text[1:-1]
    # late: escapes in keys are rare, and the reader of all of them costs 30 ms to import
    import json5

    return str(json5.loads(text))


def scan(text: str) -> Node:
    """Return the outermost value of a JSON5 text.

    Raises:
        ValueError: the text is not JSON5 (not every such text is noticed).
    """
    return _Reader(text).value()


def put(text: str, path: tuple[str, ...], value: Any) -> str:
    """Return the text with one key set, everything else as it was.

    Sections on the way that are missing are added; so is the key, after the last one there.

    Raises:
        ValueError: something on the way is not an object.
    """
    node = scan(text)
    for depth, key in enumerate(path):
        if not node.is_object:
            raise ValueError(f"{'.'.join(path[:depth]) or 'the root'} is not an object")
        member = node.members.get(key)
        if member is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _add(text, node, key, value)
        node = member.value
    style = _Style.of(text, node.start)
    return text[: node.start] + style.render(value, style.indent) + text[node.end :]


@frozen
class _Style:
    """How the file around a place is written."""

    newline: str
    unit: str
    indent: str
    quoted: bool

    @classmethod
    def of(cls, text: str, position: int) -> _Style:
        line_start = text.rfind("\n", 0, position) + 1
        indent = re.match(r"[ \t]*", text[line_start:position])
        first = re.search(r"\n([ \t]+)\S", text)
        members = scan(text).members.values()
        return cls(
            newline="\r\n" if "\r\n" in text else "\n",
            unit=first[1] if first else "  ",
            indent=indent[0] if indent else "",
            quoted=not members or any(member.quoted for member in members),
        )

    def render(self, value: Any, indent: str) -> str:
        """Write a value, objects over several lines, arrays of plain values on one."""
        if isinstance(value, dict) and value:
            inner = indent + self.unit
            lines = [f"{inner}{self.member(key, item, inner)}" for key, item in value.items()]
            return self.newline.join(["{", f",{self.newline}".join(lines), indent + "}"])
        if isinstance(value, list):
            return f"[{', '.join(self.render(item, indent) for item in value)}]"
        return json.dumps(value, ensure_ascii=False)

    def member(self, key: str, value: Any, indent: str) -> str:
        name = key if not self.quoted and _BARE.fullmatch(key) else json.dumps(key)
        return f"{name}: {self.render(value, indent)}"


def _add(text: str, node: Node, key: str, value: Any) -> str:
    style = _Style.of(text, node.start)
    one_line = "\n" not in text[node.start : node.end]
    if one_line and node.members:
        comma = "" if node.comma else ","
        added = f" {style.member(key, value, style.indent)}" + ("," if node.comma else "")
        return _paste(text, node, comma, added)
    inner = style.indent + style.unit
    for member in node.members.values():
        # a sibling on a line of its own shows the indent best
        line = text[text.rfind("\n", 0, member.key_start) + 1 : member.key_start]
        if not line.strip():
            inner = line
    comma = "," if node.members and not node.comma else ""
    added = style.newline + inner + style.member(key, value, inner) + ("," if node.comma else "")
    if "\n" not in text[node.tail : node.end]:
        added += style.newline + style.indent
    return _paste(text, node, comma, added)


def _paste(text: str, node: Node, comma: str, added: str) -> str:
    split = node.last_end
    return text[:split] + comma + text[split : node.tail] + added + text[node.tail :]
