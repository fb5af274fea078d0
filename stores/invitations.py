"""Invitations: an operator's word given before a device asks, as a secret that works a few times.

Rule: what is on file of an invitation never opens anything, it holds the secret's hash. A redeemed
one makes a new device or brings back what a device has; it never gives a known device more.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import attrs

from stores import pairing
from stores.authority import check_holds
from stores.errors import NotAllowedError, TransitionError
from stores.records import AuditEntry, DeviceBook, Invitation, PairedDevice, PendingRequest, Role
from stores.scopes import ADMIN, covers
from stores.transition import Caller, Change, Rules, Wish

#: Of a hash, what people type and read: enough to tell two hundred apart.
SHORT_CHARS = 8
#: How long an invitation lasts unless somebody says otherwise, and at most for each role.
USUAL_MS = 600_000
LONGEST_MS = {Role.OPERATOR: 86_400_000, Role.NODE: 30 * 86_400_000}
#: More nodes than one invitation may bring in.
MOST_USES = 100
#: Invitations on file: each is somebody's open door.
MOST = 200
#: How long one that is over is kept, so that whoever brings it late is told what became of it.
KEPT_MS = 86_400_000

#: What a peer reads of any invitation that does not count (protocol fact).
REFUSED = (
    "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; "
    "review `openclaw devices list`)"
)


class Flaw(StrEnum):
    """Why an invitation does not count, in words for the log: a peer is never told which."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED = "used"
    OTHER_ROLE = "made for another role"
    ENDED = "used, and what it gave was taken away since"
    SMALLER = "for less than this device has"
    BLOCKED = "brought by a blocked device"


