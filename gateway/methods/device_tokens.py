"""Device tokens over the wire: replaced or killed, and shown to nobody but their own device."""

from __future__ import annotations

from functools import partial
from typing import Any

from gateway.methods.call import Call, checked
from gateway.methods.devices import caller_of, decided, with_full_id
from gateway.protocol.schema import NAME, NAMES, Closed
from stores import token_life

_ROTATE = Closed({"deviceId": NAME, "role": NAME, "scopes?": NAMES})
_REVOKE = Closed({"deviceId": NAME, "role": NAME})


async def token_rotate(call: Call) -> dict[str, Any]:
    """Answer ``device.token.rotate``; the token itself goes only to the device that it is for.

    ``tokenDelivery`` says whether it is there. Another device's next connect with the shared
    secret hands it out.
    """
    params = checked(call, "device.token.rotate", _ROTATE)
    device, token = await decided(
        call,
        partial(
            token_life.rotate,
            device_id=params["deviceId"],
            role=params["role"],
            scopes=params.get("scopes"),
            caller=caller_of(call),
        ),
    )
    rotated = {
        "deviceId": device.device_id,
        "role": token.role,
        "scopes": list(token.scopes),
        "rotatedAtMs": token.rotated_at_ms,
    }
    if device.device_id != call.session.device_id:
        return rotated | {"tokenDelivery": "withheld-cross-device"}
    return rotated | {"tokenDelivery": "in-band", "token": token.token}


async def token_revoke(call: Call) -> dict[str, Any]:
    """Answer ``device.token.revoke``: the role is dead until it is approved or rotated again."""
    params = checked(call, "device.token.revoke", _REVOKE)
    revoking = partial(token_life.revoke, role=params["role"], caller=caller_of(call))
    device_id, token = await decided(call, with_full_id(revoking, params["deviceId"]))
    return {"deviceId": device_id, "role": token.role, "revokedAtMs": token.revoked_at_ms}
