"""What a refused client is told: stable code, what was seen, why, and the one command that helps.

One function writes it, so the wire, the log and the command line say the same. How much is said
depends on what was proven; see `seen`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from gateway.policy.access import Facts, PairingReason, Refusal, Refuse, RequirePairing
from gateway.policy.address import LocalityReason
from gateway.policy.credentials import Accepted, AuthReason, Rejected
from gateway.policy.origin import parse_origin
from gateway.policy.rows import LINK_HELPS, Row, is_page, keeps_knocking, row_of
from gateway.policy.rules import missing_rule
from gateway.policy.seen import (
    IN_FULL,
    NO_LISTS,
    Lists,
    proxy_hint,
    set_list,
    tier_of,
    what_was_seen,
    why_not_local,
)
from gateway.policy.throttle import bucket_for
from gateway.policy.words import REQUIREMENTS, quoted
from gateway.protocol.close import MAX_REASON_BYTES, POLICY_VIOLATION
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from stores.records import Role

#: Wrong in these ways, the gateway's own secret helps, whichever kind it is, and this tells it.
_SECRET_IS_SHOWN_BY = dict.fromkeys(
    (
        *(AuthReason.TOKEN_MISSING, AuthReason.TOKEN_MISMATCH),
        *(AuthReason.PASSWORD_MISSING, AuthReason.PASSWORD_MISMATCH),
    ),
    "gateway auth-token --show",
)

_NEW_CODE_IS_MADE_BY = {AuthReason.BOOTSTRAP_TOKEN_INVALID: "devices invite"}

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
        hint: The part of ``sentence`` that is about the peer, whoever is behind it.
        about: What the ring of refusals keeps besides: who asked for what, and all that was seen.
    """

    error: ErrorShape
    close_code: int
    close_reason: str
    sentence: str
    command: str | None = None
    hint: str = ""
    about: Mapping[str, Any] = field(factory=dict)


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
    command = f"{_prefix(words, tier)} devices approve {request_id}"
    text = _pairing_text(command, request_id)
    sentence = _pairing_sentence(decision, facts, lists, words, tier=tier)
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": decision.reason,
        "requestId": request_id,
        "remediationHint": f"On the gateway's machine: {command}",
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": _where(words, tier)},
        **_wanted(decision, facts),
    }
    if expires_in_ms is not None:
        details["expiresInMs"] = expires_in_ms
    in_full = _pairing_sentence(decision, facts, lists, words, tier=IN_FULL)
    command_in_full = f"{words.local} devices approve {request_id}"
    return _pairing_refusal(text, details, facts, in_full, command_in_full, lists, words)


def _where(words: CommandWords, tier: int) -> str:
    return "container" if tier == IN_FULL and words.in_container else "gateway-host"


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


def _pairing_sentence(
    decision: RequirePairing, facts: Facts, lists: Lists, words: CommandWords, *, tier: int
) -> str:
    sentence = f"{_who_is_right(facts)}, but {_requirement(decision, facts)}."
    if decision.reason is PairingReason.METADATA_UPGRADE or _revoked(facts):
        return sentence  # wherever it came from, an operator would have to decide
    shared = isinstance(facts.credential, Accepted) and facts.credential.shared
    if facts.locality.local or not shared or facts.role != Role.OPERATOR:
        return sentence
    why = why_not_local(facts, tier=tier, lists=lists, program=_prefix(words, tier))
    return f"{sentence} Only a local client is let in unasked, and {why}.{_elsewhere(facts)}"


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
    lists: Lists = NO_LISTS,
    words: CommandWords = CommandWords(),  # frozen
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
    about = _about(error, facts)
    return Refused(error, POLICY_VIOLATION, text, sentence_in_full, command_in_full, hint, about)


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
    command = f"{_prefix(words, tier)} devices list"
    details = {
        "code": DetailCode.PAIRING_REQUIRED,
        "reason": reason,
        "authenticated": True,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": {"sentence": sentence, "command": command, "where": _where(words, tier)},
    }
    return _pairing_refusal(text, details, facts, sentence, f"{words.local} devices list")


