"""A node as both roads tell of it: what is on file, beside what its live session says.

The gateway answers ``node.list`` and ``node.pair.list`` with these entries, and the command line
builds the same from the files.

Source: protocol fact, the entries of ``node.list`` in 2026.2.19 and 2026.9.6 together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from stores import codec
from stores.nodes import NodeBook, NodeRecord, NodeRequest, stands
from stores.records import DeviceBook, PairedDevice, Role

#: Of a node that is not connected nothing is known but what is on file.
_NOTHING: Mapping[str, Any] = {}

#: Which scopes approving commands takes.
Needed = Callable[[Collection[str]], tuple[str, ...]]


def paired_nodes(devices: DeviceBook) -> Iterator[str]:
    """Yield the ids of the devices that are paired as nodes."""
    for node_id in devices.paired:
        if is_paired_node(devices, node_id):
            yield node_id


def is_paired_node(devices: DeviceBook, node_id: str) -> bool:
    """Tell whether an id is that of a device that is paired as a node."""
    device = devices.paired.get(node_id)
    return device is not None and Role.NODE in device.named_roles


def standing(book: NodeBook, device: PairedDevice | None) -> NodeRecord | None:
    """Return what was approved of a device's commands in its present pairing, or None."""
    record = None if device is None else book.paired.get(device.device_id)
    if record is None or device is None or not stands(record, since_ms=device.created_at_ms):
        return None
    return record


def node_item(  # facts from two stores and a session
    devices: DeviceBook,
    book: NodeBook,
    node_id: str,
    *,
    live: Mapping[str, Any] = _NOTHING,
    connected: bool | None = None,
    otherwise: str = "unapproved",
    may_decide: bool = True,
) -> dict[str, Any]:
    """Return the entry of one node.

    Args:
        live: What its session says; it counts more than what is on file.
        connected: Whether it is; None where nobody here can know.
        otherwise: How far the approval of its commands is where nothing is approved or waits.
        may_decide: Whether what waits is told.
    """
    device, note = devices.paired.get(node_id), devices.notes.get(node_id)
    record, waiting = standing(book, device), book.pending_of(node_id)
    facts = _on_file(device) | dict(live)
    if note is not None and note.label is not None:
        facts["displayName"] = note.label
    facts["approvalState"] = _state(record, waiting, otherwise)
    if waiting is not None and may_decide:
        facts["pendingRequestId"] = waiting.request_id
        facts["pendingDeclaredCaps"] = list(waiting.caps or ())
        facts["pendingDeclaredCommands"] = list(waiting.commands or ())
    if record is not None:
        facts["approvedAtMs"] = record.approved_at_ms
    facts |= {"paired": device is not None, "connected": connected}
    return {"nodeId": node_id} | {key: fact for key, fact in facts.items() if fact is not None}


def _on_file(device: PairedDevice | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"caps": [], "commands": []}
    if device is None:
        return facts
    return facts | {
        "displayName": device.display_name,
        "platform": device.platform,
        "clientId": device.client_id,
        "clientMode": device.client_mode,
        "deviceFamily": device.device_family,
        "remoteIp": device.remote_ip,
        "approvedAtMs": device.approved_at_ms,
        "lastSeenAtMs": device.last_seen_at_ms,
        "lastSeenReason": device.last_seen_reason,
    }


def _state(record: NodeRecord | None, waiting: NodeRequest | None, otherwise: str) -> str:
    """Return how far the approval of a node's commands is (protocol fact: the words)."""
    if waiting is not None:
        return "pending-reapproval" if record is not None else "pending-approval"
    return otherwise if record is None else "approved"


def in_order(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries with connected nodes first, then by name, then by id."""
    return sorted(
        entries,
        key=lambda one: (
            not one.get("connected"),
            str(one.get("displayName") or one["nodeId"]).lower(),
            one["nodeId"],
        ),
    )


def pair_listing(
    devices: DeviceBook, book: NodeBook, *, needed: Needed, is_node: Callable[[str], bool]
) -> dict[str, list[dict[str, Any]]]:
    """Return ``pending``, newest first, and ``paired``, latest approval first; no tokens.

    Args:
        is_node: Whether an id is that of a node that may still be approved.
    """
    waiting = sorted(book.pending.values(), key=lambda one: one.ts, reverse=True)
    shown = [one for one in waiting if not one.surface or is_node(one.node_id)]
    approved = [
        record_entry(record)
        for record in book.paired.values()
        if not record.surface or standing(book, devices.paired.get(record.node_id)) is not None
    ]
    approved.sort(key=lambda one: -int(one["approvedAtMs"]))
    return {"pending": [request_entry(one, needed=needed) for one in shown], "paired": approved}


def request_entry(request: NodeRequest, *, needed: Needed) -> dict[str, Any]:
    """Return a node request as it is told of, with what approving it takes."""
    facts = codec.dump(request)
    surface = facts.pop("surface", None)
    if surface:
        ts = facts.pop("ts")
        facts["requiredApproveScopes"] = list(needed(request.commands or ()))
        facts["ts"] = ts
    return facts


def record_entry(record: NodeRecord, *, with_token: bool = False) -> dict[str, Any]:
    """Return an approved node; its token only to who has approved it this moment."""
    facts = codec.dump(record)
    facts.pop("surface", None)
    if not with_token:
        facts.pop("token", None)
    return facts
