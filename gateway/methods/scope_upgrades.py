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
    """Answer ``device.scopes.requestUpgrade`` with the id to wait for, and nothing else.

    What the device has already is approved: who waits for it, by the id of the connection, is
    answered at once.
    """
    asked = tuple(checked(call, "device.scopes.requestUpgrade", _SCOPES)["scopes"])
    device = _own_device(call)
    if covers(device.granted_scopes(call.session.role), asked):
        _widen(call, device, asked)
        return {"requestId": call.session.conn_id}
    wish = _wish(call, device, asked)
    item = call.keeper.waiting(wish)
    if item is None:
        item = await decided(call, partial(pairing.request, wish=wish))
    call.session.pending_upgrade_id = item.request_id
    return {"requestId": item.request_id}


async def wait_upgrade(call: Call) -> dict[str, Any]:
    """Answer ``device.scopes.waitUpgrade`` when the request of this device is decided or expires.

    A request that was superseded is waited for in the one that took its place. Approved, the
    device is told its token, which is the one it has, as in every hello.
    """
    reference = checked(call, "device.scopes.waitUpgrade", _REQUEST_ID)["requestId"]
    device = _own_device(call)
    if reference == call.session.conn_id:
        return _approved(call, device, reference)
    first = outcome = await _end_of(call, reference, device.device_id)
    while outcome.superseded and (left := call.keeper.announced.pending_of(device.device_id)):
        outcome = await call.keeper.upgrades.decided(left[-1])
    device, asked = _own_device(call), first.item.asked_scopes
    if covers(device.granted_scopes(call.session.role), asked):
        _widen(call, device, asked)
        return _approved(call, device, reference)
    expired = outcome.reason == "expired"
    return {"status": "expired" if expired else "rejected", "requestId": reference}


def _approved(call: Call, device: PairedDevice, reference: str) -> dict[str, Any]:
    role = call.session.role
    token, scopes = device.live_token(role), device.granted_scopes(role)
    assert token is not None  # else it would not be the session's own device
    if len(scopes) > MAX_ASKED:  # as many as clients take, without what others contain
        scopes = tuple(one for one in scopes if not covers(_without(scopes, one), (one,)))
    return {
        "status": "approved",
        "requestId": reference,  # as it was asked: clients compare it
        "deviceToken": token.token,
        "scopes": list(scopes),
    }


def _without(scopes: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if scope != one)


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


def _widen(call: Call, device: PairedDevice, asked: tuple[str, ...]) -> None:
    """Give a session what a new connection that asks for this too would get, besides what it has."""
    session = call.session
    more = meet(asked, device.granted_scopes(session.role))
    session.pending_upgrade_id = None
    if covers(session.scopes, more):
        return
    session.admit(role=session.role, scopes=union(session.scopes, more))
    logger.info(
        "conn=%s holds more now: device=%s scopes=%s",
        session.conn_id,
        device.device_id,
        quoted(",".join(session.scopes)),
        extra={"conn": session.conn_id},
    )
