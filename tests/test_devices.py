from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from stores import codec, pairing
from stores.devices import DeviceStore, live_pending
from stores.errors import (
    TooManyPendingError,
    UnknownRequestError,
)
from stores.records import DeviceBook, PairedDevice, PendingRequest, Role
from stores.scopes import ADMIN
from stores.transition import Change, Rules
from tests.builders import (
    CLI,
    NOW_MS,
    PAIRING_SESSION,
    a_device,
    a_request,
    a_store,
    asking,
    events,
    key_pair,
    on_disk,
    put,
)

OPERATOR = Role.OPERATOR
ID = key_pair(1).device_id
TTL_MS = 300_000


# The way of a request


def test_a_store_that_nobody_used_is_empty_and_makes_no_file(tmp_path):
    store = DeviceStore(tmp_path / "devices")

    assert store.read() == DeviceBook()
    assert store.problems == ()
    assert not store.directory.exists()


def test_a_request_is_seen_by_every_other_program(tmp_path):
    store = a_store(tmp_path)

    item = store.one(asking(scopes=[ADMIN]), now_ms=NOW_MS)

    assert a_store(tmp_path).read().pending == {item.request_id: item}
    assert codec.load(on_disk(store, "pending.json")[item.request_id], PendingRequest) == item


def test_an_approval_moves_the_request_to_the_paired(tmp_path):
    store = a_store(tmp_path)
    item = store.one(asking(scopes=[ADMIN]), now_ms=NOW_MS)

    decided, device = store.approve(item.request_id, caller=CLI, now_ms=NOW_MS)

    assert decided == item
    assert store.book.paired == {ID: device}
    assert a_store(tmp_path).read() == store.book
    assert on_disk(store, "pending.json") == {}
    assert codec.load(on_disk(store, "paired.json")[ID], PairedDevice) == device
    assert on_disk(store, "notes.json")[ID]["approvedVia"] == "owner"
    assert len(device.tokens[OPERATOR].token) == 43


def test_a_rejection_forgets_the_request(tmp_path):
    store = a_store(tmp_path)
    item = store.one(asking(), now_ms=NOW_MS)

    assert store.reject(item.request_id, caller=CLI, now_ms=NOW_MS) == item
    assert a_store(tmp_path).read() == DeviceBook()


def test_what_a_transition_refuses_is_raised_and_changes_nothing(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(scopes=[ADMIN]), now_ms=NOW_MS)
    before = store.book

    with pytest.raises(UnknownRequestError):
        store.approve("ABCD-2345", caller=CLI, now_ms=NOW_MS)
    with pytest.raises(Exception, match=r"needs operator\.admin"):
        store.approve(ID, caller=PAIRING_SESSION, now_ms=NOW_MS)

    assert store.book is before


def test_every_decision_has_a_line_in_the_trail(tmp_path):
    store = a_store(tmp_path, via="ws")
    store.one(asking(1), now_ms=NOW_MS)
    store.one(asking(2), now_ms=NOW_MS)
    store.one(asking(3), now_ms=NOW_MS)

    store.approve(ID, caller=CLI, now_ms=NOW_MS)
    store.reject(key_pair(2).device_id, caller=CLI, now_ms=NOW_MS)
    store.one(asking(1), now_ms=NOW_MS + TTL_MS)

    assert events(store) == [
        *("requested", "requested", "requested", "approved", "rejected"),
        *("expired", "requested"),
    ]
    assert '"via":"ws"' in store.audit_trail.read_text()


