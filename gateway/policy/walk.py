"""Forwarding headers, the networks that are trusted, and the walk from the right through both.

Rule: each hop is judged once, here, whether a connection is let in or explained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# Headers that only something between the client and us adds. Longer than any published list: a
# client that speaks to us directly sends none of these, so a name too many costs nothing.
_FORWARDING_NAMES = frozenset(
    {"via", "cdn-loop", "client-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip"}
    | {"x-forwarded", "x-forwarded-for", "x-real-ip", "forwarded", "forwarded-for"}
)
_FORWARDING_PREFIXES = (
    "x-forwarded-",
    "tailscale-",
    "cf-",
    "x-real-",
    "x-original-",
    "x-envoy-",
    "x-azure-",
    "x-arr-",
    "fly-",
    "fastly-",
)

# More proxies than any real chain has; bounds the work a 16 KiB header can cause.
_MAX_HOPS = 64
_MAX_QUOTED_LENGTH = 256

_BRACKETED = re.compile(r"\[([^\[\]]+)\](?::[0-9]{1,5})?")
_IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_ENTRY = re.compile(r"([0-9a-fA-F:.]+)(?:/([0-9]{1,3}))?")

# Nobody's proxies fill a network wider than this; who writes it means "everyone".
_WIDEST_IPV4_PREFIX = 8
_WIDEST_IPV6_PREFIX = 16
_MAPPED_PREFIX_BITS = 96


@frozen
class ForwardingHeaders:
    """Every forwarding header of one request; a header sent twice is two entries.

    Args:
        other: Lower-case names of the forwarding headers that are not read for an address.
    """

    forwarded_for: tuple[str, ...] = ()
    forwarded: tuple[str, ...] = ()
    real_ip: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[bytes | str, bytes | str]]) -> ForwardingHeaders:
        """Collect the forwarding headers among all header lines of a request, in order."""
        forwarded_for: list[str] = []
        forwarded: list[str] = []
        real_ip: list[str] = []
        read = {"x-forwarded-for": forwarded_for, "forwarded": forwarded, "x-real-ip": real_ip}
        other: dict[str, None] = {}
        for raw_name, raw_value in headers:
            name = _text(raw_name).strip().lower()
            if name in read:
                read[name].append(_text(raw_value))
            elif _is_forwarding(name):
                other[name] = None
        return cls(tuple(forwarded_for), tuple(forwarded), tuple(real_ip), tuple(other))

    @property
    def present(self) -> bool:
        """Whether anything was forwarded at all, readable or not."""
        return bool(self.forwarded_for or self.forwarded or self.real_ip or self.other)

    @property
    def quoted(self) -> str | None:
        """What the proxy said of the client, safe to print: escaped, at most 256 characters.

        The lines of X-Forwarded-For, else of Forwarded, else of X-Real-IP; None without any.
        """
        lines = self.forwarded_for or self.forwarded or self.real_ip
        if not lines:
            return None
        text = printed(", ".join(lines)[: _MAX_QUOTED_LENGTH + 1])
        return text if len(text) <= _MAX_QUOTED_LENGTH else text[: _MAX_QUOTED_LENGTH - 3] + "..."

    @property
    def names(self) -> tuple[str, ...]:
        """The lower-case names of the headers that were sent, each once, sorted."""
        read = {
            "x-forwarded-for": self.forwarded_for,
            "forwarded": self.forwarded,
            "x-real-ip": self.real_ip,
        }
        return tuple(sorted({*self.other, *(name for name, lines in read.items() if lines)}))


class HopVerdict(StrEnum):
    """What one hop of a header means for the walk from the right."""

    CLIENT = "client"
    TRUSTED = "trusted"
    LOOPBACK = "loopback"
    NO_ADDRESS = "no-address"


@frozen
class Hop:
    """One hop that the walk looked at; ``rule`` is the trusted network that let it go on."""

    text: str
    address: IPAddress | None
    verdict: HopVerdict
    rule: IPNetwork | None = None


@frozen
class Walk:
    """The walk through one header: the hops looked at, nearest first, and whom they name.

    Args:
        left: Hops further left that nobody looked at: written by whom the walk does not know.
    """

    header: str
    hops: tuple[Hop, ...]
    client: IPAddress | None
    left: tuple[str, ...] = ()


def parse_networks(entries: Sequence[str]) -> tuple[IPNetwork, ...]:
    """Read the entries of `trustedProxies`: single addresses and CIDR networks, IPv4 and IPv6.

    Host bits may be set; IPv4-mapped entries become the IPv4 network that peers are compared as.

    Raises:
        ValueError: An entry is neither, or wider than /8 (IPv6: /16). The text names the entry.
    """
    return tuple(_parse_network(entry) for entry in entries)


def normalise_ip(text: str) -> IPAddress | None:
    """Read one hop of X-Forwarded-For, or return None for what is no address.

    A port, brackets around IPv6 and a zone id are dropped; IPv4-mapped IPv6 becomes IPv4.
    """
    text = text.strip()
    if match := _BRACKETED.fullmatch(text):
        text = match[1]
        if ":" not in text:
            return None
    elif match := _IPV4_WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        return plain(ip_address(text))
    except ValueError:
        return None


def is_within(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    """Tell whether ``address`` lies in one of ``networks``."""
    return any(address in network for network in networks)


def rule_for(address: IPAddress, networks: Sequence[IPNetwork]) -> IPNetwork | None:
    """Return the first of ``networks`` that ``address`` lies in, None if there is none."""
    return next((network for network in networks if address in network), None)


def printed(text: str) -> str:
    """Return what a stranger wrote so that printing it does nothing but show it."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


