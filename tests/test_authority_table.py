"""Who may do what to which device: every deed from both sides, through the transitions themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from stores import device_life, pairing, token_life
from stores.decisions import Transition
from stores.errors import NotAllowedError
from stores.records import DeviceNote, Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.builders import a_book, a_device, a_request, key_pair, some_rules

OPERATOR, NODE = Role.OPERATOR, Role.NODE
ELSEWHERE = key_pair(9).device_id

#: What a device has, or asks for: its role and its scopes.
TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "reader": (OPERATOR, (READ,)),
    "admin": (OPERATOR, (ADMIN,)),
    "node": (NODE, ()),
}
SEEDS = {name: seed for seed, name in enumerate(TARGETS, 1)}
DECIDE = ("approve", "reject")
MANAGE = ("remove", "rename", "rotate", "revoke", "block", "unblock")


def session(*scopes: str, of: str | None = None, token_only: bool = False) -> Caller:
    """Return a session of one of the targets' own devices, or of another one."""
    device_id = ELSEWHERE if of is None else key_pair(SEEDS[of]).device_id
    return Caller("operator", scopes, device_id=device_id, own_device_only=token_only)


def deed_of(deed: str, device_id: str, role: str, caller: Caller) -> Transition:
    """Return one deed on one device by one caller."""
    names: dict[str, Any] = {"device_id": device_id, "caller": caller}
    match deed:
        case "approve" | "reject":
            decide = pairing.approve if deed == "approve" else pairing.reject
            return partial(decide, reference=device_id, caller=caller)
        case "rename":
            return partial(device_life.rename, label="desk", **names)
        case "rotate":
            return partial(token_life.rotate, role=role, **names)
        case "revoke":
            return partial(token_life.revoke, role=role, **names)
        case _:
            return partial(getattr(device_life, deed), **names)


def outcome(deed: str, target: str, caller: Caller) -> str:
    """Return ``yes``, or what a peer is told who may not."""
    role, scopes = TARGETS[target]
    seed = SEEDS[target]
    device = a_device(seed, roles=(role,), scopes=scopes)
    records = [a_request(seed, role=role, scopes=scopes) if deed in DECIDE else device]
    notes = {device.device_id: DeviceNote(blocked=True)} if deed == "unblock" else None
    book = a_book(*records, notes=notes)
    try:
        deed_of(deed, device.device_id, role, caller)(book, some_rules())
    except NotAllowedError as refusal:
        return refusal.wire_message
    return "yes"


EVERYTHING = {target: {*DECIDE, *MANAGE} for target in TARGETS}
NOTHING: dict[str, set[str]] = {target: set() for target in TARGETS}
#: What needs operator.pairing and no more: it gives nothing and takes nothing away.
HARMLESS = {"reject", "rename"}


def but(**changes: set[str]) -> dict[str, set[str]]:
    """Return what somebody may who may only do the harmless, but for the targets named."""
    return dict.fromkeys(TARGETS, HARMLESS) | changes


def only(target: str, deeds: set[str]) -> dict[str, set[str]]:
    """Return what somebody may who may touch one device alone."""
    return NOTHING | {target: deeds}


ROWS = [
    pytest.param(Caller("cli", uid=0), EVERYTHING, id="the-owner-of-the-folder"),
    pytest.param(session(ADMIN), EVERYTHING, id="admin"),
    pytest.param(session(ADMIN, token_only=True), EVERYTHING, id="admin-by-device-token"),
    pytest.param(session(PAIRING), but(), id="pairing-only"),
    pytest.param(
        session(PAIRING, READ), but(reader={*DECIDE, *MANAGE}), id="pairing-and-read"
    ),
    pytest.param(
        session(PAIRING, WRITE, APPROVALS),
        but(reader={*DECIDE, *MANAGE}),
        id="all-but-admin",
    ),
    pytest.param(session(WRITE, APPROVALS), NOTHING, id="all-but-pairing"),
    pytest.param(session(), NOTHING, id="no-scope"),
    pytest.param(session(PAIRING, READ, token_only=True), NOTHING, id="a-token-on-another-device"),
    pytest.param(
        session(PAIRING, READ, of="reader", token_only=True),
        only("reader", {*DECIDE, *MANAGE} - {"unblock"}),
        id="a-token-on-its-own-device",
    ),
    pytest.param(
        session(PAIRING, of="admin", token_only=True),
        only("admin", {"reject", "rename", "remove", "revoke", "block"}),
        id="a-narrow-token-on-its-own-device",
    ),
    pytest.param(
        Caller("operator", (PAIRING, READ), own_device_only=True), NOTHING, id="a-token-of-no-device"
    ),
    pytest.param(Caller("self", (ADMIN,), device_id=ELSEWHERE), NOTHING, id="a-device-itself"),
    pytest.param(Caller("task"), NOTHING, id="a-task-of-the-gateway"),
]  # fmt: skip


@pytest.mark.parametrize(("caller", "may"), ROWS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("deed", [*DECIDE, *MANAGE])
def test_who_may_do_what_to_which_device(
    deed: str, target: str, caller: Caller, may: dict[str, set[str]]
) -> None:
    told = outcome(deed, target, caller)

    assert (told == "yes") is (deed in may[target]), told


@pytest.mark.parametrize(("caller", "may"), ROWS)
def test_whoever_may_not_is_told_a_scope_or_that_it_is_denied(
    caller: Caller, may: dict[str, set[str]]
) -> None:
    told = {outcome(deed, target, caller) for target in TARGETS for deed in (*DECIDE, *MANAGE)}

    assert all(
        one == "yes" or one.startswith("missing scope: ") or one.endswith("denied") for one in told
    )
    assert ("yes" in told) is any(may.values())


@pytest.mark.parametrize("caller", [Caller("local"), Caller("rule")], ids=["local", "rule"])
def test_what_lets_devices_in_unasked_manages_none(caller: Caller) -> None:
    told = {outcome(deed, target, caller) for target in TARGETS for deed in MANAGE}

    assert "yes" not in told
