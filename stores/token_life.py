"""What becomes of a device token: replaced, or killed. Pure transitions like those of `pairing`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import attrs

from stores.authority import check_may_end, check_may_issue
from stores.device_life import SEE, device_entry, touched
from stores.errors import NotAllowedError, UnknownDeviceError
from stores.pairing import request_entry
from stores.records import DeviceBook, DeviceToken, PairedDevice, Role
from stores.repair import without_mark
from stores.scopes import meet, missing
from stores.transition import Caller, Change, Rules

_ROTATION = "device token rotation denied"
_REVOCATION = "device token revocation denied"


def rotate(
    book: DeviceBook,
    rules: Rules,
    *,
    device_id: str,
    role: str,
    scopes: Iterable[str] | None = None,
    caller: Caller,
) -> Change[tuple[PairedDevice, DeviceToken]]:
    """Replace the token of a device in one of its roles; answer with its record and the new token.

    The baseline stays, so that what a rotation narrowed may be widened by the next. A revoked role
    is issued again.

    Args:
        scopes: What the new token gives, within the baseline; None keeps what the old one gave,
            and none at all means none.

    Raises:
        UnknownDeviceError: no such device, or it was never approved for ``role``.
        NotAllowedError: beyond the baseline, or beyond what the caller holds.
    """
    device = touched(book, device_id, caller, denied=_ROTATION)
    old = _token_of(device, role)
    if role not in device.named_roles:
        raise UnknownDeviceError(
            f"device {device.device_id[:12]} was never approved for the role {role}",
            remedy=f"let it ask for the role and approve that: {SEE}",
            wire_message="unknown deviceId/role",
        )
    given = _rotated_scopes(device, old, role, scopes)
    check_may_issue(caller, device, role, given)
    token = attrs.evolve(
        old,
        token=rules.new_token(),
        role=role,
        scopes=given,
        rotated_at_ms=rules.now_ms,
        revoked_at_ms=None,
        previous_token_sha256=hashlib.sha256(old.token.encode()).hexdigest(),
    )
    changed = attrs.evolve(device, tokens={**device.tokens, role: token})
    entry = device_entry("device.rotated", device.device_id, caller, role=role, scopes=given)
    return Change(_with_device(book, changed), (changed, token), (entry,))


def _rotated_scopes(
    device: PairedDevice, old: DeviceToken, role: str, scopes: Iterable[str] | None
) -> tuple[str, ...]:
    """Return what a new token gives: what is asked for, else what the old one gave at most."""
    baseline = device.baseline if role == Role.OPERATOR else ()
    if scopes is None:
        return tuple(sorted(meet(old.scopes, baseline)))
    wanted = tuple(sorted(set(scopes)))
    beyond = missing(baseline, wanted)
    if beyond:
        approved = ", ".join(baseline) or "none"
        raise NotAllowedError(
            f"device {device.device_id[:12]} was not approved for {', '.join(beyond)} "
            f"(approved as {role}: {approved})",
            remedy=f"let it ask for more and approve that: {SEE}",
            wire_message=_ROTATION,
        )
    return wanted


def revoke(
    book: DeviceBook, rules: Rules, *, device_id: str, role: str, caller: Caller
) -> Change[DeviceToken]:
    """Kill the token of a device in one role, and forget what it still asked for in that role.

    One that is dead already stays as it is. Only approve and rotate issue it again.

    Raises:
        UnknownDeviceError: no such device, or it has no token for ``role``.
        NotAllowedError: the caller may not end what the token gives.
    """
    device = touched(book, device_id, caller, denied=_REVOCATION)
    old = _token_of(device, role)
    if old.revoked_at_ms is not None:
        return Change(book, old)
    check_may_end(caller, device, (role,))
    token = attrs.evolve(old, revoked_at_ms=rules.now_ms)
    changed = attrs.evolve(device, tokens={**device.tokens, role: token})
    after = _with_device(book, changed)
    asked = [item for item in book.pending_of(device.device_id) if role in item.asked_roles]
    if asked:
        gone = {item.request_id for item in asked}
        left = {key: item for key, item in book.pending.items() if key not in gone}
        after = attrs.evolve(after, pending=left)
    entry = device_entry("device.revoked", device.device_id, caller, role=role, scopes=old.scopes)
    rejected = [request_entry("device.rejected", item, caller) for item in asked]
    return Change(after, token, (entry, *rejected))


def _token_of(device: PairedDevice, role: str) -> DeviceToken:
    token = device.tokens.get(role)
    if token is None:
        roles = ", ".join(sorted(device.tokens)) or "none"
        raise UnknownDeviceError(
            f"device {device.device_id[:12]} has no {role[:40]!r} token (it has: {roles})",
            remedy=SEE,
            wire_message="unknown deviceId/role",
        )
    return token


def _with_device(book: DeviceBook, device: PairedDevice) -> DeviceBook:
    """Return the book with the changed record; no older word lets its key in without a token."""
    after = attrs.evolve(book, paired={**book.paired, device.device_id: device})
    return without_mark(after, device.device_id)