def explain(
    decision: Refuse,
    facts: Facts,
    *,
    words: CommandWords = CommandWords(),  # frozen
    lists: Lists = NO_LISTS,
) -> Refused:
    """Return the refusal of everything but a missing pairing."""
    refusal, tier = decision.refusal, tier_of(facts)
    row = row_of(refusal, facts)
    plain = row.command or _plain_command(refusal, facts)
    operators = _operators_command(refusal, facts, lists) or plain
    command = operators if tier == IN_FULL else plain
    sentence = row.sentence + (_flaw(facts) if tier == IN_FULL else "")
    remedy: dict[str, Any] = {"sentence": sentence, "where": row.where}
    if command is not None:
        remedy["command"] = f"{_prefix(words, tier)} {command}"
        remedy["where"] = _where(words, tier)
    details = row.details | {
        "reason": row.details.get("reason") or _reason(refusal, facts),
        "authenticated": facts.authenticated,
        "saw": what_was_seen(facts, tier=tier),
        "remedy": remedy,
    }
    wait_ms = None
    if refusal is Refusal.THROTTLED:
        wait_ms = max(1, int((facts.locked_for_s or 0) * 1000))
    error = ErrorShape(
        row.code,
        row.text,
        details,
        retryable=True if wait_ms else None,
        retry_after_ms=wait_ms,
    )
    return _refused(row, error, facts, operators, words, lists)


def _refused(
    row: Row,
    error: ErrorShape,
    facts: Facts,
    command: str | None,
    words: CommandWords,
    lists: Lists,
) -> Refused:
    why = why_not_local(facts, lists=lists, program=words.local)
    return Refused(
        error,
        row.close_code,
        row.text,
        f"{row.sentence}{_flaw(facts)} Seen: {why}.",
        f"{words.local} {command}" if command is not None else None,
        proxy_hint(facts.address, lists=lists, program=words.local),
        _about(error, facts),
    )


def _flaw(facts: Facts) -> str:
    """Return what is wrong with a setup code: for the log, and for who is local."""
    flaw = facts.credential.flaw if isinstance(facts.credential, Rejected) else None
    return "" if flaw is None else f" This one is {flaw}."


def _reason(refusal: Refusal, facts: Facts) -> str:
    if refusal is Refusal.CREDENTIALS and isinstance(facts.credential, Rejected):
        return facts.credential.wire_reason
    return str(refusal)


def _plain_command(refusal: Refusal, facts: Facts) -> str | None:
    """Return the command that helps whoever was refused, whatever this gateway knows."""
    if refusal is Refusal.CREDENTIALS and isinstance(facts.credential, Rejected):
        reason = facts.credential.reason
        if is_page(facts) and (reason in LINK_HELPS or reason in _NEW_CODE_IS_MADE_BY):
            return "dashboard"  # its link needs no secret to be typed into a page
        return _SECRET_IS_SHOWN_BY.get(reason) or _NEW_CODE_IS_MADE_BY.get(reason)
    if refusal is Refusal.BLOCKED and facts.device_id is not None:
        return f"devices unblock {facts.device_id}"
    return None


def _operators_command(refusal: Refusal, facts: Facts, lists: Lists) -> str | None:
    """Return the command that needs to know this gateway: for who is local, and for the log."""
    if refusal is Refusal.THROTTLED:
        return f"gateway lockouts clear {_locked_place(facts, lists)}"
    page = parse_origin(facts.origin)
    if refusal is Refusal.ORIGIN and page is not None:
        key = "gateway.controlUi.allowedOrigins"
        return f"config set {set_list(key, lists.allowed_origins, page.text)}"
    return None


def _locked_place(facts: Facts, lists: Lists) -> str:
    """Return whose lock it is, as `lockouts.meant_by` takes it."""
    bucket = bucket_for(
        facts.address,
        kind="any",
        trusted=lists.trusted,
        paired_device_id=facts.device_id if facts.paired is not None else None,
        local=facts.locality.local,
        has_origin=True,  # what is exempt is never locked
    )
    assert bucket is not None
    place = bucket.partition(" ")[2]
    return place.removeprefix("address:").removeprefix("device:")


def _about(error: ErrorShape, facts: Facts) -> dict[str, Any]:
    """Return what is kept of a refusal; the connection itself adds the rest."""
    client, details = facts.params.client, error.details or {}
    return {
        "requestId": details.get("requestId"),
        "code": str(details.get("code", error.code)),
        "reason": str(details.get("reason", "")) or None,
        "client": {"id": client.id, "mode": client.mode},
        "role": facts.role,
        "deviceId": facts.device_id,
        "authenticated": facts.authenticated,
        "saw": what_was_seen(facts, tier=IN_FULL),
    }


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
