"""Which web pages may talk to the gateway: strict reading of Origin and Host, and the verdict.

Rule: both headers are claims. They can refuse a connection or take locality away; neither can
give anything. What cannot be read without guessing is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from attrs import frozen

IPAddress = IPv4Address | IPv6Address

OriginReason = Literal["ok", "origin missing or invalid", "origin not allowed"]

#: Client ids and modes of browser pages: without an Origin they are not what they say they are
#: (protocol fact, checked by every published gateway).
_BROWSER_CLIENT_IDS = frozenset({"openclaw-control-ui", "webchat-ui"})
_BROWSER_CLIENT_MODES = frozenset({"webchat"})

#: Schemes a page is served under. Origins of other schemes (extensions, app shells) can be allowed
#: by name, but never equal a Host: they were not served from it.
_DEFAULT_PORTS = {"http": 80, "https": 443}

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)")
# Not a valid Host (RFC 3986 wants brackets), but what trio-websocket clients write for ws://[::1].
_BARE_IPV6_LOOPBACK = re.compile(r"::1(?::([0-9]{1,5}))?")
_MAX_NAME_LENGTH = 254  # RFC 1035: 253 octets, and the trailing dot


@frozen
class Authority:
    """A host and perhaps a port, read from a Host header or from an Origin.

    Args:
        name: Lower-case name with its trailing dot if it had one, or the canonical IP literal.
        port: None when none was written.
        ip: The address if the host is a literal; an IPv4-mapped one is given as IPv4.
    """

    name: str
    port: int | None
    ip: IPAddress | None

    @property
    def bare_name(self) -> str:
        """The name without its trailing dot: what says *which* host is meant."""
        return self.name.removesuffix(".")


@frozen
class Origin:
    """A serialised origin, RFC 6454: scheme, host, port."""

    scheme: str
    authority: Authority

    @property
    def port(self) -> int | None:
        """The port written, else the default one of the scheme, if it has one."""
        if self.authority.port is not None:
            return self.authority.port
        return _DEFAULT_PORTS.get(self.scheme)

    @property
    def text(self) -> str:
        """The origin as browsers write it, from what was read: safe in a command."""
        host = self.authority
        name = f"[{host.name}]" if ":" in host.name else host.name
        return f"{self.scheme}://{name}" + (f":{host.port}" if host.port is not None else "")


@frozen
class OriginVerdict:
    """What is to be done about the Origin of one connection.

    Args:
        allowed: False means: refuse before any record is made.
        reason: ``details.reason`` of the refusal, `ok` otherwise (protocol fact).
        silent_ok: The page was served from the very Host it now talks to, or there is no page;
            False forbids pairing or widening a device without a human decision.
    """

    allowed: bool
    reason: OriginReason
    silent_ok: bool


_OK = OriginVerdict(allowed=True, reason="ok", silent_ok=True)
_OK_BUT_FOREIGN = OriginVerdict(allowed=True, reason="ok", silent_ok=False)
_INVALID = OriginVerdict(allowed=False, reason="origin missing or invalid", silent_ok=False)
_NOT_ALLOWED = OriginVerdict(allowed=False, reason="origin not allowed", silent_ok=False)


def parse_host(text: str | None) -> Authority | None:
    """Read a Host header, or return None for what is missing, ambiguous or no host at all.

    Refused on purpose: userinfo, paths, empty ports, zone ids, non-ASCII, names that end in a
    number without being an IPv4 address (browsers rewrite those, so only a forger sends them).
    """
    if text is None or not text.isascii():
        return None
    lowered = text.lower()
    if bare := _BARE_IPV6_LOOPBACK.fullmatch(lowered):
        return _authority("::1", IPv6Address("::1"), bare[1])
    match = _AUTHORITY.fullmatch(lowered)
    if match is None:
        return None
    bracketed, host, port = match.groups()
    if bracketed is not None:
        literal = _ip_literal(bracketed)
        return _authority(str(literal), literal, port) if literal and literal.version == 6 else None
    literal = _ip_literal(host.removesuffix("."))
    if literal is None and not _is_dns_name(host):
        return None
    return _authority(host, literal, port)


def parse_origin(text: str | None) -> Origin | None:
    """Read an Origin header, or return None for `null`, a missing one and everything malformed."""
    # ASCII first: lower() turns the Kelvin sign into a k.
    if text is None or not text.isascii():
        return None
    match = _ORIGIN.fullmatch(text.lower())
    authority = None if match is None else parse_host(match[2])
    return None if match is None or authority is None else Origin(match[1], authority)


def is_loopback_host(host: Authority) -> bool:
    """Tell whether ``host`` means this machine: 127.0.0.0/8, ::1, `localhost` and names under it.

    Source: RFC 6761 section 6.3 for names under `localhost.`.
    """
    if host.ip is not None:
        return host.ip.is_loopback
    return host.bare_name == "localhost" or host.bare_name.endswith(".localhost")


def is_machine_name(host: Authority, machine_names: Collection[str]) -> bool:
    """Tell whether ``host`` is one of ``machine_names``, bare or under `.local`."""
    if host.ip is not None:
        return False
    ours = {name.lower().removesuffix(".") for name in machine_names}
    return host.bare_name in ours or host.bare_name.removesuffix(".local") in ours


def is_same_host(origin: Origin, host: Authority) -> bool:
    """Tell whether a page of ``origin`` was served from ``host``; the scheme may differ.

    A Host without a port stands for the default port of the origin's scheme, because a proxy that
    ends TLS keeps the header and not the scheme. A trailing dot makes another host, as in browsers.
    """
    default = _DEFAULT_PORTS.get(origin.scheme)
    if default is None or origin.authority.name != host.name:
        return False
    return origin.port == (default if host.port is None else host.port)


def host_is_ours(
    host: str | None,
    *,
    machine_names: Collection[str],
    public_origin: str | None,
    allowed_origins: Collection[str],
) -> bool:
    """Tell whether a Host header names this gateway; a name nobody configured is DNS rebinding.

    IP literals are ours whichever they are: rebinding needs a name whose address can change.
    Ports do not matter here, `is_same_host` compares them.
    """
    authority = parse_host(host)
    if authority is None:
        return False
    if authority.ip is not None or is_loopback_host(authority):
        return True
    if is_machine_name(authority, machine_names):
        return True
    configured = _origins((*allowed_origins, public_origin or ""))
    return any(authority.bare_name == origin.authority.bare_name for origin in configured)


def judge_origin(  # noqa: PLR0913 (eight separate facts; a record for one call would hide them)
    origin: str | None,
    host: str | None,
    *,
    client_id: str,
    client_mode: str,
    allowed_origins: Sequence[str],
    public_origin: str | None,
    machine_names: Collection[str],
    peer_is_loopback: bool,
) -> OriginVerdict:
    """Decide whether the page that opened a connection may do so.

    Args:
        origin: The Origin header as sent; None when there is none, which only browsers mind.
        allowed_origins: Exact origins; a `*` or anything that is no origin allows nothing.
        public_origin: The origin the gateway is known under; allowed like a listed one.
        peer_is_loopback: A loopback peer that forwarded nothing: the page runs on this machine.
    """
    if origin is None:
        browser = client_id in _BROWSER_CLIENT_IDS or client_mode in _BROWSER_CLIENT_MODES
        return _INVALID if browser else _OK
    page = parse_origin(origin)
    if page is None:
        return _INVALID
    ours = host_is_ours(
        host,
        machine_names=machine_names,
        public_origin=public_origin,
        allowed_origins=allowed_origins,
    )
    authority = parse_host(host)
    if ours and authority is not None and is_same_host(page, authority):
        return _OK
    if _is_listed(page, (*allowed_origins, public_origin or "")):
        return _OK_BUT_FOREIGN
    # A development server on this machine: allowed with the secret, never without a decision.
    web_page = page.scheme in _DEFAULT_PORTS
    if ours and peer_is_loopback and web_page and is_loopback_host(page.authority):
        return _OK_BUT_FOREIGN
    return _NOT_ALLOWED


def _is_listed(page: Origin, entries: Collection[str]) -> bool:
    return any(_identity(page) == _identity(listed) for listed in _origins(entries))


def _identity(origin: Origin) -> tuple[str, str, int | None]:
    return origin.scheme, origin.authority.name, origin.port


def _origins(entries: Collection[str]) -> list[Origin]:
    # A lone trailing slash is how people copy an origin from the address bar.
    parsed = (parse_origin(entry.strip().removesuffix("/")) for entry in entries)
    return [origin for origin in parsed if origin is not None]


def _authority(name: str, literal: IPAddress | None, port: str | None) -> Authority | None:
    number = None if port is None else int(port)
    if number is not None and not 0 < number <= 65535:
        return None
    mapped = literal.ipv4_mapped if isinstance(literal, IPv6Address) else None
    return Authority(name=name, port=number, ip=mapped or literal)


def _ip_literal(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_dns_name(host: str) -> bool:
    if len(host) > _MAX_NAME_LENGTH or _NAME.fullmatch(host) is None:
        return False
    return not host.removesuffix(".").rpartition(".")[2].isdigit()
