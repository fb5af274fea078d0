"""Method -> role, scope, handler; and the one way from a request to its one answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from gateway.methods import (
    agentless,
    config,
    control,
    device_tokens,
    devices,
    events,
    invitations,
    logs,
    node_invokes,
    nodes,
    peers,
    refusals,
    scope_upgrades,
    system,
    vitals,
)
from gateway.methods.call import Call, CallError, invalid_request, missing_scope
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.frames import Request, response_error, response_ok
from gateway.protocol.schema import shown
from stores.records import Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE

logger = logging.getLogger("gateway.methods")

#: Methods that belong to nodes; operators are refused (protocol fact, both versions together).
NODE_METHODS = frozenset(
    {"node.invoke.result", "node.invoke.progress", "node.event", "skills.bins"}
    | {"node.pending.pull", "node.pending.ack", "node.pending.drain"}
    | {"node.pluginSurface.refresh", "node.pluginTools.update", "node.skills.update"}
    | {"node.runnerInventory.update"}
)

#: What a method of nodes asks for: the role, which operators never have.
NODE = "node"

#: Methods that wait for somebody else: their answers come in any order, beside those of the others.
APART = frozenset({"node.invoke", "device.scopes.waitUpgrade"})


@frozen
class Method:
    """What a method asks of its caller and who answers it.

    Args:
        scope: The scope it needs; None is open to everybody connected, nodes included.
        now: A handler that answers at once, or None.
        later: A handler that waits for something, or None.
    """

    scope: str | None
    now: Callable[[Call], Any] | None = None
    later: Callable[[Call], Awaitable[Any]] | None = None


METHODS: dict[str, Method] = {
    "health": Method(None, system.health),
    "status": Method(READ, system.status),
    "system-presence": Method(READ, system.system_presence),
    "last-heartbeat": Method(READ, system.last_heartbeat),
    "config.apply": Method(ADMIN, later=config.config_apply),
    "config.get": Method(READ, later=config.config_get),
    "config.patch": Method(ADMIN, later=config.config_patch),
    "config.schema": Method(READ, config.config_schema),
    "config.set": Method(ADMIN, later=config.config_set),
    "device.pair.list": Method(PAIRING, devices.pair_list),
    "device.pair.approve": Method(PAIRING, later=devices.pair_approve),
    "device.pair.reject": Method(PAIRING, later=devices.pair_reject),
    "device.pair.remove": Method(PAIRING, later=devices.pair_remove),
    "device.pair.rename": Method(PAIRING, later=devices.pair_rename),
    "device.pair.block": Method(PAIRING, later=devices.pair_block),
    "device.pair.unblock": Method(PAIRING, later=devices.pair_unblock),
    "device.pair.setupCode": Method(ADMIN, later=invitations.setup_code),
    "device.pair.invitations.list": Method(ADMIN, invitations.invitations_list),
    "device.pair.invitations.revoke": Method(ADMIN, later=invitations.invitations_revoke),
    "device.scopes.requestUpgrade": Method(READ, later=scope_upgrades.request_upgrade),
    "device.scopes.waitUpgrade": Method(READ, later=scope_upgrades.wait_upgrade),
    "device.token.rotate": Method(PAIRING, later=device_tokens.token_rotate),
    "device.token.revoke": Method(PAIRING, later=device_tokens.token_revoke),
    "gateway.identity.get": Method(READ, later=events.identity_get),
    "logs.tail": Method(READ, later=logs.logs_tail),
    "set-heartbeats": Method(ADMIN, events.set_heartbeats),
    "system-event": Method(ADMIN, events.system_event),
    "node.list": Method(READ, later=nodes.node_list),
    "node.describe": Method(READ, later=nodes.node_describe),
    "node.rename": Method(PAIRING, later=nodes.node_rename),
    "node.pair.list": Method(PAIRING, later=nodes.pair_list),
    "node.pair.approve": Method(PAIRING, later=nodes.pair_approve),
    "node.pair.reject": Method(PAIRING, later=nodes.pair_reject),
    "node.pair.remove": Method(PAIRING, later=nodes.pair_remove),
    "node.pair.request": Method(PAIRING, later=nodes.pair_request),
    "node.pair.verify": Method(PAIRING, later=nodes.pair_verify),
    "node.invoke": Method(WRITE, later=node_invokes.node_invoke),
    "node.invoke.result": Method(NODE, node_invokes.invoke_result),
    "node.invoke.progress": Method(NODE, node_invokes.invoke_progress),
    "node.event": Method(NODE, node_invokes.node_event),
    "node.pending.pull": Method(NODE, node_invokes.pending_pull),
    "node.pending.ack": Method(NODE, node_invokes.pending_ack),
    "node.pending.drain": Method(NODE, node_invokes.pending_drain),
    "node.skills.update": Method(NODE, node_invokes.skills_update),
    "node.pluginTools.update": Method(NODE, node_invokes.tools_update),
    "node.runnerInventory.update": Method(NODE, node_invokes.runner_update),
    "skills.bins": Method(NODE, node_invokes.skills_bins),
    "gateway.connections.list": Method(READ, vitals.connections_list),
    "gateway.vitals": Method(READ, later=vitals.vitals),
    "gateway.peers.list": Method(READ, peers.peers_list),
    "gateway.lockouts.clear": Method(ADMIN, refusals.lockouts_clear),
    "gateway.lockouts.list": Method(READ, refusals.lockouts_list),
    "gateway.refusals.list": Method(READ, refusals.refusals_list),
    "gateway.reload": Method(ADMIN, later=control.reload),
    "gateway.restart.request": Method(ADMIN, later=control.restart_request),
}

#: What hello-ok advertises: only what is implemented, no honest noes, and not the empty answers for
#: want of an agent.
ADVERTISED_METHODS = sorted(METHODS)

METHODS["node.pending.enqueue"] = Method(WRITE, node_invokes.pending_enqueue)
METHODS |= {name: Method(scope, now) for name, (scope, now) in agentless.AGENTLESS.items()}

ADVERTISED_EVENTS = [
    "config.changed",
    "connect.challenge",
    "device.pair.changed",
    "device.pair.requested",
    "device.pair.resolved",
    "device.pair.setup.completed",
    "health",
    "node.invoke.cancel",
    "node.invoke.request",
    "node.pair.requested",
    "node.pair.resolved",
    "node.runnerInventory.changed",
    "presence",
    "shutdown",
    "tick",
]


def _authorised(call: Call, name: str) -> Method:
    """Return the method if the session may call it: role, then scope, then whether it exists.

    A method that does not exist needs operator.admin, but asking for one is no trespass: published
    browser pages ask for dozens that only an agent could answer.

    Raises:
        CallError: in the words of the wire.
    """
    session = call.session
    method = METHODS.get(name)
    if method is not None and method.scope is None:
        return method
    if (session.role == Role.NODE) != (name in NODE_METHODS):
        error = ErrorShape(ErrorCode.INVALID_REQUEST, f"unauthorized role: {session.role}")
        raise CallError(error, unauthorised=True)
    needed = ADMIN if method is None else method.scope
    # A node holds no scopes: what its role gives it asks for none.
    if session.role != Role.NODE and needed is not None and needed not in session.holds:
        raise missing_scope(call, needed, unauthorised=method is not None)
    if method is None:
        raise invalid_request(f"unknown method: {shown(name)}")
    return method


async def answer(call: Call, request: Request) -> str:
    """Return the text of the one response to a request; whatever happens, there is one."""
    session = call.session
    if request.method == "connect":
        error = ErrorShape(ErrorCode.INVALID_REQUEST, "connect is only valid as the first request")
        return response_error(request.id, error)
    try:
        method = _authorised(call, request.method)
    except CallError as refusal:
        session.refused_calls += refusal.unauthorised
        return response_error(request.id, refusal.error)
    session.refused_calls = 0
    try:
        if method.now is not None:
            return response_ok(request.id, method.now(call))
        assert method.later is not None
        return response_ok(request.id, await method.later(call))
    except CallError as refusal:
        return response_error(request.id, refusal.error)
    except Exception:
        # The session goes on: one broken method must not end what else it does.
        logger.exception("%s failed", request.method, extra={"conn": session.conn_id})
        broken = ErrorShape(ErrorCode.UNAVAILABLE, "internal error; see the gateway's log")
        return response_error(request.id, broken)
