"""Approving a pending request: what it gives, what it keeps, and who may."""

from __future__ import annotations

import hashlib

import pytest

from stores import pairing
from stores.errors import NotAllowedError, UnknownRequestError
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
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
ID = key_pair(1).device_id


def ask(book: DeviceBook, **wish):
    return pairing.request(book, some_rules(), wish=a_wish(**wish))


def approve(book: DeviceBook, reference: str = ID, *, caller: Caller = CLI):
    return pairing.approve(book, some_rules(), reference=reference, caller=caller)


def test_an_approval_pairs_the_device_with_a_token_and_says_so():
    change = approve(ask(a_book(), display_name="desk", scopes=[WRITE, PAIRING]).book)

    item, device = change.result
    assert change.book.pending == {}
    assert change.book.paired == {ID: device}
    assert (device.role, device.roles) == (OPERATOR, (OPERATOR,))
    assert device.scopes == device.approved_scopes == (WRITE, PAIRING)
    assert (device.display_name, device.platform, device.client_id) == ("desk", "linux", "cli")
    assert (device.created_at_ms, device.approved_at_ms) == (NOW_MS, NOW_MS)
    token = device.tokens[OPERATOR]
    assert (token.token, token.scopes) == ("new-1", (PAIRING, WRITE))
    assert (token.created_at_ms, token.rotated_at_ms, token.previous_token_sha256) == (
        *(NOW_MS, None),
        None,
    )
    (line,) = change.audit
    assert (line.event, line.request_id, line.by) == (
        "device.approved", item.request_id, {"kind": "cli", "uid": 1000},
    )  # fmt: skip
    assert (line.role, line.scopes, line.origin) == (
        OPERATOR, (WRITE, PAIRING), {"client": "192.0.2.1"},
    )  # fmt: skip


def test_an_approval_keeps_a_live_token_and_widens_it():
    book = a_book(a_device(scopes=[READ], extra={"theirs": 1}), a_request(scopes=[ADMIN]))

    _, device = approve(book).result

    assert device.scopes == (READ, ADMIN)
    assert device.tokens[OPERATOR] == a_token(scopes=(ADMIN, READ))
    assert device.created_at_ms == NOW_MS - 1000
    assert device.extra == {"theirs": 1}


def test_an_approval_leaves_the_other_role_alone():
    known = a_device(roles=[NODE], scopes=[], last_seen_at_ms=5, last_seen_reason="connect")

    _, device = approve(a_book(known, a_request(scopes=[READ]))).result

    assert device.roles == (NODE, OPERATOR)
    assert device.tokens[NODE] is known.tokens[NODE]
    assert device.tokens[OPERATOR].token == "new-1"
    assert (device.last_seen_at_ms, device.last_seen_reason) == (5, "connect")


def test_a_node_is_approved_without_scopes():
    item = a_request(role=NODE, scopes=[ADMIN])  # as another program may have written it

    _, device = approve(a_book(item)).result

    assert (device.roles, device.scopes, device.approved_scopes) == ((NODE,), (), ())
    assert device.tokens[NODE].scopes == ()


def test_scopes_that_a_file_gives_a_token_beyond_the_baseline_are_not_approved_along():
    known = a_device(scopes=[READ], tokens={OPERATOR: a_token(scopes=(ADMIN,))})

    _, device = approve(a_book(known, a_request(scopes=[PAIRING]))).result

    assert device.granted_scopes(OPERATOR) == (PAIRING, READ)
    assert device.tokens[OPERATOR].scopes == (PAIRING, READ)


def test_what_a_rotation_took_away_comes_back_only_if_asked_for():
    known = a_device(scopes=[ADMIN], tokens={OPERATOR: a_token(scopes=(READ,))})

    _, device = approve(a_book(known, a_request(scopes=[PAIRING]))).result

    assert device.granted_scopes(OPERATOR) == (PAIRING, READ)


def revoked_device():
    dead = a_token(token="dead", revoked_at_ms=NOW_MS - 1, extra={"theirs": 1})
    return a_device(scopes=[ADMIN], tokens={OPERATOR: dead})


def test_an_approval_issues_a_revoked_role_anew_with_nothing_of_before():
    _, device = approve(a_book(revoked_device(), a_request(scopes=[READ]))).result

    token = device.tokens[OPERATOR]
    assert (token.token, token.scopes, token.live) == ("new-1", (READ,), True)
    assert (token.created_at_ms, token.rotated_at_ms) == (NOW_MS - 1000, NOW_MS)
    assert token.previous_token_sha256 == hashlib.sha256(b"dead").hexdigest()
    assert token.extra == {"theirs": 1}
    assert device.baseline == (READ,)


