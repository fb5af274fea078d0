"""The way back for a device whose token no longer fits: its key, once, after an operator's word.

Approving the request of such a device keeps its token and leaves a mark in its note. The next
proof of its key redeems the mark and is told the token.
"""

from __future__ import annotations

import attrs

from stores.errors import NotAllowedError
from stores.records import AuditEntry, DeviceBook, DeviceNote, PairedDevice
from stores.transition import Caller, Change, Rules

#: How long an approved device may take to come for its token: a person walks over to it.
REPAIR_MS = 3_600_000


def marked(note: DeviceNote, roles: tuple[str, ...], *, now_ms: int) -> DeviceNote:
    """Return the note of a device that may come for its token in these roles."""
    return attrs.evolve(note, repair_roles=roles, repair_until_ms=now_ms + REPAIR_MS)


def unmarked(note: DeviceNote) -> DeviceNote:
    """Return the note of a device that needs its token to come back."""
    return attrs.evolve(note, repair_roles=None, repair_until_ms=None)


def may_redeem(book: DeviceBook, device_id: str, role: str, *, now_ms: int) -> bool:
    """Tell whether a proof of the device's key is, once, as good as its token in ``role``."""
    note, device = book.notes.get(device_id), book.paired.get(device_id)
    if note is None or device is None or note.blocked or device.live_token(role) is None:
        return False
    # A mark from further ahead than marks last is of a clock that was wrong: it opens nothing.
    left_ms = (note.repair_until_ms or 0) - now_ms
    return role in (note.repair_roles or ()) and 0 < left_ms <= REPAIR_MS


def redeem(book: DeviceBook, rules: Rules, *, device_id: str, role: str) -> Change[PairedDevice]:
    """Use the mark up in one role and return the device; the caller verified its key.

    Raises:
        NotAllowedError: there is no mark for that role, or it is too old.
    """
    if not may_redeem(book, device_id, role, now_ms=rules.now_ms):
        raise NotAllowedError(
            f"nobody let device {device_id[:12]} in without its {role} token",
            wire_message="device token mismatch",
        )
    note = book.notes[device_id]
    left = tuple(each for each in note.repair_roles or () if each != role)
    after = attrs.evolve(note, repair_roles=left) if left else unmarked(note)
    entry = AuditEntry(
        "device.redeemed",
        device_id,
        Caller("self", device_id=device_id).described(),
        role=role,
        reason="stale-token",
    )
    notes = {**book.notes, device_id: after}
    return Change(attrs.evolve(book, notes=notes), book.paired[device_id], (entry,))


def without_mark(book: DeviceBook, device_id: str) -> DeviceBook:
    """Return the book in which the device needs its token to come back."""
    note = book.notes.get(device_id)
    if note is None or note.repair_roles is None:
        return book
    return attrs.evolve(book, notes={**book.notes, device_id: unmarked(note)})
