"""Many writers at once, killed writers, many devices: what only shows in whole processes."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stores import codec
from stores.devices import DeviceStore
from stores.records import PairedDevice
from tests.builders import (
    CLI,
    NOW_MS,
    a_device,
    a_store,
    asking,
    events,
    key_pair,
    on_disk,
    put,
)
from tests.imports import ROOT

REQUEST_MANY = """
import sys
from pathlib import Path
from tests.builders import NOW_MS, a_store, asking
store, first = a_store(Path(sys.argv[1]), max_per_address=200), int(sys.argv[2])
store.lock_timeout_s = 120
for seed in range(first, first + 25):
    store.one(asking(seed), now_ms=NOW_MS)
"""

PAIR_FOR_EVER = """
import itertools, sys
from pathlib import Path
from tests.builders import CLI, NOW_MS, a_store, asking, key_pair
store = a_store(Path(sys.argv[1]))
for seed in itertools.count(int(sys.argv[2])):
    store.one(asking(seed), now_ms=NOW_MS)
    print("asked", seed, flush=True)
    store.approve(key_pair(seed).device_id, caller=CLI, now_ms=NOW_MS)
    print("paired", seed, flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_no_request_of_eight_programs_at_once_is_lost(tmp_path):
    writers = [start(REQUEST_MANY, tmp_path, 1 + 25 * number) for number in range(8)]
    outcomes = [(writer.communicate()[0], writer.returncode) for writer in writers]

    store = a_store(tmp_path)
    asked = {item.device_id for item in store.read().pending.values()}
    assert outcomes == [("", 0)] * 8
    assert asked == {key_pair(seed).device_id for seed in range(1, 201)}
    assert store.problems == ()
    assert events(store) == ["requested"] * 200


@pytest.mark.slow
def test_no_request_of_many_threads_at_once_is_lost(tmp_path):
    shared = a_store(tmp_path, max_per_address=200)
    done = threading.Event()
    books = []

    def write(store: DeviceStore, first: int) -> None:
        for seed in range(first, first + 10):
            store.one(asking(seed), now_ms=NOW_MS)
            store.touch(key_pair(seed).device_id, "operator", at_ms=NOW_MS)

    def read() -> None:
        while not done.is_set():
            books.append(len(shared.read().pending))

    stores = [shared, shared, a_store(tmp_path, max_per_address=200)]
    writers = [
        threading.Thread(target=write, args=(store, 1 + 10 * number))
        for number, store in enumerate(stores)
    ]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()

    assert len(shared.read().pending) == 30
    assert books == sorted(books)


def lines_of(process: subprocess.Popen[str]) -> Iterator[tuple[str, str]]:
    """Yield what was done, and to which device, as the process acknowledged it."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            what, seed = line.split()
            yield what, key_pair(int(seed)).device_id


@pytest.mark.slow
def test_a_program_killed_in_the_middle_of_a_write_loses_nothing_it_was_told_was_done(tmp_path):
    chance = random.Random(20)  # only spreads the kills
    asked, paired, store = set[str](), set[str](), a_store(tmp_path)
    for number in range(8):
        process = start(PAIR_FOR_EVER, tmp_path, 1 + 1000 * number)
        told = list(itertools.islice(lines_of(process), chance.randrange(2, 9)))
        for _ in range(chance.randrange(150_000)):  # up to some way into its next writes
            pass
        process.send_signal(signal.SIGKILL)
        told += lines_of(process)
        process.communicate()
        asked |= {device for what, device in told if what == "asked"}
        paired |= {device for what, device in told if what == "paired"}

        store = a_store(tmp_path)
        book = store.read()
        on_file = {item.device_id for item in book.pending.values()} | set(book.paired)
        assert paired <= set(book.paired)
        assert asked <= on_file
        assert store.problems == ()
        for name in ("pending.json", "paired.json", "notes.json"):
            if (tmp_path / name).exists():
                on_disk(store, name)
    store.one(asking(999), now_ms=NOW_MS)
    store.approve(key_pair(999).device_id, caller=CLI, now_ms=NOW_MS)

    assert paired
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_a_request_in_flight_is_never_in_neither_for_another_program(tmp_path):
    process = start(PAIR_FOR_EVER, tmp_path, 1)
    store = a_store(tmp_path)
    for _, device_id in itertools.islice(lines_of(process), 60):
        for _ in range(5):
            book = store.read()
            assert device_id in book.paired or book.pending_of(device_id)
    process.kill()
    process.communicate()


def many_devices(count: int) -> list[PairedDevice]:
    return [a_device(seed) for seed in range(1, count + 1)]


@pytest.mark.slow
def test_an_approval_among_ten_thousand_devices_encodes_and_parses_one(tmp_path, monkeypatch):
    store, other = a_store(tmp_path), a_store(tmp_path)
    put(store, "paired.json", *many_devices(10_000))
    store.read()
    other.read()
    store.one(asking(20_000), now_ms=NOW_MS)
    counted = Counted(monkeypatch)

    _, device = store.approve(key_pair(20_000).device_id, caller=CLI, now_ms=NOW_MS)
    written = [record for record in counted.dumped if isinstance(record, PairedDevice)]
    other.read()

    assert written == [device]
    assert counted.loaded.count(PairedDevice) == 1
    assert len(other.book.paired) == 10_001


class Counted:
    """What the codec was asked to do."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.dumped: list[Any] = []
        self.loaded: list[type] = []
        self._dump, self._load = codec.dump, codec.load
        patch.setattr(codec, "dump", self.dump)
        patch.setattr(codec, "load", self.load)

    def dump(self, record: Any) -> dict[str, Any]:
        self.dumped.append(record)
        return self._dump(record)

    def load(self, raw: Any, kind: type, **options: str) -> Any:
        self.loaded.append(kind)
        return self._load(raw, kind, **options)


def test_an_approval_encodes_only_what_it_changed(tmp_path, monkeypatch):
    store = a_store(tmp_path)
    put(store, "paired.json", *many_devices(20))
    store.read()
    store.one(asking(100), now_ms=NOW_MS)
    counted = Counted(monkeypatch)

    store.approve(key_pair(100).device_id, caller=CLI, now_ms=NOW_MS)

    assert [type(record).__name__ for record in counted.dumped] == ["PairedDevice", "DeviceNote"]
    assert counted.loaded == []


def test_a_program_that_waits_for_a_killed_one_gets_its_turn(tmp_path: Path) -> None:
    process = start(PAIR_FOR_EVER, tmp_path, 1)
    next(lines_of(process))
    process.kill()
    process.communicate()

    assert a_store(tmp_path).one(asking(5000), now_ms=NOW_MS)


DIE_AT_A_WRITE = """
import os, signal, sys
from pathlib import Path
from tests.builders import CLI, NOW_MS, a_store, asking, key_pair
store, left = a_store(Path(sys.argv[1])), int(sys.argv[2])
store.read()

def dying(real):
    def write(*args, **kwargs):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*args, **kwargs)
    return write

for name in ("rename", "replace", "write", "fsync", "unlink", "mkdir", "open"):
    setattr(os, name, dying(getattr(os, name)))
device_id, caller = key_pair(1).device_id, CLI
decide = getattr(store, sys.argv[3])
more = ("operator",) if sys.argv[3] in ("rotate", "revoke") else ()
decide(device_id, *more, caller=CLI, now_ms=NOW_MS)
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("decision", ["approve", "reject", "remove", "rotate", "revoke", "block"])
def test_a_kill_before_any_write_of_a_decision_leaves_all_of_it_or_none(tmp_path, decision):
    """Kill a program before its first, second, … write until one lives through the decision."""
    for number in itertools.count():
        folder = tmp_path / str(number)
        store = a_store(folder)
        put(store, "paired.json", a_device(1), a_device(2))
        store.one(asking(1, scopes=("operator.admin",)), now_ms=NOW_MS)
        before = a_store(folder).read()
        said, _ = start(DIE_AT_A_WRITE, folder, number, decision).communicate()

        found = a_store(folder)
        book = found.read()
        assert found.problems == ()
        assert book.paired.keys() | {key_pair(1).device_id} == before.paired.keys()
        if said:
            break
        old, new = before.paired[key_pair(1).device_id], book.paired.get(key_pair(1).device_id)
        if book.pending:  # not decided, or decided where the request is dropped by the next
            assert new is not None
        elif decision in ("approve", "rotate", "revoke"):
            assert new is not None
            assert new != old
        elif decision == "remove":
            assert new is None
        elif decision == "block":
            assert book.blocked(key_pair(1).device_id)
        found.lock_timeout_s = 1  # what a killed program held is free
        found.one(asking(3), now_ms=NOW_MS)
        found.approve(key_pair(3).device_id, caller=CLI, now_ms=NOW_MS)
        assert not list(folder.glob(".*.tmp"))

    assert number > 5
