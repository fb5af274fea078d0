"""Nodes over the wire: who there is, what of them is approved, and deciding it."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from gateway.methods.call import (
    NOTHING,
    Call,
    CallError,
    checked,
    command_prefix,
    invalid_request,
    missing_scope,
    unavailable,
)
from gateway.methods.devices import caller_of, decided, with_full_id
from gateway.node_arrival import decide as decide_nodes
from gateway.node_arrival import (
    tell_requested,
    tell_resolved,
    withdraw,
)
from gateway.node_entry import is_node, node_entries, node_entry, request_entry
from gateway.node_watch import look
from gateway.policy.credentials import Method
from gateway.policy.node_commands import scopes_to_approve
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.schema import BOOLEAN, EMPTY_OK, NAME, NAMES, Closed, Text
from stores import device_life, nodes
from stores.device_life import MAX_LABEL
from stores.errors import NotAllowedError, StoreError, TransitionError, UnknownRequestError
from stores.node_listing import pair_listing, record_entry
from stores.node_store import NodeTransition
from stores.nodes import NodeRequest
from stores.records import Role
from stores.request_id import plain_id
from stores.scopes import ADMIN

_NODE_ID = Closed({"nodeId": NAME})
_REQUEST_ID = Closed({"requestId": NAME})
_RENAME = Closed({"nodeId": NAME, "displayName": Text(max_chars=MAX_LABEL)})
_VERIFY = Closed({"nodeId": NAME, "token": NAME})
_SHORT = Text(max_chars=200)
_REQUEST = Closed(
    {
        "nodeId": _SHORT,
        **dict.fromkeys(("displayName?", "platform?", "version?", "coreVersion?"), _SHORT),
        **dict.fromkeys(("uiVersion?", "deviceFamily?", "modelIdentifier?"), _SHORT),
        "remoteIp?": EMPTY_OK,
        "caps?": NAMES,
        "commands?": NAMES,
        "silent?": BOOLEAN,
    }
)


async def node_list(call: Call) -> dict[str, Any]:
    """Answer ``node.list``: every node, connected ones first."""
    checked(call, "node.list", NOTHING)
    await look(call.runtime)
    return {"ts": call.runtime.now_ms(), "nodes": node_entries(call.runtime, call.session)}


async def node_describe(call: Call) -> dict[str, Any]:
    """Answer ``node.describe``: one node."""
    node_id = checked(call, "node.describe", _NODE_ID)["nodeId"]
    await look(call.runtime)
    if not is_node(call.runtime, node_id):
        raise unknown_node(call)
    return {"ts": call.runtime.now_ms()} | node_entry(call.runtime, call.session, node_id)


async def node_rename(call: Call) -> dict[str, Any]:
    """Answer ``node.rename``: a node that is a device is named as the device is."""
    params = checked(call, "node.rename", _RENAME)
    node_id, name = params["nodeId"], params["displayName"]
    if is_node(call.runtime, node_id):
        renaming = partial(device_life.rename, label=name, caller=caller_of(call))
        device_id, label = await decided(call, with_full_id(renaming, node_id))
        return {"nodeId": device_id, "displayName": label}
    _refuse_device_token(call)
    await _decided(call, partial(nodes.rename, node_id=node_id, name=name))
    return {"nodeId": node_id, "displayName": name}


async def pair_list(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.list``: what waits, newest first, and what was approved; no tokens."""
    checked(call, "node.pair.list", NOTHING)
    runtime, session = call.runtime, call.session
    await look(runtime)
    listed = pair_listing(
        runtime.store.book,
        runtime.nodes.store.book,
        needed=scopes_to_approve,
        is_node=partial(is_node, runtime),
    )
    if session.method == Method.DEVICE_TOKEN and ADMIN not in session.holds:
        own = session.device_id
        return {
            key: [one for one in items if one["nodeId"] == own] for key, items in listed.items()
        }
    return dict(listed)


