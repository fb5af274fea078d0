"""Asking a node, its answer, and what nodes tell by themselves."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from attrs import evolve

from gateway.hub import Session
from gateway.methods.call import (
    Call,
    CallError,
    checked,
    command_prefix,
    invalid_request,
    missing_scope,
    unavailable,
)
from gateway.methods.nodes import awaiting_approval, unknown_node
from gateway.node_arrival import declare, tell_changed
from gateway.node_entry import is_node
from gateway.nodes import (
    Answered,
    Declined,
    KeyTakenError,
    NodeGone,
    Outcome,
    PairingChanged,
    TimedOut,
    rules_of,
)
from gateway.policy.node_commands import (
    Barred,
    CommandRules,
    Declared,
    barred,
    platform_of,
    scope_to_invoke,
    way_to_allow,
)
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from gateway.protocol.schema import (
    ANY,
    BOOLEAN,
    COUNT,
    EMPTY_OK,
    NAME,
    NAMES,
    Closed,
    Integer,
    OneOf,
    Text,
    shown,
)

logger = logging.getLogger("gateway.nodes")

_INVOKE = Closed(
    {
        "nodeId": NAME,
        "command": Text(max_chars=256),
        "params?": ANY,
        "timeoutMs?": COUNT,
        "idempotencyKey": Text(max_chars=512),
        # Of agents; nothing here needs them.
        **dict.fromkeys(("sessionKey?", "turnSourceChannel?", "turnSourceTo?"), EMPTY_OK),
        **dict.fromkeys(("turnSourceAccountId?", "turnSourceThreadId?"), ANY),
    }
)
_RESULT = Closed(
    {
        "id": NAME,
        "nodeId": NAME,
        "ok": BOOLEAN,
        "payload?": ANY,
        "payloadJSON?": ANY,
        "error?": ANY,
    }
)
_EVENT = Closed({"event": NAME, "payload?": ANY, "payloadJSON?": ANY})
_PROGRESS = Closed({"invokeId": NAME, "nodeId": NAME, "seq": COUNT, "chunk": EMPTY_OK})
_ACK = Closed({"ids": NAMES})
_DRAIN = Closed({"maxItems?": Integer(minimum=1, maximum=10)})
_ENQUEUE = Closed(
    {
        "nodeId": NAME,
        "type": OneOf(frozenset({"status.request", "location.request"})),
        "priority?": OneOf(frozenset({"normal", "high"})),
        "expiresInMs?": Integer(minimum=1_000, maximum=86_400_000),
        "wake?": BOOLEAN,
    }
)


async def node_invoke(call: Call) -> dict[str, Any]:
    """Answer ``node.invoke`` with what the node answered; waits for it."""
    params = checked(call, "node.invoke", _INVOKE)
    node_id, command = params["nodeId"], params["command"]
    scope = scope_to_invoke(command)
    if scope not in call.session.holds:
        raise missing_scope(call, scope)
    node = await _node_for(call, node_id, command)
    given = params.get("params")
    session = call.session
    try:
        outcome = await call.runtime.nodes.ask(
            node,
            caller=session.device_id or session.conn_id,
            command=command,
            params_json=None if given is None else orjson.dumps(given).decode(),
            timeout_ms=params.get("timeoutMs"),
            idempotency_key=params["idempotencyKey"],
        )
    except KeyTakenError as error:
        raise invalid_request(
            "this idempotencyKey was used for another command or other params: take a new one"
        ) from error
    if not isinstance(outcome, Answered):
        raise CallError(_failure(call, outcome, node_id, command))
    answer = {"ok": True, "nodeId": node_id, "command": command}
    return answer | {"payload": outcome.payload, "payloadJSON": outcome.payload_json}


async def _node_for(call: Call, node_id: str, command: str) -> Session:
    """Return the session of a node that may be asked this, or raise why not."""
    runtime = call.runtime
    node = runtime.nodes.live.get(node_id)
    if node is None or node.ending is not None or node.node is None:
        raise CallError(_not_connected(call, node_id))
    device = runtime.store.book.paired.get(node_id)
    declared = runtime.nodes.declared(node, device)
    rules = rules_of(runtime.loaded.config.gateway.nodes.commands)
    why = barred(command, declared, rules)
    if why is None:
        return node
    if why is Barred.NOT_APPROVED:
        if device is not None:
            await declare(runtime, node, device)  # the configuration may allow more by now
        raise CallError(awaiting_approval(call, node_id))
    raise _not_allowed(call, why, command, declared, rules)


def _not_allowed(
    call: Call, why: Barred, command: str, declared: Declared, rules: CommandRules
) -> CallError:
    """Return the refusal of a command, with what would let it pass where something would."""
    if why is Barred.OWN_METHODS:
        text = "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*"
        return invalid_request(text)
    details: dict[str, Any] = {"reason": str(why), "command": command}
    if why in (Barred.NONE_DECLARED, Barred.NOT_DECLARED):
        known = ", ".join(sorted(declared.commands)) or "none"
        sentence = f"The node itself offers no such command; it declared: {known[:500]}."
        details["remedy"] = {"sentence": sentence, "where": "node"}
        return invalid_request("node command not allowed", details)
    if why is Barred.DENIED:
        said = "is in gateway.nodes.commands.deny"
        sentence = "The configuration of the gateway forbids this command."
    else:
        said = "requires explicit gateway.nodes.commands.allow opt-in"
        row = platform_of(declared.platform, declared.device_family)
        sentence = f"This command is not among those of {row} nodes: allow it by name."
    words = f"{command_prefix(call)} {way_to_allow(command, rules, why)}"
    details["remedy"] = {"sentence": sentence, "command": words, "where": "gateway-host"}
    return invalid_request(f'node command not allowed: "{shown(command)}" {said}', details)


def _not_connected(call: Call, node_id: str) -> ErrorShape:
    if is_node(call.runtime, node_id):
        sentence = "The node is paired and not connected now: start its program, or see its log."
        remedy = {"sentence": sentence, "where": "node"}
    else:
        sentence = "No node has this id. See which nodes there are."
        command = f"{command_prefix(call)} nodes list"
        remedy = {"sentence": sentence, "command": command, "where": "gateway-host"}
    details = {"code": DetailCode.NOT_CONNECTED.value, "nodeId": node_id, "remedy": remedy}
    return ErrorShape(ErrorCode.UNAVAILABLE, "node not connected", details)


def _failure(call: Call, outcome: Outcome, node_id: str, command: str) -> ErrorShape:
    """Return what the asker is told of a question that was not answered with yes."""
    match outcome:
        case Declined(error):
            text = str(error.get("message") or "node invoke failed")
            return ErrorShape(ErrorCode.UNAVAILABLE, text, {"nodeError": dict(error)})
        case TimedOut():
            node_error = {"code": "TIMEOUT", "message": "node invoke timed out"}
            sentence = "The node is connected and did not answer in time; it may still be at work."
            remedy = {"sentence": sentence, "where": "node"}
            details: dict[str, Any] = {"nodeError": node_error, "remedy": remedy}
            return ErrorShape(ErrorCode.UNAVAILABLE, "node invoke timed out", details)
        case PairingChanged():
            told = awaiting_approval(call, node_id)
            text = "node pairing changed while invocation was active"
            return evolve(told, message=text)
        case NodeGone() | Answered():
            node_error = {"code": "DISCONNECTED", "message": f"node disconnected ({command})"}
            sentence = "The node's connection ended first; whether it had begun is not known."
            details = {"code": DetailCode.NOT_CONNECTED.value, "nodeId": node_id}
            details |= {"nodeError": node_error, "remedy": {"sentence": sentence, "where": "node"}}
            text = f"node disconnected ({shown(command)})"
            return ErrorShape(ErrorCode.UNAVAILABLE, text, details)


def invoke_result(call: Call) -> dict[str, Any]:
    """Answer ``node.invoke.result``; an answer nobody waits for is ignored, and told so."""
    params = checked(call, "node.invoke.result", _RESULT)
    _own_node_only(call, params["nodeId"])
    text = params.get("payloadJSON")
    if text is not None and type(text) is not str:
        raise invalid_request("invalid node.invoke.result params: at /payloadJSON: must be string")
    outcome: Outcome
    if params["ok"]:
        outcome = Answered(params.get("payload") if text is None else _parsed(text), text)
    else:
        outcome = Declined(_error_of(params.get("error")))
    taken = call.runtime.nodes.answer(call.session, params["id"], outcome)
    return {"ok": True} if taken else {"ok": True, "ignored": True}


def _parsed(text: str) -> Any:
    """Return what a node wrote as JSON; what is none is left to who reads the text."""
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _error_of(error: object) -> dict[str, str]:
    """Return the code and the message of a node's error, as far as they are text."""
    told = error if isinstance(error, dict) else {}
    return {key: told[key] for key in ("code", "message") if isinstance(told.get(key), str)}


