"""Pairing over the wire: list, approve, reject; each with the session as the mandatory caller."""

from __future__ import annotations

from functools import partial
from typing import Any

from gateway.methods.call import (
    NOTHING,
    Call,
    checked,
    invalid_request,
    missing_scope,
    unavailable,
)
from gateway.policy.credentials import Method
from gateway.protocol.schema import NAME, Closed
from stores import pairing
from stores.devices import Transition
from stores.errors import NotAllowedError, StoreError, TransitionError
from stores.listing import listing, paired_item
from stores.scopes import ADMIN
from stores.transition import Caller

_REQUEST_ID = Closed({"requestId": NAME})


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
        told = {"remedy": {"sentence": _sentence(refusal), "where": "gateway-host"}}
        raise invalid_request(refusal.wire_message, told) from refusal
    except StoreError as error:
        raise unavailable("the device store cannot be used now; see the gateway's log") from error


def _sentence(error: TransitionError) -> str:
    """Return problem and remedy as what a person reads: whole sentences."""
    parts = [error.problem, *([error.remedy] if error.remedy else [])]
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)


def pair_list(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.list``; who proved only a device token sees only that device."""
    checked(call, "device.pair.list", NOTHING)
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
