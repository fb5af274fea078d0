"""What became of a request that is no longer pending."""

from __future__ import annotations

from functools import partial

import attrs
import orjson
import pytest

from stores import pairing
from stores.devices import DeviceStore
from stores.ending import TAIL_BYTES, Line, explained, lines_of, tail_of
from stores.errors import UnknownRequestError
from stores.keys import generate
from stores.records import DeviceBook, PendingRequest
from stores.transition import Caller, Wish
from tests.builders import a_wish

# 2026-11-20T12:03:00Z
AT_MS = 1_795_176_180_000
TTL_MS = 300_000
UNKNOWN = UnknownRequestError("no", wire_message="unknown requestId", reference=" t3zy-usev")
ME = Caller("cli", uid=0)


def store_in(folder) -> DeviceStore:
    return DeviceStore(folder / "devices")


def knock(store, pair, *scopes, at_ms=AT_MS) -> PendingRequest:
    wish = Wish(pair.device_id, pair.public_key, "operator", scopes)
    item = store.one(lambda book, rules: pairing.request(book, rules, wish=wish), now_ms=at_ms)
    assert isinstance(item, PendingRequest)
    return item


def fate(store, reference, *, at_ms) -> UnknownRequestError:
    with pytest.raises(UnknownRequestError) as caught:
        store.approve(reference, caller=ME, now_ms=at_ms)
    assert caught.value.wire_message == "unknown requestId"
    return caught.value


def test_an_expired_request_is_told_with_its_time(tmp_path):
    store, pair = store_in(tmp_path), generate()
    item = knock(store, pair, "operator.read", at_ms=AT_MS - TTL_MS)

    at_once = fate(store, item.request_id, at_ms=AT_MS + 120_000)
    later = fate(store_in(tmp_path), item.device_id, at_ms=AT_MS + 240_000)

    assert at_once.problem == f"request {item.request_id} expired 2 min ago, at 12:03 UTC"
    assert "let the device try again" in str(at_once.remedy)
    # the trail knows when it was noticed
    assert later.problem == f"request {item.request_id} expired 2 min ago, at 12:05 UTC"


def test_a_superseded_request_names_the_one_that_waits(tmp_path):
    store, pair = store_in(tmp_path), generate()
    first = knock(store, pair, "operator.read")
    second = knock(store, pair, "operator.write", at_ms=AT_MS + 1_000)

    told = fate(store, first.request_id, at_ms=AT_MS + 2_000)

    assert told.problem == (
        f"request {first.request_id} was superseded by {second.request_id}, "
        "which asks for more: operator.write"
    )
    assert f"`openclaw devices approve {second.request_id}`" in str(told.remedy)


@pytest.mark.parametrize(
    ("again", "more"),
    [
        pytest.param({"role": "node"}, "asks for more: the role node", id="role"),
        pytest.param(
            {"scopes": ("x\x1b[2J", "y" * 99)},
            f"asks for more: 'x\\x1b[2J'…, '{'y' * 63}…",
            id="hostile-names",
        ),
        pytest.param({"platform": "ios"}, "names another platform or device family", id="platform"),
        pytest.param(
            {"stale_token": True}, "asks for more: to come back without its token", id="stale"
        ),
    ],
)
def test_the_difference_to_a_superseded_request_is_told(tmp_path, again, more):
    store = store_in(tmp_path)
    pairing_first = a_wish(1, scopes=("operator.read",), platform="linux")
    if "stale_token" in again:
        known = partial(pairing.admit, wish=pairing_first, caller=Caller("local"), via="silent")
        store.one(known, now_ms=AT_MS)
        pairing_first = attrs.evolve(pairing_first, scopes=("operator.read", "operator.write"))
    first = store.one(partial(pairing.request, wish=pairing_first), now_ms=AT_MS)
    wider = attrs.evolve(pairing_first, **again)
    second = store.one(partial(pairing.request, wish=wider), now_ms=AT_MS)

    told = fate(store, first.request_id, at_ms=AT_MS + 1)

    assert told.problem == (
        f"request {first.request_id} was superseded by {second.request_id}, which {more}"
    )


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_decided_request_is_told_with_how_long_ago(tmp_path, verb):
    store, pair = store_in(tmp_path), generate()
    first = knock(store, pair, "operator.read")
    second = knock(store, pair, "operator.write")
    getattr(store, verb)(second.request_id, caller=ME, now_ms=AT_MS)

    told = fate(store, second.request_id, at_ms=AT_MS + 3_000)
    before = fate(store, first.request_id, at_ms=AT_MS + 3_000)

    how = {"approve": "was approved 3 s ago", "reject": "was rejected 3 s ago"}[verb]
    assert told.problem == f"request {second.request_id} {how}"
    assert before.problem == (
        f"request {first.request_id} was superseded by {second.request_id}, which {how}"
    )


