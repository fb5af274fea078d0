"""Facts of all sorts, drawn at random but the same way each time: most come past the early checks."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

import attrs

from gateway.policy.access import Facts
from gateway.policy.credentials import Accepted, AuthReason, Method, Rejected, Verdict
from gateway.policy.rules import PUBLISHED_PORT_RULE, Rule
from gateway.protocol import signature
from stores.records import Invitation, PairedDevice
from tests.facts import LOCAL, REMOTE, UNCONFIRMED, V2, V3, a_device, facts

ADMIN, READ, WRITE = "operator.admin", "operator.read", "operator.write"
PAIRING, APPROVALS = "operator.pairing", "operator.approvals"

BROKEN = (
    *(signature.KEY_INVALID, signature.ID_MISMATCH, signature.EXPIRED),
    *(signature.NONCE_REQUIRED, signature.NONCE_MISMATCH, signature.SIGNATURE_INVALID),
)

_MISSING = (AuthReason.TOKEN_MISSING, AuthReason.PASSWORD_MISSING)
_METHODS = (
    *(Method.TOKEN, Method.TOKEN, Method.PASSWORD, Method.DEVICE_TOKEN),
    *(Method.TRUSTED_PROXY, Method.NONE),
)
_SCOPES = ((), (READ,), (READ, WRITE), (ADMIN,), (READ, PAIRING), (APPROVALS,))
_ROLES = (("operator",), ("operator",), ("node",), ("operator", "node"), ())
_PEER = "10.1.2.3"
_PAGE_IDS = ("openclaw-control-ui", "webchat-ui")
_WIDE = Rule("wide", ip_network("10.0.0.0/8"), ("operator", "node"), (ADMIN,))
_NARROW = Rule("narrow", ip_network("10.1.0.0/16"), ("operator",), (READ,))
_RULES = ((), (), (_WIDE,), (_NARROW,), (PUBLISHED_PORT_RULE,))
_PAGES = ("http://127.0.0.1:18789", "http://localhost:5173", "https://evil.example")


def any_facts(draw: Random) -> Facts:
    """Return the facts of one ``connect``, as likely as not to get far."""

    def rarely(chance: float = 0.05) -> bool:
        return draw.random() < chance

    peer = draw.choice(("127.0.0.1", _PEER, _PEER))
    role = "admin" if rarely(0.03) else draw.choice(("operator", "operator", "node"))
    proof = draw.choice(BROKEN) if rarely() else draw.choice((V2, V3))
    origin = draw.choice(_PAGES) if rarely(0.3) else None
    found = facts(
        credential=_credential(draw),
        paired=_record(draw),
        proof=proof,
        device=not rarely(0.3),
        locality=REMOTE if peer == _PEER else draw.choice((LOCAL, UNCONFIRMED, None)),
        peer=peer,
        origin=origin,
        protocol=None if rarely(0.03) else draw.choice((3, 4)),
        blocked=rarely(),
        locked_for_s=7.5 if rarely(0.03) else None,
        auto_approve_local=not rarely(0.3),
        role=role,
        scopes=draw.choice(_SCOPES),
        client_id=draw.choice(_PAGE_IDS) if rarely(0.25) else "cli",
        mode="probe" if rarely(0.2) else "cli",
        platform=draw.choice(("linux", "darwin")),
    )
    return _as_gathered(
        attrs.evolve(
            found,
            rules=draw.choice(_RULES),
            host_is_ours=not rarely(),
            peer_is_proxy=rarely(),
            peer_is_default_gateway=peer == _PEER and draw.random() < 0.5,
        )
    )


def _as_gathered(found: Facts) -> Facts:
    """Leave out what is only gathered of a device whose key was verified."""
    if found.device_id is None:
        return attrs.evolve(found, paired=None, blocked=False)
    return found


def _credential(draw: Random) -> Verdict:
    if draw.random() < 0.15:
        invited = Invitation("operator", draw.choice(_SCOPES))
        return Accepted(Method.BOOTSTRAP_TOKEN, invitation=invited)
    if draw.random() < 0.75:
        return Accepted(draw.choice(_METHODS))
    reason = draw.choice(tuple(AuthReason))
    by_proxy = reason.value.startswith("trusted_proxy_")
    return Rejected(reason, wrong=reason not in _MISSING and not by_proxy)


def _record(draw: Random) -> PairedDevice | None:
    if draw.random() < 0.25:
        return None
    return a_device(
        draw.choice(_SCOPES),
        roles=draw.choice(_ROLES),
        revoked=draw.choice(((), (), (), ("operator",), ("node",))),
        platform=draw.choice((None, "linux", "darwin")),
    )
