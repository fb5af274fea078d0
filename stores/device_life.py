"""What becomes of a paired device: named, blocked, forgotten.

Pure transitions like those of `pairing`: a device book in, a new book and what it means out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import attrs

from stores.authority import check_holds, check_may_end, check_may_touch
from stores.errors import BadLabelError, NotAllowedError, UnknownDeviceError
from stores.pairing import request_entry
from stores.records import (
    AuditEntry,
    DeviceBook,
    DeviceNote,
    PairedDevice,
    PendingRequest,
)
from stores.repair import unmarked
from stores.scopes import ADMIN
from stores.transition import Caller, Change, Rules

#: Fewer characters of a device id name no device: they are too soon the same for two.
MIN_PREFIX = 8

MAX_LABEL = 64

_DEVICE_ID_CHARACTERS = 64

_REMOVAL = "device pairing removal denied"
_BLOCKING = "device blocking denied"
_RENAMING = "device renaming denied"
_CLEARING = "device clearing denied"
SEE = "see `openclaw devices list`"

#: Ids of removed devices, and of the pending requests that were rejected with them.
Swept: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]


def find_device(book: DeviceBook, reference: str) -> PairedDevice:
    """Return the paired device that an id, or the beginning of one, means.

    Raises:
        UnknownDeviceError: none answers to it, or several do.
    """
    return book.paired[_one_of(book.paired, reference)]


def _one_of(ids: Iterable[str], reference: str) -> str:
    wanted = reference.strip().lower()
    known = tuple(dict.fromkeys(ids))
    if wanted in known:
        return wanted
    found = [each for each in known if len(wanted) >= MIN_PREFIX and each.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(each[: MIN_PREFIX + 8] for each in sorted(found)[:5])
        raise UnknownDeviceError(
            f"{len(found)} devices have an id that begins with {wanted!r} ({shown}, …)",
            remedy="name more of the id: `openclaw devices list --json`",
            wire_message="unknown deviceId",
        )
    raise UnknownDeviceError(
        f"no device has the id {reference.strip()[:_DEVICE_ID_CHARACTERS]!r}",
        remedy=SEE if len(wanted) >= MIN_PREFIX else f"name {MIN_PREFIX} characters or more: {SEE}",
        wire_message="unknown deviceId",
    )


def touched(book: DeviceBook, reference: str, caller: Caller, *, denied: str) -> PairedDevice:
    """Return the paired device that ``caller`` names and may touch."""
    try:
        device = find_device(book, reference)
    except UnknownDeviceError:
        check_may_touch(caller, None, denied=denied)
        raise
    check_may_touch(caller, device.device_id, denied=denied)
    return device


def remove(
    book: DeviceBook, rules: Rules, *, device_id: str, caller: Caller
) -> Change[PairedDevice]:
    """Forget a paired device: its record, its tokens, its pending requests and its label.

    A block stays. The device may ask to pair again.

    Raises:
        UnknownDeviceError: no paired device answers to ``device_id``.
        NotAllowedError: the caller may not end what the device has.
    """
    device = touched(book, device_id, caller, denied=_REMOVAL)
    check_may_end(caller, device, (*device.live_roles, *device.tokens))
    own = tuple(item.request_id for item in book.pending_of(device.device_id))
    change = _swept(book, (device.device_id,), own, caller)
    return Change(change.book, device, change.audit)


def _without_devices(book: DeviceBook, gone: set[str]) -> DeviceBook:
    """Return the book without these devices; only that they are blocked is still known of them."""
    notes = book.notes
    if not gone.isdisjoint(notes):
        notes = {
            key: DeviceNote(blocked=True) if key in gone else note
            for key, note in notes.items()
            if key not in gone or note.blocked
        }
    return attrs.evolve(
        book,
        pending=_without_requests(book, gone),
        paired={key: device for key, device in book.paired.items() if key not in gone},
        notes=notes,
    )


def _without_requests(book: DeviceBook, device_ids: set[str]) -> Mapping[str, PendingRequest]:
    if all(item.device_id not in device_ids for item in book.pending.values()):
        return book.pending
    return {k: item for k, item in book.pending.items() if item.device_id not in device_ids}


def rename(
    book: DeviceBook, rules: Rules, *, device_id: str, label: str, caller: Caller
) -> Change[str]:
    """Give a paired device the name that operators read; answer with it, stripped.

    Raises:
        UnknownDeviceError: no paired device answers to ``device_id``.
        BadLabelError: the label is empty, too long, or holds what does not print.
        NotAllowedError: the caller may not touch the device.
    """
    device = touched(book, device_id, caller, denied=_RENAMING)
    name = checked_label(label, device.device_id)
    note = book.notes.get(device.device_id, DeviceNote())
    if note.label == name:
        return Change(book, name)
    after = _noted(book, device.device_id, attrs.evolve(note, label=name))
    return Change(after, name, (device_entry("device.renamed", device.device_id, caller),))


def checked_label(label: str, device_id: str) -> str:
    """Return a name that a device may have, stripped.

    Raises:
        BadLabelError: it is empty, too long, or holds what does not print.
    """
    name = label.strip()
    if not 1 <= len(name) <= MAX_LABEL or not name.isprintable():
        fault = f"must be 1 to {MAX_LABEL} printable characters"
        raise BadLabelError(
            f"the label {fault}",
            remedy=f"`openclaw devices rename {device_id[:12]} --name NAME`",
            wire_message=f"invalid device.pair.rename params: at /label: {fault}",
        )
    return name


def block(book: DeviceBook, rules: Rules, *, device_id: str, caller: Caller) -> Change[str]:
    """Let a device id have nothing here any more, whether it is paired, asks, or is unknown.

    Its record is kept for an unblock; its pending requests are rejected. Answers with the full id.

    Raises:
        UnknownDeviceError: it is neither a device known here nor a whole device id.
        NotAllowedError: the caller may not end what the device has.
    """
    wanted = _blockable(book, device_id, caller)
    if book.blocked(wanted):
        return Change(book, wanted)
    note = attrs.evolve(unmarked(book.notes.get(wanted, DeviceNote())), blocked=True)
    after = attrs.evolve(_noted(book, wanted, note), pending=_without_requests(book, {wanted}))
    rejected = [request_entry("device.rejected", item, caller) for item in book.pending_of(wanted)]
    return Change(after, wanted, (device_entry("device.blocked", wanted, caller), *rejected))


def unblock(book: DeviceBook, rules: Rules, *, device_id: str, caller: Caller) -> Change[str]:
    """Let a device id ask again, and a paired one come back with the tokens it had.

    Raises:
        UnknownDeviceError: it is neither a device known here nor a whole device id.
        NotAllowedError: the caller could not give what the device gets back, or is that device.
    """
    wanted = _blockable(book, device_id, caller)
    if not book.blocked(wanted):
        return Change(book, wanted)
    if caller.device_id == wanted:  # its session lives on until another program's block is met
        raise NotAllowedError("a device does not unblock itself", wire_message=_BLOCKING)
    note = attrs.evolve(book.notes[wanted], blocked=False)
    after = _noted(book, wanted, note)
    return Change(after, wanted, (device_entry("device.unblocked", wanted, caller),))


def _blockable(book: DeviceBook, reference: str, caller: Caller) -> str:
    """Return the id of a device that the caller may block or unblock."""
    asking = (item.device_id for item in book.pending.values())
    wanted = reference.strip().lower()
    if len(wanted) != _DEVICE_ID_CHARACTERS or not set(wanted) <= set("0123456789abcdef"):
        try:
            wanted = _one_of((*book.paired, *asking, *book.notes), reference)
        except UnknownDeviceError:
            check_may_touch(caller, None, denied=_BLOCKING)
            raise
    check_may_touch(caller, wanted, denied=_BLOCKING)
    device = book.paired.get(wanted)
    if device is not None:
        check_may_end(caller, device, device.live_roles)
    return wanted


def clear(book: DeviceBook, rules: Rules, *, pending: bool, caller: Caller) -> Change[Swept]:
    """Reject every pending request, and unless ``pending`` forget every paired device too.

    Raises:
        NotAllowedError: the caller is neither the owner of the folder nor an admin.
    """
    _check_may_sweep(caller)
    return _swept(book, () if pending else tuple(book.paired), tuple(book.pending), caller)


def prune(
    book: DeviceBook, rules: Rules, *, not_seen_since_ms: int, caller: Caller
) -> Change[Swept]:
    """Forget the paired devices without any contact since ``not_seen_since_ms``, epoch ms.

    Raises:
        NotAllowedError: the caller is neither the owner of the folder nor an admin.
    """
    _check_may_sweep(caller)
    gone = tuple(
        device.device_id
        for device in book.paired.values()
        if last_contact_ms(device) < not_seen_since_ms
    )
    left = set(gone)
    requests = tuple(key for key, item in book.pending.items() if item.device_id in left)
    return _swept(book, gone, requests, caller)


def last_contact_ms(device: PairedDevice) -> int:
    """Return when a device was last heard of at all, its approval included, epoch ms."""
    used = (token.last_used_at_ms or token.issued_at_ms for token in device.tokens.values())
    return max(device.last_seen_at_ms or 0, device.approved_at_ms, device.created_at_ms, *used)


def _check_may_sweep(caller: Caller) -> None:
    check_may_touch(caller, caller.device_id, denied=_CLEARING)
    check_holds(caller, (ADMIN,), "forgetting devices in bulk")


def _swept(
    book: DeviceBook, devices: tuple[str, ...], requests: tuple[str, ...], caller: Caller
) -> Change[Swept]:
    rejected = [
        request_entry("device.rejected", book.pending[request_id], caller)
        for request_id in requests
    ]
    removed = [device_entry("device.removed", device_id, caller) for device_id in devices]
    after = _without_devices(book, set(devices)) if devices else book
    gone = set(requests)
    left = {key: item for key, item in after.pending.items() if key not in gone}
    if len(left) != len(after.pending):
        after = attrs.evolve(after, pending=left)
    return Change(after, (devices, requests), (*removed, *rejected))


def _noted(book: DeviceBook, device_id: str, note: DeviceNote) -> DeviceBook:
    """Return the book with that note, or without any where it says nothing."""
    notes = {key: kept for key, kept in book.notes.items() if key != device_id}
    if note != DeviceNote():
        notes[device_id] = note
    return attrs.evolve(book, notes=notes)


def device_entry(
    event: str,
    device_id: str,
    caller: Caller,
    *,
    role: str | None = None,
    scopes: tuple[str, ...] | None = None,
) -> AuditEntry:
    """Return the audit line of something that happened to a device."""
    return AuditEntry(event, device_id, caller.described(), role=role, scopes=scopes)
