"""What a decided request leaves on file: the paired record, its tokens, and its note."""

from __future__ import annotations

import hashlib

import attrs

from stores.records import DeviceNote, DeviceToken, PairedDevice, PendingRequest, Role
from stores.repair import unmarked
from stores.scopes import union
from stores.transition import Caller, Rules


def paired_record(known: PairedDevice | None, item: PendingRequest, rules: Rules) -> PairedDevice:
    """Return the record that a decided request leaves: the union of what was and what is asked."""
    live = known.live_roles if known else ()
    roles = union(live, item.asked_roles)
    was_operator = known is not None and Role.OPERATOR in live
    scopes = union(known.baseline if known and was_operator else (), item.asked_scopes)
    tokens = dict(known.tokens) if known else {}
    for role in item.asked_roles:
        had = known.granted_scopes(role) if known else ()
        given = tuple(sorted(union(had, item.asked_scopes))) if role == Role.OPERATOR else ()
        live_token = known.live_token(role) if known else None
        tokens[role] = _token(tokens.get(role), role, given, rules, keep=live_token is not None)
    return PairedDevice(
        device_id=item.device_id,
        public_key=item.public_key,
        display_name=item.display_name or (known.display_name if known else None),
        platform=item.platform or (known.platform if known else None),
        device_family=item.device_family or (known.device_family if known else None),
        client_id=item.client_id,
        client_mode=item.client_mode,
        role=item.role or (item.asked_roles[0] if item.asked_roles else None),
        roles=roles,
        scopes=scopes,
        approved_scopes=scopes,
        remote_ip=item.remote_ip,
        tokens=tokens,
        created_at_ms=known.created_at_ms if known else rules.now_ms,
        approved_at_ms=rules.now_ms,
        last_seen_at_ms=known.last_seen_at_ms if known else None,
        last_seen_reason=known.last_seen_reason if known else None,
        extra=known.extra if known else {},
    )


def _token(
    old: DeviceToken | None, role: str, scopes: tuple[str, ...], rules: Rules, *, keep: bool
) -> DeviceToken:
    if old is None:
        return DeviceToken(rules.new_token(), role, scopes, created_at_ms=rules.now_ms)
    if keep:
        return attrs.evolve(old, role=role, scopes=scopes)
    return attrs.evolve(
        old,
        token=rules.new_token(),
        role=role,
        scopes=scopes,
        rotated_at_ms=rules.now_ms,
        revoked_at_ms=None,
        previous_token_sha256=hashlib.sha256(old.token.encode()).hexdigest(),
    )


def approval_note(note: DeviceNote | None, caller: Caller, *, via: str) -> DeviceNote:
    """Return the note of a device with how and by whom it was approved."""
    by = caller.device_id or caller.rule or (None if caller.uid is None else f"uid {caller.uid}")
    return attrs.evolve(unmarked(note or DeviceNote()), approved_via=via, approved_by=by)
