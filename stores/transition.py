"""What every pairing transition takes and gives: rules in, a caller, a wish, a change out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

from attrs import field, frozen

from stores.records import AuditEntry, DeviceBook

T = TypeVar("T")


@frozen
class Rules:
    """What a transition needs from outside: the time, the limits, and two sources of secrets.

    Args:
        now_ms: Wall time, epoch ms.
        ttl_ms: Life of a pending request since its last contact.
        max_pending: Pending requests in all.
        max_per_address: Pending requests of one client address.
        store_key: Key of the request ids, 32 bytes.
        new_token: Returns a fresh device token.
    """

    now_ms: int
    store_key: bytes = field(repr=False)
    new_token: Callable[[], str]
    ttl_ms: int = 300_000
    max_pending: int = 200
    max_per_address: int = 10


@frozen
class Change(Generic[T]):
    """What a transition made of a book: the new book, the answer, and its audit lines."""

    book: DeviceBook
    result: T
    audit: tuple[AuditEntry, ...] = ()


@frozen
class Caller:
    """Who wants a transition: the one thing no transition does without.

    ``cli`` speaks with the authority of the folder; ``local`` and ``rule`` are admissions
    without a human; ``operator`` is a session and holds ``scopes``. ``own_device_only`` marks a
    session that proved only a device token.
    """

    kind: Literal["operator", "cli", "rule", "local", "self", "task"]
    scopes: tuple[str, ...] = ()
    device_id: str | None = None
    uid: int | None = None
    rule: str | None = None
    own_device_only: bool = False

    def described(self) -> dict[str, Any]:
        """Return the ``by`` of an audit line."""
        facts = {"deviceId": self.device_id, "uid": self.uid, "rule": self.rule}
        return {"kind": self.kind} | {k: v for k, v in facts.items() if v is not None}


@frozen
class Wish:
    """What a verified device asks for at a connect; ``origin`` is the ``from`` of the audit line.

    ``stale_token``: its key is that of a paired device, and it proved nothing else.
    """

    device_id: str
    public_key: str
    role: str
    scopes: tuple[str, ...] = ()
    platform: str | None = None
    device_family: str | None = None
    client_id: str | None = None
    client_mode: str | None = None
    display_name: str | None = None
    remote_ip: str | None = None
    why: str | None = None
    origin: Mapping[str, Any] | None = None
    stale_token: bool = False
