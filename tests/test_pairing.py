"""Asking to pair, and finding a request; `test_pairing_approve` and `_settle` have the rest."""

from __future__ import annotations

import re

import attrs
import pytest

from stores import pairing
from stores.errors import (
    BlockedDeviceError,
    TooManyPendingError,
    UnknownRequestError,
)
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.builders import (
    NOW_MS,
    a_book,
    a_device,
    a_request,
    a_wish,
    key_pair,
    some_rules,
)

OPERATOR, NODE = Role.OPERATOR, Role.NODE
ID = key_pair(1).device_id
TTL_MS = 300_000
LOCAL = Caller("local", device_id=ID)


def ask(book: DeviceBook, *, now_ms: int = NOW_MS, **wish):
    return pairing.request(book, some_rules(now_ms=now_ms), wish=a_wish(**wish))


def admit(book: DeviceBook, **wish):
    rules = some_rules()
    return pairing.admit(book, rules, wish=a_wish(**wish), caller=LOCAL, via="silent")


# Asking


def test_a_request_says_who_asks_for_what_and_from_where():
    change = ask(a_book(), display_name="desk", why="not-loopback", origin={"peer": "192.0.2.1"})

    item = change.result
    assert change.book.pending == {item.request_id: item}
    assert re.fullmatch("[2-9A-Z]{4}-[2-9A-Z]{4}", item.request_id)
    assert (item.device_id, item.public_key) == (ID, key_pair(1).public_key)
    assert (item.role, item.roles, item.scopes) == (OPERATOR, (OPERATOR,), (READ,))
    assert (item.display_name, item.platform, item.client_id) == ("desk", "linux", "cli")
    assert (item.remote_ip, item.why) == ("192.0.2.1", "not-loopback")
    assert (item.ts, item.first_seen_at_ms, item.silent, item.is_repair) == (
        *(NOW_MS, NOW_MS),
        *(False, False),
    )
    (line,) = change.audit
    assert (line.event, line.request_id, line.device_id) == (
        "device.requested", item.request_id, ID,
    )  # fmt: skip
    assert line.by == {"kind": "self", "deviceId": ID}
    assert line.origin == {"peer": "192.0.2.1"}


def test_the_same_wish_gets_the_same_id_even_after_it_was_forgotten():
    first, again = ask(a_book()), ask(a_book(), now_ms=NOW_MS + 10 * TTL_MS)

    assert first.result.request_id == again.result.request_id


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({}, id="same"),
        pytest.param({"scopes": [READ]}, id="less"),
        pytest.param({"scopes": []}, id="nothing"),
        pytest.param({"display_name": "renamed"}, id="other-name"),
    ],
)
def test_a_repeated_or_narrower_wish_refreshes_and_keeps_the_id(wish):
    first = ask(a_book(), scopes=[WRITE])

    change = ask(first.book, now_ms=NOW_MS + 5, **{"scopes": [WRITE]} | wish)
    refreshed = change.result

    assert refreshed == attrs.evolve(first.result, ts=NOW_MS + 5)
    assert change.book.pending == {refreshed.request_id: refreshed}
    assert change.audit == ()


def test_a_refresh_moves_the_address_and_the_reason_and_not_the_first_contact():
    first = ask(a_book(), why="loopback")

    item = ask(first.book, now_ms=NOW_MS + 5, remote_ip="198.51.100.7", why="forwarded").result

    assert (item.remote_ip, item.why) == ("198.51.100.7", "forwarded")
    assert (item.ts, item.first_seen_at_ms) == (NOW_MS + 5, NOW_MS)


