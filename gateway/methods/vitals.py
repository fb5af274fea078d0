"""Who is connected, and how the gateway does: what a page shows live, counted anyway.

Rule: nothing here measures; it reads numbers that are kept for `/metrics`.
"""

from __future__ import annotations

from typing import Any

from attrs import asdict

from gateway.hub import Session
from gateway.methods.call import NOTHING, Call, checked
from gateway.runtime import Runtime
from stores.records import Role
from stores.scopes import ADMIN


def connections_list(call: Call) -> dict[str, Any]:
    """Answer ``gateway.connections.list``: every session, the oldest first.

    Addresses other than the client's, and what else the head of a request said, are for admins.
    """
    checked(call, "gateway.connections.list", NOTHING)
    runtime, admin = call.runtime, ADMIN in call.session.holds
    found = sorted(runtime.hub, key=lambda one: one.connected_at_ms)
    return {
        "ts": runtime.now_ms(),
        "connections": [
            _connection(one, runtime, admin=admin, own=one is call.session) for one in found
        ],
    }


def _connection(session: Session, runtime: Runtime, *, admin: bool, own: bool) -> dict[str, Any]:
    note = runtime.store.book.notes.get(session.device_id or "")
    told: dict[str, Any] = {
        "connId": session.conn_id,
        "own": own,
        "client": session.client,
        "displayName": session.display_name,
        "label": note.label if note is not None else None,
        "deviceId": session.device_id,
        "role": str(session.role),
        "scopes": list(session.scopes),
        "method": str(session.method),
        "protocol": session.protocol,
        "address": session.address,
        "locality": {"local": session.local, "why": session.locality_why},
        "connectedAtMs": session.connected_at_ms,
        "traffic": {
            "requests": session.requests,
            "events": session.seq,
            "droppedEvents": session.dropped_events,
            "receivedBytes": session.traffic.received_bytes if session.traffic else 0,
            "sentBytes": session.traffic.sent_bytes if session.traffic else 0,
            "unsentBytes": session.unsent_bytes,
        },
    }
    visit = session.visit
    if admin and visit is not None:
        told["saw"] = {
            "peer": str(visit.address.peer),
            "forwardedFor": visit.address.quoted,
            "host": visit.host,
            "origin": visit.origin,
            "userAgent": visit.user_agent,
            "user": session.user,
        }
    return {key: value for key, value in told.items() if value is not None}


async def vitals(call: Call) -> dict[str, Any]:
    """Answer ``gateway.vitals``: readiness, load and the counters since the start.

    ``failing`` names what keeps it from being ready; in whose files, and what to do, is for admins.
    """
    checked(call, "gateway.vitals", NOTHING)
    runtime, admin = call.runtime, ADMIN in call.session.holds
    faults = await runtime.readiness.failing(runtime)
    metrics = runtime.metrics
    roles: dict[str, int] = {}
    for session in runtime.hub:
        roles[str(session.role)] = roles.get(str(session.role), 0) + 1
    return {
        "ts": runtime.now_ms(),
        "uptimeMs": runtime.uptime_ms,
        "version": runtime.presence.server_version,
        "ready": not faults,
        "failing": list(dict.fromkeys(fault.name for fault in faults)),
        "problems": [asdict(fault) for fault in faults] if admin else [],
        "connections": {"operator": 0, "node": 0} | roles,
        "requests": sum(sum(one.counts) for one in metrics.requests.values()),
        "handshakes": dict(metrics.handshakes),
        "refusals": dict(metrics.refusals),
        "eventLoop": metrics.event_loop(),
        "store": {
            "pairedDevices": len(runtime.store.book.paired),
            "pendingRequests": len(runtime.store.book.pending),
            "writes": sum(metrics.store_writes.counts),
            "writeSeconds": metrics.store_writes.sum_s,
            "problems": len(runtime.store.problems),
        },
        "outbox": {
            "dropped": runtime.hub.dropped_events + sum(one.dropped_events for one in runtime.hub),
            "overflows": runtime.hub.ended_slow,
        },
        "nodes": sum(one.role == Role.NODE for one in runtime.hub),
        "restartRequired": list(runtime.restart_required),
        "configValid": runtime.config_problem is None,
    }
