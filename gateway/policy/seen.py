"""What the gateway saw of a connection, in words and as ``details.saw``: no more than may be told.

How much that is depends on what was proven: tier 0 nothing, tier 1 a credential, tier 2 local. The
log and the ring of refusals are told as tier 2 is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from gateway.policy.access import Facts
from gateway.policy.address import ClientAddress, IPNetwork, Locality, LocalityReason
from gateway.policy.words import quoted

#: The tier of the log: everything.
IN_FULL = 2


@frozen
class Lists:
    """What the configuration lists now: a command that sets such a list keeps what is in it."""

    trusted: tuple[IPNetwork, ...] = ()
    allowed_origins: tuple[str, ...] = ()


NO_LISTS = Lists()


def tier_of(facts: Facts) -> int:
    """Return how much a client may be told: 0 nothing proven, 1 credential accepted, 2 local."""
    if facts.locality.local:
        return 2
    return 1 if facts.authenticated else 0


def what_was_seen(facts: Facts, *, tier: int) -> dict[str, Any]:
    """Return ``details.saw``: at tier 0 only the client's own words."""
    return saw_of(facts.address, facts.host, facts.origin, facts.locality, tier=tier)


def saw_of(
    address: ClientAddress, host: str | None, origin: str | None, locality: Locality, *, tier: int
) -> dict[str, Any]:
    """Return ``details.saw`` of a connection that may not have said a word yet."""
    seen = saw_of_head(address, host, origin)
    if tier >= 1:
        seen["client"] = str(address.client)
        seen["locality"] = {"local": locality.local, "why": str(locality.why)}
    if tier >= IN_FULL or (tier == 1 and address.untrusted_proxy):
        seen["peer"] = str(address.peer)
    return seen


def saw_of_head(address: ClientAddress, host: str | None, origin: str | None) -> dict[str, Any]:
    """Return what a client said itself, which it may always read back."""
    return {
        "forwardedFor": address.quoted,
        "host": host and quoted(host),
        "origin": origin and quoted(origin),
    }


def why_not_local(
    facts: Facts, *, tier: int = IN_FULL, lists: Lists = NO_LISTS, program: str = "openclaw"
) -> str:
    """Say in one clause why a connection does not count as local."""
    address = facts.address
    match facts.locality.why:
        case LocalityReason.LOOPBACK:
            return "it is local"
        case LocalityReason.NOT_LOOPBACK:
            return f"the gateway sees it as {address.client}"
        case LocalityReason.FORWARDED:
            return (
                f"a proxy forwarded it for {address.client}, and what is forwarded is never local "
                "(gateway.trustedProxies names the client, it does not skip approval)"
            )
        case LocalityReason.UNTRUSTED_PROXY:
            hint = proxy_hint(address, tier=tier, lists=lists, program=program)
            return (
                f"it carries forwarding headers, and {address.peer}, which sent them, is not in "
                f"gateway.trustedProxies{hint}"
            )
        case LocalityReason.HOST:
            return (
                f"the peer is loopback but the Host is {quoted(facts.host, missing='missing')}: "
                "a proxy that forwards no client address? (let it send X-Forwarded-For, or connect "
                "to 127.0.0.1)"
            )
        case LocalityReason.ORIGIN:
            return f"the page comes from {quoted(facts.origin)}, not from the gateway itself"
        case LocalityReason.OTHER_UID:
            owner = facts.locality.owner if tier >= IN_FULL else None
            user = "another user" if owner is None else f"user {owner}"
            return (
                f"it belongs to {user} of the gateway's machine: a proxy that forwards no client "
                "address? (let it send X-Forwarded-For)"
            )


def proxy_hint(
    address: ClientAddress,
    *,
    tier: int = IN_FULL,
    lists: Lists = NO_LISTS,
    program: str = "openclaw",
) -> str:
    """Return what to do about a peer that forwards and is not trusted; empty for any other."""
    if not address.untrusted_proxy:
        return ""
    kept = [_entry(network) for network in lists.trusted] if tier >= IN_FULL else []
    command = f"{program} config set {set_list('gateway.trustedProxies', kept, str(address.peer))}"
    replaces = "" if tier >= IN_FULL else "; what is set replaces the whole list"
    return f" (to see who is behind that proxy, if it is yours, add it: `{command}`{replaces})"


def set_list(key: str, kept: Iterable[str], added: str) -> str:
    """Return the end of a ``config set`` that adds one entry to a list; safe in a shell."""
    entries = json.dumps(list(dict.fromkeys((*kept, added))))
    return f"{key} {_shell_quoted(entries)}"


def _shell_quoted(text: str) -> str:
    # As `shlex.quote` does it; what stands in single quotes is only closed by one.
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _entry(network: IPNetwork) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)
