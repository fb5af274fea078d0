"""Why a connection is who it is: the peer, each hop, the client and its locality, one reason each.

Rule: nothing is decided here. The client comes from `resolve_client`, the hops from the very walk
that it took, the locality from the obstacle that a real connection meets.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from attrs import frozen

from gateway.policy.address import (
    ClientAddress,
    LocalityReason,
    obstacle,
    resolve_client,
)
from gateway.policy.walk import (
    ForwardingHeaders,
    Hop,
    HopVerdict,
    IPAddress,
    IPNetwork,
    Walk,
    printed,
    rule_for,
    walks_of,
)

#: Longest part of a hop or a header that is shown.
MAX_SHOWN = 120

_HOP_WORDS = {
    HopVerdict.CLIENT: "not trusted: this is the client",
    HopVerdict.LOOPBACK: "a loopback address names nobody: skipped",
    HopVerdict.NO_ADDRESS: "not an address: the walk ends, and nobody is named",
}


@frozen
class Explanation:
    """Where a connection comes from, and what each step of finding that out was.

    Args:
        trusted_by: The trusted network that the peer lies in; None if there is none.
        walks: The walks taken, the last one decisive; empty where the headers were not believed.
        why: What keeps it from being local; `loopback` leaves only the peer's owner to be checked.
    """

    address: ClientAddress
    headers: ForwardingHeaders
    trusted_by: IPNetwork | None
    walks: tuple[Walk, ...]
    why: LocalityReason
    host: str | None
    origin: str | None

    @property
    def may_be_local(self) -> bool:
        """Whether only the kernel's answer about the peer's owner is missing for locality."""
        return self.why is LocalityReason.LOOPBACK


def explain_address(
    peer: IPAddress,
    headers: ForwardingHeaders,
    trusted: Sequence[IPNetwork],
    *,
    allow_real_ip: bool = False,
    host: str | None = None,
    origin: str | None = None,
    machine_names: Collection[str] = (),
) -> Explanation:
    """Resolve the client as `resolve_client` does, and keep every step."""
    address = resolve_client(peer, headers, trusted, allow_real_ip=allow_real_ip)
    walks: tuple[Walk, ...] = ()
    if address.via_trusted_proxy:
        walks = walks_of(headers, trusted, allow_real_ip=allow_real_ip)
    found = obstacle(address, host, origin, machine_names)
    return Explanation(
        address=address,
        headers=headers,
        trusted_by=rule_for(address.peer, trusted),
        walks=walks,
        why=found or LocalityReason.LOOPBACK,
        host=host,
        origin=origin,
    )


def rule_text(network: IPNetwork) -> str:
    """Return a trusted network as people write it: a single address without its prefix."""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


def trusting(entries: Sequence[IPNetwork], *peers: IPAddress) -> str:
    """Return the command that trusts these peers too and nobody else; present entries are kept."""
    texts = [rule_text(one) for one in entries]
    new = [str(peer) for peer in peers if rule_for(peer, entries) is None]
    return trusting_only([*texts, *dict.fromkeys(new)])


def trusting_only(entries: Sequence[str]) -> str:
    """Return the command that makes these entries all that is trusted."""
    return f"openclaw config set gateway.trustedProxies '{json.dumps(list(entries))}'"


def peer_words(explained: Explanation) -> str:
    """Say what the peer is: a proxy that is believed, one that is not, or the client itself."""
    rule = explained.trusted_by
    if explained.address.untrusted_proxy:
        return "not in gateway.trustedProxies: its forwarding headers are not believed"
    if rule is not None and explained.address.forwarded:
        return f"trusted by {rule_text(rule)}: its headers are read from the right"
    if rule is not None:
        return f"trusted by {rule_text(rule)}, but it forwards nothing: it is the client itself"
    return "it forwards nothing: it is the client itself"


def hop_words(hop: Hop) -> str:
    """Say what one hop of the walk was."""
    if hop.rule is not None:
        return f"trusted by {rule_text(hop.rule)}: the walk goes on"
    return _HOP_WORDS[hop.verdict]


def client_words(explained: Explanation) -> str:
    """Say why the client is who it is."""
    address = explained.address
    if address.unattributable:
        return f"the peer, for its headers name nobody ({_headers_seen(explained)})"
    if address.attributed:
        last = explained.walks[-1]
        if last.hops[-1].verdict is HopVerdict.CLIENT:
            return f"the first hop of {last.header}, from the right, that is not trusted"
        return f"every hop of {last.header} is trusted: the right-most one that is not loopback"
    return "the peer itself"


def locality_words(explained: Explanation) -> str:
    """Say whether it is local, and what keeps it from being so."""
    address = explained.address
    match explained.why:
        case LocalityReason.FORWARDED | LocalityReason.UNTRUSTED_PROXY:
            return f"a forwarded connection never is ({_headers_seen(explained)})"
        case LocalityReason.NOT_LOOPBACK:
            return f"the peer {address.peer} is not loopback"
        case LocalityReason.HOST:
            return (
                f"the peer is loopback, but the Host is {_shown(explained.host)}: neither a "
                "loopback name or address nor this machine's own name"
            )
        case LocalityReason.ORIGIN:
            return f"the page comes from {_shown(explained.origin)}, not from the Host itself"
        case LocalityReason.LOOPBACK | LocalityReason.OTHER_UID:
            return "if the peer's socket belongs to the gateway's own user or to root"


def as_json(explained: Explanation) -> dict[str, Any]:
    """Return an explanation as `--json` prints it."""
    address = explained.address
    rule = explained.trusted_by
    return {
        "peer": str(address.peer),
        "peerTrustedBy": None if rule is None else rule_text(rule),
        "headers": list(explained.headers.names),
        "walks": [
            {
                "header": walk.header,
                "hops": [_hop_json(hop) for hop in walk.hops],
                "notLookedAt": [_shown(text.strip()) for text in walk.left],
                "client": None if walk.client is None else str(walk.client),
            }
            for walk in explained.walks
        ],
        "client": str(address.client),
        "clientWhy": client_words(explained),
        "forwarded": address.forwarded,
        "viaTrustedProxy": address.via_trusted_proxy,
        "unattributable": address.unattributable,
        "locality": {
            "local": explained.may_be_local,
            "why": str(explained.why),
            "sentence": locality_words(explained),
        },
    }


def _hop_json(hop: Hop) -> dict[str, Any]:
    return {
        "text": _shown(hop.text.strip()),
        "address": None if hop.address is None else str(hop.address),
        "verdict": str(hop.verdict),
        "rule": None if hop.rule is None else rule_text(hop.rule),
    }


def _headers_seen(explained: Explanation) -> str:
    return ", ".join(_shown(name) for name in explained.headers.names[:6])


def _shown(text: str | None) -> str:
    if text is None:
        return "missing"
    shown = printed(text)
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."