def test_a_device_that_expired_and_waits_again_under_another_id_is_named(tmp_path):
    store, pair = store_in(tmp_path), generate()
    first = knock(store, pair, "operator.read", at_ms=AT_MS - TTL_MS)
    second = knock(store, pair, "operator.write")

    told = fate(store, first.request_id, at_ms=AT_MS)

    assert "expired" in told.problem
    assert f"waits as {second.request_id} now" in str(told.remedy)


def test_an_id_that_never_was_is_told_as_before(tmp_path):
    store = store_in(tmp_path)
    knock(store, generate(), "operator.read")

    told = fate(store, "ZZZZ-ZZZZ", at_ms=AT_MS)

    assert told.problem == "no pending request has the id 'ZZZZ-ZZZZ'"


def test_both_of_one_batch_are_answered(tmp_path):
    store, pair = store_in(tmp_path), generate()
    item = knock(store, pair, "operator.read")

    def approve(book, rules):
        return pairing.approve(book, rules, reference=item.request_id, caller=ME)

    done, told = store.apply([approve, approve], now_ms=AT_MS)

    assert done[0].request_id == item.request_id
    assert told.problem == f"request {item.request_id} was approved 0 s ago"


def test_a_trail_is_read_from_its_end_and_with_patience(tmp_path):
    trail = tmp_path / "audit.jsonl"
    good = {"ts": "2026-11-20T12:03:00Z", "event": "device.expired", "requestId": "A", "deviceId": "d"}  # fmt: skip
    lines = [
        b"x" * TAIL_BYTES,
        b"",
        b"nope",
        b"[]",
        orjson.dumps(good | {"requestId": 1}),
        orjson.dumps(good | {"event": ["device.expired"]}),
        orjson.dumps(good | {"event": "device.renamed"}),
        orjson.dumps(good | {"ts": 7}),
        orjson.dumps(good),
        b'{"torn',
    ]
    trail.write_bytes(b"\n".join(lines))

    found = tail_of(trail)

    assert found == [
        Line("device.expired", "A", "d", None),
        Line("device.expired", "A", "d", AT_MS),
    ]


def test_a_trail_that_cannot_be_read_holds_nothing(tmp_path):
    assert tail_of(tmp_path / "none") == []
    assert tail_of(tmp_path) == []


def test_an_end_without_a_time_is_told_without_one():
    line = Line("device.approved", "T3ZY-USEV", "d", None)

    told = explained(UNKNOWN, DeviceBook(), [line], now_ms=AT_MS, ttl_ms=TTL_MS)

    assert told.problem == "request T3ZY-USEV was approved"


def test_a_request_whose_end_nobody_wrote_down_stays_unknown():
    line = Line("device.requested", "T3ZY-USEV", "d", AT_MS)

    assert explained(UNKNOWN, DeviceBook(), [line], now_ms=AT_MS, ttl_ms=TTL_MS) is UNKNOWN
    assert lines_of([]) == []


def test_a_device_with_several_requests_is_told_just_that():
    several = UnknownRequestError("two", wire_message="unknown requestId")

    assert explained(several, DeviceBook(), [], now_ms=AT_MS, ttl_ms=TTL_MS) is several
    assert attrs.has(Line)
