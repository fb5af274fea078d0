"""The device store when disks, files and locks fail it; `test_devices` has the rest."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from stores import codec
from stores.devices import DeviceStore, new_device_token
from stores.errors import (
    CorruptStoreError,
    LockTimeoutError,
    StoreError,
)
from stores.files import locked, replace_file
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import READ
from tests.builders import (
    CLI,
    NOW_MS,
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


def fail_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Make the rename number ``number`` of store files fail."""
    rename, count = os.rename, 0

    def failing(source: Path, target: Path) -> None:
        nonlocal count
        count += not str(target).endswith(".bak")
        if count == number and not str(target).endswith(".bak"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    patch.setattr(os, "rename", failing)


@pytest.mark.parametrize("number", [1, 2, 3], ids=["paired", "notes", "pending"])
def test_the_book_in_memory_is_what_the_files_say_after_a_write_that_failed(tmp_path, number):
    store = a_store(tmp_path)
    item = store.one(asking(), now_ms=NOW_MS)

    with pytest.MonkeyPatch.context() as patch:
        fail_at(number, patch)
        with pytest.raises(StoreError):
            store.approve(item.request_id, caller=CLI, now_ms=NOW_MS)
    after = store.book

    assert after == store.read() == a_store(tmp_path).read()
    assert (len(after.pending), len(after.paired)) == ((1, 0) if number == 1 else (0, 1))
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("number", [2, 3], ids=["notes", "pending"])
def test_a_decision_that_took_effect_is_in_the_trail_though_the_write_failed(tmp_path, number):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    with pytest.MonkeyPatch.context() as patch:
        fail_at(number, patch)
        with pytest.raises(StoreError):
            store.approve(ID, caller=CLI, now_ms=NOW_MS)

    store.flush(now_ms=NOW_MS)

    assert events(store) == ["requested", "approved"]


def test_a_failed_write_is_repaired_by_trying_again(tmp_path):
    store = a_store(tmp_path)
    put(store, "paired.json", a_device(2))
    store.one(asking(), now_ms=NOW_MS)
    store.touch(key_pair(2).device_id, OPERATOR, at_ms=NOW_MS)
    with pytest.MonkeyPatch.context() as patch:
        fail_at(1, patch)
        with pytest.raises(StoreError):
            store.approve(ID, caller=CLI, now_ms=NOW_MS)

    store.approve(ID, caller=CLI, now_ms=NOW_MS)

    book = a_store(tmp_path).read()
    assert ID in book.paired
    assert book.paired[key_pair(2).device_id].last_seen_at_ms == NOW_MS


def test_a_trail_that_cannot_be_written_stops_the_decision_before_it_is_made(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    store.audit_trail.unlink()
    store.audit_trail.mkdir()

    with pytest.raises(StoreError):
        store.approve(ID, caller=CLI, now_ms=NOW_MS)

    assert a_store(tmp_path).read().paired == {}
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_line_that_found_no_room_is_reported_and_written_later(tmp_path, monkeypatch):
    store = a_store(tmp_path)
    write = os.write

    def full(handle: int, data: Any) -> int:
        if bytes(data).startswith(b'{"ts"'):
            raise OSError(28, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr(os, "write", full)
    item = store.one(asking(), now_ms=NOW_MS)
    problems = store.problems
    monkeypatch.undo()
    store.flush(now_ms=NOW_MS)

    assert a_store(tmp_path).read().pending == {item.request_id: item}
    assert problems[0].problem.endswith("No space left on device; 1 lines wait in memory")
    assert events(store) == ["requested"]
    assert store.problems == ()


def test_a_broken_paired_file_serves_the_known_and_is_kept_aside(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(), now_ms=NOW_MS)
    store.approve(ID, caller=CLI, now_ms=NOW_MS)
    (tmp_path / "paired.json").write_bytes(b"")

    fresh = a_store(tmp_path)
    assert list(fresh.read().paired) == list(store.read().paired) == [ID]
    assert [problem.path for problem in fresh.problems] == ["$"]

    fresh.one(asking(2), now_ms=NOW_MS)
    fresh.approve(key_pair(2).device_id, caller=CLI, now_ms=NOW_MS)

    assert len(on_disk(store, "paired.json")) == 2
    assert len(list(tmp_path.glob("paired.json.corrupt-*"))) == 1


def test_nobody_is_paired_over_a_broken_file_of_which_nothing_is_known(tmp_path):
    store = a_store(tmp_path)
    (tmp_path / "paired.json").write_bytes(b"[]")
    store.one(asking(), now_ms=NOW_MS)

    with pytest.raises(CorruptStoreError):
        store.approve(ID, caller=CLI, now_ms=NOW_MS)

    assert (tmp_path / "paired.json").read_bytes() == b"[]"
    assert len(store.read().pending) == 1


def test_nobody_is_paired_while_it_is_not_known_who_is_blocked(tmp_path):
    store = a_store(tmp_path)
    (tmp_path / "notes.json").write_bytes(b"")
    store.one(asking(), now_ms=NOW_MS)

    with pytest.raises(CorruptStoreError):
        store.approve(ID, caller=CLI, now_ms=NOW_MS)

    assert a_store(tmp_path).read().paired == {}


def test_a_file_that_cannot_be_read_is_never_taken_for_empty(tmp_path):
    store = a_store(tmp_path)
    put(store, "pending.json", a_request())
    (tmp_path / "paired.json").mkdir()

    for act in (store.read, lambda: store.one(asking(2), now_ms=NOW_MS)):
        with pytest.raises(StoreError, match="not a regular file"):
            act()

    (tmp_path / "paired.json").rmdir()
    assert len(store.read().pending) == 1


@pytest.mark.parametrize(
    ("name", "key", "change", "fault"),
    [
        pytest.param(
            "paired.json", ID, {"publicKey": key_pair(2).public_key},
            "publicKey does not hash to deviceId", id="another-key",
        ),
        pytest.param(
            "paired.json", ID, {"publicKey": "AAAA"},
            "publicKey does not hash to deviceId", id="no-key",
        ),
        pytest.param(
            "paired.json", "other", {}, f"deviceId is {ID}, but the entry is filed under another id",
            id="under-another-id",
        ),
        pytest.param(
            "pending.json", "other", {}, "requestId is r, but the entry is filed under another id",
            id="request-under-another-id",
        ),
        pytest.param(
            "pending.json", "r", {"publicKey": key_pair(2).public_key},
            "publicKey does not hash to deviceId", id="request-with-another-key",
        ),
    ],
)  # fmt: skip
def test_a_record_that_is_not_what_it_says_is_not_served(tmp_path, name, key, change, fault):
    store = a_store(tmp_path)
    record = a_device() if name == "paired.json" else a_request(request_id="r")
    replace_file(tmp_path / name, json.dumps({key: codec.dump(record) | change}).encode())

    book = store.read()

    assert book == DeviceBook()
    assert [(problem.path, problem.problem) for problem in store.problems] == [(f"$.{key}", fault)]


def test_a_store_key_is_made_once_private_and_shared(tmp_path):
    one, other = a_store(tmp_path), a_store(tmp_path)

    first = one.one(asking(), now_ms=NOW_MS)
    one.reject(first.request_id, caller=CLI, now_ms=NOW_MS)
    again = other.one(asking(), now_ms=NOW_MS)

    key = tmp_path / "store.key"
    assert first.request_id == again.request_id
    assert len(key.read_bytes()) == 32
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_store_key_that_was_cut_short_is_made_anew(tmp_path):
    (tmp_path / "store.key").write_bytes(b"short")

    a_store(tmp_path).one(asking(), now_ms=NOW_MS)

    assert len((tmp_path / "store.key").read_bytes()) == 32


def test_a_lock_that_is_held_ends_a_transition_and_changes_nothing(tmp_path):
    store = DeviceStore(tmp_path, lock_timeout_s=0.02)

    with locked(tmp_path / "store.lock"), pytest.raises(LockTimeoutError):
        store.one(asking(), now_ms=NOW_MS)

    assert not (tmp_path / "pending.json").exists()


def test_readers_do_not_wait_for_a_writer_that_waits_for_the_lock(tmp_path):
    store = a_store(tmp_path)
    put(store, "pending.json", a_request())
    waiting = threading.Thread(target=store.one, args=(asking(2),), kwargs={"now_ms": NOW_MS})

    with locked(tmp_path / "store.lock"):
        waiting.start()
        while not store._turn.locked():  # the writer has its turn, and waits for the lock
            pass
        book = store.read()
    waiting.join()

    assert len(book.pending) == 1
    assert len(store.read().pending) == 2


def test_every_file_is_private(tmp_path):
    before = os.umask(0)
    try:
        store = DeviceStore(tmp_path / "devices")
        store.one(asking(), now_ms=NOW_MS)
        store.approve(ID, caller=CLI, now_ms=NOW_MS)
    finally:
        os.umask(before)

    modes = {path.name: path.stat().st_mode & 0o777 for path in store.directory.iterdir()}
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
    assert {"pending.json", "paired.json", "notes.json", "store.key", "audit.jsonl"} <= set(modes)


def test_a_fresh_token_is_43_characters_and_never_the_same():
    assert re.fullmatch("[A-Za-z0-9_-]{43}", new_device_token())
    assert new_device_token() != new_device_token()


def test_notes_of_blocked_devices_are_heard(tmp_path):
    store = a_store(tmp_path)
    replace_file(tmp_path / "notes.json", b'{"%s": {"blocked": true}}' % ID.encode())
    put(store, "pending.json", a_request(), a_request(2))

    book = store.read()

    assert book.notes[ID] == DeviceNote(blocked=True)
    assert [item.device_id for item in book.pending.values()] == [key_pair(2).device_id]


@pytest.mark.parametrize(
    ("note", "blocked"),
    [
        pytest.param('{"blocked": "yes"}', True, id="word"),
        pytest.param('{"blocked": 1}', True, id="number"),
        pytest.param('{"blocked": true, "label": 7}', True, id="other-fault"),
        pytest.param('"blocked"', True, id="no-object"),
        pytest.param('{"blocked": true, "\\ud800": 1}', True, id="half-a-character"),
        pytest.param('{"blocked": false, "\\ud800": 1}', False, id="half-a-character-and-not"),
        pytest.param('{"label": 7}', False, id="not-about-it"),
        pytest.param('{"blocked": false, "label": 7}', False, id="plainly-not"),
        pytest.param('{"blocked": null, "label": 7}', False, id="null"),
    ],
)
def test_a_note_that_is_no_record_blocks_where_it_may_have_been_meant_to(tmp_path, note, blocked):
    store = a_store(tmp_path)
    replace_file(tmp_path / "notes.json", f'{{"{ID}": {note}}}'.encode())

    assert store.read().blocked(ID) is blocked
    [problem] = store.problems
    meanwhile = "its device counts as blocked" if blocked else "it is ignored"
    assert problem.remedy == f"repair or delete that entry; {meanwhile} and kept until then"

    store.block(key_pair(2).device_id, caller=CLI, now_ms=NOW_MS)
    assert on_disk(store, "notes.json")[ID] == json.loads(note)


def test_lifting_the_block_of_a_note_that_is_no_record_puts_it_right(tmp_path):
    store = a_store(tmp_path)
    replace_file(tmp_path / "notes.json", f'{{"{ID}": {{"blocked": "yes"}}}}'.encode())
    store.read()

    store.unblock(ID, caller=CLI, now_ms=NOW_MS)

    assert not store.read().blocked(ID)
    assert store.problems == ()


def test_the_printed_store_shows_no_key(tmp_path):
    store = a_store(tmp_path)
    store.one(asking(scopes=[READ]), now_ms=NOW_MS)

    assert repr((tmp_path / "store.key").read_bytes()) not in repr(store)
