"""Why no rule let in a client that one of them seems to be meant for: words for the log and the operator."""

from __future__ import annotations

from gateway.policy.access import Facts
from gateway.policy.credentials import Accepted
from gateway.policy.rules import through_network
from gateway.policy.words import quoted


def why_no_rule(facts: Facts) -> str | None:
    """Say in one clause why the rule that covers a client's address does not let it in; or None."""
    address, role = facts.address, facts.role
    named = [one for one in facts.rules if one.source and address.client in one.source]
    if not named or not isinstance(facts.credential, Accepted):
        return None
    rule = next((one for one in named if role in one.roles), named[0])
    covers_it = f"the rule {quoted(rule.name)} covers {address.client}, but"
    if address.forwarded:
        return f"{covers_it} no rule is for what a proxy forwarded"
    if address.peer.is_loopback:
        return f"{covers_it} no rule is for this machine itself"
    if facts.peer_is_proxy:
        return f"{covers_it} {address.peer} is in gateway.trustedProxies, so it could be anybody"
    if not facts.credential.shared:
        return f"{covers_it} every rule asks for the gateway's own secret"
    if facts.paired is not None and any(map(facts.paired.revoked, facts.paired.tokens)):
        return f"{covers_it} a token of this device was revoked, and no rule gives it back"
    if role not in rule.roles:
        return f"{covers_it} only as {' or '.join(rule.roles)}"
    network = rule.source
    if facts.origin is not None and network and not through_network(facts, network):
        return f"{covers_it} {quoted(facts.host)} is no name that this gateway calls its own"
    return f"{covers_it} it gives none of the scopes asked for"
