"""Pairing transitions: a device book in, a new book and what it means out; no clock, no file.

The gateway and the offline command line approve through these very functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from stores.authority import check_may_decide, check_may_grant
from stores.errors import (
    BlockedDeviceError,
    NotAllowedError,
    TooManyDevicesError,
    TooManyPendingError,
    TooManyScopesError,
    UnknownRequestError,
)
from stores.paired_record import approval_note, paired_record
from stores.records import AuditEntry, DeviceBook, PairedDevice, PendingRequest, Role
from stores.repair import marked
from stores.request_id import plain_id, request_code
from stores.scopes import covers, union
from stores.transition import Caller, Change, Rules, Wish

T = TypeVar("T")

#: A request that keeps knocking is written again only after this share of its life.
REFRESH_SHARE = 10

#: Devices let in without a human, in all: whoever has the secret, and a rule or this machine to come
#: by, could else fill the store with keys made up one by one.
MAX_UNASKED = 5_000

#: How a device was approved where a human did it, or made the invitation that did.
_BY_HUMANS = frozenset({None, "owner", "bootstrap"})

#: Scopes of one request, the union of all a device asked for: three times the names there are.
MAX_SCOPES = 32


def find_pending(book: DeviceBook, reference: str) -> PendingRequest:
    """Return the pending request that an id in any spelling, or a device id, means.

    Raises:
        UnknownRequestError: none answers to it, or the device has several.
    """
    wanted = plain_id(reference)
    by_id = [item for item in book.pending.values() if plain_id(item.request_id) == wanted]
    of_device = [item for item in book.pending.values() if item.device_id.upper() == wanted]
    found = by_id or of_device
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(item.request_id for item in found)
        raise UnknownRequestError(
            f"that device has {len(found)} pending requests ({ids})",
            remedy="name one of them: `openclaw devices approve ID`",
            wire_message="unknown requestId",
        )
    raise UnknownRequestError(
        f"no pending request has the id {reference.strip()!r}",
        remedy="it may have expired or changed: let the device try again, then see `openclaw devices list`",
        wire_message="unknown requestId",
        reference=reference,
    )


def expired(item: PendingRequest, *, now_ms: int, ttl_ms: int) -> bool:
    """Tell whether a pending request's life is over.

    One from further in the future than a life is long is over too: after the clock was set back
    it would otherwise stay approvable for as long as the clock was wrong.
    """
    return abs(now_ms - item.ts) >= ttl_ms


def covered(book: DeviceBook, item: PendingRequest) -> bool:
    """Tell whether the device's tokens already give all that a pending request asks for.

    Its tokens and not its baseline: what a rotation took away may be asked for again.
    """
    device = book.paired.get(item.device_id)
    if item.stale_token or device is None:
        return False
    if not set(item.asked_roles) <= set(device.live_roles):
        return False
    same = same_identity(device, item.platform, item.device_family)
    return same and covers(device.granted_scopes(Role.OPERATOR), item.asked_scopes)


def heal(book: DeviceBook) -> DeviceBook:
    """Drop what no longer has a sense: covered requests, upgrades of gone devices, blocked ids."""
    stale = [
        key
        for key, item in book.pending.items()
        if covered(book, item)
        or (item.is_repair and item.device_id not in book.paired)
        or book.blocked(item.device_id)
    ]
    return attrs.evolve(book, pending=_without(book.pending, *stale)) if stale else book


def drop_expired(book: DeviceBook, rules: Rules) -> Change[tuple[PendingRequest, ...]]:
    """Forget the pending requests nobody decided in time; answer with them."""
    gone = {
        key: item
        for key, item in book.pending.items()
        if expired(item, now_ms=rules.now_ms, ttl_ms=rules.ttl_ms)
    }
    if not gone:
        return Change(book, ())
    items = tuple(gone.values())
    audit = tuple(request_entry("device.expired", item, Caller("task")) for item in items)
    return Change(attrs.evolve(book, pending=_without(book.pending, *gone)), items, audit)


def waiting_request(book: DeviceBook, wish: Wish) -> PendingRequest | None:
    """Return the pending request of the same device that already asks for all of ``wish``."""
    for item in reversed(book.pending_of(wish.device_id)):
        same = (item.platform, item.device_family) == (wish.platform, wish.device_family)
        enough = wish.role in item.asked_roles and covers(item.scopes, _asked_scopes(wish))
        if same and enough and (item.stale_token or not wish.stale_token):
            return item
    return None


def needs_refresh(item: PendingRequest, rules: Rules) -> bool:
    """Tell whether a repeated knock is worth a write: most of a storm of retries is not."""
    return not 0 <= rules.now_ms - item.ts < rules.ttl_ms // REFRESH_SHARE


def request(book: DeviceBook, rules: Rules, *, wish: Wish) -> Change[PendingRequest]:
    """Record that a device asks to pair, or refresh or supersede what it asked before.

    A refresh keeps the id and moves ``ts``; a wider or different wish supersedes the old one
    with the union of roles and scopes.

    Raises:
        BlockedDeviceError: the device id gets no record.
        TooManyPendingError: the list is full, in all or for that address, or the device asked for
            more scopes than one request may hold.
    """
    if book.blocked(wish.device_id):
        raise BlockedDeviceError(
            f"device {wish.device_id} is blocked",
            remedy=f"let it ask again with `openclaw devices unblock {wish.device_id}`",
            wire_message="pairing required",
        )
    current = waiting_request(book, wish)
    if current is not None:
        refreshed = attrs.evolve(current, ts=rules.now_ms, remote_ip=wish.remote_ip, why=wish.why)
        pending = {**book.pending, current.request_id: refreshed}
        return Change(attrs.evolve(book, pending=pending), refreshed)
    own = book.pending_of(wish.device_id)
    others = _without(book.pending, *(item.request_id for item in own)) if own else book.pending
    if not own:
        _check_room(others, wish, rules)
    item = _new_request(book, rules, wish, own, others)
    entry = request_entry("device.requested", item, Caller("self", device_id=wish.device_id))
    why = upgrade_of(book, item)
    return Change(
        attrs.evolve(book, pending={**others, item.request_id: item}),
        item,
        (attrs.evolve(entry, origin=wish.origin, reason=why),),
    )


def upgrade_of(book: DeviceBook, item: PendingRequest) -> str | None:
    """Return in one word what a paired device asks for beyond what it has; None of a new one."""
    device = book.paired.get(item.device_id)
    if device is None:
        return None
    if item.stale_token:
        return "stale-token"
    if not set(item.asked_roles) <= set(device.live_roles):
        return "role-upgrade"
    same = same_identity(device, item.platform, item.device_family)
    return "scope-upgrade" if same else "metadata-upgrade"


def _check_room(others: Mapping[str, PendingRequest], wish: Wish, rules: Rules) -> None:
    from_there = sum(item.remote_ip == wish.remote_ip for item in others.values())
    if len(others) >= rules.max_pending or from_there >= rules.max_per_address:
        raise TooManyPendingError(
            "too many devices wait for approval already",
            remedy="decide or reject some: `openclaw devices list`",
            wire_message="pairing required",
        )


def _new_request(
    book: DeviceBook,
    rules: Rules,
    wish: Wish,
    own: tuple[PendingRequest, ...],
    others: Mapping[str, PendingRequest],
) -> PendingRequest:
    roles = union(*(item.asked_roles for item in own), (wish.role,))
    scopes = union(*(item.scopes for item in own), _asked_scopes(wish))
    if len(scopes) > MAX_SCOPES:
        raise TooManyScopesError(
            f"device {wish.device_id} asks for more than {MAX_SCOPES} scopes",
            remedy="approve or reject what it asked for before: `openclaw devices list`",
            wire_message="pairing required",
        )
    repair = wish.device_id in book.paired
    stale = repair and (wish.stale_token or any(item.stale_token for item in own))
    first_seen = [item.first_seen_at_ms or item.ts for item in own]
    return PendingRequest(
        request_id=request_code(
            rules.store_key,
            device_id=wish.device_id,
            # To let a device in without its token is another thing to approve: another code.
            roles=(*roles, "stale-token") if stale else roles,
            scopes=scopes,
            platform=wish.platform,
            device_family=wish.device_family,
            taken=others.__contains__,
        ),
        device_id=wish.device_id,
        public_key=wish.public_key,
        display_name=wish.display_name,
        platform=wish.platform,
        device_family=wish.device_family,
        client_id=wish.client_id,
        client_mode=wish.client_mode,
        role=wish.role,
        roles=roles,
        scopes=scopes,
        remote_ip=wish.remote_ip,
        is_repair=repair,
        ts=rules.now_ms,
        first_seen_at_ms=min([*first_seen, rules.now_ms]),
        why=wish.why,
        stale_token=stale or None,
    )


def approve(
    book: DeviceBook, rules: Rules, *, reference: str, caller: Caller
) -> Change[tuple[PendingRequest, PairedDevice]]:
    """Pair the device of a pending request: what it has stays, what it asked for is added.

    A live token is kept and widened; a missing or revoked one is issued anew. A device that has
    lost its token may come for it, see `repair`.

    Raises:
        UnknownRequestError: nothing pending answers to ``reference``.
        NotAllowedError: the caller may not grant that.
    """
    item = find_pending(book, reference)
    check_may_decide(caller, item)
    check_may_grant(caller, book.paired.get(item.device_id), item)
    device = paired_record(book.paired.get(item.device_id), item, rules)
    entry = request_entry("device.approved", item, caller)
    note = approval_note(book.notes.get(item.device_id), caller, via="owner")
    if item.stale_token:
        note = marked(note, item.asked_roles, now_ms=rules.now_ms)
    after = attrs.evolve(
        book,
        pending=_without(
            book.pending, *(own.request_id for own in book.pending_of(item.device_id))
        ),
        paired={**book.paired, device.device_id: device},
        notes={**book.notes, device.device_id: note},
    )
    return Change(after, (item, device), (entry,))


def reject(
    book: DeviceBook, rules: Rules, *, reference: str, caller: Caller
) -> Change[PendingRequest]:
    """Forget a pending request without pairing its device.

    Raises:
        UnknownRequestError: nothing pending answers to ``reference``.
        NotAllowedError: the caller may not decide that request.
    """
    item = find_pending(book, reference)
    check_may_decide(caller, item)
    left = _without(book.pending, item.request_id)
    entry = request_entry("device.rejected", item, caller)
    return Change(attrs.evolve(book, pending=left), item, (entry,))


def admit(
    book: DeviceBook, rules: Rules, *, wish: Wish, caller: Caller, via: str
) -> Change[tuple[PendingRequest, PairedDevice]]:
    """Pair or upgrade a device in one step, without a pending request: policy decided already.

    Its own pending requests are resolved by it. A revoked role is never given back this way.

    Raises:
        BlockedDeviceError: the device id gets no record.
        NotAllowedError: the role was revoked.
    """
    if book.blocked(wish.device_id):
        raise BlockedDeviceError(
            f"device {wish.device_id} is blocked", wire_message="pairing required"
        )
    known = book.paired.get(wish.device_id)
    if known is not None and known.revoked(wish.role):
        raise NotAllowedError(
            f"the {wish.role} token of device {wish.device_id} was revoked",
            wire_message="pairing required",
        )
    own = book.pending_of(wish.device_id)
    item = _new_request(book, rules, wish, (), _without(book.pending, *(r.request_id for r in own)))
    device = paired_record(known, item, rules)
    entry = attrs.evolve(request_entry("device.approved", item, caller), origin=wish.origin)
    note = approval_note(book.notes.get(wish.device_id), caller, via=via)
    after = attrs.evolve(
        book,
        pending=_without(book.pending, *(waiting.request_id for waiting in own)),
        paired={**book.paired, device.device_id: device},
        notes={**book.notes, device.device_id: note},
    )
    return Change(after, (item, device), (entry,))


def admit_unasked(
    book: DeviceBook, rules: Rules, *, wish: Wish, caller: Caller, via: str
) -> Change[tuple[PendingRequest, PairedDevice]]:
    """Do what `admit` does for whom no human knows of: so many and no more.

    Raises:
        TooManyDevicesError: the device is new, and as many came in this way as may.
    """
    if wish.device_id not in book.paired and len(book.paired) >= MAX_UNASKED:
        notes = (book.notes.get(device_id) for device_id in book.paired)
        if sum(note is not None and note.approved_via not in _BY_HUMANS for note in notes) >= (
            MAX_UNASKED
        ):
            raise TooManyDevicesError(
                f"{MAX_UNASKED} devices were let in unasked already",
                remedy="forget those that are gone: `openclaw devices prune --older-than 90d`",
                wire_message="pairing required",
            )
    return admit(book, rules, wish=wish, caller=caller, via=via)


def with_contacts(book: DeviceBook, contacts: Mapping[tuple[str, str], int]) -> DeviceBook:
    """Return the book with when devices were last here, by (device id, role), epoch ms."""
    known = {key: at_ms for key, at_ms in contacts.items() if key[0] in book.paired}
    if not known:
        return book
    paired = dict(book.paired)
    for (device_id, role), at_ms in known.items():
        device = paired[device_id]
        tokens = dict(device.tokens)
        if role in tokens:
            tokens[role] = attrs.evolve(tokens[role], last_used_at_ms=at_ms)
        paired[device_id] = attrs.evolve(
            device, tokens=tokens, last_seen_at_ms=at_ms, last_seen_reason="connect"
        )
    return attrs.evolve(book, paired=paired)


def _asked_scopes(wish: Wish) -> tuple[str, ...]:
    """Return the scopes that a wish is about: a node holds none, so it asks for none.

    They would else enter the baseline with the approval of a node, where an operator role of the
    same device would find them approved.
    """
    return wish.scopes if wish.role == Role.OPERATOR else ()


def same_identity(device: PairedDevice, platform: str | None, family: str | None) -> bool:
    """Tell whether a device is of the platform and kind it was approved as."""
    pins = ((device.platform, platform), (device.device_family, family))
    return all(
        not pin or not now or pin.strip().lower() == now.strip().lower() for pin, now in pins
    )


def _without(records: Mapping[str, T], *keys: str) -> dict[str, T]:
    return {key: record for key, record in records.items() if key not in keys}


def request_entry(event: str, item: PendingRequest, caller: Caller) -> AuditEntry:
    """Return the audit line of something that happened to a pending request."""
    return AuditEntry(
        event=event,
        device_id=item.device_id,
        by=caller.described(),
        request_id=item.request_id,
        role=item.role,
        scopes=item.scopes,
        origin={"client": item.remote_ip} if item.remote_ip else None,
    )
