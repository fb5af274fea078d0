"""Device tokens replaced and killed: by whom, within what, and what is left."""

from __future__ import annotations

import hashlib

import attrs
import pytest

from stores import pairing, token_life
from stores.errors import NotAllowedError, UnknownDeviceError
from stores.records import DeviceBook, Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.builders import (
    ADMIN_SESSION,
    CLI,
    NOW_MS,
    PAIRING_SESSION,
    a_book,
    a_device,
    a_request,
    a_token,
    a_wish,
    key_pair,
    some_rules,
)

OPERATOR, NODE = Role.OPERATOR, Role.NODE
ID, OTHER = key_pair(1).device_id, key_pair(2).device_id
DEAD = {OPERATOR: a_token(scopes=(READ,), revoked_at_ms=NOW_MS - 1)}


def operator(*scopes: str, device_id: str = OTHER, own_device_only: bool = False) -> Caller:
    return Caller("operator", scopes, device_id=device_id, own_device_only=own_device_only)


def rotate(book: DeviceBook, *, role: str = OPERATOR, scopes=None, caller: Caller = CLI, **which):
    which.setdefault("device_id", ID)
    return token_life.rotate(book, some_rules(), role=role, scopes=scopes, caller=caller, **which)


def revoke(book: DeviceBook, *, role: str = OPERATOR, caller: Caller = CLI, **which):
    which.setdefault("device_id", ID)
    return token_life.revoke(book, some_rules(), role=role, caller=caller, **which)


def test_a_rotation_replaces_the_token_and_remembers_the_old_one_by_its_hash():
    before = a_device(scopes=[READ, WRITE], roles=[OPERATOR, NODE])

    change = rotate(a_book(before))

    device, token = change.result
    assert change.book.paired[ID] is device
    assert token.token == "new-1"
    assert token.scopes == (READ, WRITE)
    assert token.rotated_at_ms == NOW_MS
    assert token.created_at_ms == before.tokens[OPERATOR].created_at_ms
    assert token.previous_token_sha256 == hashlib.sha256(b"token-of-operator").hexdigest()
    assert device.tokens[NODE] is before.tokens[NODE]
    assert (device.scopes, device.baseline) == (before.scopes, before.baseline)
    (line,) = change.audit
    assert (line.event, line.device_id, line.role) == ("device.rotated", ID, OPERATOR)
    assert line.by == CLI.described()


@pytest.mark.parametrize(
    ("scopes", "given"),
    [
        pytest.param((READ,), (READ,), id="less"),
        pytest.param((), (), id="none-means-none"),
        pytest.param((WRITE, READ, READ), (READ, WRITE), id="sorted-once-each"),
    ],
)
def test_a_rotation_gives_what_is_asked_for_within_the_baseline(scopes, given):
    device, token = rotate(a_book(a_device(scopes=[WRITE])), scopes=scopes).result

    assert token.scopes == given
    assert device.granted_scopes(OPERATOR) == given
    assert device.baseline == (WRITE,)


def test_what_a_rotation_took_the_next_one_may_give_back():
    narrowed = rotate(a_book(a_device(scopes=[ADMIN])), scopes=(READ,)).book

    device, token = rotate(narrowed, scopes=(ADMIN,)).result

    assert token.scopes == (ADMIN,)
    assert device.granted_scopes(OPERATOR) == (ADMIN,)


def test_a_token_that_went_beyond_the_baseline_comes_back_within_it():
    forged = a_device(scopes=[READ], tokens={OPERATOR: a_token(scopes=(ADMIN, READ))})

    _, token = rotate(a_book(forged)).result

    assert token.scopes == (READ,)


@pytest.mark.parametrize(
    "caller", [pytest.param(CLI, id="cli"), pytest.param(ADMIN_SESSION, id="admin")]
)
@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        pytest.param(OPERATOR, (ADMIN,), id="beyond-what-was-approved"),
        pytest.param(OPERATOR, (READ, APPROVALS), id="one-of-two-beyond"),
        pytest.param(NODE, (READ,), id="a-node-holds-none"),
    ],
)
def test_nobody_rotates_beyond_the_baseline(caller, role, scopes):
    device = a_device(scopes=[WRITE], roles=[OPERATOR, NODE])

    with pytest.raises(NotAllowedError) as caught:
        rotate(a_book(device), role=role, scopes=scopes, caller=caller)

    assert caught.value.wire_message == "device token rotation denied"
    assert scopes[-1] in caught.value.problem


