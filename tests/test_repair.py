"""A paired device without a token that fits comes back by its key: once, and only if approved."""

from __future__ import annotations

import attrs
import pytest

from stores import device_life, pairing, token_life
from stores.differences import Resolved, differences
from stores.errors import NotAllowedError
from stores.records import DeviceBook, DeviceNote, PendingRequest, Role
from stores.repair import REPAIR_MS, may_redeem, redeem
from stores.scopes import ADMIN, PAIRING, READ
from stores.transition import Caller
from tests.builders import (
    ADMIN_SESSION,
    CLI,
    NOW_MS,
    PAIRING_SESSION,
    a_book,
    a_device,
    a_store,
    a_token,
    a_wish,
    key_pair,
    on_disk,
    put,
    some_rules,
)

OPERATOR, NODE = Role.OPERATOR, Role.NODE
ID = key_pair(1).device_id
TTL_MS = 300_000


def asked(book: DeviceBook, **wish) -> tuple[DeviceBook, PendingRequest]:
    change = pairing.request(book, some_rules(), wish=a_wish(1, stale_token=True, **wish))
    return change.book, change.result


def approved(book: DeviceBook, caller: Caller = CLI) -> DeviceBook:
    return pairing.approve(book, some_rules(), reference=ID, caller=caller).book


def let_back(**device) -> DeviceBook:
    return approved(asked(a_book(a_device(1, **device)))[0])


def test_a_device_that_lost_its_token_waits_though_it_asks_for_nothing_new():
    book, item = asked(a_book(a_device(1)))

    assert item.stale_token is True
    assert item.is_repair is True
    assert pairing.heal(book) is book


def test_a_stranger_that_claims_a_stale_token_is_a_stranger():
    _, item = asked(a_book())

    assert item.stale_token is None


def test_to_come_back_without_a_token_is_another_code_than_to_be_widened():
    wish = a_wish(1, scopes=(READ, ADMIN))
    wider = pairing.request(a_book(a_device(1)), some_rules(), wish=wish)

    book, item = asked(wider.book, scopes=(READ, ADMIN))

    assert list(book.pending) == [item.request_id]
    assert item.request_id != wider.result.request_id


def test_a_retry_refreshes_the_request_to_come_back():
    book, item = asked(a_book(a_device(1)))

    assert asked(book)[1].request_id == item.request_id


def test_an_approval_keeps_the_token_and_lets_the_key_in_once():
    book = let_back()
    before = book.paired[ID]

    first = redeem(book, some_rules(), device_id=ID, role=OPERATOR)

    assert before.tokens == a_device(1).tokens
    assert first.result is before
    assert first.book.notes[ID] == DeviceNote(approved_via="owner", approved_by="uid 1000")
    (line,) = first.audit
    assert (line.event, line.role, line.reason) == ("device.redeemed", OPERATOR, "stale-token")
    with pytest.raises(NotAllowedError) as caught:
        redeem(first.book, some_rules(), device_id=ID, role=OPERATOR)
    assert caught.value.wire_message == "device token mismatch"