def walks_of(
    headers: ForwardingHeaders, trusted: Sequence[IPNetwork], *, allow_real_ip: bool
) -> tuple[Walk, ...]:
    """Return the walks that say who is behind a trusted peer; the last one decides.

    Through X-Forwarded-For first. Where that names nobody a single X-Real-IP is walked too.
    """
    walk = _walk("X-Forwarded-For", _hops(headers.forwarded_for), trusted)
    # Two X-Real-IP lines contradict each other: the proxy did not overwrite what the client sent.
    if walk.client is None and allow_real_ip and len(headers.real_ip) == 1:
        return walk, _walk("X-Real-IP", headers.real_ip, trusted)
    return (walk,)


def _hops(lines: Sequence[str]) -> list[str]:
    # RFC 9110 5.3: lines of one field are one list; 5.6.1: empty elements do not count.
    hops = ",".join(lines).rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]
    return [hop for hop in reversed(hops) if hop.strip()]


def _walk(header: str, hops: Sequence[str], trusted: Sequence[IPNetwork]) -> Walk:
    seen: list[Hop] = []
    client: IPAddress | None = None
    for hop in hops:
        judged = _judge_hop(hop, trusted)
        seen.append(judged)
        match judged.verdict:
            case HopVerdict.CLIENT:
                client = judged.address
                break
            case HopVerdict.NO_ADDRESS:
                client = None  # what stands right of it is no client either: the chain is broken
                break
            case HopVerdict.TRUSTED:
                client = client or judged.address
            case HopVerdict.LOOPBACK:
                continue
    return Walk(header, tuple(seen), client, tuple(hops[len(seen) :]))


def _judge_hop(text: str, trusted: Sequence[IPNetwork]) -> Hop:
    address = normalise_ip(text)
    if address is None:
        return Hop(text, None, HopVerdict.NO_ADDRESS)
    if address.is_loopback:
        return Hop(text, address, HopVerdict.LOOPBACK)
    rule = rule_for(address, trusted)
    return Hop(text, address, HopVerdict.CLIENT if rule is None else HopVerdict.TRUSTED, rule)


def _parse_network(entry: str) -> IPNetwork:
    match = _ENTRY.fullmatch(entry.strip())
    try:
        if match is None:
            raise ValueError
        network: IPNetwork = ip_network(match[0], strict=False)
    except ValueError:
        raise ValueError(f"{entry!r} is neither an IP address nor a CIDR network") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_PREFIX_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            network = IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX_BITS))
    widest = _WIDEST_IPV4_PREFIX if network.version == 4 else _WIDEST_IPV6_PREFIX
    if network.prefixlen < widest:
        raise ValueError(f"{entry!r} is wider than /{widest}: list the proxies themselves")
    return network


def plain(address: IPAddress) -> IPAddress:
    """Return an address without its zone, an IPv4-mapped one as IPv4."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))  # int() drops the zone id


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _is_forwarding(name: str) -> bool:
    # Some servers read underscores as dashes, so a proxy may have been told with either.
    name = name.replace("_", "-")
    return name in _FORWARDING_NAMES or name.startswith(_FORWARDING_PREFIXES)
