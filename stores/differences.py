"""What changed between two device books, whoever changed them, as things to announce and to end.

The gateway compares its last look with the present one, so a decision made over the wire, in the
files, or by an expiry is announced by one mechanism.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from stores.pairing import covered, expired
from stores.records import DeviceBook, DeviceToken, PairedDevice, PendingRequest


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


BookEvent: TypeAlias = Requested | Resolved | Ended


def differences(
    old: DeviceBook, new: DeviceBook, *, now_ms: int, ttl_ms: int
) -> tuple[BookEvent, ...]:
    """Return what happened between two books: ended sessions first, then resolved, then new."""
    events: list[BookEvent] = []
    if old.paired is not new.paired or old.notes is not new.notes:
        for device_id, before in old.paired.items():
            after = new.paired.get(device_id)
            if after is not before or new.blocked(device_id):
                events += _ended(before, after, blocked=new.blocked(device_id))
    if old.pending is new.pending:
        return tuple(events)
    asking_again = {item.device_id for item in new.pending.values()}
    for request_id, item in old.pending.items():
        if request_id in new.pending:
            continue
        if covered(new, item):
            events.append(Resolved(item, "approved"))
        elif item.device_id in asking_again:
            events.append(Resolved(item, "rejected", "superseded"))
        elif expired(item, now_ms=now_ms, ttl_ms=ttl_ms):
            events.append(Resolved(item, "rejected", "expired"))
        else:
            events.append(Resolved(item, "rejected"))
    events += [Requested(item) for key, item in new.pending.items() if key not in old.pending]
    return tuple(events)


def _ended(before: PairedDevice, after: PairedDevice | None, *, blocked: bool) -> list[BookEvent]:
    if after is None or blocked:
        return [Ended(before.device_id, None)]
    return [
        Ended(before.device_id, role)
        for role, token in before.tokens.items()
        if token.live and not _still_opens(token, after.live_token(role))
    ]


def _still_opens(before: DeviceToken, after: DeviceToken | None) -> bool:
    return after is not None and after.token == before.token
