"""The ``hello-ok`` payload: what an admitted session is told first.

Source: protocol fact, the smallest hello that every published client was seen to work with. No
``buildId``: browsers compare it with their own, and none of the published pages is served here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from gateway.protocol.frames import StateVersion
from stores.scopes import ADMIN, READ, covers

# Protocol facts: the limits published clients were built against.
MAX_PAYLOAD_BYTES = 26_214_400
MAX_BUFFERED_BYTES = 52_428_800
TICK_INTERVAL_MS = 30_000

# Clients look for a session to show; without an agent these names exist and nothing else does.
_SESSION_DEFAULTS = {
    "defaultAgentId": "main",
    "mainKey": "main",
    "mainSessionKey": "agent:main:main",
    "scope": "per-sender",
}


@frozen
class PendingUpgrade:
    """A wish for more scopes that waits for a decision."""

    request_id: str
    scopes: Sequence[str]

    def to_wire(self) -> dict[str, Any]:
        """Return the ``pendingUpgrade`` object."""
        return {"requestId": self.request_id, "scopes": list(self.scopes)}


@frozen
class HelloAuth:
    """As what the session was admitted.

    Args:
        method: none, token, password, device-token, bootstrap-token or trusted-proxy.
        scopes: Those of the device token; the session may hold fewer.
        device_token: For the client to keep; only with a device.
        issued_at_ms: When ``device_token`` was issued, epoch ms.
        device_tokens: Those of further roles that a setup code gave, as the wire has them.
    """

    method: str
    role: str
    scopes: Sequence[str]
    device_token: str | None = field(default=None, repr=False)
    issued_at_ms: int | None = None
    pending_upgrade: PendingUpgrade | None = None
    device_tokens: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Return the ``auth`` object; what is not set is left out."""
        wire: dict[str, Any] = {"method": self.method, "role": self.role}
        wire["scopes"] = list(self.scopes)
        if self.device_token is not None:
            wire["deviceToken"] = self.device_token
        if self.issued_at_ms is not None:
            wire["issuedAtMs"] = self.issued_at_ms
        if self.device_tokens:
            wire["deviceTokens"] = [dict(one) for one in self.device_tokens]
        if self.pending_upgrade is not None:
            wire["pendingUpgrade"] = self.pending_upgrade.to_wire()
        return wire


@frozen
class GatewayFacts:
    """What every hello says of the gateway, as long as the process and its configuration live.

    Args:
        boot_id: Another one for each start.
        methods: Only what is implemented: browsers decide by it what to show.
        auth_mode: none, token, password or trusted-proxy.
    """

    version: str
    boot_id: str
    methods: Sequence[str]
    events: Sequence[str]
    auth_mode: str
    config_path: str | None = None
    state_dir: str | None = None
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    max_buffered_bytes: int = MAX_BUFFERED_BYTES
    tick_interval_ms: int = TICK_INTERVAL_MS


@frozen
class Snapshot:
    """What is so at the moment; ``uptime_ms`` counts from the start of the process."""

    presence: Sequence[Mapping[str, Any]]
    health: Mapping[str, Any]
    state_version: StateVersion
    uptime_ms: int


def build_hello(
    gateway: GatewayFacts,
    *,
    protocol: int,
    conn_id: str,
    auth: HelloAuth,
    scopes: Iterable[str],
    snapshot: Snapshot,
) -> dict[str, Any]:
    """Return the payload that answers an admitted ``connect``, of one shape for both protocols.

    Args:
        scopes: What the session holds. Presence is told only to who may read, paths of this
            machine only to an admin.
    """
    held = tuple(scopes)
    told: dict[str, Any] = {
        "presence": snapshot.presence if covers(held, (READ,)) else (),
        "health": snapshot.health,
        "stateVersion": snapshot.state_version.to_wire(),
        "uptimeMs": snapshot.uptime_ms,
        "sessionDefaults": _SESSION_DEFAULTS,
        "authMode": gateway.auth_mode,
    }
    if covers(held, (ADMIN,)):
        paths = {"configPath": gateway.config_path, "stateDir": gateway.state_dir}
        told |= {name: path for name, path in paths.items() if path is not None}
    return {
        "type": "hello-ok",
        "protocol": protocol,
        "server": {"version": gateway.version, "bootId": gateway.boot_id, "connId": conn_id},
        "features": {"methods": gateway.methods, "events": gateway.events},
        "snapshot": told,
        "auth": auth.to_wire(),
        "policy": {
            "maxPayload": gateway.max_payload_bytes,
            "maxBufferedBytes": gateway.max_buffered_bytes,
            "tickIntervalMs": gateway.tick_interval_ms,
        },
    }
