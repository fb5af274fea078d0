"""Which credential of a ``connect`` counts, with what the device store says of codes and devices."""

from __future__ import annotations

from gateway.door import Visit
from gateway.policy.access import PROBE
from gateway.policy.credentials import Accepted, Method, Rejected, Verdict, judge_credentials
from gateway.protocol.connect import AuthClaim, ConnectParams
from stores.invitations import standing
from stores.records import DeviceBook, Role
from stores.repair import may_redeem


def credential_of(
    visit: Visit,
    params: ConnectParams,
    book: DeviceBook,
    *,
    device_id: str | None,
    now_ms: int,
) -> Verdict:
    """Return the verdict on what was sent.

    Nothing is written for a probe, so what counts only once does not count for it.

    Args:
        device_id: Of the key that was verified, or None.
    """
    role, code = params.role or Role.OPERATOR, params.auth.bootstrap_token
    writes = params.client.mode != PROBE
    invited = None
    if code and writes:
        invited = standing(book, code, device_id=device_id, role=role, now_ms=now_ms)
    verdict = judge_credentials(
        visit.settings.secrets,
        params.auth,
        paired=book.paired.get(device_id) if device_id else None,
        role=role,
        identity=visit.identity,
        invited=invited,
    )
    if isinstance(verdict, Accepted) or verdict.claimed or device_id is None or not writes:
        return verdict
    if may_redeem(book, device_id, role, now_ms=now_ms):
        return Accepted(Method.DEVICE_TOKEN, let_back=True)
    return verdict


def counts_once(verdict: Verdict) -> bool:
    """Tell whether to be let in by a verdict uses something up."""
    return isinstance(verdict, Accepted) and (verdict.let_back or verdict.invitation is not None)


def kind_of(auth: AuthClaim) -> str:
    """Return what sort of secret a guess would be charged as."""
    if auth.token or auth.password:
        return "shared-secret"
    if auth.bootstrap_token:
        return "bootstrap-token"
    return "device-token" if auth.device_token else "shared-secret"


def may_ask_to_come_back(
    verdict: Verdict, auth: AuthClaim, book: DeviceBook, device_id: str | None, role: str
) -> bool:
    """Tell whether a refused device proved the key of a paired one and holds only a stale token.

    A role that was revoked is an operator's to give back without being asked.
    """
    if not isinstance(verdict, Rejected) or verdict.wire_reason != "device_token_mismatch":
        return False
    device = book.paired.get(device_id) if device_id else None
    if device is None or auth.password or book.blocked(device.device_id):
        return False
    return device.live_token(role) is not None
