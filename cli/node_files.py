"""The other road to the nodes: the two stores themselves, as `cli.offline` opens them.

Who is connected, and what a node declares at this moment, is known to the gateway alone: entries
from here do not say it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from cli.device_table import wall_ms
from cli.offline import Files
from gateway.policy.node_commands import scopes_to_approve
from stores import node_listing, nodes
from stores.node_store import NodeStore, NodeTransition
from stores.nodes import NodeBook
from stores.records import DeviceBook


def listed(files: Files) -> dict[str, Any]:
    """Return what ``node.list`` answers, as far as it is on file."""
    devices, book = _books(files)
    entries = (
        node_listing.node_item(devices, book, node_id)
        for node_id in node_listing.paired_nodes(devices)
    )
    return {"ts": wall_ms(), "nodes": node_listing.in_order(entries)}


def described(files: Files, node_id: str) -> dict[str, Any]:
    """Return what ``node.describe`` answers, as far as it is on file."""
    return {"ts": wall_ms()} | node_listing.node_item(*_books(files), node_id)


def waiting(files: Files) -> dict[str, Any]:
    """Return what ``node.pair.list`` answers."""
    devices, book = _books(files)
    is_node = partial(node_listing.is_paired_node, devices)
    found = node_listing.pair_listing(devices, book, needed=scopes_to_approve, is_node=is_node)
    return dict(found)


def approve(files: Files, request_id: str) -> dict[str, Any]:
    """Approve the commands that wait under an id; see `stores.nodes.approve` for what it raises."""
    approving = partial(
        nodes.approve, reference=request_id, caller=files.caller, needed=scopes_to_approve
    )
    request, record = _decide(files, approving)
    node = node_listing.record_entry(record, with_token=True)
    return {"requestId": request.request_id, "node": node}


def reject(files: Files, request_id: str) -> dict[str, Any]:
    """Turn down what waits under an id."""
    rejecting = partial(nodes.reject, reference=request_id, caller=files.caller)
    request = _decide(files, rejecting)
    return {"requestId": request.request_id, "nodeId": request.node_id}


def remove(files: Files, node_id: str) -> dict[str, Any]:
    """Take the approval of a node's commands away."""
    _decide(files, partial(nodes.remove, node_id=node_id, caller=files.caller))
    return {"nodeId": node_id}


def rename(files: Files, node_id: str, name: str) -> dict[str, Any]:
    """Name a node as its device is named."""
    return {"nodeId": node_id, "displayName": files.rename(node_id, name)["label"]}


def _store(files: Files) -> NodeStore:
    return NodeStore(files.reached / "nodes")


def _books(files: Files) -> tuple[DeviceBook, NodeBook]:
    files.list()  # it tells what is wrong with the files, and goes on with what is known
    return files.store.book, _store(files).read(now_ms=wall_ms())


def _decide(files: Files, transition: NodeTransition) -> Any:
    files.changing()
    taken = files.store.book.pending.__contains__
    return _store(files).apply(transition, now_ms=wall_ms(), taken=taken)
