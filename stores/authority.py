"""Who may decide a pairing request and what they may give: the one place that says so."""

from __future__ import annotations

from stores.errors import NotAllowedError
from stores.records import PairedDevice, PendingRequest, Role
from stores.scopes import ADMIN, PAIRING, covers, missing
from stores.transition import Caller


def check_may_decide(caller: Caller, item: PendingRequest) -> None:
    """Let only an operator with operator.pairing, or this machine's own roads, decide a request.

    A session that proved only a device token decides only for its own device unless it is admin.
    No device decides about itself, and no task decides at all.

    Raises:
        NotAllowedError: the caller may not.
    """
    if caller.kind in ("cli", "local", "rule"):
        return
    if caller.kind != "operator":
        raise NotAllowedError(
            f"a request is decided by an operator, never by {caller.kind!r}",
            wire_message="device pairing approval denied",
        )
    if not covers(caller.scopes, (PAIRING,)):
        raise NotAllowedError(
            "deciding a pairing request needs operator.pairing",
            wire_message=f"missing scope: {PAIRING}",
            missing_scopes=(PAIRING,),
        )
    own_only = caller.own_device_only and not covers(caller.scopes, (ADMIN,))
    if own_only and caller.device_id != item.device_id:
        raise NotAllowedError(
            "a session with a device token decides only for its own device",
            wire_message="device pairing approval denied",
        )


def check_may_grant(caller: Caller, known: PairedDevice | None, item: PendingRequest) -> None:
    """Refuse a session that would give what it does not have.

    Only what is newly asked counts: what the device holds already is no gift. A role beyond
    operator that is new, and any role that was revoked, needs admin.

    Raises:
        NotAllowedError: with the scopes that are missing.
    """
    if caller.kind != "operator":
        return
    held = known.granted_scopes(Role.OPERATOR) if known else ()
    wanted = missing(held, item.asked_scopes)
    if any(_needs_admin(role, known) for role in item.asked_roles):
        wanted = (*wanted, ADMIN)
    lacking = missing(caller.scopes, wanted)
    if lacking:
        raise NotAllowedError(
            f"approving this needs {', '.join(lacking)}, which the approver does not have",
            wire_message=f"missing scope: {lacking[0]}",
            missing_scopes=lacking,
        )


def _needs_admin(role: str, known: PairedDevice | None) -> bool:
    if known is not None and known.revoked(role):
        return True
    return role != Role.OPERATOR and not (known and known.live_token(role))
