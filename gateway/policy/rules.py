"""Which rule of `gateway.pairing.autoApprove` lets a device in that nobody has approved.

Rule: a rule stands in for the operator, not for the secret. It needs the shared secret, a verified
device key and a connection that nothing forwarded; it never gives back what was revoked, and never
touches a connection of this machine itself, which is judged by locality.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from gateway.policy.address import IPNetwork
from gateway.policy.credentials import Accepted
from gateway.policy.origin import is_loopback_host, parse_host, parse_origin
from stores.records import Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, READ, WRITE, covers, meet, missing, union

if TYPE_CHECKING:
    from gateway.policy.access import Facts

PUBLISHED_PORT = "published-port"

#: What a browser behind a published port gets at most, unless its rule names admin.
PUBLISHED_SCOPES = (READ, WRITE, APPROVALS, PAIRING)


@frozen
class Rule:
    """One entry of `gateway.pairing.autoApprove`; without scopes it grants none.

    Args:
        source: The network of the socket's peer; None means browsers behind a published port.
    """

    name: str
    source: IPNetwork | None
    roles: tuple[str, ...]
    scopes: tuple[str, ...] = ()

    @property
    def via(self) -> str:
        """How a device came in, for its note: ``approvedVia``."""
        return PUBLISHED_PORT if self.source is None else "trusted-cidr"

    @property
    def grants(self) -> tuple[str, ...]:
        """The scopes that the rule gives."""
        if self.source is None and not covers(self.scopes, (ADMIN,)):
            return meet(self.scopes, PUBLISHED_SCOPES)
        return self.scopes

    @property
    def in_words(self) -> str:
        """Whom the rule lets in as what, for the start-up lines of the log."""
        who = "browsers behind a published port" if self.source is None else f"{self.source}"
        scopes = f" with {', '.join(self.grants)}" if self.grants else " without scopes"
        return f"{who}, as {' or '.join(self.roles)}{scopes}"


#: What ``gateway run --auto-approve published-port`` adds.
PUBLISHED_PORT_RULE = Rule(PUBLISHED_PORT, None, (Role.OPERATOR,), PUBLISHED_SCOPES)


@frozen
class Grant:
    """What a rule gives a device: ``scopes`` of the session, what it held before included."""

    rule: Rule
    scopes: tuple[str, ...]


def granted(facts: Facts, *, new_role: bool) -> Grant | None:
    """Return what the rules give beyond what is on file, or None if that is nothing.

    The first rule that gives all that is asked wins, else the first that gives anything. What an
    operator took from a device by a narrower token is not new, so no rule gives it back.

    Args:
        new_role: Whether the device is to get the role itself.
    """
    role, asked, paired = facts.role, facts.params.scopes, facts.paired
    live = paired is not None and role in paired.live_roles
    held = paired.granted_scopes(role) if paired is not None and live else ()
    approved = paired.baseline if paired is not None and live else ()
    best: Grant | None = None
    for rule in _matching(facts):
        if role != Role.OPERATOR:
            return Grant(rule, ())
        given = meet(asked, union(held, missing(approved, meet(asked, rule.grants))))
        grant = Grant(rule, given)
        if covers(given, asked):
            return grant
        if best is None and (given if new_role else missing(held, given)):
            best = grant
    return best


def _matching(facts: Facts) -> Iterator[Rule]:
    if not facts.rules or not _may_be_helped(facts):
        return
    for rule in facts.rules:
        source = rule.source
        where = through_network(facts, source) if source else came_through_published_port(facts)
        if where and facts.role in rule.roles:
            yield rule


def _may_be_helped(facts: Facts) -> bool:
    """Tell what every rule asks for: the secret, a device, no proxy, nothing ever revoked."""
    shared = isinstance(facts.credential, Accepted) and facts.credential.shared
    revoked = facts.paired is not None and any(map(facts.paired.revoked, facts.paired.tokens))
    direct = not (facts.address.forwarded or facts.address.peer.is_loopback)
    known = facts.device_id is not None and not facts.blocked
    return shared and known and direct and not revoked


def through_network(facts: Facts, network: IPNetwork) -> bool:
    """Tell whether a connection comes from a network, and not through a page that may not.

    A trusted proxy that forwards no header stands for anybody, whichever network it is in. A Host
    that nobody configured is how a rebound name looks: then the page is a stranger's.
    """
    if facts.peer_is_proxy or facts.address.peer not in network:
        return False
    return facts.origin is None or (facts.origin_verdict.allowed and facts.host_is_ours)


def may_be_published_port(facts: Facts) -> bool:
    """Tell whether all but the peer speaks for a browser behind a published port.

    Who the peer is must be asked of the kernel: only a wish that nobody approved is worth it.
    """
    return _may_be_helped(facts) and _is_page_of_this_computer(facts)


def came_through_published_port(facts: Facts) -> bool:
    """Tell whether a browser came from the container's host: through the default gateway."""
    return facts.peer_is_default_gateway and may_be_published_port(facts)


def _is_page_of_this_computer(facts: Facts) -> bool:
    """Tell whether a browser opened this gateway's own page on a loopback address.

    A page of another port of that computer, listed or not, is not the gateway's own.
    """
    host, page = parse_host(facts.host), parse_origin(facts.origin)
    if host is None or page is None or not facts.origin_verdict.silent_ok:
        return False
    return is_loopback_host(host) and is_loopback_host(page.authority)


def missing_rule(facts: Facts) -> str | None:
    """Return the name of the rule that would have let a client in, if nobody wrote it."""
    written = any(rule.source is None for rule in facts.rules)
    helps = facts.role == Role.OPERATOR and came_through_published_port(facts)
    return PUBLISHED_PORT if helps and not written else None
