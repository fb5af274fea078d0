"""Where each key, value and comma of a JSON5 text stands, so that one can be changed in place."""

from __future__ import annotations

import json
import re
from contextlib import suppress

from attrs import frozen

_TOKEN = re.compile(
    r"""(?P<gap>(?:\s|\ufeff|//[^\n]*|/\*.*?\*/)+)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<mark>[{}\[\]:,])
    |(?P<word>[^\s{}\[\]:,"'/]+)""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_REST_OF_LINE = re.compile(r"[^\S\r\n]*(?=\r?\n)")
_CLOSER = {"{": "}", "[": "]"}


@frozen
class Node:
    """A value of the text; ``opener`` is its bracket, empty for one that holds nothing.

    ``tail`` is where the last thing before the closing bracket ends, be it value, comma or
    comment.
    """

    start: int
    end: int
    opener: str = ""
    parts: tuple[Part, ...] = ()
    tail: int = 0

    @property
    def is_object(self) -> bool:
        """Tell an object from everything else."""
        return self.opener == "{"

    def find(self, key: str) -> int | None:
        """Return the index of a key's part, or of an element; of keys written twice the last."""
        if self.opener == "[":
            return int(key) if key.isdecimal() and int(key) < len(self.parts) else None
        places = [at for at, part in enumerate(self.parts) if part.keys == (key,)]
        return places[-1] if places else None

    def at(self, key: str) -> Part | None:
        """Return the part that a key or an index names."""
        index = self.find(key)
        return None if index is None else self.parts[index]


@frozen
class Part:
    """A member of an object, or an element of an array, which has no key.

    ``keys`` has more than one only where a format lets a key be a path; ``comma`` is the place of
    the comma behind it.
    """

    start: int
    keys: tuple[str, ...]
    value: Node
    comma: int | None = None
    quoted: bool = True

    @property
    def end(self) -> int:
        """Where its value ends."""
        return self.value.end


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
        parts: list[Part] = []
        closer = _CLOSER[opener.text]
        while self.peek().text != closer:
            if parts and parts[-1].comma is None:
                raise ValueError("a comma is missing")
            part = self.member() if opener.text == "{" else self.element()
            comma = self.take().start if self.peek().text == "," else None
            parts.append(Part(part.start, part.keys, part.value, comma, part.quoted))
        before = self.tokens[self.at - 1]
        end = self.take().end
        tail = before.end if before.kind != "gap" else before.start + _end_of_words(before.text)
        return Node(opener.start, end, opener.text, tuple(parts), tail)

    def element(self) -> Part:
        value = self.value()
        return Part(value.start, (), value)

    def member(self) -> Part:
        token = self.take()
        if token.kind not in ("string", "word") or self.take().text != ":":
            raise ValueError("a key is missing")
        quoted = token.kind == "string"
        key = _key(token.text) if quoted else token.text
        return Part(token.start, (key,), self.value(), quoted=quoted)


def _end_of_words(gap: str) -> int:
    """Return where the last comment of a gap ends, its line included, and mere layout begins."""
    end = len(gap.rstrip())
    rest = _REST_OF_LINE.match(gap, end)
    return end if rest is None else rest.end()


def _key(text: str) -> str:
    if "\\" not in text:
        return text[1:-1]
    with suppress(ValueError):
        return str(json.loads(text))
    # late: other escapes in keys are rare, and the reader of all of them costs 30 ms to import
    import json5

    return str(json5.loads(text))


def scan(text: str) -> Node:
    """Return the outermost value of a JSON5 text.

    Raises:
        ValueError: the text is not JSON5 (not every such text is noticed).
    """
    return _Reader(text).value()


def comments_in(text: str) -> list[str]:
    """Return the comments of a JSON5 text, or of a slice of one that begins outside of a string."""
    found = []
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "gap":
            found += _COMMENT.findall(token.group())
    return found
