"""What a refused client is told: stable code, what was seen, why, and the one command that helps.

One function writes it, so the wire, the log and the command line say the same. How much is said
depends on what was proven: tier 0 nothing, tier 1 a credential, tier 2 local.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from gateway.policy.access import Facts, PairingReason, Refusal, Refuse, RequirePairing
from gateway.policy.address import LocalityReason
from gateway.policy.rows import row_of
from gateway.policy.words import REQUIREMENTS
from gateway.protocol.close import POLICY_VIOLATION
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape

#: A client that waits for approval and says so may knock again this often.
RETRY_AFTER_MS = 3_000


@frozen
class CommandWords:
    """How a command is typed on the gateway's machine.

    Args:
        plain: What anybody may be told: ``openclaw``.
        local: What somebody local is told: the path the program was started by, or the
            ``docker exec NAME openclaw`` form.
        in_container: Whether ``local`` enters a container.
    """

    plain: str = "openclaw"
    local: str = "openclaw"
    in_container: bool = False


@frozen
class Refused:
    """A refusal ready for the wire and the log.

    Args:
        sentence: The verdict in words for the log, everything included.
        command: The command that helps, as typed on the gateway's machine, or None.
    """

    error: ErrorShape
    close_code: int
    close_reason: str
    sentence: str
    command: str | None = None


def tier_of(facts: Facts) -> int:
    """Return how much a client may be told: 0 nothing proven, 1 credential accepted, 2 local."""
    if facts.locality.local:
        return 2
    return 1 if facts.authenticated else 0


def what_was_seen(facts: Facts, *, tier: int) -> dict[str, Any]:
    """Return ``details.saw``: at tier 0 only the client's own words."""
    seen: dict[str, Any] = {
        "forwardedFor": facts.address.quoted,
        "host": facts.host,
        "origin": facts.origin,
    }
    if tier >= 1:
        seen["client"] = str(facts.address.client)
        seen["locality"] = {"local": facts.locality.local, "why": str(facts.locality.why)}
    if tier >= 2 or (tier == 1 and facts.address.untrusted_proxy):
        seen["peer"] = str(facts.address.peer)
    return seen


def why_not_local(facts: Facts) -> str:
    """Say in one clause why a connection does not count as local."""
    address = facts.address
    match facts.locality.why:
        case LocalityReason.LOOPBACK:
            return "it is local"
        case LocalityReason.NOT_LOOPBACK:
            return f"it comes from {address.client}, not from the gateway's own machine"
        case LocalityReason.FORWARDED:
            return (
                f"a proxy forwarded it for {address.client}, and a forwarded connection is never "
                "local (gateway.trustedProxies does not skip pairing)"
            )
        case LocalityReason.UNTRUSTED_PROXY:
            return (
                f"it carries forwarding headers, but {address.peer} is not listed in "
                f'gateway.trustedProxies (to believe that proxy, set it to ["{address.peer}"])'
            )
        case LocalityReason.HOST:
            return (
                f"the peer is loopback but the Host is {facts.host}: a proxy that forwards no "
                "client address? (let it forward X-Forwarded-For, or connect to 127.0.0.1)"
            )
        case LocalityReason.ORIGIN:
            return f"the page comes from {facts.origin}, not from the gateway itself"
        case LocalityReason.OTHER_UID:
            return "the connection belongs to another user of this machine"


def explain_pairing(
    decision: RequirePairing, facts: Facts, *, request_id: str, words: CommandWords
) -> Refused:
    """Return the refusal of a device that an operator must approve, with the command to type.

    Message and close reason begin and end as published clients parse them.
    """
    tier = tier_of(facts)
    prefix = words.local if tier == 2 else words.plain
    command = f"{prefix} devices approve {request_id}"
    text = f"pairing required: run {command} (requestId: {request_id})"
    if len(text.encode()) > 120:
        text = (
            f"pairing required: run openclaw devices approve {request_id} (requestId: {request_id})"
        )
    requirement = REQUIREMENTS[decision.reason]
    sentence = f"The credential is right, but {requirement}, and {why_not_local(facts)}."
    where = "container" if tier == 2 and words.in_container else "gateway-host"
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": decision.reason,
        "requestId": request_id,
        "remediationHint": f"On the gateway's machine: {command}",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": where},
        **_wanted(decision, facts),
        **_retry_advice(facts),
    }
    waits = "recommendedNextStep" in details
    error = ErrorShape(
        ErrorCode.NOT_PAIRED,
        text,
        details,
        retryable=waits or None,
        retry_after_ms=RETRY_AFTER_MS if waits else None,
    )
    return Refused(
        error, POLICY_VIOLATION, text, sentence, f"{words.local} devices approve {request_id}"
    )


def explain_full_list(decision: RequirePairing, facts: Facts, *, words: CommandWords) -> Refused:
    """Return the refusal of a device that cannot even be put on the list of pending requests."""
    sentence = "Too many devices wait for approval already, so this one was not added."
    command = f"{words.local if tier_of(facts) == 2 else words.plain} devices list"
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": "too-many-pending",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier_of(facts)),
        "remedy": {"sentence": sentence, "command": command, "where": "gateway-host"},
    }
    text = "pairing required: too many devices wait already (run openclaw devices list)"
    error = ErrorShape(ErrorCode.NOT_PAIRED, text, details)
    return Refused(error, POLICY_VIOLATION, text, sentence, f"{words.local} devices list")


def explain(decision: Refuse, facts: Facts) -> Refused:
    """Return the refusal of everything but a missing pairing."""
    row = row_of(decision.refusal, facts)
    details = row.details
    if decision.refusal is not Refusal.ROLE:
        details = details | {
            "authenticated": facts.authenticated,
            "saw": what_was_seen(facts, tier=tier_of(facts)),
            "remedy": {"sentence": row.sentence, "where": row.where},
        }
    wait_ms = None
    if decision.refusal is Refusal.THROTTLED:
        wait_ms = max(1, int((facts.locked_for_s or 0) * 1000))
    error = ErrorShape(
        row.code,
        row.text,
        details or None,
        retryable=True if wait_ms else None,
        retry_after_ms=wait_ms,
    )
    in_full = f"{row.sentence} Seen: {why_not_local(facts)}."
    return Refused(error, row.close_code, row.text, in_full)


def _wanted(decision: RequirePairing, facts: Facts) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "deviceId": facts.device_id,
        "requestedRole": facts.role,
        "requestedScopes": list(facts.params.scopes),
    }
    if facts.paired is not None and decision.reason is not PairingReason.NOT_PAIRED:
        wanted["approvedRoles"] = list(facts.paired.live_roles)
        wanted["approvedScopes"] = list(facts.paired.baseline)
    return wanted


def _retry_advice(facts: Facts) -> dict[str, Any]:
    """Tell who waits by itself (Control UI, nodes) to go on; a command told to wait would hang."""
    client = facts.params.client
    waits = client.id == "openclaw-control-ui" or client.mode in ("webchat", "node")
    return {"recommendedNextStep": "wait_then_retry", "pauseReconnect": False} if waits else {}
