"""Devices over the wire, each decision with the session as the mandatory caller."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs

from gateway.methods.call import (
    NOTHING,
    Call,
    checked,
    invalid_request,
    missing_scope,
    remedy_of,
    unavailable,
)
from gateway.policy.credentials import Method
from gateway.protocol.schema import NAME, Closed, Text
from stores import device_life, pairing
from stores.decisions import Transition
from stores.errors import NotAllowedError, StoreError, TransitionError
from stores.listing import listing, paired_item
from stores.records import DeviceBook
from stores.scopes import ADMIN
from stores.transition import Caller, Change, Rules

_REQUEST_ID = Closed({"requestId": NAME})
_DEVICE_ID = Closed({"deviceId": NAME})
_LABEL = Closed({"deviceId": NAME, "label": Text(max_chars=device_life.MAX_LABEL)})


def caller_of(call: Call) -> Caller:
    """Return the session as the caller of a pairing transition."""
    session = call.session
    return Caller(
        "operator",
        scopes=session.scopes,
        device_id=session.device_id,
        own_device_only=session.method == Method.DEVICE_TOKEN,
    )


async def decided(call: Call, transition: Transition) -> Any:
    """Make a transition durable, and put what it raised into the words of the wire.

    A decision may end the very session that asked for it: that waits for the answer.
    """
    call.session.owes_answer = True
    try:
        return await call.keeper.apply(partial(_if_still_known, call, transition))
    except NotAllowedError as refusal:
        if refusal.missing_scopes:
            raise missing_scope(call, refusal.missing_scopes[0]) from refusal
        details = None if refusal.remedy is None else remedy_of(refusal)
        raise invalid_request(refusal.wire_message, details) from refusal
    except TransitionError as refusal:
        raise invalid_request(refusal.wire_message, remedy_of(refusal)) from refusal
    except StoreError as error:
        raise unavailable(
            "the device store cannot be used now; see the gateway's log",
            _store_details(call, error),
        ) from error


def _if_still_known(
    call: Call, transition: Transition, book: DeviceBook, rules: Rules
) -> Change[Any]:
    """Make a transition unless its caller's device lost what its session lives on.

    What another program took away in the files ends the session a moment later; it counts at once.
    """
    session = call.session
    device = book.paired.get(session.device_id or "")
    by_token = session.method == Method.DEVICE_TOKEN
    lost = by_token and (device is None or device.live_token(session.role) is None)
    if lost or (session.device_id is not None and book.blocked(session.device_id)):
        raise NotAllowedError(
            "the device of this session is not paired any more", wire_message="device removed"
        )
    return transition(book, rules)


def _store_details(call: Call, error: StoreError) -> dict[str, Any] | None:
    """Return what is wrong with the files, for an admin: the words name files of this machine."""
    return remedy_of(error) if ADMIN in call.session.holds else None


def with_full_id(transition: Callable[..., Change[Any]], reference: str) -> Transition:
    """Return the transition for the device meant; its result comes with the device's whole id."""

    def both(book: DeviceBook, rules: Rules) -> Change[Any]:
        change = transition(book, rules, device_id=reference)
        device_id = device_life.find_device(book, reference).device_id
        return attrs.evolve(change, result=(device_id, change.result))

    return both


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector still meanwhile: of thousands of new lists, all alive, it would look at each."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def pair_list(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.list``; who proved only a device token sees only that device."""
    checked(call, "device.pair.list", NOTHING)
    runtime, session = call.runtime, call.session
    with _no_collection():
        found = listing(
            runtime.store.book_as_of_now,
            now_ms=runtime.now_ms(),
            ttl_ms=runtime.settings.limits.ttl_ms,
            connected=runtime.hub.connected_devices(),
            surfaces=runtime.nodes.store.book.pending.values(),
        )
    if session.method == Method.DEVICE_TOKEN and ADMIN not in session.holds:
        return {
            kind: [item for item in items if item["deviceId"] == session.device_id]
            for kind, items in found.items()
        }
    return found


async def pair_approve(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.approve``: the id in any spelling, or a device id."""
    reference = checked(call, "device.pair.approve", _REQUEST_ID)["requestId"]
    item, device = await decided(
        call, partial(pairing.approve, reference=reference, caller=caller_of(call))
    )
    runtime = call.runtime
    shown = paired_item(
        device,
        runtime.store.book.notes.get(device.device_id),
        connected=device.device_id in runtime.hub.connected_devices(),
    )
    return {"requestId": item.request_id, "device": shown}


async def pair_reject(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.reject``: the id in any spelling, or a device id."""
    reference = checked(call, "device.pair.reject", _REQUEST_ID)["requestId"]
    item = await decided(call, partial(pairing.reject, reference=reference, caller=caller_of(call)))
    return {"requestId": item.request_id, "deviceId": item.device_id}


async def pair_remove(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.remove``: the device is forgotten and may ask again."""
    device_id = checked(call, "device.pair.remove", _DEVICE_ID)["deviceId"]
    device = await decided(
        call, partial(device_life.remove, device_id=device_id, caller=caller_of(call))
    )
    return {"deviceId": device.device_id}


async def pair_rename(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.rename``: the name that operators read, kept by the gateway."""
    params = checked(call, "device.pair.rename", _LABEL)
    renaming = partial(device_life.rename, label=params["label"], caller=caller_of(call))
    device_id, label = await decided(call, with_full_id(renaming, params["deviceId"]))
    return {"deviceId": device_id, "label": label}


async def pair_block(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.block``: a device id, known here or not, gets nothing any more."""
    device_id = checked(call, "device.pair.block", _DEVICE_ID)["deviceId"]
    return {
        "deviceId": await decided(
            call, partial(device_life.block, device_id=device_id, caller=caller_of(call))
        )
    }


async def pair_unblock(call: Call) -> dict[str, Any]:
    """Answer ``device.pair.unblock``: the device may ask again, or come back as it was."""
    device_id = checked(call, "device.pair.unblock", _DEVICE_ID)["deviceId"]
    return {
        "deviceId": await decided(
            call, partial(device_life.unblock, device_id=device_id, caller=caller_of(call))
        )
    }
