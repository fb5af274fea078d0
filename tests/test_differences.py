from __future__ import annotations

import attrs
import pytest

from stores.differences import Ended, Renamed, Requested, Resolved, differences
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, READ, WRITE
from tests.builders import NOW_MS, a_book, a_device, a_request, a_token, key_pair

OPERATOR, NODE = Role.OPERATOR, Role.NODE
TTL_MS = 300_000
ID = key_pair(1).device_id

BLOCKED = {ID: DeviceNote(blocked=True)}
BOTH = a_device(roles=[OPERATOR, NODE])
REQUEST = a_request(1)
WIDER = a_request(1, request_id="wider", scopes=[ADMIN])
OLD = a_request(1, ts=NOW_MS - TTL_MS)


def between(old: DeviceBook, new: DeviceBook) -> list[object]:
    return list(differences(old, new, now_ms=NOW_MS, ttl_ms=TTL_MS))


@pytest.mark.parametrize(
    ("old", "new", "events"),
    [
        pytest.param(a_book(), a_book(), [], id="nothing"),
        pytest.param(a_book(), a_book(REQUEST), [Requested(REQUEST)], id="requested"),
        pytest.param(
            a_book(REQUEST),
            a_book(attrs.evolve(REQUEST, ts=NOW_MS + 1)),
            [],
            id="a-refresh-is-no-event",
        ),
        pytest.param(
            a_book(REQUEST), a_book(a_device()), [Resolved(REQUEST, "approved")], id="approved"
        ),
        pytest.param(
            a_book(REQUEST),
            a_book(a_device(), WIDER),
            [Resolved(REQUEST, "approved"), Requested(WIDER)],
            id="approved-and-asking-for-more",
        ),
        pytest.param(
            a_book(OLD), a_book(a_device()), [Resolved(OLD, "approved")], id="approved-at-the-last-moment"
        ),
        pytest.param(a_book(REQUEST), a_book(), [Resolved(REQUEST, "rejected")], id="rejected"),
        pytest.param(
            a_book(OLD), a_book(), [Resolved(OLD, "rejected", "expired")], id="expired"
        ),
        pytest.param(
            a_book(REQUEST),
            a_book(WIDER),
            [Resolved(REQUEST, "rejected", "superseded"), Requested(WIDER)],
            id="superseded",
        ),
        pytest.param(
            a_book(WIDER),
            a_book(a_device()),
            [Resolved(WIDER, "rejected")],
            id="paired-with-less-than-asked",
        ),
        pytest.param(
            a_book(REQUEST),
            DeviceBook(notes=BLOCKED),
            [Resolved(REQUEST, "rejected")],
            id="blocked-while-asking",
        ),
        pytest.param(a_book(), a_book(a_device()), [], id="paired-without-a-request"),
        pytest.param(a_book(BOTH), a_book(), [Ended(ID, None)], id="removed"),
        pytest.param(
            a_book(BOTH), a_book(BOTH, notes=BLOCKED), [Ended(ID, None)], id="blocked"
        ),
        pytest.param(
            a_book(BOTH, notes=BLOCKED), a_book(notes=BLOCKED), [Ended(ID, None)], id="blocked-then-removed"
        ),
        pytest.param(
            a_book(BOTH, notes=BLOCKED),
            a_book(BOTH, notes={**BLOCKED, "x": DeviceNote(label="desk")}),
            [],
            id="blocked-is-told-once",
        ),
        pytest.param(
            a_book(BOTH), a_book(BOTH, notes={ID: DeviceNote(label="desk")}), [Renamed(ID)], id="labelled"
        ),
        pytest.param(
            a_book(BOTH),
            a_book(attrs.evolve(BOTH, tokens={OPERATOR: a_token(token="new"), NODE: a_token(NODE)})),
            [Ended(ID, OPERATOR)],
            id="rotated",
        ),
        pytest.param(
            a_book(BOTH),
            a_book(attrs.evolve(BOTH, tokens={**BOTH.tokens, NODE: a_token(NODE, revoked_at_ms=1)})),
            [Ended(ID, NODE)],
            id="revoked",
        ),
        pytest.param(
            a_book(BOTH),
            a_book(attrs.evolve(BOTH, tokens={})),
            [Ended(ID, OPERATOR), Ended(ID, NODE)],
            id="tokens-gone",
        ),
        pytest.param(
            a_book(BOTH),
            a_book(attrs.evolve(BOTH, role=OPERATOR, roles=(OPERATOR,))),
            [Ended(ID, NODE)],
            id="role-taken-away-in-the-file",
        ),
        pytest.param(
            a_book(a_device(scopes=[ADMIN])),
            a_book(attrs.evolve(a_device(scopes=[ADMIN]), approved_scopes=(READ,))),
            [Ended(ID, OPERATOR)],
            id="narrowed-in-the-file",
        ),
        pytest.param(
            a_book(a_device(scopes=[READ])),
            a_book(a_device(scopes=[READ, WRITE])),
            [],
            id="widened-goes-on",
        ),
        pytest.param(
            a_book(attrs.evolve(BOTH, tokens={OPERATOR: a_token(revoked_at_ms=1)})),
            a_book(attrs.evolve(BOTH, tokens={})),
            [],
            id="what-was-dead-cannot-end",
        ),
        pytest.param(
            a_book(BOTH), a_book(attrs.evolve(BOTH, last_seen_at_ms=NOW_MS)), [], id="seen"
        ),
    ],
)  # fmt: skip
def test_what_happened_between_two_books(old, new, events):
    assert between(old, new) == events


def test_sessions_end_before_anything_is_announced():
    old = a_book(BOTH, a_request(2))
    new = a_book(a_request(3))

    assert [type(event) for event in between(old, new)] == [Ended, Resolved, Requested]


def test_a_book_compared_with_itself_is_not_looked_through():
    pending = {REQUEST.request_id: REQUEST}

    assert between(DeviceBook(pending=pending), DeviceBook(pending=pending)) == []
