"""What counts once, made durable: a setup code, an operator's word for a device without its token."""

from __future__ import annotations

import logging
from functools import partial

from attrs import evolve

from gateway.admission import store_trouble, waiting_for, wish_of
from gateway.credential import may_ask_to_come_back
from gateway.door import Door, Visit
from gateway.policy.access import Facts, Refusal, Refuse
from gateway.policy.credentials import Accepted, AuthReason, Rejected
from gateway.policy.remedy import Refused, explain
from gateway.protocol.frames import EventBody
from stores import repair
from stores.errors import StoreError, TransitionError
from stores.invitations import SHORT_CHARS, Redeemed, redeem_invitation
from stores.records import PairedDevice
from stores.scopes import meet

logger = logging.getLogger("gateway.ws")


async def redeem(door: Door, visit: Visit, facts: Facts) -> PairedDevice | Refused:
    """Use up what let a device in and return its record; who comes second is refused."""
    credential, device_id = facts.credential, facts.device_id
    assert isinstance(credential, Accepted)
    assert device_id is not None
    code = facts.params.auth.bootstrap_token or ""
    try:
        if credential.invitation is None:
            back: PairedDevice = await door.keeper.apply(
                partial(repair.redeem, device_id=device_id, role=facts.role)
            )
            return back
        redeemed: Redeemed = await door.keeper.apply(
            partial(redeem_invitation, token=code, wish=wish_of(facts))
        )
    except TransitionError as error:
        reason = AuthReason.DEVICE_TOKEN_MISMATCH
        if credential.invitation is not None:
            reason = AuthReason.BOOTSTRAP_TOKEN_INVALID
        lost = Rejected(reason, wrong=True, flaw=str(error).removeprefix("the setup code is "))
        return explain(
            Refuse(Refusal.CREDENTIALS),
            evolve(facts, credential=lost),
            words=door.runtime.words,
            lists=visit.lists,
        )
    except StoreError as error:
        return store_trouble(error)
    _tell(door, visit, redeemed)
    return redeemed.device


def _tell(door: Door, visit: Visit, redeemed: Redeemed) -> None:
    device_id, setup_id = redeemed.device.device_id, redeemed.invitation_id[:SHORT_CHARS]
    logger.info(
        "device %s redeemed invitation %s as %s%s",
        device_id,
        setup_id,
        redeemed.invitation.role,
        "" if redeemed.item else "; it was paired already and has what it had",
        extra={"conn": visit.conn_id},
    )
    if not redeemed.first:
        return
    if redeemed.item is not None:
        door.keeper.tell_resolved(redeemed.item.request_id, device_id, "approved")
    payload = {
        "setupId": setup_id,
        "deviceId": device_id,
        "access": redeemed.invitation.profile or redeemed.invitation.role,
        "ts": door.runtime.now_ms(),
    }
    body = EventBody("device.pair.setup.completed", payload)
    door.runtime.hub.broadcast(body, about=device_id)


async def ask_to_come_back(door: Door, visit: Visit, facts: Facts, refused: Refused) -> Refused:
    """Leave a request for a paired device whose token is stale, beside its refusal.

    Only the log names the request, and a local client: to others the refusal says nothing of what
    is on file.
    """
    book, auth = door.runtime.store.book, facts.params.auth
    if not may_ask_to_come_back(facts.credential, auth, book, facts.device_id, facts.role):
        return refused
    wish = wish_of(facts)
    held = book.paired[wish.device_id].granted_scopes(facts.role)
    wish = evolve(wish, stale_token=True, scopes=meet(wish.scopes, held))
    try:
        item = await waiting_for(door, wish)
    except (StoreError, TransitionError) as error:
        logger.warning("the request was not recorded: %s", error, extra={"conn": visit.conn_id})
        return refused
    words = door.runtime.words
    command = f"{words.local} devices approve {item.request_id}"
    about = {**refused.about, "requestId": item.request_id}
    sentence = (
        f"{refused.sentence} Its key is that of a paired device, so it now waits as "
        f"{item.request_id}: once approved it gets its token at its next try."
    )
    told = evolve(refused, sentence=sentence, command=command, about=about)
    if not facts.locality.local:
        return told
    details = {**(refused.error.details or {}), "requestId": item.request_id}
    where = "container" if words.in_container else "gateway-host"
    details["remedy"] = {"sentence": sentence, "command": command, "where": where}
    return evolve(told, error=evolve(refused.error, details=details))
