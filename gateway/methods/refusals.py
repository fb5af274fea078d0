"""Refused connections and lockouts: what was told to whom, and who has to wait."""

from __future__ import annotations

import logging
from typing import Any

import trio

from gateway.methods.call import NOTHING, Call, checked, invalid_request
from gateway.policy.credentials import Method
from gateway.policy.lockouts import described, meant_by
from gateway.protocol.schema import BOOLEAN, COUNT, NAME, Closed
from stores.refusal_ring import Entry
from stores.refusal_ring import meant_by as refusals_meant_by
from stores.scopes import ADMIN

logger = logging.getLogger("gateway.ws")

_LIST = Closed({"limit?": COUNT, "id?": NAME})
_CLEAR = Closed({"key?": NAME, "all?": BOOLEAN})

#: What only somebody local or an admin is told of a refusal: addresses and paths of this machine.
_OURS = frozenset({"sentence", "command"})


def refusals_list(call: Call) -> dict[str, Any]:
    """Answer ``gateway.refusals.list``: newest first; in full to admins and to who is local.

    Who proved only a device token sees only what that device met.
    """
    params = checked(call, "gateway.refusals.list", _LIST)
    session = call.session
    found = call.runtime.refusals.listing()
    if "id" in params:
        found = refusals_meant_by(params["id"], found[::-1])
    if ADMIN not in session.holds:
        if session.method == Method.DEVICE_TOKEN:
            found = [entry for entry in found if entry.get("deviceId") == session.device_id]
        if not session.local:
            found = [_without_ours(entry) for entry in found]
    return {"refusals": found[: params.get("limit", len(found))]}


def _without_ours(entry: Entry) -> Entry:
    told = {name: value for name, value in entry.items() if name not in _OURS}
    seen = entry.get("saw")
    if isinstance(seen, dict):
        told["saw"] = {name: value for name, value in seen.items() if name != "peer"}
    return told


def lockouts_list(call: Call) -> dict[str, Any]:
    """Answer ``gateway.lockouts.list``: who is locked out, the one that is free soonest first."""
    checked(call, "gateway.lockouts.list", NOTHING)
    locked = call.runtime.throttle.lockouts(trio.current_time())
    return {"lockouts": [described(one) for one in locked]}


def lockouts_clear(call: Call) -> dict[str, Any]:
    """Answer ``gateway.lockouts.clear``: lift the lockouts that ``key`` means, or all of them.

    Attempts that led to no lockout yet are forgotten with ``all``.
    """
    params = checked(call, "gateway.lockouts.clear", _CLEAR)
    throttle = call.runtime.throttle
    if (params.get("all") is True) == ("key" in params):
        raise invalid_request(
            "invalid gateway.lockouts.clear params: either key or all: true is needed"
        )
    locked = [one.key for one in throttle.lockouts(trio.current_time())]
    keys = tuple(locked) if "key" not in params else meant_by(params["key"], locked)
    for key in keys:
        throttle.clear(key)
    if "key" not in params:
        throttle.clear()
    session = call.session
    for key in keys:
        logger.info(
            "lockout lifted: %s by %s (conn=%s)",
            key,
            session.device_id or session.client,
            session.conn_id,
        )
    return {"cleared": list(keys)}
