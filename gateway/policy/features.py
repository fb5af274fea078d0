"""What a verdict on a ``connect`` depends on: facts put into a few words each.

The access table speaks in these words; they are worked out here without asking `decide_access`.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from gateway.policy.access import PROBE, Facts
from gateway.policy.credentials import Accepted, AuthReason, Method, Rejected
from gateway.policy.rules import granted
from gateway.protocol.connect import CONTROL_UI_ID
from gateway.protocol.signature import ProofFailure, ProofOk
from stores.records import PairedDevice, Role
from stores.scopes import covers, meet


@frozen
class Feature:
    """One thing that a verdict depends on: what it is about, and its values in words."""

    about: str
    values: tuple[str, ...]


#: `details.reason` of a device whose proof fails.
BROKEN_KEYS = (
    "device-public-key",
    "device-id-mismatch",
    "device-signature-stale",
    "device-nonce-missing",
    "device-nonce-mismatch",
    "device-signature",
)

_REASONS = tuple(reason.value for reason in AuthReason)

FEATURES: Mapping[str, Feature] = {
    "protocol": Feature("whether client and gateway share a protocol version", ("shared", "none")),
    "role": Feature("the role asked for", ("operator", "node", "unknown")),
    "page": Feature(
        "whether Origin and Host, where there is an Origin, are ones that may speak to this gateway",
        ("allowed", "foreign"),
    ),
    "key": Feature(
        "the device's key, and what is wrong with its signature",
        ("none", "verified", *BROKEN_KEYS),
    ),
    "throttle": Feature("whether its bucket is locked for wrong secrets", ("open", "locked")),
    "credential": Feature(
        "which credential was accepted, or why none was; what a device's key proves counts once as its "
        "token, where an operator let the device back in",
        (
            *("shared secret", "device token", "setup code", "user of the proxy"),
            *("none is asked for", *_REASONS),
        ),
    ),
    "wrong": Feature(
        "whether a secret was sent that is wrong; a missing one is not", ("yes", "no")
    ),
    "client": Feature(
        "what the client says it is; it can only lose by that",
        ("Control UI", "web chat", "another"),
    ),
    "device": Feature(
        "what counts as the device: a probe that is not approved counts as none",
        ("none", "blocked", "probe", "one"),
    ),
    "local": Feature("whether the connection is local and no web page opened it", ("yes", "no")),
    "silence": Feature(
        "whether a local contact may come in without an operator: it is local, no foreign page "
        "opened it, `gateway.pairing.autoApproveLocal` is on, the role was not revoked, and it "
        "proved the shared secret (or none is asked for and the kernel says whose it is)",
        ("with the secret", "without one", "no"),
    ),
    "record": Feature(
        "what is on file of the device for that role", ("none", "role missing", "role live")
    ),
    "identity": Feature(
        "whether platform and device family, where the signature vouches for them, are those that "
        "were approved",
        ("same", "another"),
    ),
    "scopes": Feature(
        "what is asked for against what the device has", ("all covered", "some covered", "none")
    ),
    "invited": Feature("what a setup code gives of what is asked for", ("all", "some", "nothing")),
    "rule": Feature(
        "what a rule of `gateway.pairing.autoApprove` gives beyond that", ("all", "some", "nothing")
    ),
}

_BY_METHOD = {
    Method.TOKEN: "shared secret",
    Method.PASSWORD: "shared secret",
    Method.DEVICE_TOKEN: "device token",
    Method.BOOTSTRAP_TOKEN: "setup code",
    Method.TRUSTED_PROXY: "user of the proxy",
    Method.NONE: "none is asked for",
}


def features_of(facts: Facts) -> dict[str, str]:
    """Return the value of every feature for the facts of one ``connect``."""
    credential, record = facts.credential, _record(facts)
    return {
        "protocol": "none" if facts.protocol is None else "shared",
        "role": facts.role if facts.role in tuple(Role) else "unknown",
        "page": "allowed" if facts.origin_verdict.allowed else "foreign",
        "key": _key(facts),
        "throttle": "open" if facts.locked_for_s is None else "locked",
        "credential": _credential(facts),
        "wrong": "yes" if isinstance(credential, Rejected) and credential.wrong else "no",
        "client": _client(facts),
        "device": _device(facts, record),
        "local": "yes" if facts.locality.local and facts.origin is None else "no",
        "silence": _silence(facts),
        "record": record,
        "identity": "another" if _is_another(facts) else "same",
        "scopes": _scopes(facts, record),
        "invited": _invited(facts),
        "rule": _rule(facts, record),
    }


def held_by(facts: Facts) -> tuple[str, ...]:
    """Return the scopes that the device's live token for the role gives."""
    paired = facts.paired
    live = paired is not None and facts.role in paired.live_roles
    return paired.granted_scopes(facts.role) if paired is not None and live else ()