def test_a_revoked_role_stays_dead_when_another_role_is_approved():
    _, device = approve(a_book(revoked_device(), a_request(role=NODE, scopes=[]))).result

    assert device.live_roles == (NODE,)
    assert device.revoked(OPERATOR)
    assert device.baseline == ()


def test_a_token_for_a_role_that_was_never_approved_is_replaced_when_it_is():
    known = a_device(
        roles=[NODE], scopes=[], tokens={NODE: a_token(NODE), OPERATOR: a_token(token="minted")}
    )

    _, device = approve(a_book(known, a_request(scopes=[READ]))).result

    assert device.tokens[OPERATOR].token == "new-1"


def test_a_record_without_tokens_holds_no_role_and_no_scope():
    known = a_device(scopes=[ADMIN], tokens={}, roles=[OPERATOR, NODE])

    _, device = approve(a_book(known, a_request(scopes=[READ]))).result

    assert (device.roles, device.baseline) == ((OPERATOR,), (READ,))


def test_a_request_of_two_roles_pairs_both():
    item = a_request(roles=(OPERATOR, NODE), scopes=[READ])

    _, device = approve(a_book(item)).result

    assert {role: token.scopes for role, token in device.tokens.items()} == {
        OPERATOR: (READ,),
        NODE: (),
    }


def test_a_request_without_any_role_pairs_nothing_that_opens():
    item = a_request(role="", roles=(), scopes=[ADMIN])

    _, device = approve(a_book(item)).result

    assert (device.role, device.roles, device.tokens, device.baseline) == (None, (), {}, ())


def test_an_approval_settles_every_request_of_that_device_and_no_other():
    book = a_book(
        a_request(1, request_id="a"), a_request(1, request_id="b"), a_request(2, request_id="c")
    )

    assert list(approve(book, "a").book.pending) == ["c"]


@pytest.mark.parametrize(
    ("caller", "by"),
    [
        pytest.param(CLI, "uid 1000", id="cli"),
        pytest.param(ADMIN_SESSION, "f" * 64, id="session"),
        pytest.param(Caller("rule", rule="lan"), "lan", id="rule"),
        pytest.param(Caller("cli"), None, id="unknown-uid"),
    ],
)
def test_the_note_says_who_approved_and_keeps_what_it_said(caller, by):
    notes = {ID: DeviceNote(label="desk", extra={"x": 1})}

    note = approve(a_book(a_request(), notes=notes), caller=caller).book.notes[ID]

    assert note == DeviceNote("desk", approved_via="owner", approved_by=by, extra={"x": 1})


@pytest.mark.parametrize(
    ("item", "lacking"),
    [
        pytest.param(a_request(scopes=[ADMIN]), (ADMIN,), id="admin"),
        pytest.param(a_request(role=NODE, scopes=[]), (ADMIN,), id="node"),
    ],
)
def test_a_pairing_only_session_approves_neither_admin_nor_a_node(item, lacking):
    with pytest.raises(NotAllowedError) as caught:
        approve(a_book(item), caller=PAIRING_SESSION)

    assert caught.value.missing_scopes == lacking


def test_a_session_without_pairing_decides_nothing():
    reader = Caller("operator", scopes=(READ, WRITE))
    book = a_book(a_request(scopes=[]))

    with pytest.raises(NotAllowedError):
        approve(book, caller=reader)
    with pytest.raises(NotAllowedError):
        pairing.reject(book, some_rules(), reference=ID, caller=reader)


def test_a_session_with_a_device_token_decides_for_its_own_device_alone():
    own = Caller("operator", (PAIRING, READ), device_id=ID, own_device_only=True)
    book = a_book(a_request(1), a_request(2))

    approve(book, ID, caller=own)
    with pytest.raises(NotAllowedError):
        approve(book, key_pair(2).device_id, caller=own)
    with pytest.raises(NotAllowedError):
        pairing.reject(book, some_rules(), reference=key_pair(2).device_id, caller=own)


def test_what_is_not_pending_cannot_be_approved_or_rejected():
    with pytest.raises(UnknownRequestError):
        approve(a_book(a_device()))
    with pytest.raises(UnknownRequestError):
        pairing.reject(a_book(), some_rules(), reference=ID, caller=CLI)