@pytest.mark.parametrize(
    ("wish", "roles", "scopes"),
    [
        pytest.param({"scopes": [WRITE]}, (OPERATOR,), (READ, WRITE), id="wider"),
        pytest.param({"scopes": [PAIRING]}, (OPERATOR,), (READ, PAIRING), id="other"),
        pytest.param({"role": NODE, "scopes": []}, (OPERATOR, NODE), (READ,), id="another-role"),
        pytest.param({"platform": "darwin"}, (OPERATOR,), (READ,), id="another-platform"),
        pytest.param({"device_family": "phone"}, (OPERATOR,), (READ,), id="another-family"),
    ],
)
def test_another_wish_supersedes_the_old_one_with_the_union_of_both(wish, roles, scopes):
    first = ask(a_book())

    change = ask(first.book, now_ms=NOW_MS + 5, **wish)

    item = change.result
    assert item.request_id != first.result.request_id
    assert list(change.book.pending) == [item.request_id]
    assert (item.roles, item.scopes) == (roles, scopes)
    assert (item.ts, item.first_seen_at_ms) == (NOW_MS + 5, NOW_MS)
    assert [line.event for line in change.audit] == ["device.requested"]


def test_several_requests_of_one_device_from_another_program_become_one():
    book = a_book(
        a_request(1, request_id="a", ts=NOW_MS - 9),
        a_request(1, request_id="b", scopes=[PAIRING]),
    )

    change = ask(book, scopes=[WRITE])

    assert list(change.book.pending) == [change.result.request_id]
    assert set(change.result.scopes) == {READ, PAIRING, WRITE}
    assert change.result.first_seen_at_ms == NOW_MS - 9


def test_a_node_asks_for_no_scopes_whatever_it_says():
    first = ask(a_book(), role=NODE, scopes=[ADMIN])

    assert first.result.scopes == ()
    assert ask(first.book, role=NODE, scopes=[WRITE]).result.scopes == ()


def test_an_upgrade_is_marked_as_one():
    assert ask(a_book(a_device()), scopes=[ADMIN]).result.is_repair


def test_an_id_that_another_device_has_is_drawn_again():
    first = ask(a_book()).result
    foreign = a_request(2, request_id=first.request_id)

    change = ask(a_book(foreign))

    assert len(change.book.pending) == 2
    assert change.book.pending[first.request_id] is foreign


def test_a_blocked_device_gets_no_record():
    book = a_book(notes={ID: DeviceNote(blocked=True)})

    with pytest.raises(BlockedDeviceError) as caught:
        ask(book)
    with pytest.raises(BlockedDeviceError):
        admit(book)

    assert caught.value.wire_message == "pairing required"
    assert f"openclaw devices unblock {ID}" in str(caught.value.remedy)


def full(count: int, **changes) -> DeviceBook:
    return a_book(*(a_request(seed, **changes) for seed in range(2, 2 + count)))


@pytest.mark.parametrize(
    ("book", "limits"),
    [
        pytest.param(full(200), {}, id="200-in-all"),
        pytest.param(full(10, remote_ip="192.0.2.1"), {}, id="10-of-one-address"),
        pytest.param(full(3), {"max_pending": 3}, id="configured"),
    ],
)
def test_a_newcomer_to_a_full_list_is_refused_and_nobody_evicted(book, limits):
    with pytest.raises(TooManyPendingError) as caught:
        pairing.request(book, some_rules(**limits), wish=a_wish(1))

    assert caught.value.wire_message == "pairing required"


@pytest.mark.parametrize(
    "book",
    [
        pytest.param(full(199), id="199-in-all"),
        pytest.param(full(9, remote_ip="192.0.2.1"), id="9-of-one-address"),
        pytest.param(full(10, remote_ip="192.0.2.9"), id="10-of-another-address"),
    ],
)
def test_there_is_room_up_to_the_limit(book):
    assert ask(book).result.request_id


def test_who_is_on_a_full_list_already_may_go_on_asking():
    book = full(199)
    book = attrs.evolve(book, pending={**book.pending, "mine": a_request(1, request_id="mine")})

    assert ask(book).result.request_id == "mine"
    assert len(ask(book, scopes=[ADMIN]).book.pending) == 200


