"""A node as it is told of: what is on file, and what its live session says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.hub import Session
from gateway.nodes import rules_of
from gateway.policy.node_commands import scopes_to_approve, usable
from gateway.runtime import Runtime
from stores import node_listing
from stores.node_listing import in_order, is_paired_node, node_item, paired_nodes
from stores.nodes import NodeRecord, NodeRequest
from stores.records import PairedDevice
from stores.scopes import PAIRING


def node_entries(runtime: Runtime, viewer: Session) -> list[dict[str, Any]]:
    """Return every node: connected ones first, then by name, then by id."""
    return in_order(node_entry(runtime, viewer, node_id) for node_id in _node_ids(runtime))


def _node_ids(runtime: Runtime) -> Iterator[str]:
    devices = runtime.store.book
    yield from paired_nodes(devices)
    for node_id in runtime.nodes.live:
        if not is_paired_node(devices, node_id):
            yield node_id


def is_node(runtime: Runtime, node_id: str) -> bool:
    """Tell whether an id is that of a node: paired as one, or connected as one."""
    return node_id in runtime.nodes.live or is_paired_node(runtime.store.book, node_id)


def node_entry(runtime: Runtime, viewer: Session, node_id: str) -> dict[str, Any]:
    """Return the entry of one node; what waits of it is told to who may decide it."""
    book, nodes = runtime.store.book, runtime.nodes
    device, session = book.paired.get(node_id), nodes.live.get(node_id)
    record = nodes.approval(device) if device is not None else None
    asked = session is None or session.node is None
    if session is not None and session.node is not None:
        asked = session.node.needs_approval and bool(session.node.commands)
    return node_item(
        book,
        nodes.store.book,
        node_id,
        live=_from_session(runtime, device, session, record),
        connected=session is not None,
        otherwise="unapproved" if asked else "approved",
        may_decide=PAIRING in viewer.holds,
    )


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


def request_entry(request: NodeRequest) -> dict[str, Any]:
    """Return a node request as it is told of, with what approving it takes."""
    return node_listing.request_entry(request, needed=scopes_to_approve)