def hash_of(token: str) -> str:
    """Return what is kept of an invitation's secret, and its full id."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@attrs.frozen
class Terms:
    """What an invitation is to give, how often and for how long.

    Args:
        scopes: What the device gets as operator; a node that is to get an operator's token too
            has them here.
        profile: The word that clients know it by: node, limited, full, operator or owner.
    """

    role: str = Role.NODE
    scopes: tuple[str, ...] = ()
    profile: str | None = None
    uses: int = 1
    lasts_ms: int = USUAL_MS


@attrs.frozen
class Redeemed:
    """What came of a redemption: the device, and the request it was let in by if it is new."""

    invitation_id: str
    invitation: Invitation
    device: PairedDevice
    item: PendingRequest | None = None
    first: bool = True


def standing(
    book: DeviceBook, token: str, *, device_id: str | None, role: str, now_ms: int
) -> Invitation | Flaw:
    """Return the invitation that a secret opens for a device in a role, or why it opens nothing.

    The key that redeemed it may do so again while it lasts: its answer may have been lost. What
    was taken from that device since does not come back by it.

    Args:
        device_id: Of a verified key, or None.
    """
    found = book.invitations.get(hash_of(token))
    if found is None:
        return Flaw.UNKNOWN
    if found.revoked_at_ms is not None:
        return Flaw.REVOKED
    if not 0 < found.expires_at_ms - now_ms <= found.expires_at_ms - found.created_at_ms:
        return Flaw.EXPIRED  # or from further ahead than it lasts: a clock was wrong
    device = book.paired.get(device_id) if device_id else None
    bound = device_id is not None and device_id in found.bound_device_ids
    if found.uses_left <= 0 and not bound:
        return Flaw.USED
    if role != found.role:
        return Flaw.OTHER_ROLE
    if device_id is not None and book.blocked(device_id):
        return Flaw.BLOCKED
    live = device.live_token(role) if device is not None else None
    if bound:
        kept = device is not None and live is not None
        same = kept and device and live and live.issued_at_ms <= device.approved_at_ms
        if not same:
            return Flaw.ENDED
    if device is not None and live is not None and role == Role.OPERATOR:
        # Its token would be told to whoever holds key and invitation: that must not be a gift.
        return found if covers(found.scopes, device.granted_scopes(role)) else Flaw.SMALLER
    return found


def invite(
    book: DeviceBook,
    rules: Rules,
    *,
    token: str,
    terms: Terms,
    caller: Caller,
) -> Change[Invitation]:
    """Put an invitation on file.

    Args:
        token: Its secret, of which only the hash is kept.

    Raises:
        NotAllowedError: the caller is no operator with admin, nor this folder's owner.
        TransitionError: it would last longer or count more often than one may, or too many exist.
    """
    _check_may_invite(caller)
    _check_measures(terms)
    known = _swept(book, rules.now_ms)
    if len(known) >= MOST:
        raise _bad(f"{MOST} invitations are on file already", "`openclaw devices invite --list`")
    made = Invitation(
        role=terms.role,
        scopes=terms.scopes,
        profile=terms.profile,
        uses_left=terms.uses,
        created_at_ms=rules.now_ms,
        expires_at_ms=rules.now_ms + terms.lasts_ms,
    )
    digest = hash_of(token)
    entry = _entry("device.invited", digest, made, caller)
    after = attrs.evolve(book, invitations={**known, digest: made})
    return Change(after, made, (entry,))


def revoke_invitation(
    book: DeviceBook, rules: Rules, *, reference: str, caller: Caller
) -> Change[str]:
    """End an invitation, by its id or the beginning of it, and return the short id.

    Raises:
        NotAllowedError: see `invite`.
        TransitionError: none or several answer to ``reference``.
    """
    _check_may_invite(caller)
    wanted = reference.strip().lower()
    found = [key for key in book.invitations if wanted and key.startswith(wanted)]
    if len(wanted) < SHORT_CHARS or len(found) != 1:
        several = "several invitations answer" if len(found) > 1 else "no invitation answers"
        raise _bad(
            f"{several} to {reference.strip()[:64]!r}", "see them: `openclaw devices invite --list`"
        )
    (key,) = found
    ended = attrs.evolve(book.invitations[key], revoked_at_ms=rules.now_ms, uses_left=0)
    entry = _entry("device.invited", key, ended, caller, reason="revoked")
    after = attrs.evolve(book, invitations={**book.invitations, key: ended})
    return Change(after, key[:SHORT_CHARS], (entry,))


def redeem_invitation(
    book: DeviceBook, rules: Rules, *, token: str, wish: Wish
) -> Change[Redeemed]:
    """Let the device of a verified key in by an invitation, which is bound to that key.

    A new device gets exactly what the invitation is for. A device that is paired keeps exactly
    what it has.

    Raises:
        NotAllowedError: the invitation does not count, for this device, at this moment.
    """
    found = standing(book, token, device_id=wish.device_id, role=wish.role, now_ms=rules.now_ms)
    known = book.paired.get(wish.device_id)
    if isinstance(found, Flaw):
        raise NotAllowedError(f"the setup code is {found}", wire_message=REFUSED)
    if known is not None and known.live_token(wish.role) is None and _has_history(known):
        raise NotAllowedError(
            f"device {wish.device_id[:12]} is paired, and a setup code gives a known device no "
            "other role",
            wire_message=REFUSED,
        )
    digest = hash_of(token)
    if wish.device_id in found.bound_device_ids and known is not None:
        return Change(book, Redeemed(digest, found, known, first=False))
    caller = Caller("rule", rule=f"invitation {digest[:SHORT_CHARS]}")
    live = known is not None and known.live_token(wish.role) is not None
    change = None if live else _paired(book, rules, wish, found, caller)
    item, device = (None, known) if change is None else change.result
    assert device is not None
    after = book if change is None else change.book
    left = attrs.evolve(
        found,
        uses_left=found.uses_left - 1,
        bound_device_ids=(*found.bound_device_ids, wish.device_id),
    )
    entry = attrs.evolve(
        _entry("device.redeemed", digest, left, caller),
        device_id=wish.device_id,
        origin=wish.origin,
        reason="already-paired" if live else "invitation",
    )
    kept = _swept(
        attrs.evolve(after, invitations={**after.invitations, digest: left}), rules.now_ms
    )
    audit = (*(change.audit if change else ()), entry)
    return Change(
        attrs.evolve(after, invitations=kept), Redeemed(digest, left, device, item), audit
    )


def _paired(
    book: DeviceBook, rules: Rules, wish: Wish, found: Invitation, caller: Caller
) -> Change[tuple[PendingRequest, PairedDevice]]:
    """Return the book with the new device; a node with scopes gets an operator's token as well."""
    audit: tuple[AuditEntry, ...] = ()
    if found.role == Role.NODE and found.scopes:
        operator = attrs.evolve(wish, role=Role.OPERATOR, scopes=found.scopes)
        change = pairing.admit(book, rules, wish=operator, caller=caller, via="bootstrap")
        book, audit = change.book, change.audit
    own = attrs.evolve(wish, scopes=found.scopes if wish.role == Role.OPERATOR else ())
    change = pairing.admit(book, rules, wish=own, caller=caller, via="bootstrap")
    return attrs.evolve(change, audit=(*audit, *change.audit))


