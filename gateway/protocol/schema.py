"""Closed-object validation of what a peer sent, and the text that names each fault.

A schema is a tree built once at import; `fault` walks it without building a path, and only a
refusal pays for words. The forms of the words are a protocol fact, their content is not parsed
by any client. Names chosen by a peer are cut and escaped, so the text is safe in a log and in a
terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

# (JSON pointer below the value looked at, what is wrong there)
Fault = tuple[str, str]

# Enough to fix a client at one go, and a bound on what a hostile object makes us write.
MAX_FAULTS = 8
MAX_NAME_CHARS = 64

# The widest integer every JSON client can hold exactly (ECMAScript Number.MAX_SAFE_INTEGER).
MAX_SAFE_INTEGER = 2**53 - 1

_NONE: Sequence[Fault] = ()


class InvalidParamsError(Exception):
    """Parameters do not fit their schema; the message is `fault`'s text, safe to send."""


class Schema(Protocol):
    """Anything that can say what is wrong with a value."""

    def faults(self, value: object) -> Sequence[Fault]:
        """Return what is wrong, first faults first; nothing if the value fits."""
        ...


def fault(schema: Schema, value: object) -> str | None:
    """Return everything wrong with ``value`` as one line, or None if it fits ``schema``."""
    found = schema.faults(value)
    return "; ".join(_sentence(path, text) for path, text in found[:MAX_FAULTS]) or None


def require(schema: Schema, value: object) -> None:
    """Return if ``value`` fits ``schema``.

    Raises:
        InvalidParamsError: It does not.
    """
    text = fault(schema, value)
    if text is not None:
        raise InvalidParamsError(text)


def shown(name: str) -> str:
    """Return a name chosen by a peer, cut and with everything unprintable escaped."""
    if len(name) > MAX_NAME_CHARS:
        name = name[:MAX_NAME_CHARS] + "..."
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in name)


def _sentence(path: str, text: str) -> str:
    if path:
        return f"at {path}: {text}"
    # Protocol fact: of the faults at the root only an unexpected property names the place.
    return f"at root: {text}" if text.startswith("unexpected property") else text


def _below(name: str | int, found: Sequence[Fault]) -> list[Fault]:
    step = f"/{shown(name) if isinstance(name, str) else name}"
    return [(step + path, text) for path, text in found]


@frozen
class Anything:
    """Any JSON value."""

    def faults(self, value: object) -> Sequence[Fault]:
        return _NONE


@frozen
class Boolean:
    """True or false."""

    def faults(self, value: object) -> Sequence[Fault]:
        return _NONE if type(value) is bool else (("", "must be boolean"),)


@frozen
class Integer:
    """A whole number; 1.0 and True are none."""

    minimum: int = 0
    maximum: int = MAX_SAFE_INTEGER

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is not int:  # not isinstance: True is an int
            return (("", "must be integer"),)
        if value < self.minimum:
            return (("", f"must be >= {self.minimum}"),)
        if value > self.maximum:
            return (("", f"must be <= {self.maximum}"),)
        return _NONE


@frozen
class Text:
    """A string; bounds count characters, and an empty one has to be allowed by name."""

    min_chars: int = 1
    max_chars: int | None = None

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is not str:
            return (("", "must be string"),)
        if len(value) < self.min_chars:
            return (("", f"must NOT have fewer than {self.min_chars} characters"),)
        if self.max_chars is not None and len(value) > self.max_chars:
            return (("", f"must NOT have more than {self.max_chars} characters"),)
        return _NONE


@frozen
class OneOf:
    """One string of a closed set."""

    allowed: frozenset[str]

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is str and value in self.allowed:
            return _NONE
        if len(self.allowed) == 1:
            return (("", "must be equal to constant"),)
        return (("", "must be equal to one of the allowed values"),)


@frozen
class ListOf:
    """An array of one kind of items."""

    item: Schema
    min_items: int = 0
    max_items: int | None = None
    unique: bool = False

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is not list:
            return (("", "must be array"),)
        if len(value) < self.min_items:
            return (("", f"must NOT have fewer than {self.min_items} items"),)
        if self.max_items is not None and len(value) > self.max_items:
            return (("", f"must NOT have more than {self.max_items} items"),)
        found: list[Fault] = []
        for index, item in enumerate(value):
            wrong = self.item.faults(item)
            if wrong:
                found += _below(index, wrong)
                if len(found) >= MAX_FAULTS:
                    break
        if not found and self.unique and _has_duplicates(value):
            return (("", "must NOT have duplicate items"),)
        return found


@frozen
class MapOf:
    """An object whose keys are free and whose values are of one kind."""

    item: Schema

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is not dict:
            return (("", "must be object"),)
        found: list[Fault] = []
        for name, item in value.items():
            wrong = self.item.faults(item)
            if wrong:
                found += _below(name, wrong)
                if len(found) >= MAX_FAULTS:
                    break
        return found


class Closed:
    """An object with these properties and no other.

    Args:
        properties: Name to schema; a name that ends in ``?`` is optional.
    """

    __slots__ = ("_known", "_required")

    def __init__(self, properties: Mapping[str, Schema]) -> None:
        self._known = {name.removesuffix("?"): item for name, item in properties.items()}
        self._required = tuple(name for name in properties if not name.endswith("?"))

    def faults(self, value: object) -> Sequence[Fault]:
        if type(value) is not dict:
            return (("", "must be object"),)
        found: list[Fault] = [
            ("", f"must have required property '{name}'")
            for name in self._required
            if name not in value
        ]
        known = self._known
        for name, item in value.items():
            schema = known.get(name)
            if schema is None:
                found.append(("", f"unexpected property '{shown(name)}'"))
            else:
                wrong = schema.faults(item)
                if wrong:
                    found += _below(name, wrong)
            if len(found) >= MAX_FAULTS:
                break
        return found


def _has_duplicates(items: Iterable[Any]) -> bool:
    # By repr: items may be unhashable, and 1, 1.0 and True are three different JSON values.
    seen = [repr(item) for item in items]
    return len(set(seen)) < len(seen)


ANY = Anything()
BOOLEAN = Boolean()
COUNT = Integer()
POSITIVE = Integer(minimum=1)
NAME = Text()
EMPTY_OK = Text(min_chars=0)
NAMES = ListOf(NAME)