async def pair_approve(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.approve``: the id in any spelling, or a node id; it counts at once."""
    reference = checked(call, "node.pair.approve", _REQUEST_ID)["requestId"]
    approving = partial(
        nodes.approve,
        reference=reference,
        caller=caller_of(call),
        needed=scopes_to_approve,
    )
    request, record = await _decided(call, approving, reference=reference)
    tell_resolved(call.runtime, request, "approved")
    return {"requestId": request.request_id, "node": record_entry(record, with_token=True)}


async def pair_reject(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.reject``: the node's commands stay hidden; it asks again when it connects."""
    reference = checked(call, "node.pair.reject", _REQUEST_ID)["requestId"]
    rejecting = partial(nodes.reject, reference=reference, caller=caller_of(call))
    request = await _decided(call, rejecting, reference=reference)
    tell_resolved(call.runtime, request, "rejected")
    return {"requestId": request.request_id, "nodeId": request.node_id}


async def pair_remove(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.remove``: the approval of its commands is gone, the device stays paired.

    What is being asked of the node fails at once, and what it declares waits for approval again.
    """
    node_id = checked(call, "node.pair.remove", _NODE_ID)["nodeId"]
    runtime = call.runtime
    known = is_node(runtime, node_id)
    found = await _decided(call, partial(nodes.remove, node_id=node_id, caller=caller_of(call)))
    if not found and not known:
        raise unknown_node(call)
    await withdraw(runtime, node_id)
    return {"nodeId": node_id}


async def pair_request(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.request``: the older pairing, which lets nobody connect."""
    params = checked(call, "node.pair.request", _REQUEST)
    _refuse_device_token(call)
    wish = NodeRequest(
        request_id="",
        node_id=params["nodeId"],
        display_name=params.get("displayName"),
        platform=params.get("platform"),
        version=params.get("version"),
        core_version=params.get("coreVersion"),
        ui_version=params.get("uiVersion"),
        device_family=params.get("deviceFamily"),
        model_identifier=params.get("modelIdentifier"),
        caps=_tuple(params.get("caps")),
        commands=_tuple(params.get("commands")),
        remote_ip=params.get("remoteIp"),
        silent=params.get("silent"),
    )
    known = wish.node_id in call.runtime.store.book.paired
    asking = partial(nodes.ask, wish=wish, device_known=known, request_id=str(uuid.uuid4()))
    request, created = await _decided(call, asking)
    if created:
        tell_requested(call.runtime, request)
    return {"status": "pending", "request": request_entry(request), "created": created}


async def pair_verify(call: Call) -> dict[str, Any]:
    """Answer ``node.pair.verify``: whether a token is that of a legacy node."""
    params = checked(call, "node.pair.verify", _VERIFY)
    _refuse_device_token(call)
    await look(call.runtime)
    book = call.runtime.nodes.store.book
    record = nodes.verified(book, node_id=params["nodeId"], token=params["token"])
    return {"ok": False} if record is None else {"ok": True, "node": record_entry(record)}


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names[: nodes.MAX_COMMANDS])


def unknown_node(call: Call) -> CallError:
    """Return the refusal of an id that no node has."""
    command = f"{command_prefix(call)} nodes list"
    told = {"sentence": "See which nodes there are.", "command": command}
    return invalid_request("unknown nodeId", {"remedy": told | {"where": "gateway-host"}})


def _refuse_device_token(call: Call) -> None:
    """Refuse a session that proved only a device token what is about no device of its own."""
    session = call.session
    if session.method == Method.DEVICE_TOKEN and ADMIN not in session.holds:
        raise missing_scope(call, ADMIN)


async def _decided(call: Call, transition: NodeTransition, *, reference: str | None = None) -> Any:
    """Make a transition durable, and put what it raised into the words of the wire."""
    try:
        return await decide_nodes(call.runtime, transition)
    except NotAllowedError as refusal:
        if refusal.missing_scopes:
            raise missing_scope(call, refusal.missing_scopes[0]) from refusal
        raise invalid_request(refusal.wire_message) from refusal
    except UnknownRequestError as refusal:
        raise _unknown_request(call, refusal, reference or "") from refusal
    except TransitionError as refusal:
        raise invalid_request(refusal.wire_message, _remedy(str(refusal))) from refusal
    except StoreError as error:
        raise unavailable("the node store cannot be used now; see the gateway's log") from error


def _unknown_request(call: Call, refusal: UnknownRequestError, reference: str) -> CallError:
    """Return the refusal of an id that nothing waits under; the other approval is pointed to."""
    for request in call.runtime.store.book.pending.values():
        if plain_id(request.request_id) == plain_id(reference) and Role.NODE in request.asked_roles:
            told = _remedy("This is the request of the device itself: approve that first.")
            told["remedy"]["command"] = (
                f"{command_prefix(call)} devices approve {request.request_id}"
            )
            return invalid_request(refusal.wire_message, told)
    return invalid_request(refusal.wire_message, _remedy(str(refusal)))


def _remedy(sentence: str) -> dict[str, dict[str, str]]:
    return {"remedy": {"sentence": sentence, "where": "gateway-host"}}


def awaiting_approval(call: Call, node_id: str) -> ErrorShape:
    """Return the refusal of what a node's hidden commands would do, with the way to approve them."""
    waiting = call.runtime.nodes.store.book.pending_of(node_id)
    details: dict[str, Any] = {"code": "PAIRING_CHANGED", "nodeId": node_id}
    if waiting is None:
        sentence = "Its commands are not approved: it asks for that when it connects."
        details["remedy"] = {"sentence": sentence, "where": "node"}
        text = "node commands are not approved; they wait for approval when the node connects again"
    else:
        command = f"{command_prefix(call)} nodes approve {waiting.request_id}"
        sentence = "An operator has to approve this node's commands."
        remedy = {"sentence": sentence, "command": command, "where": "gateway-host"}
        details |= {"requestId": waiting.request_id, "remedy": remedy}
        text = f"node commands wait for approval (run {command})"
    return ErrorShape(ErrorCode.UNAVAILABLE, text, details, retryable=True)
