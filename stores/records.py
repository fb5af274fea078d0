"""What the store files hold, as frozen records; field order is the order of keys on disk.

Source: protocol fact, the device store files of 2026.2 to 2026.4. ``extra`` carries the keys of
other writers through a rewrite.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from stores.scopes import covers, meet

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Role(StrEnum):
    """What a device is to the gateway: who commands, or what is commanded."""

    OPERATOR = "operator"
    NODE = "node"


@frozen
class DeviceToken:
    """A secret issued to one device for one role; ``scopes`` is sorted, times are epoch ms."""

    token: str = field(repr=False)
    role: str
    scopes: tuple[str, ...] = ()
    created_at_ms: int = 0
    rotated_at_ms: int | None = None
    last_used_at_ms: int | None = None
    revoked_at_ms: int | None = None
    previous_token_sha256: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = EMPTY

    @property
    def live(self) -> bool:
        """Whether the token still opens anything."""
        return self.revoked_at_ms is None and bool(self.token)

    @property
    def issued_at_ms(self) -> int:
        """When the present value was issued, epoch ms."""
        return self.created_at_ms if self.rotated_at_ms is None else self.rotated_at_ms


@frozen
class PendingRequest:
    """A device that asked to pair and waits for a decision.

    ``ts`` is the last contact and ``first_seen_at_ms`` the first, epoch ms. ``why`` is the
    locality reason at the last contact. ``stale_token`` marks a paired device that proved its key
    but has no token that fits.
    """

    request_id: str
    device_id: str
    public_key: str
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    client_id: str | None = None
    client_mode: str | None = None
    role: str | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    remote_ip: str | None = None
    silent: bool = False
    is_repair: bool = False
    ts: int = 0
    first_seen_at_ms: int | None = None
    why: str | None = None
    stale_token: bool | None = None
    extra: Mapping[str, Any] = EMPTY

    @property
    def asked_roles(self) -> tuple[str, ...]:
        """Every role the request asks for, once each."""
        named = (*self.roles, *((self.role,) if self.role else ()))
        return tuple(dict.fromkeys(named))

    @property
    def asked_scopes(self) -> tuple[str, ...]:
        """The scopes the request is about: a node holds none, so it asks for none."""
        return self.scopes if Role.OPERATOR in self.asked_roles else ()


@frozen
class PairedDevice:
    """A device that was approved, with its roles, scopes and tokens on file.

    ``role``, client and address fields describe the last approval or local contact;
    ``approved_scopes`` is the baseline that caps every token (absent: ``scopes``).
    """

    device_id: str
    public_key: str
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    client_id: str | None = None
    client_mode: str | None = None
    role: str | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    approved_scopes: tuple[str, ...] | None = None
    remote_ip: str | None = None
    tokens: Mapping[str, DeviceToken] = EMPTY
    created_at_ms: int = 0
    approved_at_ms: int = 0
    last_seen_at_ms: int | None = None
    last_seen_reason: str | None = None
    extra: Mapping[str, Any] = EMPTY

    @property
    def baseline(self) -> tuple[str, ...]:
        """The scopes that were approved; no token of this device goes beyond them."""
        return self.scopes if self.approved_scopes is None else self.approved_scopes

    @property
    def named_roles(self) -> tuple[str, ...]:
        """Every role the record names, with or without a token."""
        if len(self.roles) == 1 and self.role in (None, *self.roles):
            return self.roles  # nearly every device, of thousands in a list
        named = (*self.roles, *((self.role,) if self.role else ()))
        return tuple(dict.fromkeys(named))

    @property
    def live_roles(self) -> tuple[str, ...]:
        """The roles that are approved and have a live token: a role without one opens nothing."""
        return tuple(role for role in self.named_roles if self.live_token(role))

    def live_token(self, role: str) -> DeviceToken | None:
        """Return the token of ``role`` if that role is approved and its token was not revoked.

        A token for a role that nobody approved, as older gateways let one be made, opens nothing.
        """
        token = self.tokens.get(role)
        approved = role == self.role or role in self.roles
        return token if token is not None and approved and token.live else None

    def revoked(self, role: str) -> bool:
        """Tell whether the token of ``role`` was killed and not issued again since."""
        token = self.tokens.get(role)
        return token is not None and token.revoked_at_ms is not None

    def granted_scopes(self, role: str) -> tuple[str, ...]:
        """Return what a session in ``role`` may hold: the token's scopes, capped by the baseline.

        A node holds none.
        """
        token = self.live_token(role)
        if token is None or role != Role.OPERATOR:
            return ()
        if covers(self.baseline, token.scopes):
            return token.scopes
        return meet(token.scopes, self.baseline)


@frozen
class DeviceNote:
    """What only this gateway keeps of a device, in a file no other program rewrites.

    ``repair_roles`` are those in which its key alone opens once, until ``repair_until_ms``.
    """

    label: str | None = None
    blocked: bool = False
    approved_via: str | None = None
    approved_by: str | None = None
    repair_roles: tuple[str, ...] | None = None
    repair_until_ms: int | None = None
    extra: Mapping[str, Any] = EMPTY


@frozen
class Invitation:
    """What whoever brings a secret first may become; filed under the secret's hash.

    ``bound_device_ids`` are those that redeemed it. ``scopes`` are an operator's, for a node those
    of the operator's token it gets besides.
    """

    role: str
    scopes: tuple[str, ...] = ()
    profile: str | None = None
    uses_left: int = 1
    created_at_ms: int = 0
    expires_at_ms: int = 0
    bound_device_ids: tuple[str, ...] = ()
    revoked_at_ms: int | None = None
    extra: Mapping[str, Any] = EMPTY


@frozen
class DeviceBook:
    """Everything the device store knows, as one immutable value."""

    pending: Mapping[str, PendingRequest] = EMPTY
    paired: Mapping[str, PairedDevice] = EMPTY
    notes: Mapping[str, DeviceNote] = EMPTY
    invitations: Mapping[str, Invitation] = EMPTY

    def pending_of(self, device_id: str) -> tuple[PendingRequest, ...]:
        """Return the pending requests of one device, oldest contact first."""
        mine = [item for item in self.pending.values() if item.device_id == device_id]
        return tuple(sorted(mine, key=lambda item: item.ts))

    def blocked(self, device_id: str) -> bool:
        """Tell whether the device id may have no record anywhere."""
        note = self.notes.get(device_id)
        return note is not None and note.blocked


@frozen
class AuditEntry:
    """One line of the audit trail, without the time and the road the store adds.

    ``device_id`` is empty where no device is concerned yet.
    ``by`` and ``origin`` are JSON-ready: ``{"kind", "deviceId"?, "uid"?, "rule"?}`` and
    ``{"peer"?, "client"?}``.
    """

    event: str
    device_id: str
    by: Mapping[str, Any]
    request_id: str | None = None
    role: str | None = None
    scopes: tuple[str, ...] | None = None
    origin: Mapping[str, Any] | None = None
    reason: str | None = None
