"""What changed between two device books, whoever changed them, as things to announce and to end.

The gateway compares its last look with the present one, so a decision made over the wire, in the
files, or by an expiry is announced by one mechanism.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from stores.pairing import covered, expired
from stores.records import DeviceBook, PairedDevice, PendingRequest
from stores.scopes import covers


@frozen
class Requested:
    """A pending request is new."""

    item: PendingRequest


@frozen
class Resolved:
    """A pending request is gone; ``reason`` says more than the decision where there is more."""

    item: PendingRequest
    decision: Literal["approved", "rejected"]
    reason: Literal["expired", "superseded"] | None = None


@frozen
class Ended:
    """What fed live sessions is gone: every session of the device, or those in one role."""

    device_id: str
    role: str | None


@frozen
class Renamed:
    """Operators read another name of a device from now on."""

    device_id: str


BookEvent: TypeAlias = Requested | Resolved | Ended | Renamed


def differences(
    old: DeviceBook, new: DeviceBook, *, now_ms: int, ttl_ms: int
) -> tuple[BookEvent, ...]:
    """Return what happened between two books: ended sessions first, then resolved, then new."""
    events: list[BookEvent] = []
    if old.paired is not new.paired or old.notes is not new.notes:
        noted = _noted(old, new)
        shut = {one for one in noted if new.blocked(one) and not old.blocked(one)}
        # Thousands are looked through and few are others: the loop is short on purpose.
        changed = [
            (before, new.paired.get(device_id))
            for device_id, before in old.paired.items()
            if new.paired.get(device_id) is not before or device_id in shut
        ]
        for before, after in changed:
            events += _ended(before, after, blocked=before.device_id in shut)
        events += [Renamed(one) for one in noted if one in new.paired and _renamed(one, old, new)]
    if old.pending is new.pending:
        return tuple(events)
    asking_again = {item.device_id for item in new.pending.values()}
    for request_id, item in old.pending.items():
        if request_id in new.pending:
            continue
        if covered(new, item) or _let_back(item, old, new):
            events.append(Resolved(item, "approved"))
        elif item.device_id in asking_again:
            events.append(Resolved(item, "rejected", "superseded"))
        elif expired(item, now_ms=now_ms, ttl_ms=ttl_ms):
            events.append(Resolved(item, "rejected", "expired"))
        else:
            events.append(Resolved(item, "rejected"))
    events += [Requested(item) for key, item in new.pending.items() if key not in old.pending]
    return tuple(events)


def _noted(old: DeviceBook, new: DeviceBook) -> list[str]:
    """Return the devices whose notes are others than they were."""
    if old.notes is new.notes:
        return []
    written = [one for one, note in new.notes.items() if old.notes.get(one) is not note]
    return [*written, *(old.notes.keys() - new.notes.keys())]


def _let_back(item: PendingRequest, old: DeviceBook, new: DeviceBook) -> bool:
    """Tell whether a device that asked to come back without its token was approved since."""
    before, after = old.paired.get(item.device_id), new.paired.get(item.device_id)
    if not item.stale_token or before is None or after is None:
        return False
    return before.approved_at_ms != after.approved_at_ms


def _renamed(device_id: str, old: DeviceBook, new: DeviceBook) -> bool:
    before, after = old.notes.get(device_id), new.notes.get(device_id)
    return (before and before.label) != (after and after.label)


def _ended(before: PairedDevice, after: PairedDevice | None, *, blocked: bool) -> list[BookEvent]:
    if after is None or blocked:
        return [Ended(before.device_id, None)]
    return [
        Ended(before.device_id, role)
        for role in before.live_roles
        if not _still_opens(before, after, role)
    ]


def _still_opens(before: PairedDevice, after: PairedDevice, role: str) -> bool:
    """Tell whether a session in ``role`` may go on: same token, and nothing it held is gone."""
    old, new = before.live_token(role), after.live_token(role)
    if old is None or new is None or old.token != new.token:
        return False
    return covers(after.granted_scopes(role), before.granted_scopes(role))