def outstanding(book: DeviceBook, *, now_ms: int) -> dict[str, Invitation]:
    """Return the invitations that still open something, oldest first, by full id."""
    live = {
        key: one
        for key, one in book.invitations.items()
        if one.uses_left > 0 and one.revoked_at_ms is None and one.expires_at_ms > now_ms
    }
    return dict(sorted(live.items(), key=lambda pair: pair[1].created_at_ms))


def _has_history(device: PairedDevice) -> bool:
    return bool(device.live_roles) or any(map(device.revoked, device.tokens))


def _swept(book: DeviceBook, now_ms: int) -> dict[str, Invitation]:
    return {k: one for k, one in book.invitations.items() if one.expires_at_ms + KEPT_MS > now_ms}


def _check_may_invite(caller: Caller) -> None:
    if caller.kind not in ("cli", "operator"):
        raise NotAllowedError(
            f"an invitation is made by an operator, never by {caller.kind!r}",
            wire_message="device pairing setup denied",
        )
    check_holds(caller, (ADMIN,), "inviting a device")


def _check_measures(terms: Terms) -> None:
    role, scopes, uses = terms.role, terms.scopes, terms.uses
    if role not in tuple(Role):
        raise _bad(f"an invitation is for an operator or a node, not for {role[:40]!r}")
    if role == Role.OPERATOR and uses != 1:
        raise _bad("an invitation for an operator counts once", "leave `--uses` out")
    if not 1 <= uses <= MOST_USES:
        raise _bad(f"an invitation counts 1 to {MOST_USES} times, not {uses}")
    longest = LONGEST_MS[Role(role)]
    if role == Role.NODE and scopes:
        longest = LONGEST_MS[Role.OPERATOR]
        if uses != 1:
            raise _bad("an invitation that gives an operator's token counts once")
    if not 1_000 <= terms.lasts_ms <= longest:
        raise _bad(
            f"an invitation for {'a node' if longest > 86_400_000 else 'an operator'} lasts 1 s "
            f"to {longest // 3_600_000} h",
            f"say how long with `openclaw devices invite --expires {longest // 3_600_000}h`",
        )


def _bad(problem: str, remedy: str | None = None) -> TransitionError:
    return TransitionError(problem, remedy=remedy, wire_message=problem)


def _entry(
    event: str, digest: str, one: Invitation, caller: Caller, *, reason: str | None = None
) -> AuditEntry:
    """Return the audit line of an invitation: its short id stands where a request's id does."""
    return AuditEntry(
        event,
        "",
        caller.described(),
        request_id=digest[:SHORT_CHARS],
        role=one.role,
        scopes=one.scopes,
        reason=reason,
    )
