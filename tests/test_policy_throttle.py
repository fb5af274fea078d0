"""The throttle: its budget, its locks, its limits, and its bounded memory."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.throttle import (
    IN_FLIGHT_WAIT_S,
    LOCKOUT_S,
    MAX_ATTEMPTS,
    WINDOW_S,
    Lockout,
    Throttle,
)
from tests.throttles import KEY, fail

# --- the budget ------------------------------------------------------------------------------


def test_the_tenth_wrong_credential_locks_for_five_minutes():
    throttle = Throttle()

    fail(throttle, 9)
    assert throttle.locked_for_s(KEY, 0.0) is None
    fail(throttle, 1)

    assert throttle.locked_for_s(KEY, 0.0) == 300.0
    assert throttle.reserve(KEY, 299.0) == 1.0
    assert throttle.reserve(KEY, 300.0) is None


def test_a_lock_starts_at_the_last_failure_and_is_not_prolonged():
    throttle = Throttle()
    fail(throttle, 9)
    fail(throttle, 1, 30.0)

    fail(throttle, 5, 100.0)
    for _ in range(MAX_ATTEMPTS):
        throttle.record_failure(KEY, 200.0)

    assert throttle.locked_for_s(KEY, 200.0) == 130.0


def test_the_window_slides():
    throttle = Throttle()
    fail(throttle, 5, 0.0)
    fail(throttle, 4, 59.0)

    fail(throttle, 5, 60.0)
    assert throttle.locked_for_s(KEY, 60.0) is None
    fail(throttle, 1, 60.0)

    assert throttle.locked_for_s(KEY, 60.0) == LOCKOUT_S


def test_after_a_lock_the_whole_budget_is_back():
    throttle = Throttle()
    fail(throttle, 10)

    fail(throttle, 9, 300.0)

    assert throttle.locked_for_s(KEY, 300.0) is None
    fail(throttle, 1, 300.0)
    assert throttle.locked_for_s(KEY, 300.0) == LOCKOUT_S


def test_a_right_credential_forgets_the_wrong_ones():
    throttle = Throttle()
    fail(throttle, 9)

    throttle.record_success(KEY, 1.0)
    fail(throttle, 9, 2.0)

    assert throttle.locked_for_s(KEY, 2.0) is None


def test_a_right_credential_lifts_no_lock():
    throttle = Throttle()
    fail(throttle, 10)

    throttle.record_success(KEY, 1.0)

    assert throttle.locked_for_s(KEY, 1.0) == 299.0


def test_one_bucket_does_not_lock_another():
    throttle = Throttle()

    fail(throttle, 10)

    assert throttle.reserve("device-token address:203.0.113.9", 0.0) is None


def test_200_attempts_at_once_get_no_more_than_the_budget():
    throttle = Throttle()

    waits = [throttle.reserve(KEY, 0.0) for _ in range(200)]

    assert waits.count(None) == MAX_ATTEMPTS
    assert waits.count(IN_FLIGHT_WAIT_S) == 190
    for _ in range(MAX_ATTEMPTS):
        throttle.record_failure(KEY, 0.5)
    assert throttle.locked_for_s(KEY, 0.5) == LOCKOUT_S


def test_wrong_attempts_leave_less_for_those_at_once():
    throttle = Throttle()
    fail(throttle, 9)

    assert throttle.reserve(KEY, 0.0) is None
    assert throttle.reserve(KEY, 0.0) == IN_FLIGHT_WAIT_S


def test_a_success_among_many_keeps_the_others_charged():
    throttle = Throttle()
    for _ in range(MAX_ATTEMPTS):
        throttle.reserve(KEY, 0.0)

    throttle.record_success(KEY, 0.0)

    assert throttle.reserve(KEY, 0.0) is None
    assert throttle.reserve(KEY, 0.0) == IN_FLIGHT_WAIT_S


def test_a_released_attempt_costs_nothing():
    throttle = Throttle()

    for _ in range(50):
        assert throttle.reserve(KEY, 0.0) is None
        throttle.release(KEY, 0.0)

    assert len(throttle) == 0


def test_releasing_keeps_the_wrong_attempts():
    throttle = Throttle()
    fail(throttle, 9)

    throttle.reserve(KEY, 0.0)
    throttle.release(KEY, 0.0)
    fail(throttle, 1)

    assert throttle.locked_for_s(KEY, 0.0) == LOCKOUT_S


def test_an_attempt_that_is_never_settled_counts_until_its_window_has_passed():
    throttle = Throttle()
    for _ in range(MAX_ATTEMPTS):
        throttle.reserve(KEY, 0.0)

    assert throttle.reserve(KEY, 59.0) == IN_FLIGHT_WAIT_S
    assert throttle.reserve(KEY, 60.0) is None


def test_failures_count_without_a_reservation():
    throttle = Throttle()

    for _ in range(MAX_ATTEMPTS):
        throttle.record_failure(KEY, 0.0)

    assert throttle.locked_for_s(KEY, 0.0) == LOCKOUT_S


def test_settling_what_was_never_charged_changes_nothing():
    throttle = Throttle()

    throttle.record_success(KEY, 0.0)
    throttle.release(KEY, 0.0)

    assert len(throttle) == 0


def test_an_exempt_caller_is_never_charged():
    throttle = Throttle()

    fail(throttle, 50, key=None)
    throttle.record_success(None, 0.0)
    throttle.release(None, 0.0)

    assert throttle.locked_for_s(None, 0.0) is None
    assert len(throttle) == 0


# --- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, -1, math.nan, math.inf, -math.inf])
def test_no_setting_switches_the_throttle_off(value):
    throttle = Throttle(max_attempts=value, window_s=value, lockout_s=value)

    assert throttle.max_attempts == MAX_ATTEMPTS == 10
    assert throttle.window_s == WINDOW_S == 60.0
    assert throttle.lockout_s == LOCKOUT_S == 300.0


def test_limits_are_configurable():
    throttle = Throttle(max_attempts=2, window_s=5, lockout_s=0.5)

    fail(throttle, 2)

    assert throttle.locked_for_s(KEY, 0.0) == 0.5


def test_a_lockout_is_listed_until_it_ends_and_can_be_cleared():
    throttle = Throttle(max_attempts=1)
    fail(throttle, 1, 0.0, "a")
    fail(throttle, 1, 10.0, "b")
    fail(throttle, 1, 20.0, "c")

    assert throttle.lockouts(300.0) == (Lockout("b", 10.0), Lockout("c", 20.0))
    assert throttle.clear("b") == 1
    assert throttle.clear("b") == 0
    assert throttle.locked_for_s("b", 300.0) is None
    assert throttle.clear() == 1
    assert len(throttle) == 0
    assert throttle.lockouts(300.0) == ()


def test_a_bucket_locked_again_is_listed_where_it_belongs():
    throttle = Throttle(max_attempts=1)
    fail(throttle, 1, 0.0, "a")
    fail(throttle, 1, 10.0, "b")

    fail(throttle, 1, 305.0, "a")

    assert throttle.lockouts(306.0) == (Lockout("b", 4.0), Lockout("a", 299.0))


def test_clearing_forgets_wrong_attempts_too():
    throttle = Throttle(max_attempts=2)
    fail(throttle, 1, key="a")
    fail(throttle, 1, key="b")

    assert throttle.clear("a") == 0
    assert len(throttle) == 1
    assert throttle.clear() == 0
    assert len(throttle) == 0


# --- bounded memory --------------------------------------------------------------------------


def test_the_bucket_idle_longest_goes_first():
    throttle = Throttle(max_attempts=2, max_buckets=3)
    for at_s, key in enumerate(["a", "b", "c"]):
        fail(throttle, 1, float(at_s), key)
    throttle.reserve("a", 3.0)
    throttle.release("a", 3.0)

    fail(throttle, 1, 4.0, "d")

    assert len(throttle) == 3
    fail(throttle, 1, 5.0, "a")
    fail(throttle, 1, 5.0, "b")
    assert [lockout.key for lockout in throttle.lockouts(5.0)] == ["a"]


def test_a_flood_of_new_callers_lifts_no_lock_while_anything_else_can_go():
    throttle = Throttle(max_buckets=10)
    fail(throttle, 10)

    for number in range(1000):
        fail(throttle, 1, 1.0, f"caller {number}")

    assert len(throttle) == 10
    assert throttle.locked_for_s(KEY, 1.0) == 299.0


def test_when_everything_is_locked_the_lock_that_ends_soonest_goes():
    throttle = Throttle(max_attempts=1, max_buckets=3)
    for at_s, key in enumerate(["a", "b", "c", "d"]):
        fail(throttle, 1, float(at_s), key)

    assert [lockout.key for lockout in throttle.lockouts(4.0)] == ["b", "c", "d"]


def test_ended_locks_make_room_before_live_buckets_do():
    throttle = Throttle(max_attempts=2, max_buckets=3)
    fail(throttle, 2, 0.0, "locked")
    fail(throttle, 1, 299.0, "a")
    fail(throttle, 1, 299.0, "b")

    fail(throttle, 1, 300.0, "c")
    fail(throttle, 1, 300.0, "a")

    assert throttle.locked_for_s("a", 300.0) == LOCKOUT_S


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["try", "try", "wrong", "right", "give up"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([0.0, 0.0, 1.0, 30.0, 60.0, 300.0]),
    ),
    max_size=120,
)


@given(STEPS)
def test_nobody_looks_at_more_credentials_than_the_budget_within_a_window(steps):
    throttle = Throttle(max_attempts=3, window_s=60, lockout_s=300)
    now_s = 0.0
    admitted: dict[str, list[float]] = {}
    in_flight: dict[str, int] = {}

    for action, key, pause_s in steps:
        now_s += pause_s
        if action == "try":
            wait_s = throttle.reserve(key, now_s)
            assert wait_s is None or 0 < wait_s <= 300
            if wait_s is None:
                admitted.setdefault(key, []).append(now_s)
                in_flight[key] = in_flight.get(key, 0) + 1
        elif in_flight.get(key):
            in_flight[key] -= 1
            if action == "wrong":
                throttle.record_failure(key, now_s)
            elif action == "right":
                throttle.record_success(key, now_s)
                admitted[key] = []
            else:
                throttle.release(key, now_s)
                admitted[key] = []
        recent = [at_s for at_s in admitted.get(key, []) if at_s > now_s - 60]
        assert len(recent) <= 3


@given(STEPS, st.integers(1, 4))
def test_memory_is_bounded_whatever_happens(steps, max_buckets):
    throttle = Throttle(max_attempts=2, lockout_s=50, max_buckets=max_buckets)
    now_s = 0.0

    for action, key, pause_s in steps:
        now_s += pause_s
        throttle.reserve(key, now_s)
        if action == "wrong":
            throttle.record_failure(key, now_s)
        elif action == "right":
            throttle.record_success(key, now_s)
        assert len(throttle) <= max_buckets
        assert all(lockout.remaining_s > 0 for lockout in throttle.lockouts(now_s))
