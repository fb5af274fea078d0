"""Who may decide about devices, what they may give and take: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable

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
    if own_device_only(caller) and caller.device_id != item.device_id:
        raise NotAllowedError(
            "a session with a device token decides only for its own device",
            wire_message="device pairing approval denied",
        )


def check_may_grant(caller: Caller, known: PairedDevice | None, item: PendingRequest) -> None:
    """Refuse a session that would give what it does not have.

    Only what is newly asked counts: what the device holds already is no gift. A role beyond
    operator that is new, and any role that was revoked, needs admin. For a device that cannot use
    what it holds, because its token is stale, all of that is a gift.

    Raises:
        NotAllowedError: with the scopes that are missing.
    """
    if caller.kind != "operator":
        return
    held = known.granted_scopes(Role.OPERATOR) if known else ()
    wanted = missing(held, item.asked_scopes)
    if item.stale_token and Role.OPERATOR in item.asked_roles:
        wanted = (*wanted, *held)
    if any(_needs_admin(role, known) for role in item.asked_roles) or (
        item.stale_token and set(item.asked_roles) != {Role.OPERATOR}
    ):
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


def check_may_touch(caller: Caller, device_id: str | None, *, denied: str) -> None:
    """Let this folder's owner and operators with operator.pairing change what is on file of a device.

    A session that proved only a device token touches only its own device unless it is admin.

    Args:
        device_id: None where no device answers to what the caller named: who may touch only itself
            is not told whether another exists.
        denied: What a peer is told who may not, whatever the device.

    Raises:
        NotAllowedError: the caller may not.
    """
    if caller.kind == "cli":
        return
    if caller.kind != "operator":
        raise NotAllowedError(
            f"devices are managed by an operator, never by {caller.kind!r}", wire_message=denied
        )
    if not covers(caller.scopes, (PAIRING,)):
        raise NotAllowedError(
            "managing devices needs operator.pairing",
            wire_message=f"missing scope: {PAIRING}",
            missing_scopes=(PAIRING,),
        )
    if not own_device_only(caller):
        return
    if device_id is None or caller.device_id != device_id:
        raise NotAllowedError(
            "a session with a device token manages only its own device", wire_message=denied
        )


def own_device_only(caller: Caller) -> bool:
    """Tell whether a caller may see and touch one device alone: its own."""
    return caller.own_device_only and not covers(caller.scopes, (ADMIN,))


def check_may_end(caller: Caller, device: PairedDevice, roles: Iterable[str]) -> None:
    """Refuse a session that would take away, or forget the end of, what it could not give.

    A device may always give up what is its own, except that a revoked role is forgotten.

    Args:
        roles: The roles that are about to end.

    Raises:
        NotAllowedError: with the scopes that are missing.
    """
    own = caller.device_id == device.device_id
    wanted: tuple[str, ...] = ()
    for role in roles:
        if device.revoked(role) or (role != Role.OPERATOR and not own):
            wanted = (*wanted, ADMIN)
        if not own:
            wanted = (*wanted, *device.granted_scopes(role))
    check_holds(caller, wanted, f"ending what device {device.device_id[:12]} has")


def check_may_issue(caller: Caller, device: PairedDevice, role: str, scopes: Iterable[str]) -> None:
    """Refuse a session that would make a token for what it does not have.

    Raises:
        NotAllowedError: with the scopes that are missing.
    """
    wanted = tuple(scopes)
    if role != Role.OPERATOR or device.revoked(role):
        wanted = (*wanted, ADMIN)
    if caller.device_id != device.device_id:
        wanted = (*wanted, *device.granted_scopes(role))
    check_holds(caller, wanted, f"a new {role} token for device {device.device_id[:12]}")


def check_holds(caller: Caller, wanted: Iterable[str], what: str) -> None:
    """Refuse a session that lacks one of the scopes ``wanted`` for ``what``.

    Raises:
        NotAllowedError: with the scopes that are missing.
    """
    lacking = missing(caller.scopes, wanted) if caller.kind != "cli" else ()
    if lacking:
        raise NotAllowedError(
            f"{what} needs {', '.join(lacking)}, which the caller does not have",
            wire_message=f"missing scope: {lacking[0]}",
            missing_scopes=lacking,
        )