def test_no_device_piles_up_scopes_without_end():
    book = a_book()
    for number in range(32):
        book = ask(book, scopes=[f"operator.x{number}"]).book

    with pytest.raises(TooManyPendingError, match="more than 32 scopes") as caught:
        ask(book, scopes=["operator.x32"])

    assert caught.value.wire_message == "pairing required"
    (item,) = book.pending.values()
    assert len(item.scopes) == 32


@pytest.mark.parametrize(
    ("age_ms", "worth"),
    [
        pytest.param(0, False, id="now"),
        pytest.param(TTL_MS // 10 - 1, False, id="young"),
        pytest.param(TTL_MS // 10, True, id="old"),
        pytest.param(-1, True, id="from-the-future"),
    ],
)
def test_most_of_a_storm_of_retries_is_not_worth_a_write(age_ms, worth):
    assert pairing.needs_refresh(a_request(ts=NOW_MS - age_ms), some_rules()) is worth


def test_a_waiting_request_answers_for_its_device_and_all_that_it_asks():
    book = a_book(a_request(1, scopes=[WRITE]))

    assert pairing.waiting_request(book, a_wish(1, scopes=[READ])) is not None
    assert pairing.waiting_request(book, a_wish(1, scopes=[ADMIN])) is None
    assert pairing.waiting_request(book, a_wish(2)) is None
    assert pairing.waiting_request(book, a_wish(1, role=NODE)) is None


# Finding


BOOK_WITH_CODE = a_book(a_request(1, request_id="ABCD-2345"), a_request(2, request_id="x-y-z"))


@pytest.mark.parametrize(
    "reference",
    ["ABCD-2345", "abcd-2345", "ABCD2345", " abcd2345 ", ID, ID.upper(), f"{ID}\n"],
)
def test_a_request_is_found_by_every_spelling_and_by_its_device(reference):
    assert pairing.find_pending(BOOK_WITH_CODE, reference).request_id == "ABCD-2345"


def test_an_id_of_another_program_stays_valid():
    item = a_request(1, request_id="5BEAEE64-4a66-4e39-887e-d0b6e110f965")

    assert pairing.find_pending(a_book(item), "5beaee64-4a66-4e39-887e-d0b6e110f965") is item


@pytest.mark.parametrize("reference", ["", "-", "ABCD-2346", "ABCD", "*", ID[:12]], ids=repr)
def test_what_is_not_exactly_an_id_finds_nothing(reference):
    with pytest.raises(UnknownRequestError) as caught:
        pairing.find_pending(BOOK_WITH_CODE, reference)

    assert caught.value.wire_message == "unknown requestId"
    assert "openclaw devices list" in str(caught.value.remedy)


def test_a_device_with_several_requests_is_not_guessed_about():
    book = a_book(a_request(1, request_id="a"), a_request(1, request_id="b"))

    with pytest.raises(UnknownRequestError, match=r"2 pending requests \(a, b\)") as caught:
        pairing.find_pending(book, ID)

    assert caught.value.remedy == "name one of them: `openclaw devices approve ID`"


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        pytest.param({"scopes": (ADMIN,)}, "scope-upgrade", id="scopes"),
        pytest.param({"role": Role.NODE, "scopes": ()}, "role-upgrade", id="role"),
        pytest.param({"platform": "ios"}, "metadata-upgrade", id="platform"),
        pytest.param({"stale_token": True}, "stale-token", id="stale-token"),
    ],
)
def test_the_line_of_an_upgrade_says_what_is_wanted(wish, reason):
    book = a_book(a_device(1, platform="linux"))

    change = pairing.request(book, some_rules(), wish=a_wish(1, **wish))

    assert [line.reason for line in change.audit] == [reason]


def test_the_line_of_a_new_device_needs_no_reason():
    change = pairing.request(a_book(), some_rules(), wish=a_wish(1, stale_token=True))

    assert [line.reason for line in change.audit] == [None]
