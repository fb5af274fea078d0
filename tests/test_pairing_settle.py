"""Rejecting, admitting, healing, expiring; `test_pairing` has asking, `_approve` approving."""

from __future__ import annotations

from functools import partial

import attrs
import pytest

from stores import pairing
from stores.errors import NotAllowedError, TooManyDevicesError
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, READ, WRITE
from stores.transition import Caller
from tests.builders import (
    CLI,
    NOW_MS,
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
TTL_MS = 300_000
LOCAL = Caller("local", device_id=ID)


def admit(book: DeviceBook, *, via: str = "silent", **wish):
    return pairing.admit(book, some_rules(), wish=a_wish(**wish), caller=LOCAL, via=via)


def revoked_device():
    return a_device(scopes=[ADMIN], tokens={OPERATOR: a_token(revoked_at_ms=NOW_MS - 1)})


def test_a_rejection_forgets_that_request_and_pairs_nothing():
    book = a_book(a_request(1), a_request(2))

    change = pairing.reject(book, some_rules(), reference=ID, caller=CLI)

    assert change.result == a_request(1)
    assert list(change.book.pending.values()) == [a_request(2)]
    assert change.book.paired == {}
    assert [(line.event, line.device_id) for line in change.audit] == [("device.rejected", ID)]


def test_an_admission_pairs_in_one_step_and_says_how():
    change = admit(a_book(), scopes=[ADMIN], origin={"peer": "127.0.0.1"})

    item, device = change.result
    assert change.book.paired == {ID: device}
    assert device.granted_scopes(OPERATOR) == (ADMIN,)
    assert change.book.notes[ID] == DeviceNote(approved_via="silent", approved_by=ID)
    (line,) = change.audit
    assert (line.event, line.request_id) == ("device.approved", item.request_id)
    assert line.by == {"kind": "local", "deviceId": ID}
    assert line.origin == {"peer": "127.0.0.1"}


def test_an_admission_settles_the_devices_own_request_and_adds_nothing_of_it():
    book = a_book(a_request(1, scopes=[ADMIN]), a_request(2))

    change = admit(book, scopes=[READ])

    assert list(change.book.pending.values()) == [a_request(2)]
    assert change.result[1].baseline == (READ,)


def test_an_admission_widens_what_is_paired():
    change = admit(a_book(a_device(scopes=[READ])), scopes=[WRITE])

    assert change.result[1].tokens[OPERATOR] == a_token(scopes=(READ, WRITE))


def test_an_admission_never_gives_a_revoked_role_back():
    with pytest.raises(NotAllowedError, match="was revoked") as caught:
        admit(a_book(revoked_device()))

    assert caught.value.wire_message == "pairing required"


def test_an_admission_in_another_role_leaves_the_revoked_one_dead():
    _, device = admit(a_book(revoked_device()), role=NODE, scopes=[]).result

    assert device.live_roles == (NODE,)
    assert device.revoked(OPERATOR)


@pytest.mark.parametrize(
    ("device", "item", "covered"),
    [
        pytest.param(None, a_request(), False, id="not-paired"),
        pytest.param(a_device(), a_request(), True, id="all-of-it"),
        pytest.param(a_device(scopes=[ADMIN]), a_request(scopes=[WRITE]), True, id="contained"),
        pytest.param(a_device(), a_request(scopes=[WRITE]), False, id="more-scopes"),
        pytest.param(a_device(), a_request(role=NODE), False, id="another-role"),
        pytest.param(a_device(roles=[NODE], scopes=[]), a_request(role=NODE), True, id="node"),
        pytest.param(a_device(platform="darwin"), a_request(), False, id="other-platform"),
        pytest.param(a_device(platform="Linux "), a_request(), True, id="platform-spelled-so"),
        pytest.param(a_device(platform=None), a_request(), True, id="platform-not-pinned"),
        pytest.param(a_device(), a_request(platform=None), True, id="platform-not-said"),
        pytest.param(
            a_device(device_family="phone"), a_request(device_family="pad"), False, id="family"
        ),
        pytest.param(revoked_device(), a_request(), False, id="revoked"),
        pytest.param(a_device(tokens={}), a_request(), False, id="no-tokens"),
        pytest.param(
            a_device(scopes=[ADMIN], tokens={OPERATOR: a_token(scopes=(READ,))}),
            a_request(scopes=[ADMIN]),
            False,
            id="narrowed-and-asking-for-more",
        ),
    ],
)
def test_a_request_is_covered_by_what_the_device_holds(device, item, covered):
    book = a_book(item) if device is None else a_book(item, device)

    assert pairing.covered(book, item) is covered


@pytest.mark.parametrize(
    ("book", "left"),
    [
        pytest.param(a_book(a_request()), 1, id="a-newcomer"),
        pytest.param(a_book(a_request(), a_device()), 0, id="covered"),
        pytest.param(a_book(a_request(scopes=[ADMIN]), a_device()), 1, id="an-upgrade"),
        pytest.param(a_book(a_request(is_repair=True)), 0, id="an-upgrade-of-a-removed-device"),
        pytest.param(
            a_book(a_request(), notes={ID: DeviceNote(blocked=True)}), 0, id="a-blocked-device"
        ),
    ],
)
def test_every_read_drops_what_has_no_sense_any_more(book, left):
    assert len(pairing.heal(book).pending) == left


def test_a_book_that_needs_no_healing_is_the_same_book():
    book = a_book(a_request(), a_device(2))

    assert pairing.heal(book) is book


@pytest.mark.parametrize(
    ("ts", "over"),
    [
        pytest.param(NOW_MS, False, id="now"),
        pytest.param(NOW_MS - TTL_MS + 1, False, id="last-ms"),
        pytest.param(NOW_MS - TTL_MS, True, id="ttl"),
        pytest.param(0, True, id="epoch"),
        pytest.param(-(2**62), True, id="before-time"),
        pytest.param(NOW_MS + TTL_MS - 1, False, id="clock-set-back-a-little"),
        pytest.param(NOW_MS + TTL_MS, True, id="clock-set-back"),
        pytest.param(2**62, True, id="the-far-future"),
    ],
)
def test_a_request_is_over_when_its_time_is(ts, over):
    assert pairing.expired(a_request(ts=ts), now_ms=NOW_MS, ttl_ms=TTL_MS) is over


def test_the_expired_are_forgotten_and_written_down():
    old, young = a_request(1, ts=NOW_MS - TTL_MS), a_request(2)

    change = pairing.drop_expired(a_book(old, young), some_rules())

    assert change.result == (old,)
    assert list(change.book.pending.values()) == [young]
    assert [(line.event, line.device_id, line.by) for line in change.audit] == [
        ("device.expired", ID, {"kind": "task"})
    ]


def test_without_expired_requests_the_book_is_the_same():
    book = a_book(a_request())

    assert pairing.drop_expired(book, some_rules()).book is book


def test_whom_a_human_let_in_counts_for_nothing_among_the_unasked(monkeypatch):
    monkeypatch.setattr(pairing, "MAX_UNASKED", 1)
    human = a_book(a_device(2), a_device(3))
    admit = partial(pairing.admit_unasked, caller=LOCAL, via="silent")

    first = admit(human, some_rules(), wish=a_wish(1)).book

    assert first.paired.keys() == {*human.paired, ID}
    assert admit(first, some_rules(), wish=a_wish(1, scopes=(ADMIN,))).book.paired
    with pytest.raises(TooManyDevicesError) as refused:
        admit(first, some_rules(), wish=a_wish(4))
    assert refused.value.wire_message == "pairing required"


def test_contacts_are_written_to_the_device_and_the_token_used():
    book = a_book(a_device(roles=[OPERATOR, NODE]), a_device(2))

    after = pairing.with_contacts(book, {(ID, NODE): 7})

    device = after.paired[ID]
    assert (device.last_seen_at_ms, device.last_seen_reason) == (7, "connect")
    assert device.tokens[NODE].last_used_at_ms == 7
    assert device.tokens[OPERATOR].last_used_at_ms is None
    assert after.paired[key_pair(2).device_id] is book.paired[key_pair(2).device_id]


def test_a_contact_in_a_role_without_a_token_is_a_contact():
    after = pairing.with_contacts(a_book(a_device()), {(ID, NODE): 7})

    assert after.paired[ID] == attrs.evolve(
        a_device(), last_seen_at_ms=7, last_seen_reason="connect"
    )


def test_a_contact_of_a_device_that_is_gone_brings_nothing_back():
    book = a_book(a_device(2))

    assert pairing.with_contacts(book, {(ID, OPERATOR): 7}) is book


def test_a_caller_is_described_without_what_is_not_known():
    assert Caller("operator", (READ,), device_id="d").described() == {
        "kind": "operator",
        "deviceId": "d",
    }
    assert Caller("rule", rule="lan").described() == {"kind": "rule", "rule": "lan"}
    assert CLI.described() == {"kind": "cli", "uid": 1000}
