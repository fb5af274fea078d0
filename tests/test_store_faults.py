"""The device store under every fault of a file, one table: who is known, what is kept, what is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stores import codec
from stores.devices import DeviceStore
from stores.errors import LockTimeoutError, StoreError, UnknownRequestError
from stores.files import locked, replace_file
from stores.invitations import Terms, hash_of, invite
from tests.builders import CLI, NOW_MS, a_device, a_store, asking, events, key_pair, on_disk
from tests.serving import open_gateway

KNOWN, NEW, NEXT = (key_pair(seed).device_id for seed in (1, 2, 3))
FILES = ("pending.json", "paired.json", "notes.json", "bootstrap.json")
YEAR_MS = 365 * 86_400_000
SECRET, OTHER_SECRET = "the-secret-of-an-invitation", "the-secret-of-another"


def a_used_store(folder: Path) -> DeviceStore:
    """Return a store with a device that is known and named, one that waits, and an invitation."""
    store = a_store(folder)
    inviting(store, SECRET)
    store.one(asking(1), now_ms=NOW_MS)
    store.approve(KNOWN, caller=CLI, now_ms=NOW_MS)
    store.rename(KNOWN, label="desk", caller=CLI, now_ms=NOW_MS)
    store.one(asking(2), now_ms=NOW_MS)
    return store


def inviting(store: DeviceStore, secret: str) -> None:
    """Make an invitation: what writes that file, which no decision about a device touches."""
    store.one(partial(invite, token=secret, terms=Terms(), caller=CLI), now_ms=NOW_MS)


def inviting_and_approving(store: DeviceStore) -> None:
    """Do what takes every file."""
    inviting(store, OTHER_SECRET)
    store.approve(NEW, caller=CLI, now_ms=NOW_MS)


def with_entry(data: bytes, key: str, entry: Any) -> bytes:
    """Return a file with one more entry, as another program would write it."""
    return json.dumps(json.loads(data) | {key: entry}, indent=2).encode()


def with_key(data: bytes) -> bytes:
    """Return a file whose every record says something of a version to come."""
    return json.dumps({k: v | {"later": {"x": 1}} for k, v in json.loads(data).items()}).encode()


WHOLE = [
    pytest.param(lambda _: b"", id="zero-bytes"),
    pytest.param(lambda data: data[:-9], id="truncated"),
    pytest.param(lambda _: b"[]", id="array"),
    pytest.param(lambda data: b"\0" * len(data), id="zeros-after-a-power-cut"),
]


@pytest.mark.parametrize("fresh", [False, True], ids=["running", "started-after"])
@pytest.mark.parametrize("broken", WHOLE)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_says_nothing_is_kept_aside_and_loses_nobody(
    tmp_path: Path, name: str, broken: Callable[[bytes], bytes], *, fresh: bool
) -> None:
    store = a_used_store(tmp_path)
    rubbish = broken((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(rubbish)
    store = a_store(tmp_path) if fresh else store

    book, problems = store.read(), store.problems
    if fresh and name == "pending.json":  # it can be asked for again
        assert book.pending == {}
        store.one(asking(2), now_ms=NOW_MS)
    inviting_and_approving(store)

    assert set(book.paired) == {KNOWN}
    assert book.notes[KNOWN].label == "desk"
    assert [(fault.file, fault.path) for fault in problems] == [(str(tmp_path / name), "$")]
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.name.startswith(f"{name}.corrupt-")
    assert aside.read_bytes() == rubbish
    after = a_store(tmp_path)
    assert set(after.read().paired) == {KNOWN, NEW}
    assert after.book.notes[KNOWN].label == "desk"
    assert after.book.pending == {}
    # One that was lost opens nothing: it is made again in a second.
    kept = {hash_of(OTHER_SECRET)}
    kept |= set() if fresh and name == "bootstrap.json" else {hash_of(SECRET)}
    assert set(after.book.invitations) == kept
    assert (store.problems, after.problems) == ((), ())


@pytest.mark.parametrize(
    "junk", [7, None, [], "x", {"deviceId": 7}], ids=["number", "null", "list", "text", "half"]
)
@pytest.mark.parametrize("name", FILES)
def test_a_record_that_is_none_is_told_and_kept_and_hinders_no_other(
    tmp_path: Path, name: str, junk: Any
) -> None:
    store = a_used_store(tmp_path)
    junk = {"label": 7} if name == "notes.json" and isinstance(junk, dict) else junk
    file = tmp_path / name
    replace_file(file, with_entry(file.read_bytes(), "junk", junk))

    store.approve(NEW, caller=CLI, now_ms=NOW_MS)

    after = a_store(tmp_path)
    assert set(after.read().paired) == {KNOWN, NEW}
    assert on_disk(store, name)["junk"] == junk
    assert [(fault.file, fault.path) for fault in after.problems] == [(str(file), "$.junk")]


@pytest.mark.parametrize("name", FILES)
def test_a_key_of_tomorrow_is_kept_through_every_write(tmp_path: Path, name: str) -> None:
    store = a_used_store(tmp_path)
    store.one(asking(3), now_ms=NOW_MS)
    file = tmp_path / name
    replace_file(file, with_key(file.read_bytes()))

    store.approve(NEW, caller=CLI, now_ms=NOW_MS)
    store.rename(KNOWN, label="chair", caller=CLI, now_ms=NOW_MS)

    kept = [record for record in on_disk(store, name).values() if "later" in record]
    assert [record["later"] for record in kept] == [{"x": 1}]
    assert store.problems == ()


def test_what_a_writer_without_the_lock_put_there_is_neither_lost_nor_overwritten(tmp_path):
    store = a_used_store(tmp_path)
    file = tmp_path / "paired.json"
    replace_file(file, with_entry(file.read_bytes(), NEXT, codec.dump(a_device(3))))

    store.approve(NEW, caller=CLI, now_ms=NOW_MS)

    assert set(a_store(tmp_path).read().paired) == {KNOWN, NEW, NEXT}


def test_a_writer_that_is_half_done_is_waited_for_with_what_was_known(tmp_path):
    store = a_used_store(tmp_path)
    file = tmp_path / "paired.json"
    whole = with_entry(file.read_bytes(), NEXT, codec.dump(a_device(3)))

    file.write_bytes(whole[:100])
    during = store.read()
    file.write_bytes(whole)
    after = store.read()

    assert set(during.paired) == {KNOWN}
    assert set(after.paired) == {KNOWN, NEXT}
    assert store.problems == ()


@pytest.mark.parametrize("by_ms", [YEAR_MS, -YEAR_MS], ids=["forwards", "backwards"])
def test_a_clock_that_jumps_forgets_requests_and_no_device(tmp_path: Path, by_ms: int) -> None:
    store = a_used_store(tmp_path)
    now_ms = NOW_MS + by_ms

    with pytest.raises(UnknownRequestError):
        store.approve(NEW, caller=CLI, now_ms=now_ms)
    store.one(asking(2), now_ms=now_ms)
    store.approve(NEW, caller=CLI, now_ms=now_ms)

    book = a_store(tmp_path).read()
    assert set(book.paired) == {KNOWN, NEW}
    assert book.notes[KNOWN].label == "desk"
    assert events(store)[-3:] == ["expired", "requested", "approved"]


def in_the_way(file: Path) -> None:
    """Put a folder where a file was."""
    file.rename(file.with_name("aside"))
    file.mkdir()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_stops_writes_and_is_told(tmp_path: Path, name: str) -> None:
    store = a_used_store(tmp_path)
    before = store.read()
    in_the_way(tmp_path / name)

    with pytest.raises(StoreError, match="is not a regular file"):
        store.approve(NEW, caller=CLI, now_ms=NOW_MS)

    assert store.book == before
    (fault,) = store.problems
    assert (fault.file, fault.path) == (str(tmp_path / name), "$")
    assert "known entries keep working" in fault.problem
    assert "`mv " in fault.remedy
    (tmp_path / name).rmdir()
    (tmp_path / "aside").rename(tmp_path / name)
    assert store.read() == before
    assert store.problems == ()


def test_what_another_program_took_away_counts_though_a_file_beside_it_cannot_be_read(tmp_path):
    store = a_used_store(tmp_path)
    in_the_way(tmp_path / "pending.json")
    replace_file(tmp_path / "paired.json", b"{}")

    with pytest.raises(StoreError):
        store.read()

    assert store.book.paired == {}


@pytest.mark.parametrize("name", ["paired.json", "notes.json"])
def test_the_remedy_for_something_in_the_way_brings_every_record_back(
    tmp_path: Path, name: str
) -> None:
    store = a_used_store(tmp_path)
    before = store.read()
    in_the_way(tmp_path / name)
    fresh = a_store(tmp_path)
    with pytest.raises(StoreError) as caught:
        fresh.read()

    assert fresh.book.paired == before.paired
    assert fresh.book.notes == before.notes
    command = str(caught.value.remedy).split("`")[1]
    assert os.system(command) == 0
    assert fresh.read() == before
    assert fresh.problems == ()


async def test_a_gateway_starts_on_the_spare_of_a_file_that_cannot_be_read(tmp_path):
    a_used_store(tmp_path / "devices")
    in_the_way(tmp_path / "devices" / "paired.json")

    async with open_gateway(tmp_path) as gateway:
        assert set(gateway.runtime.store.book.paired) == {KNOWN}
        assert len(gateway.runtime.store.problems) == 1


@pytest.mark.parametrize("name", ["paired.json", "notes.json"])
def test_who_is_paired_or_blocked_is_lost_only_where_no_copy_tells(
    tmp_path: Path, name: str
) -> None:
    running = a_used_store(tmp_path)
    in_the_way(tmp_path / name)
    lost = []

    for _ in range(2):
        fresh = a_store(tmp_path)
        for store in (running, fresh):
            with pytest.raises(StoreError):
                store.read()
        lost.append((running.lost, fresh.lost))
        (tmp_path / f"{name}.bak").unlink(missing_ok=True)

    assert lost == [(False, False), (False, True)]


def test_a_store_that_was_never_written_is_not_lost(tmp_path):
    store = a_store(tmp_path)

    store.read()

    assert not store.lost


def refuse_renames(patch: pytest.MonkeyPatch, name: str) -> None:
    """Refuse to replace one file, as a mount of that very file does."""
    rename = os.rename

    def busy(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    patch.setattr(os, "rename", busy)


@pytest.mark.parametrize("name", FILES)
def test_a_write_that_failed_is_a_problem_until_it_works_again(tmp_path: Path, name: str) -> None:
    store = a_used_store(tmp_path)

    with pytest.MonkeyPatch.context() as patch:
        refuse_renames(patch, name)
        with pytest.raises(StoreError):
            inviting_and_approving(store)
        (fault,) = store.problems
        with pytest.raises(StoreError):
            store.check(now_ms=NOW_MS)
        (again,) = store.problems
    store.check(now_ms=NOW_MS)

    assert fault.file == str(tmp_path)
    assert fault.problem.endswith("resource busy; nothing is decided until that works again")
    assert fault.remedy.startswith("mount its folder instead of that single file: `findmnt ")
    assert again == fault
    assert store.problems == ()
    assert KNOWN in a_store(tmp_path).read().paired


def test_a_write_that_works_ends_the_problem_without_a_check(tmp_path):
    store = a_used_store(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        refuse_renames(patch, "paired.json")
        with pytest.raises(StoreError):
            store.approve(NEW, caller=CLI, now_ms=NOW_MS)

    store.approve(NEW, caller=CLI, now_ms=NOW_MS)

    assert store.problems == ()


def test_a_lock_that_nobody_releases_is_a_problem_while_it_is_held(tmp_path):
    store = DeviceStore(tmp_path, lock_timeout_s=0.02)

    with locked(tmp_path / "store.lock"):
        with pytest.raises(LockTimeoutError):
            store.one(asking(), now_ms=NOW_MS)
        (fault,) = store.problems
    store.check(now_ms=NOW_MS)

    assert "store.lock is held by" in fault.problem
    assert store.problems == ()


def test_a_trail_that_cannot_be_written_is_a_problem_until_it_can(tmp_path):
    store = a_used_store(tmp_path)
    before = store.read()
    in_the_way(store.audit_trail)

    with pytest.raises(StoreError, match=r"Is a directory; move it away: `mv "):
        store.approve(NEW, caller=CLI, now_ms=NOW_MS)
    (fault,) = store.problems
    with pytest.raises(StoreError):
        store.check(now_ms=NOW_MS)
    store.audit_trail.rmdir()
    (tmp_path / "aside").rename(store.audit_trail)
    store.check(now_ms=NOW_MS)

    assert str(store.audit_trail) in fault.problem
    assert store.problems == ()
    assert store.read() == before


def test_a_folder_that_became_read_only_is_met_before_anybody_asks(tmp_path):
    store = a_used_store(tmp_path)
    before = store.read()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(StoreError, match="cannot write in"):
            store.check(now_ms=NOW_MS)
    (fault,) = store.problems
    store.check(now_ms=NOW_MS)

    assert fault.problem.endswith("nothing is decided until that works again")
    assert store.problems == ()
    assert store.read() == before


def test_a_check_decides_nothing_and_writes_nothing_while_all_is_well(tmp_path):
    store = a_used_store(tmp_path)
    before = {path.name: path.stat() for path in tmp_path.iterdir()}

    store.check(now_ms=NOW_MS + YEAR_MS)

    assert {path.name: path.stat() for path in tmp_path.iterdir()} == before


def test_a_check_leaves_a_broken_file_as_it_is(tmp_path):
    store = a_used_store(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        refuse_renames(patch, "paired.json")
        with pytest.raises(StoreError):
            store.approve(NEW, caller=CLI, now_ms=NOW_MS)
    (tmp_path / "paired.json").write_bytes(b"[]")

    store.check(now_ms=NOW_MS)

    assert (tmp_path / "paired.json").read_bytes() == b"[]"
    assert [fault.path for fault in store.problems] == ["$"]


def test_the_note_of_a_blocked_device_survives_a_broken_file(tmp_path):
    store = a_used_store(tmp_path)
    store.block(KNOWN, caller=CLI, now_ms=NOW_MS)
    (tmp_path / "notes.json").write_bytes(b"")

    fresh = a_store(tmp_path)

    assert fresh.read().blocked(KNOWN)
    assert fresh.book.notes == store.book.notes