@pytest.mark.parametrize("transition", [rotate, revoke])
@pytest.mark.parametrize("role", [NODE, "boss", ""])
def test_a_role_without_a_token_is_neither_rotated_nor_revoked(transition, role):
    with pytest.raises(UnknownDeviceError) as caught:
        transition(a_book(a_device(1)), role=role)

    assert caught.value.wire_message == "unknown deviceId/role"


def test_a_role_that_was_never_approved_gets_no_token_though_the_file_has_one():
    forged = a_device(tokens={OPERATOR: a_token(), NODE: a_token(NODE)})

    with pytest.raises(UnknownDeviceError, match="never approved for the role node"):
        rotate(a_book(forged), role=NODE)


def test_a_token_of_a_role_that_was_never_approved_can_be_killed():
    forged = a_device(tokens={OPERATOR: a_token(), NODE: a_token(NODE)})

    assert revoke(a_book(forged), role=NODE).result.live is False


def test_a_record_without_tokens_gets_none_by_a_rotation():
    with pytest.raises(UnknownDeviceError):
        rotate(a_book(a_device(scopes=[ADMIN], tokens={})))


ADMINS = a_device(scopes=[ADMIN])
TWO_ROLES = a_device(roles=[OPERATOR, NODE], scopes=[])


@pytest.mark.parametrize(
    ("caller", "device", "role", "scopes", "lacks"),
    [
        pytest.param(PAIRING_SESSION, ADMINS, OPERATOR, None, ADMIN, id="pairing-at-an-admin"),
        pytest.param(
            PAIRING_SESSION, ADMINS, OPERATOR, (), ADMIN, id="pairing-narrows-an-admin-to-nothing"
        ),
        pytest.param(
            operator(PAIRING, READ), a_device(scopes=[WRITE]), OPERATOR, (READ,), WRITE, id="more"
        ),
        pytest.param(
            operator(PAIRING, READ),
            a_device(scopes=[WRITE], tokens={OPERATOR: a_token(scopes=(READ,))}),
            OPERATOR,
            (WRITE,),
            WRITE,
            id="widens-beyond-its-own",
        ),
        pytest.param(operator(PAIRING, WRITE), TWO_ROLES, NODE, None, ADMIN, id="a-node"),
        pytest.param(
            operator(PAIRING, device_id=ID), TWO_ROLES, NODE, None, ADMIN, id="its-own-node-role"
        ),
        pytest.param(
            operator(PAIRING, device_id=ID), ADMINS, OPERATOR, None, ADMIN, id="its-own-beyond"
        ),
        pytest.param(
            operator(PAIRING, READ), a_device(tokens=DEAD), OPERATOR, None, ADMIN, id="revoked"
        ),
        pytest.param(
            operator(PAIRING, READ, device_id=ID, own_device_only=True),
            a_device(tokens=DEAD),
            OPERATOR,
            None,
            ADMIN,
            id="its-own-revoked",
        ),
        pytest.param(operator(READ), a_device(), OPERATOR, None, PAIRING, id="without-pairing"),
    ],
)
def test_nobody_rotates_what_it_does_not_hold(caller, device, role, scopes, lacks):
    with pytest.raises(NotAllowedError) as caught:
        rotate(a_book(device), role=role, scopes=scopes, caller=caller)

    assert caught.value.missing_scopes[0] == lacks
    assert caught.value.wire_message == f"missing scope: {lacks}"


@pytest.mark.parametrize(
    ("caller", "device", "role", "scopes"),
    [
        pytest.param(ADMIN_SESSION, ADMINS, OPERATOR, None, id="admin"),
        pytest.param(ADMIN_SESSION, TWO_ROLES, NODE, None, id="admin-a-node"),
        pytest.param(ADMIN_SESSION, a_device(tokens=DEAD), OPERATOR, None, id="admin-revoked"),
        pytest.param(CLI, a_device(tokens=DEAD), OPERATOR, None, id="owner-revoked"),
        pytest.param(operator(PAIRING, WRITE), a_device(), OPERATOR, None, id="who-holds-it"),
        pytest.param(
            operator(PAIRING, READ, device_id=ID, own_device_only=True),
            a_device(scopes=[ADMIN]),
            OPERATOR,
            (READ,),
            id="itself-within-what-it-holds",
        ),
    ],
)
def test_who_may_rotate(caller, device, role, scopes):
    changed, token = rotate(a_book(device), role=role, scopes=scopes, caller=caller).result

    assert changed.live_token(role) is token


