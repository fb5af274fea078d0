"""What the gateway notes of its peers: what looks like a proxy, bounded, and kept on disk."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio

from gateway.door import begin_visit
from gateway.log import Redactor
from gateway.peers import (
    FORGET_AFTER_MS,
    MAX_PEERS,
    MAX_SAMPLES,
    MAX_SHAPES_PER_PEER,
    WRITE_EVERY_S,
    PeerNotes,
)
from gateway.policy.address import ForwardingHeaders, resolve_client
from stores.errors import CorruptStoreError
from stores.peers_seen import PeersSeen, Sample, Seen, Shape, read_peers, write_peers
from stores.scopes import READ
from tests.serving import Serving
from tests.sessions import a_gateway, admitted

NOW_MS = 1_700_000_000_000


def note(notes: PeerNotes, peer: str, *lines: tuple[str, str], host: str = "gw.example") -> None:
    """Note one connection that carried forwarding headers."""
    found = ForwardingHeaders.from_headers(lines or [("X-Forwarded-For", "203.0.113.9")])
    address = resolve_client(ip_address(peer), found, ())
    notes.note(address, found, Shape.FORWARDED, host=host, origin=None, now_ms=NOW_MS)


def visit(gateway: Serving, peer: str, *headers: tuple[bytes, bytes]) -> list[tuple[str, str]]:
    """Begin one connection; return what is noted then, as (peer, shape)."""
    begin_visit(gateway.door, "c", (peer, 1), ("127.0.0.1", 2), headers)
    return [(one.peer, str(one.shape)) for one in gateway.runtime.peers.listing().seen]


LOOPBACK_PAGE = ((b"host", b"127.0.0.1:1"), (b"origin", b"http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("peer", "headers", "shape"),
    [
        pytest.param("10.0.0.1", ((b"x-forwarded-for", b"1.2.3.4"),), "forwarded", id="forwarded"),
        pytest.param("127.0.0.1", ((b"via", b"1.1 x"),), "forwarded", id="any-forwarding-header"),
        pytest.param("127.0.0.1", ((b"host", b"gw.example"),), "foreign-host", id="says-nothing"),
        pytest.param("172.18.0.1", LOOPBACK_PAGE, "loopback-host", id="published-port"),
        pytest.param("172.18.0.1", ((b"host", b"localhost:1"),), "loopback-host", id="no-origin"),
    ],
)
async def test_what_looks_like_a_proxy_is_noted(tmp_path, peer, headers, shape):
    async with a_gateway(tmp_path) as gateway:
        assert visit(gateway, peer, *headers) == [(peer, shape)]


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        pytest.param("127.0.0.1", LOOPBACK_PAGE, id="local-browser"),
        pytest.param("::1", ((b"host", b"[::1]:1"),), id="local-ipv6"),
        pytest.param("127.0.0.1", ((b"host", b"box.local"),), id="by-its-own-name"),
        pytest.param("127.0.0.1", (), id="no-head"),
        pytest.param("127.0.0.1", ((b"host", b"a b"),), id="no-host-at-all"),
        pytest.param("192.168.1.9", ((b"host", b"192.168.1.2"),), id="lan"),
        pytest.param(
            "192.168.1.9",
            ((b"host", b"127.0.0.1:1"), (b"origin", b"http://evil.example")),
            id="somebody-elses-page",
        ),
    ],
)
async def test_a_direct_connection_is_not_noted(tmp_path, peer, headers):
    async with a_gateway(tmp_path) as gateway:
        gateway.runtime.machine_names = frozenset({"box"})

        assert visit(gateway, peer, *headers) == []


def test_equal_connections_are_one_entry_with_a_count_and_a_few_samples():
    notes = PeerNotes()

    for number in range(10):
        note(notes, "10.0.0.1", ("X-Forwarded-For", f"203.0.113.{number}"))
    note(notes, "10.0.0.1", ("X-Real-IP", "203.0.113.9"))

    newest, other = sorted(notes.listing().seen, key=lambda one: one.count)
    assert (newest.count, newest.headers) == (1, ("x-real-ip",))
    assert (other.count, other.headers) == (10, ("x-forwarded-for",))
    last = [f"203.0.113.{number}" for number in range(10 - MAX_SAMPLES, 10)]
    assert [one.forwarded_for for one in other.samples] == [(text,) for text in last]


def test_a_flood_of_peers_displaces_nobody_who_was_seen_often():
    notes = PeerNotes()
    for _ in range(3):
        note(notes, "10.0.0.1")

    for number in range(MAX_PEERS * 3):
        note(notes, f"2001:db8::{number + 1:x}")

    peers = [one.peer for one in notes.listing().seen]
    assert len(set(peers)) == MAX_PEERS
    assert "10.0.0.1" in peers


def test_one_peer_cannot_fill_the_notes_with_made_up_headers():
    notes = PeerNotes()

    for number in range(100):
        note(notes, "10.0.0.1", (f"X-Forwarded-{number}", "x"))

    assert len(notes) == MAX_SHAPES_PER_PEER


def test_no_secret_of_a_header_is_kept():
    notes = PeerNotes(Redactor().clean)

    note(notes, "10.0.0.1", ("X-Forwarded-For", "token=a-wrong-secret-somebody-tried"))

    (one,) = notes.listing().seen
    assert "a-wrong-secret-somebody-tried" not in str(one)


def test_what_a_peer_sent_is_cut_and_escaped_and_the_near_end_of_a_chain_stays():
    notes = PeerNotes()
    chain = "\x1b[2J, " + "9.9.9.9, " * 200 + "203.0.113.9"

    note(notes, "10.0.0.1", *[("X-Forwarded-For", chain)] * 9, host="\x1b" * 999)

    (one,) = notes.listing().seen
    (sample,) = one.samples
    assert sample.forwarded_for[-1].endswith("9.9.9.9, 203.0.113.9")
    assert len("".join(sample.forwarded_for)) <= 4 * 256
    assert sample.host is not None
    assert len(sample.host) == 256
    assert json.dumps([sample.forwarded_for, sample.host]).isprintable()


def test_what_an_earlier_run_saw_counts_on_unless_it_is_long_ago():
    notes = PeerNotes()
    note(notes, "10.0.0.1")
    before = Seen("10.0.0.1", Shape.FORWARDED, ("x-forwarded-for",), 7, 5, NOW_MS - 9)
    other = Seen("10.0.0.2", Shape.FORWARDED, (), 2, 5, NOW_MS - 9)
    old = Seen("10.0.0.3", Shape.FORWARDED, (), 2, 5, NOW_MS - FORGET_AFTER_MS - 1)

    notes.recall(PeersSeen((before, other, old)), now_ms=NOW_MS)

    found = {one.peer: (one.count, one.first_ms, one.last_ms) for one in notes.listing().seen}
    assert found == {"10.0.0.1": (8, 5, NOW_MS), "10.0.0.2": (2, 5, NOW_MS - 9)}


async def test_news_is_on_disk_at_once_and_counts_once_a_minute(tmp_path, autojump_clock):
    notes, path = PeerNotes(), tmp_path / "logs" / "peers.json"

    async def inline(work, *args):
        return work(*args)

    def count() -> int:
        found = read_peers(path)
        return sum(one.count for one in found.seen) if found else 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(notes.keep, path, inline, now_ms=lambda: NOW_MS))
        await trio.sleep(1)
        note(notes, "10.0.0.1")
        await trio.sleep(2)
        first = count()
        note(notes, "10.0.0.1")
        await trio.sleep(WRITE_EVERY_S - 2)
        soon = count()
        await trio.sleep(4)
        later = count()
        note(notes, "10.0.0.1")
        nursery.cancel_scope.cancel()

    assert (first, soon, later) == (1, 1, 2)
    assert count() == 3  # the end writes what is left
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_flood_of_made_up_peers_is_written_once_a_minute(tmp_path, autojump_clock):
    notes, writes = PeerNotes(), []

    async def counting(work, *args):
        if work is write_peers:
            writes.append(trio.current_time())
        return work(*args)

    async with trio.open_nursery() as nursery:
        path = tmp_path / "peers.json"
        for number in range(MAX_PEERS + 1):
            note(notes, f"2001:db8::{number + 1:x}")
        nursery.start_soon(partial(notes.keep, path, counting, now_ms=lambda: NOW_MS))
        for number in range(600):
            note(notes, f"2001:db8:1::{number + 1:x}")
            await trio.sleep(0.5)
        nursery.cancel_scope.cancel()

    assert len(writes) <= 300 / WRITE_EVERY_S + 2


async def test_a_broken_file_is_told_and_made_anew(tmp_path, caplog, autojump_clock):
    notes, path = PeerNotes(), tmp_path / "peers.json"
    path.write_text('{"peers": 7}')

    async def inline(work, *args):
        return work(*args)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(notes.keep, path, inline, now_ms=lambda: NOW_MS))
        await trio.sleep(1)
        note(notes, "10.0.0.1")
        await trio.sleep(2)
        nursery.cancel_scope.cancel()

    assert "what was seen of proxies is lost" in caplog.text
    found = read_peers(path)
    assert found is not None
    assert [one.peer for one in found.seen] == ["10.0.0.1"]


def test_the_file_holds_what_was_written(tmp_path: Path):
    sample = Sample(("203.0.113.9",), ("1.2.3.4",), "gw.example", "https://gw.example")
    seen = Seen("10.0.0.1", Shape.FORWARDED, ("x-forwarded-for",), 3, 1, 2, (sample,))
    peers = PeersSeen((seen, Seen("::1", Shape.LOST_UPGRADE, (), 1, 1, 1)), ("172.18.0.1",))
    path = tmp_path / "logs" / "peers.json"

    write_peers(path, peers)

    assert read_peers(path) == peers
    assert read_peers(tmp_path / "nothing.json") is None


def a_peer(**changes: object) -> str:
    """Return the text of a file with one peer, which is right but for the changes."""
    peer = {"peer": "::1", "shape": "forwarded", "headers": [], "count": 1}
    times = {"firstSeenMs": 1, "lastSeenMs": 1, "samples": []}
    return json.dumps({"peers": [peer | times | changes], "defaultGateways": []})


def test_a_file_made_by_hand_is_read(tmp_path: Path):
    (tmp_path / "peers.json").write_text(a_peer())

    assert read_peers(tmp_path / "peers.json") == PeersSeen(
        (Seen("::1", Shape.FORWARDED, (), 1, 1, 1),)
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="array"),
        pytest.param("{", id="cut"),
        pytest.param("{}", id="empty"),
        pytest.param('{"peers": [], "defaultGateways": "x"}', id="text-for-list"),
        pytest.param('{"peers": [], "defaultGateways": [1]}', id="number-for-text"),
        pytest.param('{"peers": [{"peer": "::1"}], "defaultGateways": []}', id="missing"),
        pytest.param(a_peer(peer="localhost"), id="no-address"),
        pytest.param(a_peer(shape="unheard-of"), id="unknown-shape"),
        pytest.param(a_peer(count=True), id="no-count"),
        pytest.param(a_peer(lastSeenMs=10**18), id="beyond-all-calendars"),
        pytest.param(a_peer(samples=[{"forwardedFor": "x"}]), id="broken-sample"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path: Path, text: str):
    path = tmp_path / "peers.json"
    path.write_text(text)

    with pytest.raises(CorruptStoreError, match=r"peers\.json"):
        read_peers(path)


async def test_the_list_over_the_wire_names_the_rule_that_trusts_each_peer(tmp_path):
    section: dict[str, object] = {"trustedProxies": ["127.0.0.1", "10.0.0.0/30"]}
    async with (
        a_gateway(tmp_path, section) as gateway,
        admitted(gateway, scopes=(READ,)) as wire,
    ):
        visit(gateway, "10.0.0.2", (b"x-forwarded-for", b"203.0.113.9"))
        visit(gateway, "10.9.9.9", (b"x-forwarded-for", b"203.0.113.9"))

        answer = await wire.result("gateway.peers.list")
        error = (await wire.call("gateway.peers.list", {"x": 1}))["error"]

    by = {one["peer"]: one for one in answer["peers"]}
    assert by["10.0.0.2"]["trustedBy"] == "10.0.0.0/30"
    assert by["10.9.9.9"]["trustedBy"] is None
    assert by["10.9.9.9"]["samples"][0]["forwardedFor"] == ["203.0.113.9"]
    assert error["message"].startswith("invalid gateway.peers.list params")


async def test_who_may_not_read_is_not_told_of_peers(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=()) as wire:
        error = (await wire.call("gateway.peers.list"))["error"]

    assert error["message"].startswith("missing scope: operator.read")
