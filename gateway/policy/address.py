"""Who calls: the client address behind trusted proxies, and whether a connection is local.

Rule: a client can only ever make itself look more remote. X-Forwarded-For is read from the right
and only behind a trusted proxy; any forwarding header at all ends locality. `Forwarded`
(RFC 7239) is noticed, never read: proxies that rebuild X-Forwarded-For pass it on unseen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from attrs import frozen

from gateway.policy.origin import (
    is_loopback_host,
    is_machine_name,
    is_same_host,
    parse_host,
    parse_origin,
)
from gateway.policy.walk import (
    ForwardingHeaders,
    IPAddress,
    IPNetwork,
    is_within,
    normalise_ip,
    parse_networks,
    plain,
    walks_of,
)

# Those who judge an address also read one.
__all__ = [
    "ClientAddress",
    "ForwardingHeaders",
    "IPAddress",
    "IPNetwork",
    "Locality",
    "LocalityReason",
    "is_within",
    "judge_locality",
    "may_be_local",
    "normalise_ip",
    "obstacle",
    "parse_networks",
    "resolve_client",
]


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
        owner: Whose it is instead, such as ``www-data (uid 33)``: found out by who asked the kernel.
    """

    local: bool
    why: LocalityReason
    uid_confirmed: bool
    owner: str | None = None


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
    peer = plain(peer)
    believed = headers.present and is_within(peer, trusted)
    client = None
    if believed:
        client = walks_of(headers, trusted, allow_real_ip=allow_real_ip)[-1].client
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
    return obstacle(address, host, origin, machine_names) is None


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
    found = obstacle(address, host, origin, machine_names)
    if found is not None:
        return Locality(local=False, why=found, uid_confirmed=False)
    if uid_known and peer_uid not in (own_uid, 0):
        return Locality(local=False, why=LocalityReason.OTHER_UID, uid_confirmed=False)
    return Locality(local=True, why=LocalityReason.LOOPBACK, uid_confirmed=uid_known)


def obstacle(
    address: ClientAddress, host: str | None, origin: str | None, machine_names: Collection[str]
) -> LocalityReason | None:
    """Return what keeps a connection from being local; None leaves it to the kernel's answer."""
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
