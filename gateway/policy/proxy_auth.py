"""Whom a proxy that signs users in says is there, and whether it may say so.

Rule: the peer of the socket decides who may speak for a user, never a header. A process of this
machine counts as a proxy only where the configuration says so, and a header that came twice names
nobody: then the proxy passed on what the client had written.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from gateway.policy.address import IPAddress, IPNetwork, is_within
from gateway.policy.credentials import Accepted, AuthReason, Method, Rejected, Verdict

Header = tuple[bytes, bytes]

#: Longest user name: what is longer is no name, and it goes into log and audit trail.
MAX_USER_CHARACTERS = 256


@frozen
class ProxyAuth:
    """What mode trusted-proxy asks for; header names are lower case.

    Args:
        allow_users: Users let in; empty means every user the proxy names.
        own_addresses: The addresses of this machine's interfaces: what connects from one of them
            is a process of this machine, whichever network that address lies in.
    """

    user_header: str
    required_headers: tuple[str, ...] = ()
    allow_users: frozenset[str] = frozenset()
    allow_loopback: bool = False
    own_addresses: frozenset[IPAddress] = frozenset()


def judge_identity(
    rule: ProxyAuth,
    trusted: Sequence[IPNetwork],
    *,
    peer: IPAddress,
    local_end: IPAddress,
    headers: Sequence[Header],
    past: bool = False,
) -> Verdict:
    """Return who is there by the word of the proxy, or why that word does not count.

    Args:
        local_end: Our end of the socket: a peer with the same address is this machine.
        headers: All header lines of the request; names in lower case.
        past: Nothing forwarded it, it calls this machine by a name of its own, and the kernel says
            that its socket is one of the gateway's own user: it can prove itself otherwise.
    """
    claimed = not past or is_signed(rule, headers)
    users = _values(headers, rule.user_header)
    fault = refused_source(rule, trusted, peer=peer, local_end=local_end)
    if fault is not None:
        return Rejected(fault, wrong=False, claimed=bool(users))
    for name in rule.required_headers:
        if len(values := _values(headers, name)) != 1 or not values[0]:
            reason = AuthReason.PROXY_MISSING_HEADER
            return Rejected(reason, wrong=False, header=name, claimed=claimed)
    if len(users) > 1:
        return _rejected(AuthReason.PROXY_USER_AMBIGUOUS)
    if not users or not users[0] or len(users[0]) > MAX_USER_CHARACTERS:
        return Rejected(AuthReason.PROXY_USER_MISSING, wrong=False, claimed=claimed)
    if not is_allowed(rule, users[0]):
        return _rejected(AuthReason.PROXY_USER_NOT_ALLOWED)
    return Accepted(Method.TRUSTED_PROXY, user=users[0])


def is_signed(rule: ProxyAuth, headers: Sequence[Header]) -> bool:
    """Tell whether a request holds anything that the proxy that signs users in would send."""
    return any(_values(headers, name) for name in (rule.user_header, *rule.required_headers))


def refused_source(
    rule: ProxyAuth, trusted: Sequence[IPNetwork], *, peer: IPAddress, local_end: IPAddress
) -> AuthReason | None:
    """Return why a peer may not speak for users, or None if it may."""
    if not is_within(peer, trusted):
        return AuthReason.PROXY_UNTRUSTED_SOURCE
    here = peer.is_loopback or peer == local_end or peer in rule.own_addresses
    return AuthReason.PROXY_LOOPBACK_SOURCE if here and not rule.allow_loopback else None


def is_allowed(rule: ProxyAuth, user: str) -> bool:
    """Tell whether a user is let in; names are compared as they are written."""
    return not rule.allow_users or user in rule.allow_users


def still_vouched(
    before: ProxyAuth,
    now: ProxyAuth,
    trusted: Sequence[IPNetwork],
    *,
    user: str,
    peer: IPAddress,
    local_end: IPAddress,
) -> bool:
    """Tell whether a session that a proxy vouched for would still be let in.

    Its headers are not kept: a user header of another name, or one more required header, counts
    as missing, and the client connects anew.
    """
    asks_no_more = set(now.required_headers) <= set(before.required_headers)
    same_header = now.user_header == before.user_header
    source = refused_source(now, trusted, peer=peer, local_end=local_end)
    return asks_no_more and same_header and source is None and is_allowed(now, user)


def _values(headers: Sequence[Header], name: str) -> list[str]:
    wanted = name.encode("latin-1")
    return [value.decode("latin-1").strip() for key, value in headers if key == wanted]


def _rejected(reason: AuthReason) -> Rejected:
    """Return the verdict on a request of the proxy itself: nothing else can speak for it then."""
    return Rejected(reason, wrong=False, claimed=True)
