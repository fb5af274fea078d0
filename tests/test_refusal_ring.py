"""The ring of refusals: one entry for a storm, bounded, harmless, and in a file soon after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.refusal_ring import (
    COUNTS_EVERY_S,
    MAX_PER_CLIENT,
    MAX_TEXT,
    SAME_WITHIN_MS,
    RefusalRing,
)
from stores.refusal_ring import MAX_ENTRIES, read_refusals, ring_file, write_refusals

NOW_MS = 1_795_000_000_000


def entry(conn_id: str = "c1", **more: Any) -> dict[str, Any]:
    """Return a refusal as the door hands it over."""
    said = {"connId": conn_id, "code": "AUTH_TOKEN_MISMATCH", "closeReason": "unauthorized"}
    return said | {"client": {"id": "cli", "mode": "cli"}, "authenticated": False} | more


def add(ring: RefusalRing, group: str = "a", *, at_ms: int = 0, **more: Any) -> None:
    logged = more.pop("logged", False)
    ring.add(group, entry(**more), now_ms=NOW_MS + at_ms, logged=logged)


async def inline(sync_fn: Any, *args: Any) -> Any:
    """Stand in for a worker thread where a jumping clock runs."""
    return sync_fn(*args)


def test_equal_refusals_of_one_client_are_one_entry_and_a_count():
    ring = RefusalRing()

    add(ring, conn_id="c1", logged=True)
    add(ring, conn_id="c2", at_ms=SAME_WITHIN_MS - 1)

    (one,) = ring.listing()
    assert (one["count"], one["connId"], one["connIds"]) == (2, "c2", ["c1"])
    assert (one["ts"], one["lastTs"]) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:07:09.999Z")


@pytest.mark.parametrize(
    "second",
    [
        pytest.param({"group": "b"}, id="another-client"),
        pytest.param({"code": "AUTH_RATE_LIMITED"}, id="another-code"),
        pytest.param({"closeReason": "pairing required"}, id="another-reason"),
        pytest.param({"client": {"id": "cli", "mode": "ui"}}, id="another-program"),
        pytest.param({"deviceId": "another"}, id="another-device"),
        pytest.param({"at_ms": SAME_WITHIN_MS}, id="later"),
    ],
)
def test_what_differs_is_an_entry_of_its_own(second: dict[str, Any]):
    ring = RefusalRing()

    add(ring)
    add(ring, **{"conn_id": "c2"} | second)

    assert [one["connId"] for one in ring.listing()] == ["c2", "c1"]


def test_the_newest_facts_are_told_of_equal_refusals():
    ring = RefusalRing()

    add(ring, saw={"origin": "https://a.example"})
    add(ring, saw={"origin": "https://b.example"}, at_ms=1)

    assert ring.listing()[0]["saw"] == {"origin": "https://b.example"}


def test_one_client_cannot_push_the_others_out():
    ring = RefusalRing()
    add(ring, "victim", conn_id="seen")

    for number in range(1_000):
        add(ring, "noisy", closeReason=f"reason {number}")

    assert len(ring.listing()) == MAX_PER_CLIENT + 1
    assert ring.listing()[-1]["connId"] == "seen"


def test_many_clients_leave_the_newest():
    ring = RefusalRing()

    for number in range(MAX_ENTRIES + 5):
        add(ring, str(number), conn_id=f"c{number}")

    found = ring.listing()
    assert len(found) == MAX_ENTRIES
    assert found[0]["connId"] == f"c{MAX_ENTRIES + 4}"
    assert len(ring._since_ms) <= MAX_ENTRIES


def test_what_a_client_said_is_cut_escaped_and_without_secrets():
    ring = RefusalRing(lambda text: text.replace("hunter2", "***"))

    add(ring, saw={"host": "\x1b[2J" + "h" * 9_000, "origin": "https://hunter2.example"})

    seen = ring.listing()[0]["saw"]
    assert seen["host"].startswith("\\x1b[2J")
    assert len(seen["host"]) < MAX_TEXT + 20
    assert seen["origin"] == "https://***.example"


async def test_a_refusal_is_on_file_at_once_and_counts_only_now_and_then(
    tmp_path: Path, autojump_clock: MockClock
):
    ring, file = RefusalRing(), ring_file(tmp_path / "logs")
    writes: list[float] = []

    async def counted(sync_fn: Any, *args: Any) -> Any:
        if args == ():
            writes.append(trio.current_time())
        return sync_fn(*args)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: ring.keep_written(file, counted, each_round=lambda: None))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(600):
            add(ring)
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()

    assert read_refusals(file)[0]["count"] == 600
    assert len(writes) <= 60 / COUNTS_EVERY_S + 3
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_many_new_refusals_are_one_write_a_second(tmp_path: Path, autojump_clock: MockClock):
    ring, file = RefusalRing(), ring_file(tmp_path)
    writes: list[float] = []

    async def counted(sync_fn: Any, *args: Any) -> Any:
        writes.append(trio.current_time())
        return sync_fn(*args)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: ring.keep_written(file, counted, each_round=lambda: None))
        for number in range(100):
            add(ring, str(number))
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()

    assert len(writes) <= 13


async def test_what_an_earlier_gateway_wrote_is_kept(tmp_path: Path, autojump_clock: MockClock):
    file = ring_file(tmp_path)
    write_refusals(file, [{"connId": "old"}])
    ring = RefusalRing()

    async with trio.open_nursery() as nursery:
        add(ring, conn_id="new")
        nursery.start_soon(lambda: ring.keep_written(file, inline, each_round=lambda: None))
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert [one["connId"] for one in ring.listing()] == ["new", "old"]
    assert [one["connId"] for one in read_refusals(file)] == ["old", "new"]


async def test_a_file_that_cannot_be_written_is_told_once_and_ends_nothing(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    ring = RefusalRing()
    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: ring.keep_written(ring_file(folder), inline, each_round=lambda: None)
            )
            for number in range(10):
                add(ring, str(number))
                await trio.sleep(2)
            nursery.cancel_scope.cancel()

    told = [one for one in caplog.messages if "refusals are not kept" in one]
    assert len(told) <= 2  # once while it runs, and nothing new when it ends
    assert len(ring.listing()) == 10


async def test_what_is_due_now_and_then_is_done_though_nobody_is_refused(
    tmp_path: Path, autojump_clock: MockClock
):
    rounds: list[float] = []

    def note_round() -> None:
        rounds.append(trio.current_time())

    with trio.move_on_after(6 * COUNTS_EVERY_S):
        await RefusalRing().keep_written(ring_file(tmp_path), inline, each_round=note_round)

    assert len(rounds) == 5
    assert not ring_file(tmp_path).exists()
