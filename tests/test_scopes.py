from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.scopes import (
    ADMIN,
    APPROVALS,
    KNOWN,
    PAIRING,
    QUESTIONS,
    READ,
    SESSIONS_READ,
    SESSIONS_WRITE,
    TALK,
    TALK_SECRETS,
    WRITE,
    closure,
    covers,
    implies,
    meet,
    missing,
    union,
)

UNKNOWN = "operator.of-tomorrow"
FOREIGN = "node.of-tomorrow"
EVERY = sorted(KNOWN | {UNKNOWN, FOREIGN})

scope_sets = st.lists(st.sampled_from(EVERY), max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("have", "contained"),
    [
        pytest.param(ADMIN, KNOWN | {UNKNOWN}, id="admin-every-operator-name"),
        pytest.param(
            WRITE, {WRITE, READ, TALK, SESSIONS_READ, SESSIONS_WRITE}, id="write-read-and-talk"
        ),
        pytest.param(READ, {READ, SESSIONS_READ}, id="read-sessions-read"),
        pytest.param(TALK, {TALK}, id="talk-not-its-secrets"),
        pytest.param(TALK_SECRETS, {TALK_SECRETS}, id="talk-secrets-itself"),
        pytest.param(SESSIONS_WRITE, {SESSIONS_WRITE}, id="sessions-write-itself"),
        pytest.param(SESSIONS_READ, {SESSIONS_READ}, id="sessions-read-itself"),
        pytest.param(PAIRING, {PAIRING}, id="pairing-itself"),
        pytest.param(APPROVALS, {APPROVALS}, id="approvals-itself"),
        pytest.param(QUESTIONS, {QUESTIONS}, id="questions-itself"),
        pytest.param(UNKNOWN, {UNKNOWN}, id="unknown-itself"),
        pytest.param(FOREIGN, {FOREIGN}, id="foreign-itself"),
    ],
)
def test_a_scope_contains_what_the_table_says_and_nothing_else(have, contained):
    assert {want for want in EVERY if implies(have, want)} == contained


def test_the_closure_names_everything_contained():
    assert closure([WRITE]) == {WRITE, READ, TALK, SESSIONS_READ, SESSIONS_WRITE}
    assert closure([ADMIN]) == KNOWN
    assert closure([]) == frozenset()


def test_what_lacks_is_told_once_and_in_order():
    assert missing([READ], [PAIRING, READ, ADMIN, PAIRING]) == (PAIRING, ADMIN)


@pytest.mark.parametrize(
    ("asked", "approved", "both"),
    [
        pytest.param([ADMIN], [READ], (READ,), id="admin-and-read"),
        pytest.param([READ], [ADMIN], (READ,), id="read-and-admin"),
        pytest.param([WRITE, PAIRING], [READ, PAIRING], (PAIRING, READ), id="asked-order-first"),
        pytest.param([READ], [PAIRING], (), id="nothing-in-common"),
        pytest.param([], [ADMIN], (), id="empty-means-none"),
        pytest.param([ADMIN], [], (), id="nothing-approved"),
        pytest.param([READ, SESSIONS_READ], [READ], (READ, SESSIONS_READ), id="asked-by-name"),
        pytest.param([WRITE], [READ, SESSIONS_READ], (READ, SESSIONS_READ), id="approved-by-name"),
        pytest.param([ADMIN], [FOREIGN], (), id="admin-is-no-foreign-scope"),
    ],
)
def test_both_sides_meet_in_what_they_share(asked, approved, both):
    assert set(meet(asked, approved)) == set(both) or covers(both, meet(asked, approved))
    assert covers(meet(asked, approved), both)


@given(scope_sets, scope_sets)
def test_the_meet_is_within_both_sides(asked, approved):
    both = meet(asked, approved)

    assert covers(asked, both)
    assert covers(approved, both)


@given(scope_sets, scope_sets)
def test_the_meet_holds_every_scope_that_both_sides_contain(asked, approved):
    both = meet(asked, approved)

    shared = [scope for scope in EVERY if covers(asked, [scope]) and covers(approved, [scope])]
    assert covers(both, shared)


@given(scope_sets, scope_sets)
def test_the_meet_is_the_same_from_either_side(asked, approved):
    one, other = meet(asked, approved), meet(approved, asked)

    assert covers(one, other)
    assert covers(other, one)


@given(scope_sets, scope_sets)
def test_what_is_not_missing_is_covered(have, want):
    lacking = missing(have, want)

    assert covers(have, [scope for scope in want if scope not in lacking])
    assert not any(covers(have, [scope]) for scope in lacking)
    assert covers(have, want) == (lacking == ())


@given(scope_sets, scope_sets, scope_sets)
def test_covering_is_transitive(first, second, third):
    if covers(first, second) and covers(second, third):
        assert covers(first, third)


@given(scope_sets, scope_sets)
def test_a_union_covers_its_parts_and_names_each_scope_once(first, second):
    both = union(first, second)

    assert covers(both, first)
    assert covers(both, second)
    assert len(both) == len(set(both))
    assert set(both) == {*first, *second}


@given(scope_sets)
def test_the_closure_is_covered_by_what_it_is_of(scopes):
    assert covers(scopes, closure(scopes))
    assert closure(closure(scopes)) == closure(scopes)
