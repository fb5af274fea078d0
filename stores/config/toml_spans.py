"""Where each table, key and value of a TOML text stands, so that one can be changed in place."""

from __future__ import annotations

import re

from attrs import define, field, frozen

from stores.config.keypath import KeyPath
from stores.config.spans import Node, Part

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COMMENT = re.compile(r"#[^\r\n]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# a date may have a blank before its time
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d [\d:.+Zz-]+|[^\s,\[\]{}#\"']+")
_CLOSER = {"{": "}", "[": "]"}


@frozen
class Section:
    """A header and the keys below it; the first one is the root, which has no header.

    ``path`` is where its keys belong, elements of arrays by number; ``name`` what the header says.
    """

    path: KeyPath
    name: KeyPath
    is_element: bool
    start: int
    head_end: int
    end: int
    parts: tuple[Part, ...]


@define
class _Reader:
    """Walk over a text that a real parser has accepted already."""

    text: str
    at: int = 0
    counts: dict[KeyPath, int] = field(factory=dict)

    def skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise ValueError(f"{mark} is missing")
        self.at += len(mark)

    def keys(self) -> KeyPath:
        found = []
        while True:
            self.skip(_BLANK)
            match = _BARE.match(self.text, self.at) or _STRING.match(self.text, self.at)
            if match is None:
                raise ValueError("a key is missing")
            found.append(_key(match.group()))
            self.at = match.end()
            self.skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return tuple(found)
            self.at += 1

    def value(self) -> Node:
        start = self.at
        opener = self.text[start : start + 1]
        if opener in _CLOSER and opener:
            return self.container(opener)
        match = _STRING.match(self.text, start) or _SCALAR.match(self.text, start)
        if match is None:
            raise ValueError("a value is missing")
        self.at = match.end()
        return Node(start, self.at)

    def container(self, opener: str) -> Node:
        start = self.at
        self.at += 1
        parts: list[Part] = []
        tail = self.at
        while True:
            gap = self.at
            self.skip(_GAP)
            tail = gap + _end_of_words(self.text[gap : self.at])
            if self.text.startswith(_CLOSER[opener], self.at):
                self.at += 1
                return Node(start, self.at, opener, tuple(parts), tail)
            if parts and parts[-1].comma is None:
                raise ValueError("a comma is missing")
            part = self.entry() if opener == "{" else self.element()
            end = self.at
            self.skip(_GAP)
            comma = self.at if self.text.startswith(",", self.at) else None
            self.at = end if comma is None else comma + 1
            parts.append(Part(part.start, part.keys, part.value, comma))

    def element(self) -> Part:
        value = self.value()
        return Part(value.start, (), value)

    def entry(self) -> Part:
        start = self.at
        keys = self.keys()
        self.expect("=")
        self.skip(_BLANK)
        return Part(start, keys, self.value())

    def header(self) -> tuple[KeyPath, KeyPath, bool]:
        """Read a header; return the path its keys belong to, its name and whether it is ``[[``."""
        element = self.text.startswith("[[", self.at)
        self.at += 2 if element else 1
        name = self.keys()
        self.expect("]]" if element else "]")
        path: KeyPath = ()
        for depth, key in enumerate(name):
            path = (*path, key)
            last = depth == len(name) - 1
            if path in self.counts and not (last and element):
                path = (*path, str(self.counts[path] - 1))
        if element:
            count = self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, str(count - 1))
        return path, name, element

    def sections(self) -> tuple[Section, ...]:
        self.at = 1 if self.text.startswith("\ufeff") else 0
        found: list[Section] = []
        head: tuple[KeyPath, KeyPath, bool] = ((), (), False)
        start = head_end = self.at
        parts: list[Part] = []
        while True:
            self.skip(_GAP)
            if self.at < len(self.text) and self.text[self.at] != "[":
                parts.append(self.entry())
                continue
            found.append(Section(*head, start, head_end, self.at, tuple(parts)))
            if self.at == len(self.text):
                return tuple(found)
            start, parts = self.at, []
            head = self.header()
            head_end = self.at


def _end_of_words(gap: str) -> int:
    """Return where the last comment of a gap ends, and mere layout begins."""
    return len(gap.rstrip())


def _key(text: str) -> str:
    if text[0] not in "\"'":
        return text
    if "\\" not in text:
        return text[1:-1]
    import tomllib  # late: escapes in keys are rare

    [key] = tomllib.loads(f"{text} = 1")
    return str(key)


def scan_toml(text: str) -> tuple[Section, ...]:
    """Return the root of a TOML text and its sections, in order.

    Raises:
        ValueError: the text is not TOML (not every such text is noticed).
    """
    return _Reader(text).sections()


def toml_comments_in(text: str) -> list[str]:
    """Return the comments of a TOML text, or of a slice of one that begins outside of a string."""
    found, at = [], 0
    while at < len(text):
        match = _STRING.match(text, at)
        if match is None:
            match = _COMMENT.match(text, at)
            found += [match.group()] if match else []
        at = match.end() if match and match.end() > at else at + 1
    return found