def test_a_refresh_is_no_line(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    store.one(asking(), now_ms=NOW_MS + 1)

    assert events(store) == ["requested"]


def test_no_secret_is_in_the_trail(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    _, device = store.approve(ID, caller=CLI, now_ms=NOW_MS)

    assert device.tokens[OPERATOR].token not in store.audit_trail.read_text()


# Batches


def test_a_batch_gives_each_its_own_answer_and_one_failure_hinders_nobody(tmp_path):
    store = a_store(tmp_path, max_pending=2)
    approve_nothing = partial(pairing.approve, reference="ABCD-2345", caller=CLI)

    results = store.apply([asking(1), approve_nothing, asking(2), asking(3)], now_ms=NOW_MS)

    assert [type(result) for result in results] == [
        *(PendingRequest, UnknownRequestError),
        *(PendingRequest, TooManyPendingError),
    ]
    assert len(a_store(tmp_path).read().pending) == 2
    assert events(store) == ["requested", "requested"]


def test_a_batch_sees_what_came_before_in_it(tmp_path):
    store = a_store(tmp_path)
    approve = partial(pairing.approve, reference=ID, caller=CLI)

    _, (_, device) = store.apply([asking(), approve], now_ms=NOW_MS)

    assert a_store(tmp_path).read().paired == {ID: device}
    assert events(store) == ["requested", "approved"]


def test_a_bug_in_a_transition_changes_nothing_and_loses_no_contact(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device())
    store.touch(ID, OPERATOR, at_ms=NOW_MS)

    def broken(book: DeviceBook, rules: Rules) -> Change[None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.apply([asking(2), broken], now_ms=NOW_MS)

    assert not (tmp_path / "pending.json").exists()
    store.flush(now_ms=NOW_MS)
    assert a_store(tmp_path).read().paired[ID].last_seen_at_ms == NOW_MS


# Time


def test_what_has_expired_can_never_be_approved(tmp_path):
    store = a_store(tmp_path)
    item = store.one(asking(), now_ms=NOW_MS)

    for now_ms in (NOW_MS + TTL_MS, NOW_MS - TTL_MS):
        put(store, "pending.json", item)
        with pytest.raises(UnknownRequestError):
            store.approve(item.request_id, caller=CLI, now_ms=now_ms)

    assert store.book == DeviceBook()


def test_every_reader_leaves_out_the_expired(tmp_path):
    store = a_store(tmp_path)
    put(store, "pending.json", a_request(1, ts=NOW_MS - TTL_MS), a_request(2))

    alive = live_pending(store.read(), now_ms=NOW_MS, ttl_ms=TTL_MS)

    assert list(alive.values()) == [a_request(2)]


def test_a_flush_with_nothing_to_do_touches_nothing(tmp_path):
    store = a_store(tmp_path)
    put(store, "pending.json", a_request())
    store.read()

    store.flush(now_ms=NOW_MS)

    assert [path.name for path in tmp_path.iterdir()] == ["pending.json"]


def test_a_flush_forgets_the_expired(tmp_path):
    store = a_store(tmp_path)
    put(store, "pending.json", a_request())
    store.read()

    store.flush(now_ms=NOW_MS + TTL_MS)

    assert on_disk(store, "pending.json") == {}
    assert events(store) == ["expired"]


# Contacts


def test_contacts_are_written_with_the_next_change_of_a_record(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device(1), a_device(2))
    store.read()
    store.touch(ID, OPERATOR, at_ms=NOW_MS - 1)
    store.touch(ID, OPERATOR, at_ms=NOW_MS)
    untouched = (tmp_path / "paired.json").read_bytes()
    store.one(asking(3), now_ms=NOW_MS)
    asked = (tmp_path / "paired.json").read_bytes()

    store.approve(key_pair(3).device_id, caller=CLI, now_ms=NOW_MS)

    device = a_store(tmp_path).read().paired[ID]
    assert b"lastSeen" not in untouched
    assert (device.last_seen_at_ms, device.tokens[OPERATOR].last_used_at_ms) == (NOW_MS, NOW_MS)
    assert asked == untouched  # a knock is no reason to write the large file


def test_a_contact_alone_is_no_line_in_the_trail(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device())
    store.touch(ID, OPERATOR, at_ms=NOW_MS)

    store.flush(now_ms=NOW_MS)

    assert store.read().paired[ID].last_seen_at_ms == NOW_MS
    assert not store.audit_trail.exists()


def test_a_contact_of_a_removed_device_brings_nothing_back(tmp_path):
    store = a_store(tmp_path)
    store.touch(ID, OPERATOR, at_ms=NOW_MS)

    store.flush(now_ms=NOW_MS)

    assert store.read().paired == {}
    assert not (tmp_path / "paired.json").exists()


# Other programs


def test_an_edit_by_another_program_is_seen_by_the_next_look_and_not_written_over(tmp_path):
    store, other = a_store(tmp_path), a_store(tmp_path)
    store.one(asking(1), now_ms=NOW_MS)

    other.one(asking(2), now_ms=NOW_MS)
    other.approve(ID, caller=CLI, now_ms=NOW_MS)
    store.one(asking(3), now_ms=NOW_MS)

    assert list(store.book.paired) == [ID]
    assert {item.device_id for item in store.book.pending.values()} == {
        key_pair(2).device_id,
        key_pair(3).device_id,
    }


def test_the_book_is_the_same_one_while_nothing_changed(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)

    assert store.read() is store.read() is store.book


def test_an_older_program_that_left_the_request_behind_is_healed(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device())
    put(store, "pending.json", a_request())

    book = store.read()
    store.one(asking(2), now_ms=NOW_MS)

    assert book.pending == {}
    assert len(on_disk(store, "pending.json")) == 1


def test_a_request_in_flight_is_never_in_neither_file(tmp_path):
    """Look between every two steps of an approval, as another program might."""
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    seen: list[tuple[int, int]] = []
    rename = os.rename

    def rename_and_look(source: Path, target: Path) -> None:
        rename(source, target)
        raw = [on_disk(store, name) for name in ("pending.json", "paired.json")]
        book = a_store(tmp_path).read()
        assert len(raw[0]) + len(raw[1]) >= 1
        seen.append((len(book.pending), len(book.paired)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", rename_and_look)
        put_paired_first = store.approve(ID, caller=CLI, now_ms=NOW_MS)

    assert put_paired_first
    assert set(seen) == {(0, 1)}
