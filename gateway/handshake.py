"""One ``connect``: gather the facts, let policy decide, act on the verdict.

Nothing between gathering and deciding waits, so a verdict is always about facts of one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from gateway.admission import admit_silently, request_pairing, welcome
from gateway.credential import counts_once, credential_of, kind_of
from gateway.door import Door, Visit
from gateway.hub import Session
from gateway.own_network import is_default_gateway
from gateway.peer_uid import kernel_tells, peer_uid
from gateway.policy.access import (
    PROBE,
    AccessDecision,
    Admission,
    Admit,
    Facts,
    Refusal,
    Refuse,
    RequirePairing,
    decide_access,
    leaves_a_wish,
    refused_early,
)
from gateway.policy.address import (
    ForwardingHeaders,
    Locality,
    LocalityReason,
    is_within,
    judge_locality,
)
from gateway.policy.credentials import Accepted, Rejected
from gateway.policy.origin import host_is_ours, judge_origin
from gateway.policy.remedy import Refused, explain
from gateway.policy.rules import may_be_published_port
from gateway.policy.throttle import bucket_for
from gateway.protocol import close as closes
from gateway.protocol.close import Close
from gateway.protocol.connect import (
    ConnectParams,
    claims_worker,
    negotiate,
    parse_connect_params,
)
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.frames import InvalidFrame, NotJson, Request, parse_request, response_error
from gateway.protocol.schema import InvalidParamsError
from gateway.protocol.signature import NONCE_REQUIRED, ProofOk, judge_device_proof
from gateway.redeeming import ask_to_come_back, redeem
from stores import keys
from stores.owner import owner_words
from stores.peers_seen import Shape

logger = logging.getLogger("gateway.ws")


@frozen
class Goodbye:
    """The end of a connection that was not admitted: an answer if there is one, then a close."""

    close: Close
    frame: str | None = None
    sentence: str = ""
    command: str | None = None
    #: Of `Refused`: what of the sentence is about the peer, and what else the ring keeps.
    hint: str = ""
    about: Mapping[str, Any] = field(factory=dict)


Outcome: TypeAlias = str | Goodbye


async def shake_hands(
    door: Door,
    visit: Visit,
    session: Session,
    nonce: str,
    message: str | bytes,
    proven: Callable[[], None],
) -> Outcome:
    """Judge the first message of a connection.

    Args:
        proven: Called when a right credential was shown, before anything is written for it.

    Returns:
        The hello-ok frame of a session that is now open, or how to say goodbye.
    """
    request = parse_request(message)
    if isinstance(request, NotJson):
        return Goodbye(closes.NOT_JSON, sentence="The first message is not JSON.")
    if isinstance(request, InvalidFrame):
        return Goodbye(closes.INVALID_REQUEST_FRAME, sentence=f"The frame is off: {request.why}.")
    if request.method != "connect":
        text = closes.CONNECT_FIRST.reason
        return _invalid(request, text, sentence="The first request was another than connect.")
    if claims_worker(request.params):
        return Goodbye(closes.INVALID_HANDSHAKE, sentence="Workers are not served here.")
    try:
        params = parse_connect_params(request.params)
    except InvalidParamsError as error:
        return _invalid(request, f"invalid connect params: {error}")
    session.client = f"{params.client.id}/{params.client.mode}"
    facts = gather(door, visit, params, nonce)
    first = decide_access(facts)
    if facts.device_id is not None:
        door.runtime.hub.claim(session, facts.device_id)
        if not _as_approved(first):
            # Another program may have approved more a moment ago: look before giving less.
            await door.keeper.look()
            facts = gather(door, visit, params, nonce)
            first = decide_access(facts)
    facts, decision = decide(door, visit, facts, first)
    if not isinstance(decision, Refuse):
        proven()  # not a moment before: for who is locked out nothing may tell a right guess
    return await _act(door, visit, session, request.id, facts, decision)


def _as_approved(decision: AccessDecision) -> bool:
    """Tell whether a device gets all it asks for by what is on file: nothing newer gives more."""
    return (
        isinstance(decision, Admit)
        and decision.admission is Admission.KNOWN
        and not decision.upgrade_pending
    )


def _invalid(request: Request, text: str, *, sentence: str = "") -> Goodbye:
    error = ErrorShape(ErrorCode.INVALID_REQUEST, text)
    return Goodbye(closes.refused(text), response_error(request.id, error), sentence)


def gather(door: Door, visit: Visit, params: ConnectParams, nonce: str) -> Facts:
    """Gather what a verdict depends on; whether the peer is one of ours is asked later.

    Locality is judged as if the kernel had said yes: only a verdict that needs it asks.
    """
    runtime, settings = door.runtime, visit.settings
    protocol = negotiate(params.min_protocol, params.max_protocol)
    address = visit.address
    locality = _locality(door, visit, None)
    proof = None
    if params.device is not None and protocol is not None:
        proof = judge_device_proof(
            params,
            nonce_sent=nonce,
            protocol=protocol,
            local=locality.local,
            now_ms=runtime.now_ms(),
            keys=keys,
        )
    device_id = params.device.id if params.device and isinstance(proof, ProofOk) else None
    book = runtime.store.book
    paired = book.paired.get(device_id) if device_id else None
    facts = Facts(
        params=params,
        protocol=protocol,
        address=address,
        locality=Locality(locality.local, locality.why, uid_confirmed=locality.local),
        host=visit.host,
        origin=visit.origin,
        origin_verdict=judge_origin(
            visit.origin,
            visit.host,
            client_id=params.client.id,
            client_mode=params.client.mode,
            allowed_origins=settings.allowed_origins,
            public_origin=settings.public_origin,
            machine_names=runtime.machine_names,
            peer_is_loopback=address.direct_loopback and not _speaks_for_a_user(visit),
        ),
        proof=proof,
        credential=credential_of(visit, params, book, device_id=device_id, now_ms=runtime.now_ms()),
        paired=paired,
        blocked=bool(device_id and book.blocked(device_id)),
        auto_approve_local=settings.auto_approve_local,
    )
    return _with_rules(door, visit, facts) if settings.rules else facts


def _with_rules(door: Door, visit: Visit, facts: Facts) -> Facts:
    """Add what rules ask for, but for the way out of our network: that costs a look at files."""
    settings = visit.settings
    return evolve(
        facts,
        rules=settings.rules,
        peer_is_proxy=is_within(visit.address.peer, settings.trusted),
        host_is_ours=host_is_ours(
            visit.host,
            machine_names=door.runtime.machine_names,
            public_origin=settings.public_origin,
            allowed_origins=settings.allowed_origins,
        ),
    )


def _speaks_for_a_user(visit: Visit) -> bool:
    """Tell whether a proxy that signs users in sent a connection, or somebody who poses as it."""
    match visit.identity:
        case Accepted():
            return True
        case Rejected(claimed=claimed):
            return claimed
        case None:
            return False


def _locality(door: Door, visit: Visit, owner: int | None, *, asked: bool = False) -> Locality:
    if _speaks_for_a_user(visit):
        # Such a proxy need not say for whom it forwards; that it forwards is known.
        return Locality(local=False, why=LocalityReason.FORWARDED, uid_confirmed=False)
    return judge_locality(
        visit.address,
        host=visit.host,
        origin=visit.origin,
        machine_names=door.runtime.machine_names,
        peer_uid=owner,
        uid_known=asked and (owner is not None or kernel_tells()),
        own_uid=door.runtime.own_uid,
    )


def decide(
    door: Door, visit: Visit, facts: Facts, first: AccessDecision | None = None
) -> tuple[Facts, AccessDecision]:
    """Return the verdict, with the kernel asked where it matters and the throttle charged.

    ``first`` is what `decide_access` said of ``facts`` if it was asked already; a verdict is made
    anew only on new facts.

    What is refused before any secret is looked at says nothing about one, so it costs nothing.
    """
    decision = first or decide_access(facts)
    if facts.locality.local and _depends_on_locality(door, visit, facts, decision):
        facts = _with_owner(door, visit, facts)
        decision = decide_access(facts)
    if leaves_a_wish(decision) and may_be_published_port(facts):
        way_out = is_default_gateway(facts.address.peer)
        facts = evolve(facts, peer_is_default_gateway=way_out)
        decision = decide_access(facts)
    if refused_early(facts) is not None:
        return facts, decision
    bucket, now_s = _bucket(visit, facts), door.clock()
    throttle = door.runtime.throttle
    locked_s = throttle.locked_for_s(bucket, now_s)
    if locked_s is not None:
        facts = evolve(facts, locked_for_s=locked_s)
        return facts, decide_access(facts)
    match facts.credential:
        case Accepted():
            throttle.record_success(bucket, now_s)
        case Rejected(wrong=True):
            throttle.record_failure(bucket, now_s)
        case Rejected():
            pass  # a missing secret is not a wrong one
    return facts, decision


def _bucket(visit: Visit, facts: Facts) -> str | None:
    return bucket_for(
        facts.address,
        kind=kind_of(facts.params.auth),
        trusted=visit.settings.trusted,
        paired_device_id=facts.device_id if facts.paired is not None else None,
        local=facts.locality.local,
        has_origin=facts.origin is not None,
    )


def _depends_on_locality(door: Door, visit: Visit, facts: Facts, decision: AccessDecision) -> bool:
    """Tell whether being local earns anything here: the kernel is asked only then.

    That is silence, scopes, words (a refusal tells a local client more), a signature without a
    nonce, and freedom from the throttle, which is why a lock of the address counts too.
    """
    if not isinstance(decision, Admit) or decision.upgrade_pending or _signed_no_nonce(facts):
        return True
    remote = evolve(
        facts, locality=Locality(local=False, why=facts.locality.why, uid_confirmed=False)
    )
    if door.runtime.throttle.locked_for_s(_bucket(visit, remote), door.clock()) is not None:
        return True
    probe = facts.params.client.mode == PROBE
    if decision.admission is Admission.KNOWN and decision.with_device and not probe:
        return False  # a device that gets what is on file gets it from anywhere
    return decide_access(remote) != decision


def _signed_no_nonce(facts: Facts) -> bool:
    return isinstance(facts.proof, ProofOk) and facts.proof.version == 1


def _with_owner(door: Door, visit: Visit, facts: Facts) -> Facts:
    """Return the facts with the kernel's answer on whose the peer's socket is."""
    owner = peer_uid(visit.peer, visit.local)
    locality = _locality(door, visit, owner, asked=True)
    if locality.why is LocalityReason.OTHER_UID and owner is not None:
        locality = evolve(locality, owner=owner_words(owner))
        door.runtime.peers.note(
            visit.address,
            ForwardingHeaders(),
            Shape.OTHER_USER,
            host=visit.host,
            origin=visit.origin,
            now_ms=door.runtime.now_ms(),
            owner=owner,
        )
    facts = evolve(facts, locality=locality)
    if _signed_no_nonce(facts) and not locality.local:
        # It was let pass as local: what was signed without a nonce could be anybody's replay.
        return evolve(facts, proof=NONCE_REQUIRED, paired=None, blocked=False)
    return facts


async def _act(
    door: Door,
    visit: Visit,
    session: Session,
    request_id: str,
    facts: Facts,
    decision: AccessDecision,
) -> Outcome:
    match decision:
        case Refuse():
            told = explain(decision, facts, words=door.runtime.words, lists=visit.lists)
            if decision.refusal is Refusal.CREDENTIALS:
                told = await ask_to_come_back(door, visit, facts, told)
            return _goodbye(request_id, told)
        case RequirePairing():
            return _goodbye(request_id, await request_pairing(door, visit, facts, decision))
        case Admit():
            device = facts.paired
            once = counts_once(facts.credential)
            if once or decision.admission is not Admission.KNOWN:
                found = await (
                    redeem(door, visit, facts)
                    if once
                    else admit_silently(door, visit, facts, decision)
                )
                if isinstance(found, Refused):
                    return _goodbye(request_id, found)
                device = found
            return await welcome(door, visit, session, request_id, facts, decision, device)


def _goodbye(request_id: str, refused: Refused) -> Goodbye:
    return Goodbye(
        Close(refused.close_code, closes.truncate_reason(refused.close_reason)),
        response_error(request_id, refused.error),
        refused.sentence,
        refused.command,
        refused.hint,
        refused.about
        or {"code": str((refused.error.details or {}).get("code", refused.error.code))},
    )
