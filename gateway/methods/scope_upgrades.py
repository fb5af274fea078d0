"""A session asks for more scopes than it has, and waits for what becomes of it.

What is asked for here is what a connect with those scopes would leave: the same pending request,
the same decision, the same record. Approved, the session that waits goes on with what a new
connection would get.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from gateway.methods.call import Call, checked, invalid_request
from gateway.methods.devices import decided
from gateway.policy.words import quoted
from gateway.protocol.schema import NAME, Closed, ListOf
from gateway.upgrades import Outcome
from stores import pairing
from stores.records import PairedDevice
from stores.request_id import plain_id
from stores.scopes import covers, meet, union
from stores.transition import Wish

logger = logging.getLogger("gateway.ws")

#: Scopes of one request at most (protocol fact).
MAX_ASKED = 8

_SCOPES = Closed({"scopes": ListOf(NAME, min_items=1, max_items=MAX_ASKED, unique=True)})
_REQUEST_ID = Closed({"requestId": NAME})


async def request_upgrade(call: Call) -> dict[str, Any]:
    """Answer ``device.scopes.requestUpgrade``: what waits now, or that there is nothing to ask."""
    asked = tuple(checked(call, "device.scopes.requestUpgrade", _SCOPES)["scopes"])
    device = _own_device(call)
    if covers(device.granted_scopes(call.session.role), asked):
        return {"status": "approved", "scopes": _widened(call, device, asked)}
    wish = _wish(call, device, asked)
    item = call.keeper.waiting(wish)
    if item is None:
        item = await decided(call, partial(pairing.request, wish=wish))
    call.session.pending_upgrade_id = item.request_id
    return {"status": "pending", "requestId": item.request_id, "scopes": list(item.scopes)}


async def wait_upgrade(call: Call) -> dict[str, Any]:
    """Answer ``device.scopes.waitUpgrade`` when the request of this device is decided or expires.

    A request that was superseded is waited for in the one that took its place.
    """
    reference = checked(call, "device.scopes.waitUpgrade", _REQUEST_ID)["requestId"]
    device_id = _own_device(call).device_id
    first = outcome = await _end_of(call, reference, device_id)
    while outcome.superseded and (left := call.keeper.announced.pending_of(device_id)):
        outcome = await call.keeper.upgrades.decided(left[-1])
    device, asked = _own_device(call), first.item.asked_scopes
    answer: dict[str, Any] = {"status": outcome.decision, "requestId": first.item.request_id}
    if covers(device.granted_scopes(call.session.role), asked):
        answer |= {"status": "approved", "scopes": _widened(call, device, asked)}
    elif outcome.reason == "expired":
        answer["status"] = "expired"
    return answer


async def _end_of(call: Call, reference: str, device_id: str) -> Outcome:
    """Return how a request of this device ended, once it has; of another's nothing is told.

    Raises:
        CallError: the device has none of that id, and had none a moment ago.
    """
    # The book that was announced, not the newest: what ends in it from now on is told.
    for item in call.keeper.announced.pending_of(device_id):
        if plain_id(item.request_id) == plain_id(reference):
            return await call.keeper.upgrades.decided(item)
    ended = call.keeper.upgrades.of(reference)
    if ended is None or ended.item.device_id != device_id:
        raise invalid_request("unknown requestId")
    return ended


def _own_device(call: Call) -> PairedDevice:
    """Return the paired device of a session.

    Raises:
        CallError: it has none, so that there is nobody to approve anything for.
    """
    session = call.session
    device = call.runtime.store.book.paired.get(session.device_id or "")
    if device is None or device.live_token(session.role) is None:
        raise invalid_request("device identity required")
    return device


def _wish(call: Call, device: PairedDevice, asked: tuple[str, ...]) -> Wish:
    """Return what the device of a session asks for: as it was approved, with more scopes."""
    session = call.session
    return Wish(
        device_id=device.device_id,
        public_key=device.public_key,
        role=session.role,
        scopes=asked,
        platform=device.platform,
        device_family=device.device_family,
        client_id=device.client_id,
        client_mode=device.client_mode,
        display_name=device.display_name,
        remote_ip=None if session.local else session.address,
        origin={"client": session.address},
    )


def _widened(call: Call, device: PairedDevice, asked: tuple[str, ...]) -> list[str]:
    """Give a session what a new connection that asks for this too would get; return its scopes."""
    session = call.session
    more = meet(asked, device.granted_scopes(session.role))
    session.admit(role=session.role, scopes=union(session.scopes, more))
    session.pending_upgrade_id = None
    logger.info(
        "conn=%s holds more now: device=%s scopes=%s",
        session.conn_id,
        device.device_id,
        quoted(",".join(session.scopes)),
        extra={"conn": session.conn_id},
    )
    return list(session.scopes)
