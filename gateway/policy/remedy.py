"""What a refused client is told: stable code, what was seen, why, and the one command that helps.

One function writes it, so the wire, the log and the command line say the same. How much is said
depends on what was proven: tier 0 nothing, tier 1 a credential, tier 2 local.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from gateway.policy.access import Facts, PairingReason, Refusal, Refuse, RequirePairing
from gateway.policy.address import LocalityReason
from gateway.policy.credentials import Accepted
from gateway.policy.rows import keeps_knocking, row_of
from gateway.policy.words import REQUIREMENTS, quoted
from gateway.protocol.close import MAX_REASON_BYTES, POLICY_VIOLATION
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from stores.records import Role

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
        "host": facts.host and quoted(facts.host),
        "origin": facts.origin and quoted(facts.origin),
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
            return f"the gateway sees it as {address.client}"
        case LocalityReason.FORWARDED:
            return (
                f"a proxy forwarded it for {address.client}, and what is forwarded is never local "
                "(gateway.trustedProxies names the client, it does not skip approval)"
            )
        case LocalityReason.UNTRUSTED_PROXY:
            return (
                f"it carries forwarding headers, and {address.peer}, which sent them, is not in "
                "gateway.trustedProxies (to see who is behind that proxy, add it: `openclaw config "
                f"""set gateway.trustedProxies '["{address.peer}"]'`)"""
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
            return "it belongs to another user of the gateway's machine"


def explain_pairing(
    decision: RequirePairing, facts: Facts, *, request_id: str, words: CommandWords
) -> Refused:
    """Return the refusal of a device that an operator must approve, with the command to type.

    Message and close reason begin and end as published clients parse them.
    """
    tier = tier_of(facts)
    command = f"{_prefix(words, tier)} devices approve {request_id}"
    text = _pairing_text(command, request_id)
    sentence = _pairing_sentence(decision, facts)
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
    }
    in_full = f"{words.local} devices approve {request_id}"
    return _pairing_refusal(text, details, facts, in_full)


def _prefix(words: CommandWords, tier: int) -> str:
    return words.local if tier == 2 else words.plain


def _pairing_text(command: str, request_id: str) -> str:
    """Return the longest text that fits a close frame whole: a cut one hides the request id."""
    tail = f"(requestId: {request_id})"
    forms = (
        f"pairing required: run {command} {tail}",
        f"pairing required: run openclaw devices approve {request_id} {tail}",
        f"pairing required: run openclaw devices list {tail}",
        f"pairing required {tail}",
        "pairing required",
    )
    return next(form for form in forms if len(form.encode()) <= MAX_REASON_BYTES)


def _pairing_sentence(decision: RequirePairing, facts: Facts) -> str:
    sentence = f"The credential is right, but {_requirement(decision, facts)}."
    if decision.reason is PairingReason.METADATA_UPGRADE or _revoked(facts):
        return sentence  # wherever it came from, an operator would have to decide
    shared = isinstance(facts.credential, Accepted) and facts.credential.shared
    if facts.locality.local or not shared or facts.role != Role.OPERATOR:
        return sentence
    return f"{sentence} Only a local client is let in unasked, and {why_not_local(facts)}."


def _revoked(facts: Facts) -> bool:
    return facts.paired is not None and facts.paired.revoked(facts.role)


def _requirement(decision: RequirePairing, facts: Facts) -> str:
    if _revoked(facts):
        return f"this device's {facts.role} token was revoked, and only an operator gives it back"
    return REQUIREMENTS[decision.reason].format(role=facts.role)


def _pairing_refusal(
    text: str, details: dict[str, Any], facts: Facts, command_in_full: str
) -> Refused:
    """Return the refusal, with advice for who waits by itself: a command told to wait would hang."""
    waits = keeps_knocking(facts)
    if waits:
        details |= {"recommendedNextStep": "wait_then_retry", "pauseReconnect": False}
    error = ErrorShape(
        ErrorCode.NOT_PAIRED,
        text,
        details,
        retryable=waits or None,
        retry_after_ms=RETRY_AFTER_MS if waits else None,
    )
    sentence = str(details["remedy"]["sentence"])
    return Refused(error, POLICY_VIOLATION, text, sentence, command_in_full)


def explain_full_list(_decision: RequirePairing, facts: Facts, *, words: CommandWords) -> Refused:
    """Return the refusal of a device that cannot even be put on the list of pending requests."""
    tier = tier_of(facts)
    command = f"{_prefix(words, tier)} devices list"
    where = "container" if tier == 2 and words.in_container else "gateway-host"
    sentence = (
        "The credential is right, but too many devices wait for approval already, so this one was "
        "not added: approve or reject some, then let it try again."
    )
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": "too-many-pending",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": where},
    }
    text = "pairing required: too many devices wait already (run openclaw devices list)"
    return _pairing_refusal(text, details, facts, f"{words.local} devices list")


def explain(
    decision: Refuse,
    facts: Facts,
    *,
    words: CommandWords = CommandWords(),  # frozen
) -> Refused:
    """Return the refusal of everything but a missing pairing."""
    row = row_of(decision.refusal, facts)
    details = row.details
    remedy: dict[str, Any] = {"sentence": row.sentence, "where": row.where}
    if row.command is not None:
        tier = tier_of(facts)
        remedy["command"] = f"{_prefix(words, tier)} {row.command}"
        if tier == 2 and words.in_container:
            remedy["where"] = "container"
    if decision.refusal is not Refusal.ROLE:
        details = details | {
            "authenticated": facts.authenticated,
            "saw": what_was_seen(facts, tier=tier_of(facts)),
            "remedy": remedy,
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
    command = f"{words.local} {row.command}" if row.command is not None else None
    return Refused(error, row.close_code, row.text, in_full, command)


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
