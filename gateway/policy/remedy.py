"""What a refused client is told: stable code, what was seen, why, and the one command that helps.

One function writes it, so the wire, the log and the command line say the same. How much is said
depends on what was proven; see `seen`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from gateway.policy.access import Facts, Refusal, Refuse
from gateway.policy.credentials import AuthReason, Rejected
from gateway.policy.origin import parse_origin
from gateway.policy.rows import LINK_HELPS, Row, is_page, row_of
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
from gateway.protocol.errors import ErrorShape

#: Wrong in these ways, the gateway's own secret helps, whichever kind it is, and this tells it.
_SECRET_IS_SHOWN_BY = dict.fromkeys(
    (
        *(AuthReason.TOKEN_MISSING, AuthReason.TOKEN_MISMATCH),
        *(AuthReason.PASSWORD_MISSING, AuthReason.PASSWORD_MISMATCH),
    ),
    "gateway auth-token --show",
)

#: The beginning of a command in backticks that is for this machine and names no profile.
_COMMAND = re.compile(
    r"(?<!machine: )\x60openclaw (?!(?:--[a-z-]+(?: [^-\s\x60]\S*)? )*--(?:dev|profile)\b)"
    r"(?=[^\x60]+\x60)"
)

_NEW_CODE_IS_MADE_BY = {AuthReason.BOOTSTRAP_TOKEN_INVALID: "devices invite"}


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

    @property
    def where(self) -> str:
        """The ``where`` of a command that begins with ``local``."""
        return "container" if self.in_container else "gateway-host"

    def spelt(self, text: str) -> str:
        """Return a message whose commands in backticks are typed as ``local``.

        Those that are typed so already, name a profile themselves, or are for another machine
        stay as they are.
        """
        if self.local == self.plain or "`openclaw " not in text:
            return text
        return _COMMAND.sub(self._spelt_one, text)

    def _spelt_one(self, found: re.Match[str]) -> str:
        if found.string.startswith(f"{self.local} ", found.start() + 1):
            return found[0]
        return f"`{self.local} "


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


def typed_at(words: CommandWords, tier: int) -> str:
    """Return the ``where`` of a command that is typed on the gateway's machine."""
    return words.where if tier == IN_FULL else "gateway-host"


def prefix(words: CommandWords, tier: int) -> str:
    """Return how this program is called before who has proven so much."""
    return words.local if tier == 2 else words.plain


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
        remedy["command"] = f"{prefix(words, tier)} {command}"
        remedy["where"] = typed_at(words, tier)
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
        about(error, facts),
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


def about(error: ErrorShape, facts: Facts) -> dict[str, Any]:
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
