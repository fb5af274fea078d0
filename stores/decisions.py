"""Every decision about devices as one call that is durable when it returns, or raises why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from stores import device_life, pairing, token_life
from stores.device_life import Swept
from stores.records import DeviceBook, DeviceToken, PairedDevice, PendingRequest
from stores.transition import Caller, Change, Rules

Transition: TypeAlias = Callable[[DeviceBook, Rules], Change[Any]]


class Decisions:
    """What may be decided, each by the transition of the same name, which says what it raises.

    Args of all: ``now_ms`` is wall time; a device is named by its id or the beginning of it.
    """

    __slots__ = ()

    def one(self, transition: Transition, *, now_ms: int) -> Any:
        """Make one transition durable and return its result, or raise what it raised."""
        raise NotImplementedError

    def approve(
        self, reference: str, *, caller: Caller, now_ms: int
    ) -> tuple[PendingRequest, PairedDevice]:
        """Approve a pending request; see `pairing.approve`."""
        decided: tuple[PendingRequest, PairedDevice] = self.one(
            partial(pairing.approve, reference=reference, caller=caller), now_ms=now_ms
        )
        return decided

    def reject(self, reference: str, *, caller: Caller, now_ms: int) -> PendingRequest:
        """Reject a pending request; see `pairing.reject`."""
        decided: PendingRequest = self.one(
            partial(pairing.reject, reference=reference, caller=caller), now_ms=now_ms
        )
        return decided

    def remove(self, device_id: str, *, caller: Caller, now_ms: int) -> PairedDevice:
        """Forget a paired device; see `device_life.remove`."""
        removed: PairedDevice = self.one(
            partial(device_life.remove, device_id=device_id, caller=caller), now_ms=now_ms
        )
        return removed

    def rename(self, device_id: str, label: str, *, caller: Caller, now_ms: int) -> str:
        """Give a paired device a label and return it; see `device_life.rename`."""
        named: str = self.one(
            partial(device_life.rename, device_id=device_id, label=label, caller=caller),
            now_ms=now_ms,
        )
        return named

    def rotate(
        self,
        device_id: str,
        role: str,
        *,
        scopes: Iterable[str] | None = None,
        caller: Caller,
        now_ms: int,
    ) -> tuple[PairedDevice, DeviceToken]:
        """Replace a device token; see `token_life.rotate`."""
        rotated: tuple[PairedDevice, DeviceToken] = self.one(
            partial(
                token_life.rotate, device_id=device_id, role=role, scopes=scopes, caller=caller
            ),
            now_ms=now_ms,
        )
        return rotated

    def revoke(self, device_id: str, role: str, *, caller: Caller, now_ms: int) -> DeviceToken:
        """Kill a device token; see `token_life.revoke`."""
        revoked: DeviceToken = self.one(
            partial(token_life.revoke, device_id=device_id, role=role, caller=caller),
            now_ms=now_ms,
        )
        return revoked

    def block(self, device_id: str, *, caller: Caller, now_ms: int) -> str:
        """Block a device id and return it in full; see `device_life.block`."""
        blocked: str = self.one(
            partial(device_life.block, device_id=device_id, caller=caller), now_ms=now_ms
        )
        return blocked

    def unblock(self, device_id: str, *, caller: Caller, now_ms: int) -> str:
        """Let a device id ask again and return it in full; see `device_life.unblock`."""
        unblocked: str = self.one(
            partial(device_life.unblock, device_id=device_id, caller=caller), now_ms=now_ms
        )
        return unblocked

    def clear(self, *, pending: bool, caller: Caller, now_ms: int) -> Swept:
        """Reject all that is pending, or forget all; see `device_life.clear`."""
        cleared: Swept = self.one(
            partial(device_life.clear, pending=pending, caller=caller), now_ms=now_ms
        )
        return cleared

    def prune(self, *, not_seen_since_ms: int, caller: Caller, now_ms: int) -> Swept:
        """Forget devices long not seen; see `device_life.prune`."""
        pruned: Swept = self.one(
            partial(device_life.prune, not_seen_since_ms=not_seen_since_ms, caller=caller),
            now_ms=now_ms,
        )
        return pruned