@pytest.mark.parametrize(
    ("transition", "wire_message"),
    [
        pytest.param(rotate, "device token rotation denied", id="rotate"),
        pytest.param(revoke, "device token revocation denied", id="revoke"),
    ],
)
@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(operator(PAIRING, READ, own_device_only=True), id="by-device-token"),
        pytest.param(Caller("self", (ADMIN,), device_id=ID), id="the-device-itself"),
        pytest.param(Caller("local", (ADMIN,)), id="a-local-contact"),
        pytest.param(Caller("rule", (ADMIN,), rule="lan"), id="a-rule"),
        pytest.param(Caller("task", (ADMIN,)), id="a-task"),
    ],
)
def test_who_may_touch_no_token_of_that_device(transition, wire_message, caller):
    with pytest.raises(NotAllowedError) as caught:
        transition(a_book(a_device()), caller=caller)

    assert caught.value.wire_message == wire_message


def test_a_revocation_kills_the_token_and_what_the_device_still_asked_for_in_that_role():
    book = a_book(
        a_device(1, roles=[OPERATOR, NODE]), a_request(1, scopes=[ADMIN]), a_request(2)
    )  # fmt: skip

    change = revoke(book)

    device = change.book.paired[ID]
    assert change.result.revoked_at_ms == NOW_MS
    assert change.result.token == "token-of-operator"
    assert device.live_roles == (NODE,)
    assert device.granted_scopes(OPERATOR) == ()
    assert [item.device_id for item in change.book.pending.values()] == [OTHER]
    assert [line.event for line in change.audit] == ["device.revoked", "device.rejected"]


def test_a_request_for_another_role_outlives_a_revocation():
    book = a_book(a_device(1), a_request(1, role=NODE, scopes=[]))

    assert revoke(book).book.pending is book.pending


def test_a_revocation_is_made_once():
    book = a_book(a_device(tokens=DEAD))

    change = revoke(book)

    assert change.book is book
    assert change.result.revoked_at_ms == NOW_MS - 1
    assert change.audit == ()


@pytest.mark.parametrize(
    ("caller", "device", "role", "lacks"),
    [
        pytest.param(PAIRING_SESSION, ADMINS, OPERATOR, ADMIN, id="pairing-at-an-admin"),
        pytest.param(PAIRING_SESSION, a_device(), OPERATOR, READ, id="pairing-at-a-reader"),
        pytest.param(operator(PAIRING, WRITE), TWO_ROLES, NODE, ADMIN, id="a-node"),
    ],
)
def test_nobody_revokes_what_it_could_not_give(caller, device, role, lacks):
    with pytest.raises(NotAllowedError) as caught:
        revoke(a_book(device), role=role, caller=caller)

    assert caught.value.missing_scopes == (lacks,)


def test_a_device_may_give_up_its_own_token():
    caller = operator(PAIRING, device_id=ID, own_device_only=True)

    assert revoke(a_book(ADMINS), caller=caller).result.live is False


def test_a_revoked_role_comes_back_by_no_road_that_needs_no_admin():
    dead = revoke(a_book(a_device(scopes=[READ, PAIRING]))).book
    pairer = operator(PAIRING, READ)

    with pytest.raises(NotAllowedError):
        rotate(dead, caller=pairer)
    with pytest.raises(NotAllowedError):
        pairing.admit(dead, some_rules(), wish=a_wish(1), caller=Caller("local"), via="silent")
    asked = pairing.request(dead, some_rules(), wish=a_wish(1)).book
    with pytest.raises(NotAllowedError):
        pairing.approve(asked, some_rules(), reference=ID, caller=pairer)
    approved = pairing.approve(asked, some_rules(), reference=ID, caller=ADMIN_SESSION).book
    assert approved.paired[ID].live_token(OPERATOR) == attrs.evolve(
        approved.paired[ID].tokens[OPERATOR], token="new-1"
    )