def _own_node_only(call: Call, node_id: str) -> None:
    if node_id != call.session.device_id:
        raise invalid_request("nodeId mismatch")


def invoke_progress(call: Call) -> dict[str, Any]:
    """Answer ``node.invoke.progress``: who asks gets the one answer, and no parts of it."""
    params = checked(call, "node.invoke.progress", _PROGRESS)
    _own_node_only(call, params["nodeId"])
    return {"ok": True, "ignored": True}


def node_event(call: Call) -> dict[str, Any]:
    """Answer ``node.event``: taken note of; what events are for, an agent, is not attached."""
    params = checked(call, "node.event", _EVENT)
    logger.debug("node %s tells %s", (call.session.device_id or "?")[:12], shown(params["event"]))
    told = {"ok": True, "event": params["event"], "handled": False}
    return told | {"reason": "no agent is attached to this gateway"}


def pending_pull(call: Call) -> dict[str, Any]:
    """Answer ``node.pending.pull``: nothing is kept for nodes that sleep."""
    return {"nodeId": call.session.device_id, "actions": []}


def pending_ack(call: Call) -> dict[str, Any]:
    """Answer ``node.pending.ack``: nothing is kept, so nothing was acknowledged."""
    checked(call, "node.pending.ack", _ACK)
    return {"nodeId": call.session.device_id, "ackedIds": [], "remainingCount": 0}


