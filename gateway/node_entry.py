"""A node as it is told of: one entry from its record, its approval and its live session.

Source: protocol fact, the entries of ``node.list`` in 2026.2.19 and 2026.9.6 together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.hub import Session
from gateway.nodes import rules_of
from gateway.policy.node_commands import scopes_to_approve, usable
from gateway.runtime import Runtime
from stores import codec
from stores.nodes import NodeRecord, NodeRequest
from stores.records import PairedDevice, Role
from stores.scopes import PAIRING


def node_entries(runtime: Runtime, viewer: Session) -> list[dict[str, Any]]:
    """Return every node: connected ones first, then by name, then by id."""
    entries = [node_entry(runtime, viewer, node_id) for node_id in _node_ids(runtime)]
    return sorted(
        entries,
        key=lambda one: (
            not one["connected"],
            str(one.get("displayName") or one["nodeId"]).lower(),
            one["nodeId"],
        ),
    )


def _node_ids(runtime: Runtime) -> Iterator[str]:
    paired = runtime.store.book.paired
    for node_id, device in paired.items():
        if Role.NODE in device.named_roles:
            yield node_id
    for node_id in runtime.nodes.live:
        if node_id not in paired or Role.NODE not in paired[node_id].named_roles:
            yield node_id


def is_node(runtime: Runtime, node_id: str) -> bool:
    """Tell whether an id is that of a node: paired as one, or connected as one."""
    device = runtime.store.book.paired.get(node_id)
    return node_id in runtime.nodes.live or (device is not None and Role.NODE in device.named_roles)


def node_entry(runtime: Runtime, viewer: Session, node_id: str) -> dict[str, Any]:
    """Return the entry of one node; what waits of it is told to who may decide it."""
    book, nodes = runtime.store.book, runtime.nodes
    device, session = book.paired.get(node_id), nodes.live.get(node_id)
    note = book.notes.get(node_id)
    record = nodes.approval(device) if device is not None else None
    waiting = nodes.store.book.pending_of(node_id)
    facts = _from_record(device) | _from_session(runtime, device, session, record)
    if note is not None and note.label is not None:
        facts["displayName"] = note.label
    facts["approvalState"] = _state(session, record, waiting)
    if waiting is not None and PAIRING in viewer.holds:
        facts["pendingRequestId"] = waiting.request_id
        facts["pendingDeclaredCaps"] = list(waiting.caps or ())
        facts["pendingDeclaredCommands"] = list(waiting.commands or ())
    if record is not None:
        facts["approvedAtMs"] = record.approved_at_ms
    facts |= {"paired": device is not None, "connected": session is not None}
    return {"nodeId": node_id} | {key: fact for key, fact in facts.items() if fact is not None}


def _from_record(device: PairedDevice | None) -> dict[str, Any]:
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


def _from_session(
    runtime: Runtime,
    device: PairedDevice | None,
    session: Session | None,
    record: NodeRecord | None,
) -> dict[str, Any]:
    if session is None or session.node is None:
        return {}
    node, client = session.node, session.node.client
    commands = runtime.loaded.config.gateway.nodes.commands
    declared = runtime.nodes.declared(session, device)
    hidden = node.needs_approval and record is None and bool(node.commands)
    facts = {
        "displayName": client.display_name or (device.display_name if device else None),
        "platform": client.platform,
        "version": client.version,
        "clientId": client.id,
        "clientMode": client.mode,
        "deviceFamily": client.device_family,
        "modelIdentifier": client.model_identifier,
        "remoteIp": node.remote_ip,
        "caps": [] if hidden else sorted(set(node.caps)),
        "commands": list(usable(declared, rules_of(commands))),
        "sessionHost": False,
        "nodePluginTools": [],
        "pathEnv": node.path_env,
        "permissions": dict(node.permissions) or None,
        "connectedAtMs": session.connected_at_ms,
        "lastConnectedAtMs": session.connected_at_ms,
        "lastSeenAtMs": session.connected_at_ms,
        "lastSeenReason": "connect",
    }
    return {key: fact for key, fact in facts.items() if fact is not None}


def _state(session: Session | None, record: NodeRecord | None, waiting: NodeRequest | None) -> str:
    """Return how far the approval of a node's commands is (protocol fact: the words)."""
    if waiting is not None:
        return "pending-reapproval" if record is not None else "pending-approval"
    if record is not None:
        return "approved"
    if session is None or session.node is None:
        return "unapproved"
    asked = session.node.needs_approval and bool(session.node.commands)
    return "unapproved" if asked else "approved"


def request_entry(request: NodeRequest) -> dict[str, Any]:
    """Return a node request as it is told of, with what approving it takes."""
    facts = codec.dump(request)
    surface = facts.pop("surface", None)
    if surface:
        ts = facts.pop("ts")
        facts["requiredApproveScopes"] = list(scopes_to_approve(request.commands or ()))
        facts["ts"] = ts
    return facts


def record_entry(record: NodeRecord, *, with_token: bool = False) -> dict[str, Any]:
    """Return an approved node; its token only to who has approved it this moment."""
    facts = codec.dump(record)
    facts.pop("surface", None)
    if not with_token:
        facts.pop("token", None)
    return facts
