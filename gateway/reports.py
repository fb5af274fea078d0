"""What plain HTTP tells of the gateway: alive, started, ready, metrics; and whom it tells what.

A stranger learns whether the gateway is alive and ready, and no more. The rest is for programs of
the gateway's own user on its own machine, and for who shows the shared secret as a bearer token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from math import ceil
from typing import Any

import h11
import orjson
from attrs import asdict, evolve, frozen

from gateway.door import Door, Visit
from gateway.metrics import families, render
from gateway.peer_uid import kernel_tells, peer_uid
from gateway.policy.address import judge_locality
from gateway.policy.credentials import Accepted, AuthMode, Rejected, judge_credentials
from gateway.policy.seen import saw_of_head
from gateway.policy.throttle import bucket_for
from gateway.protocol.connect import AuthClaim
from gateway.refusal_page import HttpRefusal
from stores.records import Role

JSON = b"application/json"

_WHO_MAY = (
    "Ask on the gateway's own machine as the gateway's user, or show the gateway's token or "
    "password as a bearer credential."
)
_NOT_SHOWN = HttpRefusal(
    401, "unauthorized", "metrics are not for everybody", _WHO_MAY, where="this-device"
)
_WRONG = HttpRefusal(
    401, "wrong-credential", "the bearer credential is wrong", _WHO_MAY, where="this-device"
)
_LOCKED = HttpRefusal(
    429,
    "too-many-attempts",
    "too many wrong credentials came from here",
    "Wait, correct the credential, and try again.",
    where="this-device",
)


@frozen
class Report:
    """What is told."""

    status: int
    body: bytes
    kind: bytes = JSON


@frozen
class Denied:
    """What is refused, with the headers that belong to it."""

    refusal: HttpRefusal
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Caller(Enum):
    """Who asks over plain HTTP."""

    STRANGER = "stranger"
    #: A program of this user, or root, on this machine, as the kernel says.
    OWN = "own"
    #: Whoever has the shared secret.
    SECRET = "secret"
    WRONG = "wrong"
    LOCKED = "locked"


def is_own(door: Door, visit: Visit) -> bool:
    """Tell whether a program of the gateway's own user on its own machine asks, as the kernel says."""
    identity = visit.identity
    if isinstance(identity, Accepted) or (identity is not None and identity.claimed):
        return False  # a proxy that signs users in sent it, or somebody who poses as one
    runtime = door.runtime

    def judged(owner: int | None, *, asked: bool) -> tuple[bool, bool]:
        found = judge_locality(
            visit.address,
            host=visit.host,
            origin=visit.origin,
            machine_names=runtime.machine_names,
            peer_uid=owner,
            uid_known=asked and (owner is not None or kernel_tells()),
            own_uid=runtime.own_uid,
        )
        return found.local, found.uid_confirmed

    if not judged(None, asked=False)[0]:
        return False
    return all(judged(peer_uid(visit.peer, visit.local), asked=True))


def judge_caller(door: Door, visit: Visit, authorization: str | None) -> Caller:
    """Tell who asks; a wrong secret counts as it does in a handshake."""
    if is_own(door, visit):
        return Caller.OWN
    scheme, _, sent = (authorization or "").partition(" ")
    secrets = visit.settings.secrets
    with_secret = secrets.mode in (AuthMode.TOKEN, AuthMode.PASSWORD)
    if not with_secret or scheme.lower() != "bearer" or not sent.strip():
        return Caller.STRANGER
    bucket = bucket_for(
        visit.address,
        kind="shared-secret",
        trusted=visit.settings.trusted,
        paired_device_id=None,
        local=False,  # who is local without a doubt was let through above
        has_origin=visit.origin is not None,
    )
    throttle, now_s = door.runtime.throttle, door.clock()
    if throttle.locked_for_s(bucket, now_s) is not None:
        return Caller.LOCKED
    claim = AuthClaim(token=sent.strip())
    verdict = judge_credentials(secrets, claim, paired=None, role=Role.OPERATOR)
    if isinstance(verdict, Rejected):
        throttle.record_failure(bucket, now_s)
        return Caller.WRONG
    throttle.record_success(bucket, now_s)
    return Caller.SECRET


