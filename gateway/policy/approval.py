"""What a device is told that an operator has to approve, wherever its wish stands.

Rule: message and close reason begin and end as published clients parse them.
"""

from __future__ import annotations

from typing import Any

from gateway.policy.access import Facts, PairingReason, RequirePairing
from gateway.policy.address import LocalityReason
from gateway.policy.credentials import Accepted
from gateway.policy.remedy import CommandWords, Refused, about, prefix, typed_at
from gateway.policy.rows import keeps_knocking
from gateway.policy.rule_words import why_no_rule
from gateway.policy.rules import missing_rule
from gateway.policy.seen import (
    IN_FULL,
    NO_LISTS,
    Lists,
    proxy_hint,
    tier_of,
    what_was_seen,
    why_not_local,
)
from gateway.policy.words import REQUIREMENTS, quoted
from gateway.protocol.close import MAX_REASON_BYTES, POLICY_VIOLATION
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from stores.records import Role

#: A client that waits for approval and says so may knock again this often.
RETRY_AFTER_MS = 3_000


def explain_pairing(
    decision: RequirePairing,
    facts: Facts,
    *,
    request_id: str,
    words: CommandWords,
    lists: Lists = NO_LISTS,
    expires_in_ms: int | None = None,
) -> Refused:
    """Return the refusal of a device that an operator must approve, with the command to type.

    Message and close reason begin and end as published clients parse them.

    Args:
        expires_in_ms: How long the request waits if the device does not knock again.
    """
    tier = tier_of(facts)
    command = f"{prefix(words, tier)} devices approve {request_id}"
    text = _pairing_text(command, request_id)
    sentence = _pairing_sentence(decision, facts, lists, words, tier=tier)
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": decision.reason,
        "requestId": request_id,
        "remediationHint": f"On the gateway's machine: {command}",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": typed_at(words, tier)},
        **_wanted(decision, facts),
    }
    if expires_in_ms is not None:
        details["expiresInMs"] = expires_in_ms
    in_full = _pairing_sentence(decision, facts, lists, words, tier=IN_FULL)
    command_in_full = f"{words.local} devices approve {request_id}"
    return _pairing_refusal(
        text, details, facts, in_full, command_in_full, words=words, lists=lists
    )


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


def _pairing_sentence(
    decision: RequirePairing, facts: Facts, lists: Lists, words: CommandWords, *, tier: int
) -> str:
    sentence = f"{_who_is_right(facts)}, but {_requirement(decision, facts)}."
    if decision.reason is PairingReason.METADATA_UPGRADE or _revoked(facts):
        return sentence  # wherever it came from, an operator would have to decide
    shared = isinstance(facts.credential, Accepted) and facts.credential.shared
    if facts.locality.local or not shared or facts.role != Role.OPERATOR:
        return sentence
    why = why_not_local(facts, tier=tier, lists=lists, program=prefix(words, tier))
    no_rule = why_no_rule(facts) if tier >= IN_FULL else None
    of_rules = "" if no_rule is None else f" Of gateway.pairing.autoApprove, {no_rule}."
    return (
        f"{sentence} Only a local client is let in unasked, and {why}.{of_rules}{_elsewhere(facts)}"
    )


def _who_is_right(facts: Facts) -> str:
    user = facts.credential.user if isinstance(facts.credential, Accepted) else None
    return "The credential is right" if user is None else f"The proxy signed {quoted(user)} in"


def _elsewhere(facts: Facts) -> str:
    """Say where the command is to be typed, and which rule spares it behind a published port."""
    if facts.locality.why is not LocalityReason.NOT_LOOPBACK:
        return ""
    where = " Type the command on the gateway's own machine, inside its container if it has one."
    if missing_rule(facts) is None:
        return where
    return (
        f"{where} A browser behind a port that the gateway's container publishes on loopback, as "
        "this one is, is let in unasked by `openclaw gateway run --auto-approve published-port`."
    )


def _revoked(facts: Facts) -> bool:
    return facts.paired is not None and facts.paired.revoked(facts.role)


def _requirement(decision: RequirePairing, facts: Facts) -> str:
    if _revoked(facts):
        return f"this device's {facts.role} token was revoked, and only an operator gives it back"
    return REQUIREMENTS[decision.reason].format(role=facts.role)


def _pairing_refusal(
    text: str,
    details: dict[str, Any],
    facts: Facts,
    sentence_in_full: str,
    command_in_full: str,
    *,
    words: CommandWords,
    lists: Lists = NO_LISTS,
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
    hint = proxy_hint(facts.address, lists=lists, program=words.local)
    return Refused(
        error,
        POLICY_VIOLATION,
        text,
        sentence_in_full,
        command_in_full,
        hint,
        about(error, facts),
    )


def explain_rejected(facts: Facts, *, words: CommandWords) -> Refused:
    """Return the refusal of a device that still waits for a request that an operator rejected.

    It asks for nothing by itself any more, so that a rejection is the end of it.
    """
    tier = tier_of(facts)
    text = "pairing required: an operator rejected what this device asked for"
    sentence = (
        f"{_who_is_right(facts)}, but an operator rejected what this device asked for. Nothing "
        "waits for approval now. If that was a mistake, let the device ask again: the command "
        "waits for it."
    )
    command = "devices approve --wait"
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": "rejected",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {
            "sentence": sentence,
            "command": f"{prefix(words, tier)} {command}",
            "where": typed_at(words, tier),
        },
    }
    error = ErrorShape(ErrorCode.NOT_PAIRED, text, details)
    return Refused(
        error,
        POLICY_VIOLATION,
        text,
        sentence,
        f"{words.local} {command}",
        about=about(error, facts),
    )


def explain_full_list(
    _decision: RequirePairing,
    facts: Facts,
    *,
    words: CommandWords,
    too_many_scopes: bool = False,
) -> Refused:
    """Return the refusal of a device that cannot even be put on the list of pending requests.

    Args:
        too_many_scopes: What it asked for in all is more than one request may hold.
    """
    tier = tier_of(facts)
    reason = "too-many-pending"
    text = "pairing required: too many devices wait already (run openclaw devices list)"
    sentence = (
        "The credential is right, but too many devices wait for approval already, so this one was "
        "not added: approve or reject some, then let it try again."
    )
    if too_many_scopes:
        reason = "too-many-scopes"
        text = "pairing required: too many scopes asked for (run openclaw devices list)"
        sentence = (
            "The credential is right, but what this device asks for, together with what it asked "
            "for before, is more scopes than one request may hold, so nothing was added: let it "
            "ask for fewer, or approve or reject its earlier request first."
        )
    command = f"{prefix(words, tier)} devices list"
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": reason,
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": typed_at(words, tier)},
    }
    return _pairing_refusal(
        text, details, facts, sentence, f"{words.local} devices list", words=words
    )


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
