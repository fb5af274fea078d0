"""What the value of a configuration key may be: one small strict parser for each kind.

A parser takes the value as it was read and returns what the records hold. It never coerces:
``true`` is not an integer, ``"18789"`` is not a port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Generic, Literal, TypeVar

from attrs import frozen

from stores.scopes import KNOWN

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address
PUBLISHED_PORT: Literal["published-port"] = "published-port"

#: What stands in place of a secret wherever a configuration is shown (protocol fact).
REDACTED = "__OPENCLAW_REDACTED__"

#: A wider prefix says "everybody", and believing everybody is believing nobody in particular.
MIN_PREFIX_V4 = 8
MIN_PREFIX_V6 = 16

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2: token
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#@\\]+)/?")
_FINGERPRINT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


T = TypeVar("T")


@frozen
class Kind(Generic[T]):
    """A parser, and the JSON Schema of what it takes (which may take a little more)."""

    parse: Callable[[Any], T]
    schema: Mapping[str, Any]

    def __call__(self, value: Any) -> T:
        """Return what the records hold; raises what the parser raises."""
        return self.parse(value)


def _kind(**schema: Any) -> Callable[[Callable[[Any], T]], Kind[T]]:
    """Make a kind of the parser that follows."""
    return lambda parse: Kind(parse, schema)


class MismatchError(ValueError):
    """A value is not of its kind; ``expected`` completes "expected …".

    ``at`` is the index of the element that does not fit, and ``element`` that element.
    """

    def __init__(
        self,
        expected: str,
        *,
        remedy: str | None = None,
        at: int | None = None,
        element: object = None,
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.remedy = remedy
        self.at = at
        self.element = element


class UseDefaultError(ValueError):
    """A value would switch a protection off, so the default stays; the text says why."""


@_kind(type="boolean")
def boolean(value: Any) -> bool:
    """Take ``true`` or ``false``."""
    if type(value) is not bool:
        raise MismatchError("true or false")
    return value


def integer(low: int, high: int | None = None, *, what: str = "an integer") -> Kind[int]:
    """Make a parser of integers from ``low`` to ``high``, both included."""
    span = f" of {low} or more" if high is None else f" from {low} to {high}"

    def parse(value: Any) -> int:
        # not isinstance: True is an int
        if type(value) is not int or value < low or (high is not None and value > high):
            raise MismatchError(what + span)
        return value

    limits = {"minimum": low} | ({} if high is None else {"maximum": high})
    return Kind(parse, {"type": "integer"} | limits)


@_kind(type="integer", minimum=1)
def protecting(value: Any) -> int:
    """Take a positive integer; zero, less and NaN leave the default, for they would mean "off".

    Raises:
        UseDefaultError: the value is a number that no limit can be.
    """
    if type(value) in (int, float) and not value > 0:
        raise UseDefaultError(f"{value} would switch the limit off, so the default stays")
    if type(value) is not int:
        raise MismatchError("an integer of 1 or more")
    return value


@_kind(type="string", pattern=r"\S")
def text(value: Any) -> str:
    """Take any string that is not blank."""
    if type(value) is not str or not value.strip():
        raise MismatchError("a string that is not empty")
    return value


@_kind(type="string")
def secret(value: Any) -> str | None:
    """Take a secret; a blank one counts as not set, for it must match nothing."""
    if type(value) is not str:
        raise MismatchError("a string", remedy='put it in quotes, or name it as `"${VARIABLE}"`')
    if value == REDACTED:
        raise MismatchError("the secret itself, not the mark that hides it in listings")
    return value if value.strip() else None


def choice(names: type[StrEnum], *, meant: dict[str, str] | None = None) -> Kind[StrEnum]:
    """Make a parser of the members of ``names``; ``meant`` maps common mistakes to them."""
    listed = ", ".join(names)

    def parse(value: Any) -> StrEnum:
        if type(value) is str and value in list(names):
            return names(value)
        better = (meant or {}).get(value) if type(value) is str else None
        if better is None and type(value) is str:
            better = closest(value, list(names))
        remedy = None if better is None else f'use `"{better}"`'
        raise MismatchError(f"one of {listed}", remedy=remedy)

    return Kind(parse, {"type": "string", "enum": [str(name) for name in names]})


def many(one: Kind[Any], *, what: str) -> Kind[tuple[Any, ...]]:
    """Make a parser of arrays; the error names the first element that does not fit."""

    def parse(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise MismatchError(f"an array of {what}")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(one(item))
            except MismatchError as error:
                raise MismatchError(
                    error.expected, remedy=error.remedy, at=index, element=item
                ) from error
        return tuple(items)

    return Kind(parse, {"type": "array", "items": one.schema})


@_kind(type="string", description="an IP address")
def address(value: Any) -> IPAddress:
    """Take one IP address."""
    try:
        if type(value) is str:
            return ipaddress.ip_address(value)
    except ValueError:
        pass
    raise MismatchError("an IP address such as 192.168.0.10")


@_kind(type="string", description="an IP address or a network in CIDR form")
def network(value: Any) -> IPNetwork:
    """Take an IP address or a network in CIDR form that is narrow enough to be somebody."""
    try:
        if type(value) is not str:
            raise ValueError
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise MismatchError("an IP address or a network such as 10.0.0.0/24") from None
    mapped = found.network_address.ipv4_mapped if found.version == 6 else None
    if mapped is not None and found.prefixlen >= 96:
        found = ipaddress.ip_network((mapped, found.prefixlen - 96))
    if found.prefixlen < (MIN_PREFIX_V4 if found.version == 4 else MIN_PREFIX_V6):
        raise MismatchError(
            f"networks of /{MIN_PREFIX_V4} (IPv6 /{MIN_PREFIX_V6}) or narrower",
            remedy="name the addresses of the proxies themselves",
        )
    return found


@_kind(type="string", description="a network in CIDR form, or published-port")
def network_or_published_port(value: Any) -> IPNetwork | Literal["published-port"]:
    """Take a network, or the word for browsers behind a port that a container publishes."""
    if value == PUBLISHED_PORT:
        return PUBLISHED_PORT
    try:
        return network(value)
    except MismatchError as error:
        too_wide = (
            error.remedy and "name the network that those devices are in, such as 10.1.2.0/24"
        )
        raise MismatchError(f'{error.expected}, or "{PUBLISHED_PORT}"', remedy=too_wide) from None


@_kind(type="string", pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]+/?$")
def origin(value: Any) -> str:
    """Take a web origin, ``scheme://host[:port]``; returned in lower case, without a slash."""
    found = _ORIGIN.fullmatch(value) if type(value) is str else None
    if found is None or "*" in value:
        raise MismatchError("an origin such as https://gateway.example:8443, without a path")
    return f"{found[1]}://{found[2]}".lower()


