"""Pairing over the wire: list, approve, reject; each with the session as the mandatory caller."""

from __future__ import annotations

from functools import partial
from typing import Any

from gateway.methods.call import Call, CallError, invalid_request, unavailable
from gateway.policy.credentials import Method
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from gateway.protocol.schema import NAME, Closed, InvalidParamsError, require
from stores import pairing
from stores.devices import Transition
from stores.errors import NotAllowedError, StoreError, TransitionError
from stores.listing import listing, paired_item
from stores.scopes import ADMIN
from stores.transition import Caller

_NOTHING = Closed({})
_REQUEST_ID = Closed({"requestId": NAME})


def checked(call: Call, method: str, schema: Closed) -> dict[str, Any]:
    """Return the parameters of a method whose parameters are closed; none means ``{}``.

    Raises:
        CallError: they do not fit; the text names what does not.
    """
    params = {} if call.params is None else call.params
    try:
        require(schema, params)
    except InvalidParamsError as error:
        raise invalid_request(f"invalid {method} params: {error}") from error
    fitting: dict[str, Any] = params
    return fitting


def caller_of(call: Call) -> Caller:
    """Return the session as the caller of a pairing transition."""
    session = call.session
    return Caller(
        "operator",
        scopes=session.scopes,
        device_id=session.device_id,
        own_device_only=session.method == Method.DEVICE_TOKEN,
    )


async def _decided(call: Call, transition: Transition) -> Any:
    """Make a transition durable, and put what it raised into the words of the wire."""
    try:
        return await call.keeper.apply(transition)
    except NotAllowedError as refusal:
        if not refusal.missing_scopes:
            raise invalid_request(refusal.wire_message) from refusal
        raise missing_scope(call, refusal.missing_scopes[0]) from refusal
    except TransitionError as refusal:
        raise invalid_request(refusal.wire_message, {"remedy": refusal.remedy}) from refusal
    except StoreError as error:
        raise unavailable("the device store cannot be used now; see the gateway's log") from error


def missing_scope(call: Call, scope: str) -> CallError:
    """Return the refusal of a call for want of a scope; it names the upgrade that waits, if any.

    The code is FORBIDDEN for protocol 4 and INVALID_REQUEST for 3 (protocol fact).
    """
    session = call.session
    message = f"missing scope: {scope}"
    details: dict[str, Any] = {
        "code": DetailCode.MISSING_SCOPE,
        "missingScope": scope,
        "requiredScopes": [scope],
    }
    if session.pending_upgrade_id is not None:
        words = call.runtime.words
        prefix = words.local if session.local else words.plain
        command = f"{prefix} devices approve {session.pending_upgrade_id}"
        message += f" (run {command})"
        details["requestId"] = session.pending_upgrade_id
        details["remedy"] = {
            "sentence": "The device asked for this scope too; approve it and try again.",
            "command": command,
            "where": "container" if session.local and words.in_container else "gateway-host",
        }
    code = ErrorCode.FORBIDDEN if session.protocol >= 4 else ErrorCode.INVALID_REQUEST
    return CallError(ErrorShape(code, message, details))


def pair_list(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.list``; who proved only a device token sees only that device."""
    checked(call, "device.pair.list", _NOTHING)
    runtime, session = call.runtime, call.session
    found = listing(
        runtime.store.book,
        now_ms=runtime.now_ms(),
        ttl_ms=runtime.settings.limits.ttl_ms,
        connected=runtime.hub.connected_devices(),
    )
    if session.method == Method.DEVICE_TOKEN and ADMIN not in session.holds:
        return {
            kind: [item for item in items if item["deviceId"] == session.device_id]
            for kind, items in found.items()
        }
    return found


async def pair_approve(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.approve``: the id in any spelling, or a device id."""
    reference = checked(call, "device.pair.approve", _REQUEST_ID)["requestId"]
    item, device = await _decided(
        call, partial(pairing.approve, reference=reference, caller=caller_of(call))
    )
    runtime = call.runtime
    shown = paired_item(
        device,
        runtime.store.book.notes.get(device.device_id),
        connected=device.device_id in runtime.hub.connected_devices(),
    )
    return {"requestId": item.request_id, "device": shown}


async def pair_reject(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.reject``: the id in any spelling, or a device id."""
    reference = checked(call, "device.pair.reject", _REQUEST_ID)["requestId"]
    item = await _decided(
        call, partial(pairing.reject, reference=reference, caller=caller_of(call))
    )
    return {"requestId": item.request_id, "deviceId": item.device_id}