async def _live(door: Door, visit: Visit, _: h11.Request) -> Report | Denied:
    """Alive means that this was answered; how late the event loop is says how well."""
    told: dict[str, Any] = {"ok": True, "status": "live"}
    if is_own(door, visit):
        told["eventLoop"] = door.runtime.metrics.event_loop()
    return Report(200, orjson.dumps(told))


async def _started(door: Door, _: Visit, __: h11.Request) -> Report | Denied:
    runtime = door.runtime
    known = {"version": runtime.presence.server_version, "uptimeMs": runtime.uptime_ms}
    return Report(200, orjson.dumps({"ok": True, "status": "started"} | known))


async def _ready(door: Door, visit: Visit, request: h11.Request) -> Report | Denied:
    """Ready means that devices can be decided about, and that what is on file is in force."""
    runtime = door.runtime
    failing = await runtime.readiness.failing(runtime)
    told: dict[str, Any] = {"ready": not failing}
    caller = judge_caller(door, visit, _authorization(request))
    if caller in (Caller.OWN, Caller.SECRET):
        told["failing"] = list(dict.fromkeys(one.name for one in failing))
        told |= {"uptimeMs": runtime.uptime_ms, "eventLoop": runtime.metrics.event_loop()}
    if caller is Caller.OWN:  # the words name files of this machine
        told["problems"] = [asdict(one) for one in failing]
    return Report(503 if failing else 200, orjson.dumps(told))


async def _metrics(door: Door, visit: Visit, request: h11.Request) -> Report | Denied:
    match judge_caller(door, visit, _authorization(request)):
        case Caller.STRANGER:
            return _denied(_NOT_SHOWN, visit, b"www-authenticate", b"Bearer")
        case Caller.WRONG:
            return _denied(_WRONG, visit, b"www-authenticate", b"Bearer")
        case Caller.LOCKED:
            return _denied(_LOCKED, visit, b"retry-after", b"%d" % _wait_s(door))
        case Caller.OWN | Caller.SECRET:
            accept = _header(request, b"accept") or ""
            runtime = door.runtime
            body, kind = await runtime.in_thread(render, families(door), accept)
            return Report(200, body, kind)


async def _page_config(_: Door, visit: Visit, __: h11.Request) -> Report | Denied:
    """What published Control UIs ask for before they connect; nothing that depends on an agent."""
    told = {"basePath": visit.settings.page.base_path, "assistantName": "Assistant"}
    return Report(200, orjson.dumps(told | {"assistantAvatar": "A", "assistantAgentId": "main"}))


def _denied(refusal: HttpRefusal, visit: Visit, name: bytes, value: bytes) -> Denied:
    seen = saw_of_head(visit.address, visit.host, visit.origin)
    return Denied(evolve(refusal, seen=seen), ((name, value),))


def _wait_s(door: Door) -> int:
    """Return how long a lock lasts; how much of it is left is nothing a stranger needs."""
    return ceil(door.runtime.throttle.lockout_s)


def _authorization(request: h11.Request) -> str | None:
    return _header(request, b"authorization")


def _header(request: h11.Request, wanted: bytes) -> str | None:
    """Return a header's value; one sent twice is none."""
    values = [value for name, value in request.headers if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else None


_Answering = Callable[[Door, Visit, h11.Request], Awaitable[Report | Denied]]

REPORTS: dict[bytes, _Answering] = {
    b"/__openclaw/control-ui-config.json": _page_config,
    b"/control-ui-config.json": _page_config,
    b"/health": _live,
    b"/healthz": _live,
    b"/metrics": _metrics,
    b"/ready": _ready,
    b"/readyz": _ready,
    b"/startup": _started,
    b"/startupz": _started,
}