@_kind(type="string", pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@]+/?$")
def web_origin(value: Any) -> str:
    """Take an origin that a browser can open."""
    found = origin(value)
    if not found.startswith(("http://", "https://")):
        raise MismatchError("an origin that begins with https:// or http://")
    return found


@_kind(type="string", pattern=r"^(wss?|https?)://[^\s/?#@]+(/\S*)?$")
def socket_url(value: Any) -> str:
    """Take the address of a gateway, ``ws(s)://`` or ``http(s)://``."""
    if type(value) is not str or not re.fullmatch(r"(?:wss?|https?)://[^\s/?#@]+(/\S*)?", value):
        raise MismatchError("an address such as wss://gateway.example:18789, without credentials")
    return value


@_kind(type="string", pattern=r"^[A-Za-z0-9._~/-]*$")
def base_path(value: Any) -> str:
    """Take the path the Control UI lives under; "" for the root, else ``/like/this``."""
    if type(value) is not str or not re.fullmatch(r"[A-Za-z0-9._~/-]*", value):
        raise MismatchError("a path such as /openclaw")
    parts = [part for part in value.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise MismatchError("a path such as /openclaw, without dot segments")
    return "".join(f"/{part}" for part in parts)


@_kind(type="string", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
def header(value: Any) -> str:
    """Take the name of an HTTP header; returned in lower case, as names are compared."""
    if type(value) is not str or _HEADER.fullmatch(value) is None:
        raise MismatchError("the name of an HTTP header such as X-Forwarded-User")
    return value.lower()


@_kind(type="string", pattern=r"^([Ss][Hh][Aa]256:)?([0-9A-Fa-f]{2}:?){32}$")
def fingerprint(value: Any) -> str:
    """Take the SHA-256 of a certificate, with or without colons; returned as 64 hex digits."""
    plain = value.lower().replace("sha256:", "").replace(":", "") if type(value) is str else ""
    found = _FINGERPRINT.fullmatch(plain)
    if found is None:
        raise MismatchError("the SHA-256 fingerprint of a certificate, 64 hex digits")
    return found[1]


@_kind(type="string", enum=sorted(KNOWN))
def scope(value: Any) -> str:
    """Take the name of a scope that exists."""
    if type(value) is not str or value not in KNOWN:
        close = closest(value, sorted(KNOWN)) if type(value) is str else None
        raise MismatchError("a scope", remedy=close and f"use `{close}`")
    return value


def closest(value: str, names: list[str]) -> str | None:
    """Return the name that was probably meant, or None."""
    import difflib  # late: only a mistake needs it

    return next(iter(difflib.get_close_matches(value, names, n=1)), None)
