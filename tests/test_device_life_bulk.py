"""Devices forgotten in bulk; `test_device_life` has them one by one."""

from __future__ import annotations

from typing import Any

import pytest

from stores import device_life
from stores.errors import NotAllowedError
from stores.records import DeviceNote, Role
from stores.scopes import ADMIN, PAIRING
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
    key_pair,
    some_rules,
)

OPERATOR = Role.OPERATOR
ID, OTHER = key_pair(1).device_id, key_pair(2).device_id
OWN_TOKEN = Caller("operator", (PAIRING,), device_id=ID, own_device_only=True)


def told(change) -> list[str]:
    return [line.event.removeprefix("device.") for line in change.audit]


@pytest.mark.parametrize("pending", [True, False])
def test_a_clearing_says_what_it_took(pending):
    blocked = {ID: DeviceNote(blocked=True), OTHER: DeviceNote(label="desk")}
    book = a_book(a_device(2), a_request(3), notes=blocked)

    change = device_life.clear(book, some_rules(), pending=pending, caller=CLI)

    removed, rejected = change.result
    assert removed == (() if pending else (OTHER,))
    assert rejected == (a_request(3).request_id,)
    assert change.book.pending == {}
    assert list(change.book.paired) == ([OTHER] if pending else [])
    assert change.book.blocked(ID)
    assert (OTHER in change.book.notes) is pending
    assert told(change) == (["rejected"] if pending else ["removed", "rejected"])


def test_a_pruning_takes_those_without_any_contact_and_what_they_asked_for():
    old: dict[str, Any] = {"created_at_ms": 1, "approved_at_ms": 1}
    unused = {OPERATOR: a_token(created_at_ms=1)}
    used = {OPERATOR: a_token(created_at_ms=1, last_used_at_ms=NOW_MS)}
    book = a_book(
        a_device(1, **old, tokens=unused),
        a_device(2, **old, tokens=used),
        a_device(3, **old, tokens=unused, last_seen_at_ms=NOW_MS),
        a_device(4, created_at_ms=1, tokens=unused, approved_at_ms=NOW_MS),
        a_request(1, scopes=[ADMIN]),
        a_request(5),
    )

    change = device_life.prune(book, some_rules(), not_seen_since_ms=NOW_MS, caller=CLI)

    assert change.result == ((ID,), (a_request(1).request_id,))
    assert list(change.book.paired) == [key_pair(seed).device_id for seed in (2, 3, 4)]
    assert list(change.book.pending) == [a_request(5).request_id]


def test_a_pruning_that_finds_nobody_changes_nothing():
    book = a_book(a_device(1), a_request(2))

    change = device_life.prune(book, some_rules(), not_seen_since_ms=1, caller=CLI)

    assert change.book is book
    assert change.result == ((), ())


@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(PAIRING_SESSION, id="pairing"),
        pytest.param(OWN_TOKEN, id="a-device-token"),
        pytest.param(Caller("task"), id="a-task"),
    ],
)
def test_only_the_owner_of_the_folder_or_an_admin_forgets_in_bulk(caller):
    book = a_book(a_device(1, scopes=[]))

    with pytest.raises(NotAllowedError):
        device_life.clear(book, some_rules(), pending=True, caller=caller)
    with pytest.raises(NotAllowedError):
        device_life.prune(book, some_rules(), not_seen_since_ms=NOW_MS, caller=caller)
    assert device_life.clear(book, some_rules(), pending=False, caller=ADMIN_SESSION).result[0]