def _key(facts: Facts) -> str:
    if facts.proof is None:
        return "none"
    return facts.proof.reason if isinstance(facts.proof, ProofFailure) else "verified"


def _client(facts: Facts) -> str:
    client = facts.params.client
    if client.id == CONTROL_UI_ID:
        return "Control UI"
    return "web chat" if "webchat" in (client.mode, client.id.removesuffix("-ui")) else "another"


def _invited(facts: Facts) -> str:
    accepted = facts.credential if isinstance(facts.credential, Accepted) else None
    if accepted is None or accepted.invitation is None:
        return "nothing"
    enough = covers(accepted.invitation.scopes, facts.params.scopes)
    return "all" if enough or facts.role != Role.OPERATOR else "some"


def _credential(facts: Facts) -> str:
    if isinstance(facts.credential, Accepted):
        return _BY_METHOD[facts.credential.method]
    return facts.credential.reason.value


def _record(facts: Facts) -> str:
    paired: PairedDevice | None = facts.paired
    if paired is None or not paired.tokens:
        return "none"
    if facts.role in paired.live_roles:
        return "role live"
    ever = paired.live_roles or any(map(paired.revoked, paired.tokens))
    return "role missing" if ever else "none"


def _device(facts: Facts, record: str) -> str:
    if facts.blocked:
        return "blocked"
    if facts.proof is None:
        return "none"
    if facts.params.client.mode != PROBE:
        return "one"
    return "probe" if record == "role live" and not _is_another(facts) else "none"


def _silence(facts: Facts) -> str:
    revoked = facts.paired is not None and facts.paired.revoked(facts.role)
    quiet = facts.locality.local and facts.origin_verdict.silent_ok and facts.auto_approve_local
    if revoked or not quiet or not isinstance(facts.credential, Accepted):
        return "no"
    if facts.credential.shared:
        return "with the secret"
    alone = facts.credential.method is Method.NONE and facts.locality.uid_confirmed
    return "without one" if alone else "no"


def _is_another(facts: Facts) -> bool:
    if facts.paired is None or not isinstance(facts.proof, ProofOk) or facts.proof.version != 3:
        return False
    client, known = facts.params.client, facts.paired
    pairs = ((known.platform, client.platform), (known.device_family, client.device_family))
    return any(a and b and a.strip().lower() != b.strip().lower() for a, b in pairs)


def _scopes(facts: Facts, record: str) -> str:
    if facts.role == Role.NODE and record == "role live":
        return "all covered"  # a node holds no scopes, whatever it asks for
    asked, held = facts.params.scopes, held_by(facts)
    if record == "role live" and covers(held, asked):
        return "all covered"
    return "some covered" if meet(asked, held) else "none"


def _rule(facts: Facts, record: str) -> str:
    if facts.role != Role.OPERATOR and record != "none":
        return "nothing"  # another role of a known device is an operator's decision
    grant = granted(facts, new_role=record != "role live")
    if grant is None:
        return "nothing"
    full = facts.role != Role.OPERATOR or covers(grant.scopes, facts.params.scopes)
    return "all" if full else "some"
