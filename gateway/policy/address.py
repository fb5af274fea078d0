"""Who calls: the client address behind trusted proxies, and whether a connection is local.

Rule: a client can only ever make itself look more remote. X-Forwarded-For is read from the right
and only behind a trusted proxy; any forwarding header at all ends locality. `Forwarded`
(RFC 7239) is noticed, never read: proxies that rebuild X-Forwarded-For pass it on unseen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen

from gateway.policy.origin import (
    is_loopback_host,
    is_machine_name,
    is_same_host,
    parse_host,
    parse_origin,
)

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
        text = ", ".join(lines)[: _MAX_QUOTED_LENGTH + 1]
        if not (text.isascii() and text.isprintable()):
            text = text.encode("unicode_escape").decode("ascii")
        return text if len(text) <= _MAX_QUOTED_LENGTH else text[: _MAX_QUOTED_LENGTH - 3] + "..."


@frozen
class ClientAddress:
    """Where a connection comes from.

    Args:
        peer: The socket's remote end; IPv4-mapped addresses are given as IPv4.
        client: Who is behind the trusted proxies; the peer when nobody can be named.
        forwarded: A forwarding header of any kind was sent.
        via_trusted_proxy: It was forwarded by a peer in the trusted networks.
        untrusted_proxy: It was forwarded by a peer nobody trusts; its headers were ignored.
        unattributable: A trusted proxy forwarded it but no hop is left to call the client.
        quoted: `ForwardingHeaders.quoted`.
    """

    peer: IPAddress
    client: IPAddress
    forwarded: bool
    via_trusted_proxy: bool
    untrusted_proxy: bool
    unattributable: bool
    quoted: str | None

    @property
    def direct_loopback(self) -> bool:
        """Whether the socket peer is loopback and forwarded nothing: where locality starts."""
        return self.peer.is_loopback and not self.forwarded

    @property
    def attributed(self) -> bool:
        """Whether ``client`` was named by a trusted proxy."""
        return self.via_trusted_proxy and not self.unattributable


class LocalityReason(StrEnum):
    """Why a connection is local (`loopback`) or what keeps it from being so."""

    LOOPBACK = "loopback"
    NOT_LOOPBACK = "not-loopback"
    FORWARDED = "forwarded"
    UNTRUSTED_PROXY = "untrusted-proxy"
    HOST = "host"
    ORIGIN = "origin"
    OTHER_UID = "other-uid"


@frozen
class Locality:
    """Whether a connection is local, and why.

    Args:
        uid_confirmed: The kernel says that the peer's socket belongs to our uid or root.
    """

    local: bool
    why: LocalityReason
    uid_confirmed: bool


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
        return _plain(ip_address(text))
    except ValueError:
        return None


def resolve_client(
    peer: IPAddress,
    headers: ForwardingHeaders,
    trusted: Sequence[IPNetwork],
    *,
    allow_real_ip: bool = False,
) -> ClientAddress:
    """Find out who is behind ``peer``.

    Behind a trusted peer the client is the right-most untrusted hop of X-Forwarded-For. Loopback
    hops name nobody and are skipped. When every hop is trusted it is the right-most of them. A hop
    that is no address ends the walk: what stands left of it was written by someone unknown.

    Args:
        allow_real_ip: Whether a single X-Real-IP counts when X-Forwarded-For names nobody.
    """
    peer = _plain(peer)
    believed = headers.present and is_within(peer, trusted)
    client = _named_client(headers, trusted, allow_real_ip=allow_real_ip) if believed else None
    return ClientAddress(
        peer=peer,
        client=client or peer,
        forwarded=headers.present,
        via_trusted_proxy=believed,
        untrusted_proxy=headers.present and not believed,
        unattributable=believed and client is None,
        quoted=headers.quoted,
    )


def may_be_local(
    address: ClientAddress, host: str | None, origin: str | None, machine_names: Collection[str]
) -> bool:
    """Tell whether only the kernel's answer about the peer's uid is missing for locality."""
    return _obstacle(address, host, origin, machine_names) is None


def judge_locality(
    address: ClientAddress,
    *,
    host: str | None,
    origin: str | None,
    machine_names: Collection[str],
    peer_uid: int | None,
    uid_known: bool,
    own_uid: int,
) -> Locality:
    """Decide whether a connection is local: the one kind that is rewarded.

    A loopback peer that forwarded nothing, whose Host means this machine (a missing or unreadable
    one does not: nothing then rules out DNS rebinding), whose Origin, if any, equals that Host,
    and whose socket belongs to ``own_uid`` or root where the kernel can tell.

    Args:
        machine_names: This machine's host names.
        peer_uid: Owner of the peer's socket, as the kernel told.
        uid_known: The kernel can tell here. A socket it then does not find is nobody's, so
            ``peer_uid=None`` counts as a foreign uid: else a proxy that hangs up early is local.
    """
    obstacle = _obstacle(address, host, origin, machine_names)
    if obstacle is not None:
        return Locality(local=False, why=obstacle, uid_confirmed=False)
    if uid_known and peer_uid not in (own_uid, 0):
        return Locality(local=False, why=LocalityReason.OTHER_UID, uid_confirmed=False)
    return Locality(local=True, why=LocalityReason.LOOPBACK, uid_confirmed=uid_known)


def is_within(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    """Tell whether ``address`` lies in one of ``networks``."""
    return any(address in network for network in networks)


def _obstacle(
    address: ClientAddress, host: str | None, origin: str | None, machine_names: Collection[str]
) -> LocalityReason | None:
    if address.untrusted_proxy:
        return LocalityReason.UNTRUSTED_PROXY
    if address.forwarded:
        return LocalityReason.FORWARDED
    if not address.peer.is_loopback:
        return LocalityReason.NOT_LOOPBACK
    authority = parse_host(host)
    if authority is None:
        return LocalityReason.HOST
    if not (is_loopback_host(authority) or is_machine_name(authority, machine_names)):
        return LocalityReason.HOST
    if origin is None:
        return None
    page = parse_origin(origin)
    if page is None or not is_same_host(page, authority):
        return LocalityReason.ORIGIN
    return None


def _named_client(
    headers: ForwardingHeaders, trusted: Sequence[IPNetwork], *, allow_real_ip: bool
) -> IPAddress | None:
    client = _walk(_hops(headers.forwarded_for), trusted)
    # Two X-Real-IP lines contradict each other: the proxy did not overwrite what the client sent.
    if client is None and allow_real_ip and len(headers.real_ip) == 1:
        client = _walk(headers.real_ip, trusted)
    return client


def _hops(lines: Sequence[str]) -> list[str]:
    # RFC 9110 5.3: lines of one field are one list; 5.6.1: empty elements do not count.
    hops = ",".join(lines).rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]
    return [hop for hop in reversed(hops) if hop.strip()]


def _walk(hops: Sequence[str], trusted: Sequence[IPNetwork]) -> IPAddress | None:
    nearest_trusted: IPAddress | None = None
    for hop in hops:
        address = normalise_ip(hop)
        if address is None:
            return None
        if address.is_loopback:
            continue
        if not is_within(address, trusted):
            return address
        nearest_trusted = nearest_trusted or address
    return nearest_trusted


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


def _plain(address: IPAddress) -> IPAddress:
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))  # int() drops the zone id


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _is_forwarding(name: str) -> bool:
    # Some servers read underscores as dashes, so a proxy may have been told with either.
    name = name.replace("_", "-")
    return name in _FORWARDING_NAMES or name.startswith(_FORWARDING_PREFIXES)
