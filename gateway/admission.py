"""Acting on a verdict: a silent pairing, a pending request, or the hello of an open session."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from attrs import evolve

from gateway.door import Door, Visit
from gateway.hub import Session
from gateway.methods.system import health_of
from gateway.node_arrival import node_arrives
from gateway.node_watch import look
from gateway.policy.access import (
    PROBE,
    Admission,
    Admit,
    Facts,
    PairingReason,
    RequirePairing,
)
from gateway.policy.approval import explain_full_list, explain_pairing, explain_rejected
from gateway.policy.credentials import Accepted
from gateway.policy.remedy import Refused
from gateway.policy.words import quoted
from gateway.protocol.close import INTERNAL_ERROR, POLICY_VIOLATION
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape
from gateway.protocol.frames import StateVersion, response_ok
from gateway.protocol.hello import HelloAuth, PendingUpgrade, Snapshot, build_hello
from gateway.protocol.signature import ProofOk
from stores import pairing
from stores.errors import (
    StoreError,
    TooManyDevicesError,
    TooManyPendingError,
    TooManyScopesError,
    TransitionError,
)
from stores.records import PairedDevice, PendingRequest, Role
from stores.scopes import covers
from stores.transition import Caller, Wish

logger = logging.getLogger("gateway.ws")

#: Characters of a device's own name that are kept: enough to know it by, too few to fill a file.
MAX_DISPLAY_NAME = 200


def wish_of(facts: Facts) -> Wish:
    """Return what the verified device of ``facts`` asks for, ready for the store."""
    device, client = facts.params.device, facts.params.client
    assert device is not None
    assert isinstance(facts.proof, ProofOk)
    return Wish(
        device_id=device.id,
        public_key=facts.proof.public_key,
        role=facts.role,
        scopes=facts.params.scopes,
        platform=client.platform,
        device_family=client.device_family,
        client_id=client.id,
        client_mode=client.mode,
        display_name=client.display_name and client.display_name[:MAX_DISPLAY_NAME],
        remote_ip=None if facts.locality.local else str(facts.address.client),
        why=str(facts.locality.why),
        origin=_came_from(facts),
    )


def _came_from(facts: Facts) -> dict[str, str]:
    """Return the ``from`` of an audit line: addresses, and the user whom a proxy named."""
    came = {"peer": str(facts.address.peer), "client": str(facts.address.client)}
    user = user_of(facts)
    return came if user is None else came | {"user": quoted(user)}


def user_of(facts: Facts) -> str | None:
    """Return the user whom the proxy signed in, or None but in mode trusted-proxy."""
    return facts.credential.user if isinstance(facts.credential, Accepted) else None


async def request_pairing(
    door: Door, visit: Visit, facts: Facts, decision: RequirePairing
) -> Refused:
    """Put the device on the list of pending requests and return its refusal.

    A retry of a request that waits already costs no write until it needs a refresh. Who waits for
    one that was rejected is told so, and leaves no other.
    """
    words = door.runtime.words
    if _was_rejected(door, facts):
        return explain_rejected(facts, words=words)
    try:
        item = await waiting_for(door, wish_of(facts))
    except TooManyPendingError as error:
        scopes = isinstance(error, TooManyScopesError)
        return explain_full_list(decision, facts, words=words, too_many_scopes=scopes)
    except TransitionError as error:
        return _not_allowed(error)
    except StoreError as error:
        return store_trouble(error)
    _log_upgrade(visit, facts, str(decision.reason))
    ends_ms = item.ts + door.runtime.settings.limits.ttl_ms
    return explain_pairing(
        decision,
        facts,
        request_id=item.request_id,
        words=words,
        lists=visit.lists,
        expires_in_ms=max(0, ends_ms - door.runtime.now_ms()),
    )


def _was_rejected(door: Door, facts: Facts) -> bool:
    """Tell whether an operator said no to the very request that this client says it waits for."""
    awaited = facts.params.awaiting
    ended = door.keeper.upgrades.of(awaited) if awaited else None
    return (
        ended is not None
        and ended.item.device_id == facts.device_id
        and (ended.decision, ended.reason) == ("rejected", None)
    )


async def waiting_for(door: Door, wish: Wish) -> PendingRequest:
    """Return the pending request for a wish, written only if it is new or needs a refresh."""
    waiting = door.keeper.waiting(wish)
    if waiting is not None:
        return waiting
    item: PendingRequest = await door.keeper.apply(partial(pairing.request, wish=wish))
    return item


async def admit_silently(
    door: Door, visit: Visit, facts: Facts, decision: Admit
) -> PairedDevice | Refused:
    """Pair or upgrade a device at once, with its audit line, and return its record.

    A rule gives what it names and no more: the rest of the wish waits for an operator. Where too
    many came in this way, all of it waits.
    """
    wish, rule = wish_of(facts), decision.rule
    caller, via = Caller("local", uid=door.runtime.own_uid), "silent"
    if rule is not None:
        wish, via = evolve(wish, scopes=decision.scopes), rule.via
        caller = Caller("rule", rule=rule.name)
    waiting = {item.request_id for item in door.runtime.store.book.pending_of(wish.device_id)}
    try:
        item, device = await door.keeper.apply(
            partial(pairing.admit_unasked, wish=wish, caller=caller, via=via)
        )
    except TooManyDevicesError as error:
        decided = RequirePairing(PairingReason.NOT_PAIRED)
        refused = await request_pairing(door, visit, facts, decided)
        # For the log and `gateway why` alone, as ever what is about other devices.
        return evolve(refused, sentence=f"{refused.sentence} Not unasked: {error}.")
    except TransitionError as error:
        return _not_allowed(error)
    except StoreError as error:
        return store_trouble(error)
    if item.request_id not in waiting:  # else the keeper has told it already
        door.keeper.tell_resolved(item.request_id, item.device_id, "approved")
    if decision.admission is Admission.UPGRADE and facts.paired is not None:
        known_role = facts.role in facts.paired.live_roles
        _log_upgrade(visit, facts, "scope-upgrade" if known_role else "role-upgrade")
    extra = {"conn": visit.conn_id}
    logger.info(
        "device pairing auto-approved device=%s role=%s%s",
        wish.device_id,
        wish.role,
        "" if rule is None else f" rule={quoted(rule.name)} scopes={','.join(wish.scopes)}",
        extra=extra,
    )
    paired: PairedDevice = device
    return paired


def _log_upgrade(visit: Visit, facts: Facts, reason: str) -> None:
    if facts.paired is None:
        return
    logger.info(
        "security audit: device access upgrade requested reason=%s device=%s ip=%s auth=%s "
        "roleFrom=%s roleTo=%s scopesFrom=%s scopesTo=%s client=%s conn=%s",
        reason,
        facts.paired.device_id,
        facts.address.client,
        getattr(facts.credential, "method", "none"),
        ",".join(facts.paired.live_roles) or "none",
        facts.role,
        ",".join(facts.paired.baseline) or "none",
        ",".join(facts.params.scopes) or "none",
        facts.params.client.id,
        visit.conn_id,
        extra={"conn": visit.conn_id},
    )


def _not_allowed(error: TransitionError) -> Refused:
    """Return the refusal of what the book of this very moment does not allow."""
    shape = ErrorShape(
        ErrorCode.NOT_PAIRED, error.wire_message, {"code": DetailCode.PAIRING_REQUIRED}
    )
    return Refused(shape, POLICY_VIOLATION, error.wire_message, f"Not allowed: {error}.")


#: What anybody who is let in or may ask is told; why is told on the gateway's machine alone.
_STORE_REMEDY = {
    "sentence": "The gateway cannot write down a decision now, so it makes none. Devices that are "
    "paired already come in as before.",
    "command": "openclaw health",
    "where": "gateway-host",
}


def store_trouble(error: Exception) -> Refused:
    """Return the refusal of who could not be written down."""
    sentence = f"The device store could not be used: {error}"
    shape = ErrorShape(
        ErrorCode.UNAVAILABLE,
        "the gateway's device store cannot be used now (see the gateway's log)",
        details={"remedy": _STORE_REMEDY},
        retryable=True,
        retry_after_ms=5000,
    )
    return Refused(shape, INTERNAL_ERROR, "device store unavailable", sentence)


async def welcome(
    door: Door,
    visit: Visit,
    session: Session,
    request_id: str,
    facts: Facts,
    decision: Admit,
    device: PairedDevice | None,
) -> str:
    """Open the session and return its hello-ok frame."""
    runtime = door.runtime
    upgrade = await _pending_upgrade(door, visit, facts) if decision.upgrade_pending else None
    session.protocol = facts.protocol or session.protocol
    session.method, session.local = decision.method, facts.locality.local
    session.locality_why = str(facts.locality.why)
    session.display_name = facts.params.client.display_name
    session.address = str(facts.address.client)
    session.visit, session.user = visit, user_of(facts)
    if session.user is not None:
        _log_user(visit, session, facts)
    session.connected_at_ms = runtime.now_ms()
    session.pending_upgrade_id = upgrade.request_id if upgrade else None
    session.admit(role=decision.role, scopes=decision.scopes)
    if session.ending is None:
        runtime.hub.open(session)
        _note_presence(door, session, facts)
        probes = facts.params.client.mode == PROBE  # it must not take a node's place
        if decision.role == Role.NODE and device is not None and not probes:
            remote_ip = None if facts.locality.local else session.address
            await look(runtime)
            await node_arrives(runtime, session, facts.params, device, remote_ip=remote_ip)
    token = device.live_token(decision.role) if device and decision.with_device else None
    if device is not None and facts.params.client.mode != PROBE:
        runtime.store.touch(device.device_id, decision.role, at_ms=runtime.now_ms())
    auth = HelloAuth(
        method=decision.method,
        role=decision.role,
        scopes=device.granted_scopes(decision.role) if device and token else decision.scopes,
        device_token=token.token if token else None,
        issued_at_ms=token.issued_at_ms if token else None,
        pending_upgrade=upgrade,
        device_tokens=_handed_over(device, facts),
    )
    return response_ok(request_id, _hello(door, session, auth))


def _handed_over(device: PairedDevice | None, facts: Facts) -> tuple[dict[str, Any], ...]:
    """Return the operator's token that a node gets besides, where its setup code is for one.

    A device that holds more than the code is for keeps it, and is not told it.
    """
    invitation = facts.credential.invitation if isinstance(facts.credential, Accepted) else None
    token = device.live_token(Role.OPERATOR) if device is not None else None
    if invitation is None or invitation.role != Role.NODE or device is None or token is None:
        return ()
    scopes = device.granted_scopes(Role.OPERATOR)
    if not invitation.scopes or not covers(invitation.scopes, scopes):
        return ()
    handed = {"deviceToken": token.token, "role": token.role, "scopes": list(scopes)}
    return (handed | {"issuedAtMs": token.issued_at_ms},)


def _hello(door: Door, session: Session, auth: HelloAuth) -> dict[str, Any]:
    runtime = door.runtime
    reads = session.may_hear("presence")
    now = Snapshot(
        presence=runtime.presence.listing(now_ms=runtime.now_ms()) if reads else (),
        health=_public_health(door),
        state_version=StateVersion(runtime.presence.version, runtime.health_version),
        uptime_ms=runtime.uptime_ms,
    )
    return build_hello(
        runtime.facts,
        protocol=session.protocol,
        conn_id=session.conn_id,
        auth=auth,
        scopes=session.scopes,
        snapshot=now,
    )


def _log_user(visit: Visit, session: Session, facts: Facts) -> None:
    logger.info(
        "conn=%s admitted user=%s client=%s peer=%s device=%s",
        visit.conn_id,
        quoted(session.user),
        session.address,
        facts.address.peer,
        facts.device_id or "none",
        extra={"conn": visit.conn_id},
    )


def _public_health(door: Door) -> dict[str, Any]:
    health = health_of(door.runtime)
    del health["problems"]  # paths of this machine; who may see them asks `health`
    return health


async def _pending_upgrade(door: Door, visit: Visit, facts: Facts) -> PendingUpgrade | None:
    """Leave what was asked beyond the approval as a pending request; failing is no obstacle."""
    try:
        item = await waiting_for(door, wish_of(facts))
    except (StoreError, TransitionError) as error:
        logger.warning(
            "the scope upgrade was not recorded: %s", error, extra={"conn": visit.conn_id}
        )
        return None
    _log_upgrade(visit, facts, "scope-upgrade")
    return PendingUpgrade(item.request_id, item.scopes)


def _note_presence(door: Door, session: Session, facts: Facts) -> None:
    client = facts.params.client
    if client.mode == "cli":
        return
    entry: dict[str, Any] = {
        "host": client.display_name or client.id,
        "version": client.version,
        "platform": client.platform,
        "deviceFamily": client.device_family,
        "mode": client.mode,
        "deviceId": session.device_id,
        "roles": [session.role],
        "scopes": list(session.scopes) or None,
        "instanceId": client.instance_id or session.device_id,
        "ip": None if facts.locality.local else str(facts.address.client),
        "reason": "connect",
        "ts": door.runtime.now_ms(),
        "text": f"Node: {client.display_name or client.id} · mode {client.mode}",
    }
    key = session.device_id or client.instance_id or session.conn_id
    session.presence_key = key
    door.runtime.presence.note(key, {k: v for k, v in entry.items() if v is not None})