def pending_enqueue(call: Call) -> None:
    """Refuse ``node.pending.enqueue``: nothing is kept for nodes that sleep, and none is woken.

    Raises:
        CallError: always; the parameters are judged first, as published.
    """
    node_id = checked(call, "node.pending.enqueue", _ENQUEUE)["nodeId"]
    if not is_node(call.runtime, node_id):
        raise unknown_node(call)
    sentence = "Ask the node with `node.invoke` while it is connected."
    raise unavailable(
        "this gateway keeps nothing for nodes that sleep, and wakes none",
        {"reason": "not-kept", "nodeId": node_id}
        | {"remedy": {"sentence": sentence, "where": "node"}},
    )


def pending_drain(call: Call) -> dict[str, Any]:
    """Answer ``node.pending.drain``: nothing is kept for nodes that sleep."""
    checked(call, "node.pending.drain", _DRAIN)
    return {"nodeId": call.session.device_id, "revision": 0, "items": [], "hasMore": False}


def skills_update(call: Call) -> dict[str, Any]:
    """Answer ``node.skills.update``: heard; skills are an agent's."""
    return {"nodeId": call.session.device_id, "skills": []}


def tools_update(call: Call) -> dict[str, Any]:
    """Answer ``node.pluginTools.update``: heard; tools are an agent's."""
    return {"nodeId": call.session.device_id, "tools": []}


def runner_update(call: Call) -> dict[str, Any]:
    """Answer ``node.runnerInventory.update``; before the approval it is refused with the way to it.

    Published node hosts ask again by themselves until it is taken.
    """
    runtime, session = call.runtime, call.session
    node_id = session.device_id or ""
    device = runtime.store.book.paired.get(node_id)
    hidden = session.node is not None and session.node.needs_approval and session.node.commands
    if hidden and (device is None or runtime.nodes.approval(device) is None):
        raise CallError(awaiting_approval(call, node_id))
    tell_changed(runtime, node_id)
    return {"nodeId": node_id}


def skills_bins(_call: Call) -> dict[str, Any]:
    """Answer ``skills.bins``: no skills are installed here."""
    return {"bins": []}
