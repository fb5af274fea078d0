"""The list of devices as both roads tell it: what is on file, without a secret, ready for JSON.

The gateway answers ``device.pair.list`` with it and the command line builds the same from the
files, so that a reader never has to know which road an answer took.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from stores.pairing import expired, same_identity, upgrade_of
from stores.records import DeviceBook, DeviceNote, DeviceToken, PairedDevice, PendingRequest

if TYPE_CHECKING:
    from stores.nodes import NodeRequest

#: How a device that carries no note was approved is not known.
_NO_NOTE = DeviceNote()
_NOTHING: dict[str, Any] = {}


def listing(
    book: DeviceBook,
    *,
    now_ms: int,
    ttl_ms: int,
    connected: Collection[str] = (),
    surfaces: Iterable[NodeRequest] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Return ``pending``, newest first and without the expired, and ``paired``, latest approval first.

    Args:
        ttl_ms: Life of a pending request since its last contact.
        connected: Ids of the devices that hold a live session; none is known from files.
        surfaces: What waits of nodes for its own approval; a paired device is told with its own.
    """
    waits = {one.node_id: _surface(one) for one in surfaces if one.surface}
    alive = [
        item for item in book.pending.values() if not expired(item, now_ms=now_ms, ttl_ms=ttl_ms)
    ]
    alive.sort(key=lambda item: item.ts, reverse=True)
    paired = sorted(book.paired.values(), key=lambda item: item.approved_at_ms, reverse=True)
    return {
        "pending": [pending_item(item, book, now_ms, ttl_ms) for item in alive],
        "paired": [
            paired_item(device, book.notes.get(device.device_id), device.device_id in connected)
            | waits.get(device.device_id, _NOTHING)
            for device in paired
        ],
    }


def pending_item(
    record: PendingRequest, book: DeviceBook, now_ms: int, ttl_ms: int
) -> dict[str, Any]:
    """Return what a pending request asks for, beside what its device has already.

    ``expiresAtMs`` is when it ends unless the device knocks again, never before ``now_ms``.
    """
    device = book.paired.get(record.device_id)
    note = book.notes.get(record.device_id, _NO_NOTE)
    same = device is None or same_identity(device, record.platform, record.device_family)
    return _present(
        {
            "requestId": record.request_id,
            "deviceId": record.device_id,
            "publicKey": record.public_key,
            "displayName": record.display_name,
            "label": note.label,
            "platform": record.platform,
            "deviceFamily": record.device_family,
            "clientId": record.client_id,
            "clientMode": record.client_mode,
            "role": record.role,
            "roles": list(record.asked_roles),
            "scopes": list(record.scopes),
            "approvedRoles": None if device is None else list(device.live_roles),
            "approvedScopes": None if device is None else list(device.baseline),
            "remoteIp": record.remote_ip,
            "approvedPlatform": None if same or device is None else device.platform,
            "approvedDeviceFamily": None if same or device is None else device.device_family,
            "reason": upgrade_of(book, record),
            "why": record.why,
            "silent": record.silent,
            "isRepair": record.is_repair,
            "staleToken": record.stale_token,
            "ts": record.ts,
            "firstSeenAtMs": record.first_seen_at_ms,
            "expiresAtMs": max(now_ms, record.ts + ttl_ms),
        }
    )


def paired_item(
    record: PairedDevice,
    note: DeviceNote | None,
    connected: bool,  # noqa: FBT001  # a fact, as the others
) -> dict[str, Any]:
    """Return what is on file of a paired device; its tokens as an array by role, without values."""
    kept = note or _NO_NOTE
    # What is always there apart from what may be missing: a list of thousands is made of these.
    item = {
        "deviceId": record.device_id,
        "publicKey": record.public_key,
        "roles": list(record.named_roles),
        "scopes": list(record.scopes),
        "approvedScopes": list(record.baseline),
        "tokens": [token_item(record.tokens[role]) for role in sorted(record.tokens)],
        "createdAtMs": record.created_at_ms,
        "approvedAtMs": record.approved_at_ms,
        "connected": connected,
        "blocked": kept.blocked,
    }
    may_miss = (
        ("displayName", record.display_name),
        ("label", kept.label),
        ("platform", record.platform),
        ("deviceFamily", record.device_family),
        ("clientId", record.client_id),
        ("clientMode", record.client_mode),
        ("role", record.role),
        ("remoteIp", record.remote_ip),
        ("approvedVia", kept.approved_via),
        ("approvedBy", kept.approved_by),
        ("lastSeenAtMs", record.last_seen_at_ms),
        ("lastSeenReason", record.last_seen_reason),
    )
    item |= {key: fact for key, fact in may_miss if fact is not None}
    return item


def _surface(request: NodeRequest) -> dict[str, Any]:
    told = {"requestId": request.request_id, "commands": list(request.commands or ())}
    return {"pendingNodeSurface": {**told, "ts": request.ts}}


def token_item(token: DeviceToken) -> dict[str, Any]:
    """Return what may be told of a device token."""
    item = {
        "role": token.role,
        "scopes": list(token.scopes),
        "createdAtMs": token.created_at_ms,
    }
    if token.rotated_at_ms is not None:
        item["rotatedAtMs"] = token.rotated_at_ms
    if token.revoked_at_ms is not None:
        item["revokedAtMs"] = token.revoked_at_ms
    if token.last_used_at_ms is not None:
        item["lastUsedAtMs"] = token.last_used_at_ms
    return item


def _present(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fact for key, fact in facts.items() if fact is not None}
