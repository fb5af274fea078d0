"""What clients ask on connect besides: the gateway's identity, news for the presence list, its heart."""

from __future__ import annotations

from functools import partial
from typing import Any

from gateway.methods.call import NOTHING, Call, checked, invalid_request, unavailable
from stores.errors import StoreError
from stores.identity import open_identity

#: What a ``system-event`` may say of a presence entry: texts, and lists of texts.
_TEXTS = ("host", "ip", "mode", "version", "platform", "deviceFamily", "modelIdentifier", "reason")
_LISTS = ("roles", "scopes", "tags")

#: Characters of one text, and entries of one list, that are kept.
MAX_TEXT = 200
MAX_LIST = 16


async def identity_get(call: Call) -> dict[str, Any]:
    """Answer ``gateway.identity.get``: the device id and the public key of the gateway's machine."""
    checked(call, "gateway.identity.get", NOTHING)
    runtime = call.runtime
    opening = partial(open_identity, runtime.paths.identity_dir, now_ms=runtime.now_ms())
    try:
        identity = await runtime.in_thread(opening)
    except StoreError as error:
        raise unavailable("the gateway's identity cannot be read; see the gateway's log") from error
    return {"deviceId": identity.device_id, "publicKey": identity.key.public_key}


def system_event(call: Call) -> dict[str, Any]:
    """Answer ``system-event``: an entry of the presence list, from who looks after a machine."""
    params = call.params if isinstance(call.params, dict) else {}
    text = params.get("text")
    if not isinstance(text, str) or not text.strip():
        raise invalid_request("text required")
    runtime = call.runtime
    entry: dict[str, Any] = {"text": text.strip()[:MAX_TEXT], "ts": runtime.now_ms()}
    for name in (*_TEXTS, "deviceId", "instanceId"):
        value = params.get(name)
        if isinstance(value, str) and value.strip():
            entry[name] = value.strip()[:MAX_TEXT]
    for name in _LISTS:
        value = params.get(name)
        if isinstance(value, list):
            entry[name] = [one[:MAX_TEXT] for one in value if isinstance(one, str)][:MAX_LIST]
    idle = params.get("lastInputSeconds")
    if type(idle) is int and idle >= 0:
        entry["lastInputSeconds"] = idle
    key = entry.get("deviceId") or entry.get("instanceId") or entry.get("host")
    # What is said of somebody who is connected does not replace what is known of them.
    runtime.presence.note(f"event:{key or call.session.conn_id}", entry)
    return {"ok": True}


def set_heartbeats(call: Call) -> dict[str, Any]:
    """Answer ``set-heartbeats``: there is no agent whose heart could beat.

    Raises:
        CallError: always; off is what they are, and on they cannot be.
    """
    params = call.params if isinstance(call.params, dict) else {}
    enabled = params.get("enabled")
    if type(enabled) is not bool:
        raise invalid_request("invalid set-heartbeats params: enabled (boolean) required")
    if enabled:
        raise unavailable("no agent is attached to this gateway: there is no heart that could beat")
    return {"ok": True, "enabled": False}
