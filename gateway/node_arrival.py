"""A node that connects: it takes its place, and what it declares waits for approval if it must."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from attrs import evolve

from gateway.hub import Session
from gateway.node_entry import request_entry
from gateway.nodes import NodeFacts, rules_of
from gateway.policy.node_commands import Declared, surface
from gateway.protocol.connect import ConnectParams
from gateway.protocol.frames import EventBody, event
from gateway.runtime import Runtime
from stores import nodes
from stores.errors import StoreError, TransitionError
from stores.node_store import NodeTransition
from stores.nodes import NodeRequest
from stores.records import PairedDevice

logger = logging.getLogger("gateway.nodes")

#: How a device was approved where an operator did it; before there were notes nobody wrote it down.
_BY_AN_OPERATOR = (None, "owner")


async def node_arrives(
    runtime: Runtime,
    session: Session,
    params: ConnectParams,
    device: PairedDevice,
    *,
    remote_ip: str | None,
) -> None:
    """Make a session the one of its node, and ask for what of its commands is not approved.

    A store that cannot be used keeps no node out: its commands stay hidden, and the log says why.
    """
    session.node = NodeFacts(
        client=params.client,
        caps=params.caps,
        commands=params.commands,
        permissions=params.permissions,
        path_env=params.path_env,
        remote_ip=remote_ip,
        needs_approval=_needs_approval(runtime, session, device),
    )
    older = runtime.nodes.arrive(session)
    if older is not None:
        logger.warning(
            "node %s connected again from %s; its connection from %s was ended (if this repeats, "
            "two programs share one identity)",
            device.device_id[:12],
            session.address,
            older.address,
            extra={"conn": session.conn_id},
        )
    await declare(runtime, session, device)
    tell_changed(runtime, device.device_id)


def _needs_approval(runtime: Runtime, session: Session, device: PairedDevice) -> bool:
    """Tell whether a node's commands stay hidden until an operator approves them.

    Of protocol 3 the approval of the device is that of its commands (protocol fact); but not where
    nobody approved the device, and not for a node that has spoken protocol 4: going back to the
    older one must not be a way around what was not approved.
    """
    if session.protocol >= 4:
        return True
    book = runtime.nodes.store.book
    record = book.paired.get(device.device_id)
    if (record is not None and record.surface) or book.pending_of(device.device_id) is not None:
        return True
    note = runtime.store.book.notes.get(device.device_id)
    return note is not None and note.approved_via not in _BY_AN_OPERATOR


async def declare(runtime: Runtime, session: Session, device: PairedDevice) -> None:
    """Put what a connected node declares and nobody approved on the list of what waits."""
    facts = session.node
    if facts is None or not facts.needs_approval:
        return
    client = facts.client
    rules = rules_of(runtime.loaded.config.gateway.nodes.commands)
    told = Declared(
        platform=client.platform,
        device_family=client.device_family,
        protocol=session.protocol,
        commands=facts.commands,
    )
    commands = surface(told, rules)
    record = runtime.nodes.approval(device)
    approved = frozenset(record.commands or ()) if record is not None else frozenset()
    if approved.issuperset(commands) and not runtime.nodes.store.book.pending_of(device.device_id):
        return
    wish = NodeRequest(
        request_id="",
        node_id=device.device_id,
        client_id=client.id,
        client_mode=client.mode,
        display_name=client.display_name,
        platform=client.platform,
        version=client.version,
        device_family=client.device_family,
        model_identifier=client.model_identifier,
        caps=facts.caps,
        commands=commands,
        remote_ip=facts.remote_ip,
        silent=True if session.local else None,
    )
    transition = partial(nodes.declare, wish=wish, since_ms=device.created_at_ms)
    try:
        new = await decide(runtime, transition)
    except (StoreError, TransitionError) as error:
        logger.error("what node %s declares was not recorded: %s", device.device_id[:12], error)  # noqa: TRY400  # an operator's error has no traceback
        return
    if new is not None:
        tell_requested(runtime, new)


async def decide(runtime: Runtime, transition: NodeTransition) -> Any:
    """Make a transition of the node store durable and return its result; raises what it raised."""

    def apply() -> Any:
        taken = runtime.store.book.pending.__contains__
        return runtime.nodes.store.apply(transition, now_ms=runtime.now_ms(), taken=taken)

    return await runtime.in_thread(apply)


async def withdraw(runtime: Runtime, node_id: str) -> None:
    """Put into force that a node's commands are approved no more.

    What is being asked of it fails at once, and what it declares waits for approval again.
    """
    session, device = runtime.nodes.live.get(node_id), runtime.store.book.paired.get(node_id)
    if session is None or device is None or session.node is None:
        return
    session.node = evolve(session.node, needs_approval=True)
    tell_changed(runtime, node_id)
    runtime.nodes.fail_unapproved(session)
    await declare(runtime, session, device)


def note_store(runtime: Runtime, error: StoreError | None) -> None:
    """Log that the node store cannot be read, once as long as it lasts."""
    problem = None if error is None else error.problem
    if error is not None and problem != runtime.nodes.trouble:
        logger.error("%s; %s", error.problem, error.remedy)
    if error is None and runtime.nodes.trouble is not None:
        logger.info("the files of the node store are in order again")
    runtime.nodes.trouble = problem


def tell_requested(runtime: Runtime, request: NodeRequest) -> None:
    """Announce that commands of a node wait for approval, with the command that approves them."""
    body = EventBody("node.pair.requested", request_entry(request))
    runtime.hub.broadcast(body, about=request.node_id)
    logger.info(
        "node %s waits for the approval of its commands: run `%s nodes approve %s`",
        request.node_id[:12],
        runtime.words.local,
        request.request_id,
    )


def tell_changed(runtime: Runtime, node_id: str) -> None:
    """Announce that what a node may be asked is another thing now: who lists nodes looks again.

    Source: protocol fact, told by 2026.9.6 when a node comes or goes, is approved or brings news.
    """
    body = EventBody("node.runnerInventory.changed", {"nodeId": node_id})
    runtime.hub.broadcast(body, about=node_id)


def tell_resolved(runtime: Runtime, request: NodeRequest, decision: str) -> None:
    """Announce a decision about a node's commands, to the node too."""
    if decision == "approved":
        tell_changed(runtime, request.node_id)
    payload = {"requestId": request.request_id, "nodeId": request.node_id, "decision": decision}
    payload["ts"] = runtime.now_ms()  # type: ignore[assignment]  # the one that is no text
    runtime.hub.broadcast(EventBody("node.pair.resolved", payload), about=request.node_id)
    node = runtime.nodes.live.get(request.node_id)
    if node is not None:
        node.send(event("node.pair.resolved", payload))
    logger.info("commands of node %s: %s", request.node_id[:12], decision)
