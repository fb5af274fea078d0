"""Invitations over the wire: setup codes, what is outstanding of them, and their end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from gateway.methods.call import NOTHING, Call, checked, invalid_request
from gateway.methods.devices import caller_of, decided
from gateway.protocol.schema import BOOLEAN, NAME, POSITIVE, Closed, Integer, ListOf, OneOf, Text
from stores.devices import new_device_token
from stores.errors import UsageError
from stores.invitations import (
    MOST_USES,
    SHORT_CHARS,
    Terms,
    hash_of,
    invite,
    outstanding,
    revoke_invitation,
)
from stores.pairing import MAX_SCOPES
from stores.records import DeviceBook, Invitation, Role
from stores.setup_code import (
    LOOPBACK_ONLY,
    PROFILES,
    Way,
    checked_url,
    encode,
    gateway_note,
    way_in,
)

#: The first five are those of published clients; the others are what `openclaw devices invite` says.
_SETUP = Closed(
    {
        "publicUrl?": Text(max_chars=300),
        "preferRemoteUrl?": BOOLEAN,
        "includeQr?": BOOLEAN,
        "bootstrapProfile?": OneOf(frozenset(PROFILES)),
        "joinUrl?": Text(max_chars=300),
        "role?": OneOf(frozenset(Role)),
        "scopes?": ListOf(Text(max_chars=64), max_items=MAX_SCOPES, unique=True),
        "uses?": Integer(minimum=1, maximum=MOST_USES),
        "lastsMs?": POSITIVE,
    }
)
_SETUP_ID = Closed({"setupId": NAME})


def terms_of(params: dict[str, Any]) -> Terms:
    """Return what an invitation is to give, as the parameters of a request say."""
    if "role" in params:
        role = params["role"]
        terms = Terms(role, tuple(params.get("scopes", ())), str(role))
    else:
        terms = PROFILES[params.get("bootstrapProfile", "full")]
    changes = {"uses": params.get("uses"), "lasts_ms": params.get("lastsMs")}
    return attrs.evolve(terms, **{key: said for key, said in changes.items() if said is not None})


async def setup_code(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.setupCode``: a code that lets a device in without being asked about."""
    params = checked(call, "device.pair.setupCode", _SETUP)
    if "role" not in params and "scopes" in params:
        raise invalid_request("invalid device.pair.setupCode params: scopes need a role")
    way, token = await _way(call, params), new_device_token()
    terms = terms_of(params)
    made: Invitation = await decided(
        call, partial(invite, token=token, terms=terms, caller=caller_of(call))
    )
    code = encode(way.url, token, expires_at_ms=made.expires_at_ms)
    told = {
        "setupId": hash_of(token)[:SHORT_CHARS],
        "setupCode": code,
        "gatewayUrl": way.url,
        "auth": str(call.runtime.settings.secrets.mode),
        "urlSource": way.source,
        "access": terms.profile,
        "expiresAtMs": made.expires_at_ms,
    }
    if params.get("includeQr", True):
        told["qrDataUrl"] = await call.runtime.in_thread(qr_data_url, code)
    return told


def qr_data_url(text: str) -> str:
    """Return a QR code as a PNG that a page can show."""
    import segno  # late: most gateways never make one

    url: str = segno.make(text, error="m").png_data_uri(scale=5)
    return url


async def _way(call: Call, params: Mapping[str, Any]) -> Way:
    said = params.get("publicUrl")
    if said is not None:
        try:
            return Way(checked_url(said), "publicUrl")
        except UsageError as error:
            raise invalid_request(f"invalid publicUrl: {error.problem}") from error
    runtime = call.runtime
    note = await runtime.in_thread(gateway_note, runtime.paths)
    secure = runtime.settings.tls is not None
    way = way_in(
        runtime.loaded.config,
        {**note, "port": runtime.port},
        port=runtime.port,
        secure=secure,
        prefer_remote=params.get("preferRemoteUrl", False),
    )
    if way.alone:
        raise invalid_request(LOOPBACK_ONLY)
    return way


def invitations_list(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.invitations.list``: what still opens something, without its secret."""
    checked(call, "device.pair.invitations.list", NOTHING)
    return {"invitations": shown(call.runtime.store.book, now_ms=call.runtime.now_ms())}


async def invitations_revoke(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.invitations.revoke``."""
    wanted = checked(call, "device.pair.invitations.revoke", _SETUP_ID)["setupId"]
    ended = await decided(
        call, partial(revoke_invitation, reference=wanted, caller=caller_of(call))
    )
    return {"setupId": ended}


def shown(book: DeviceBook, *, now_ms: int) -> list[dict[str, Any]]:
    """Return the outstanding invitations as JSON."""
    return [
        {
            "setupId": key[:SHORT_CHARS],
            "role": one.role,
            "scopes": list(one.scopes),
            "access": one.profile,
            "usesLeft": one.uses_left,
            "createdAtMs": one.created_at_ms,
            "expiresAtMs": one.expires_at_ms,
            "deviceIds": list(one.bound_device_ids),
        }
        for key, one in outstanding(book, now_ms=now_ms).items()
    ]
