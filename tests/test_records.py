from __future__ import annotations

import attrs
import pytest

from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from tests.builders import NOW_MS, a_book, a_device, a_request, a_token, key_pair

OPERATOR, NODE = Role.OPERATOR, Role.NODE


@pytest.mark.parametrize(
    ("changes", "live"),
    [
        pytest.param({}, True, id="issued"),
        pytest.param({"revoked_at_ms": NOW_MS}, False, id="revoked"),
        pytest.param({"revoked_at_ms": 0}, False, id="revoked-at-the-epoch"),
        pytest.param({"token": ""}, False, id="empty-matches-nothing"),
    ],
)
def test_a_token_is_live_until_it_is_revoked(changes, live):
    assert a_token(**changes).live is live


def test_a_token_was_issued_when_it_was_last_rotated():
    assert a_token(created_at_ms=1).issued_at_ms == 1
    assert a_token(created_at_ms=1, rotated_at_ms=2).issued_at_ms == 2


def test_roles_are_named_by_either_key_and_once():
    item = a_request(role=OPERATOR, roles=(NODE, OPERATOR))
    device = a_device(roles=(), role=OPERATOR)

    assert item.asked_roles == (NODE, OPERATOR)
    assert a_request(role=NODE, roles=()).asked_roles == (NODE,)
    assert attrs.evolve(item, role=None, roles=()).asked_roles == ()
    assert device.named_roles == (OPERATOR,)
    assert a_device(roles=()).named_roles == ()


def test_a_node_asks_for_no_scopes():
    assert a_request(role=NODE, scopes=[ADMIN]).asked_scopes == ()
    assert a_request(role=OPERATOR, scopes=[ADMIN]).asked_scopes == (ADMIN,)


def test_a_role_without_a_token_opens_nothing():
    device = a_device(tokens={})

    assert device.named_roles == (OPERATOR,)
    assert device.live_roles == ()
    assert device.granted_scopes(OPERATOR) == ()


def test_a_token_for_a_role_that_nobody_approved_opens_nothing():
    device = a_device(roles=[NODE], scopes=[], tokens={OPERATOR: a_token(scopes=(ADMIN,))})

    assert device.live_token(OPERATOR) is None
    assert device.live_roles == ()
    assert device.granted_scopes(OPERATOR) == ()


def test_a_revoked_role_stays_revoked_and_holds_nothing():
    device = a_device(tokens={OPERATOR: a_token(revoked_at_ms=NOW_MS)})

    assert device.revoked(OPERATOR)
    assert not device.revoked(NODE)
    assert device.live_roles == ()
    assert device.granted_scopes(OPERATOR) == ()


@pytest.mark.parametrize(
    ("baseline", "token", "granted"),
    [
        pytest.param([READ], (READ,), (READ,), id="same"),
        pytest.param([ADMIN], (READ,), (READ,), id="narrowed-by-rotation"),
        pytest.param([READ], (ADMIN,), (READ,), id="edited-above-the-baseline"),
        pytest.param([READ], (PAIRING,), (), id="edited-beside-the-baseline"),
        pytest.param([WRITE], (WRITE, READ), (WRITE, READ), id="contained-kept-by-name"),
        pytest.param([ADMIN], (), (), id="empty-means-none"),
        pytest.param([], (ADMIN,), (), id="nothing-approved"),
    ],
)
def test_the_baseline_caps_the_token(baseline, token, granted):
    device = a_device(scopes=baseline, tokens={OPERATOR: a_token(scopes=token)})

    assert device.granted_scopes(OPERATOR) == granted


def test_the_approved_scopes_are_the_baseline_where_they_are_on_file():
    device = a_device(scopes=[ADMIN], approved_scopes=(READ,))

    assert device.baseline == (READ,)
    assert device.granted_scopes(OPERATOR) == (READ,)
    assert a_device(scopes=[ADMIN], approved_scopes=()).granted_scopes(OPERATOR) == ()


def test_a_node_holds_no_scopes():
    device = a_device(roles=[NODE], scopes=[ADMIN], tokens={NODE: a_token(NODE, scopes=(ADMIN,))})

    assert device.live_roles == (NODE,)
    assert device.granted_scopes(NODE) == ()


def test_a_book_finds_the_requests_of_a_device_oldest_contact_first():
    late = a_request(1, request_id="late", ts=NOW_MS)
    early = a_request(1, request_id="early", ts=NOW_MS - 1)
    book = a_book(late, early, a_request(2))

    assert book.pending_of(key_pair(1).device_id) == (early, late)
    assert book.pending_of(key_pair(3).device_id) == ()


def test_a_book_knows_the_blocked_by_their_note():
    book = DeviceBook(notes={"a": DeviceNote(blocked=True), "b": DeviceNote(label="desk")})

    assert book.blocked("a")
    assert not book.blocked("b")
    assert not book.blocked("c")


def test_no_secret_shows_when_a_record_is_printed():
    token = a_token(token="hush-hush", previous_token_sha256="of-hush")

    assert "hush" not in repr(a_device(tokens={OPERATOR: token}))