def test_each_role_is_redeemed_once():
    both = asked(asked(a_book(a_device(1, roles=[OPERATOR, NODE])))[0], role=NODE)[0]
    book = approved(both)

    after = redeem(book, some_rules(), device_id=ID, role=NODE).book

    assert may_redeem(after, ID, OPERATOR, now_ms=NOW_MS)
    assert not may_redeem(after, ID, NODE, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("role", "now_ms", "opens"),
    [
        pytest.param(OPERATOR, NOW_MS, True, id="at-once"),
        pytest.param(OPERATOR, NOW_MS + REPAIR_MS - 1, True, id="in-time"),
        pytest.param(OPERATOR, NOW_MS + REPAIR_MS, False, id="too-late"),
        pytest.param(OPERATOR, NOW_MS - 1, False, id="before-it-was-approved"),
        pytest.param(NODE, NOW_MS, False, id="another-role"),
    ],
)
def test_when_the_key_opens(role, now_ms, opens):
    assert may_redeem(let_back(), ID, role, now_ms=now_ms) is opens


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(lambda b: a_book(a_device(1)), id="nobody-approved"),
        pytest.param(
            lambda b: device_life.block(b, some_rules(), device_id=ID, caller=CLI).book, id="block"
        ),
        pytest.param(
            lambda b: device_life.remove(b, some_rules(), device_id=ID, caller=CLI).book,
            id="remove",
        ),
        pytest.param(
            lambda b: (
                token_life.rotate(b, some_rules(), device_id=ID, role=OPERATOR, caller=CLI).book
            ),
            id="rotate",
        ),
        pytest.param(
            lambda b: (
                token_life.revoke(b, some_rules(), device_id=ID, role=OPERATOR, caller=CLI).book
            ),
            id="revoke",
        ),
        pytest.param(
            lambda b: attrs.evolve(
                b, paired={ID: a_device(1, tokens={OPERATOR: a_token(revoked_at_ms=1)})}
            ),
            id="a-dead-token",
        ),
    ],
)
def test_what_closes_the_way_back(after):
    book = after(let_back())

    assert not may_redeem(book, ID, OPERATOR, now_ms=NOW_MS)


def test_a_block_and_its_end_do_not_open_the_way_back_again():
    blocked = device_life.block(let_back(), some_rules(), device_id=ID, caller=CLI).book

    book = device_life.unblock(blocked, some_rules(), device_id=ID, caller=CLI).book

    assert not may_redeem(book, ID, OPERATOR, now_ms=NOW_MS)


def test_an_ordinary_approval_opens_no_way_back():
    wider = pairing.request(a_book(a_device(1)), some_rules(), wish=a_wish(1, scopes=(ADMIN,)))

    assert not may_redeem(approved(wider.book), ID, OPERATOR, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("device", "role", "caller", "lacks"),
    [
        pytest.param({"scopes": [ADMIN]}, OPERATOR, PAIRING_SESSION, ADMIN, id="an-admin"),
        pytest.param({}, OPERATOR, PAIRING_SESSION, READ, id="a-reader"),
        pytest.param({"roles": [NODE]}, NODE, PAIRING_SESSION, ADMIN, id="a-node"),
        pytest.param({}, OPERATOR, Caller("operator", (PAIRING, READ)), None, id="who-holds-it"),
        pytest.param({"roles": [NODE]}, NODE, ADMIN_SESSION, None, id="admin"),
    ],
)
def test_who_may_let_a_device_back_in(device, role, caller, lacks):
    book, _ = asked(a_book(a_device(1, **device)), role=role, scopes=())

    if lacks is None:
        assert may_redeem(approved(book, caller), ID, role, now_ms=NOW_MS)
        return
    with pytest.raises(NotAllowedError) as caught:
        approved(book, caller)
    assert caught.value.missing_scopes == (lacks,)


@pytest.mark.parametrize("verb", ["approved", "rejected"])
def test_what_became_of_the_request_is_told(verb):
    old, item = asked(a_book(a_device(1)))
    if verb == "approved":
        new = approved(old)
    else:
        new = pairing.reject(old, some_rules(), reference=ID, caller=CLI).book

    told = differences(old, new, now_ms=NOW_MS, ttl_ms=TTL_MS)

    assert told == (Resolved(item, verb),)


def test_the_way_back_is_kept_in_the_files(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device(1))
    store.one(
        lambda book, rules: pairing.request(book, rules, wish=a_wish(1, stale_token=True)),
        now_ms=NOW_MS,
    )

    assert next(iter(a_store(tmp_path).read().pending.values())).stale_token
    a_store(tmp_path).approve(ID, caller=CLI, now_ms=NOW_MS)

    assert may_redeem(store.read(), ID, OPERATOR, now_ms=NOW_MS)
    assert on_disk(store, "notes.json")[ID]["repairRoles"] == [OPERATOR]
