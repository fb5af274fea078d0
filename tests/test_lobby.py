"""The budget of connections that have proven nothing."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.lobby import Lobby, Seat


def sit(lobby: Lobby, address: str | None = "a") -> Seat:
    return lobby.enter(address, trio.CancelScope())


def ended(*seats: Seat) -> list[bool]:
    return [seat.scope.cancel_called for seat in seats]


async def test_the_one_silent_for_longest_makes_room_for_its_own_address():
    lobby = Lobby(max_per_address=2)
    other = sit(lobby, "b")
    first, second = sit(lobby), sit(lobby)
    lobby.heard(first, "a")

    third = sit(lobby)

    assert ended(other, first, second, third) == [False, False, True, False]


async def test_over_the_limit_of_all_the_one_silent_for_longest_goes_whoever_it_is():
    lobby = Lobby(max_waiting=2)
    seats = [sit(lobby, address) for address in ("a", "b", "c")]

    assert ended(*seats) == [True, False, False]
    assert len(lobby) == 2


async def test_who_is_behind_a_proxy_counts_only_once_it_is_known():
    lobby = Lobby(max_per_address=1)
    seats = [sit(lobby, None) for _ in range(3)]
    for seat, client in zip(seats, ("x", "y", "y"), strict=True):
        lobby.heard(seat, client)

    assert ended(*seats) == [False, True, False]


async def test_who_cannot_be_ended_makes_no_room_and_the_newcomer_gets_no_seat():
    lobby = Lobby(max_waiting=2)
    seats = [sit(lobby) for _ in range(4)]

    turned_away = sit(lobby)
    lobby.leave(seats[0])  # one of those that were ended is gone at last
    seated = sit(lobby)

    assert [seat.no_room for seat in (*seats, turned_away, seated)] == [*[False] * 4, True, False]
    assert len(lobby) == 2


async def test_who_got_no_seat_changes_nothing_when_it_speaks_or_leaves():
    lobby = Lobby(max_waiting=0)
    seat = sit(lobby)

    lobby.heard(seat, "b")
    lobby.leave(seat)

    assert (len(lobby), lobby._of_address) == (0, {})


def test_leaving_twice_and_speaking_after_it_changes_nothing():
    lobby = Lobby()
    seat = sit(lobby)
    lobby.leave(seat)
    lobby.leave(seat)
    lobby.heard(seat, "b")

    assert len(lobby) == 0
    assert not lobby._of_address


def test_a_closed_lobby_ends_those_in_it_and_those_that_come():
    lobby = Lobby()
    before = sit(lobby)
    lobby.close()

    assert ended(before, sit(lobby)) == [True, True]
    assert len(lobby) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "heard", "leave"]), st.integers(0, 5), st.integers(0, 3)
        )
    )
)
def test_the_limits_hold_and_nothing_is_left_behind(steps: list[tuple[str, int, int]]):
    lobby = Lobby(max_waiting=4, max_per_address=2)
    seats: list[Seat] = []
    for step, which, address in steps:
        if step == "enter":
            seats.append(sit(lobby, str(address) if address else None))
        elif seats and step == "heard":
            lobby.heard(seats[which % len(seats)], str(address + 1))
        elif seats:
            lobby.leave(seats[which % len(seats)])
        assert len(lobby) <= 4
        assert all(len(mates) <= 2 for mates in lobby._of_address.values())
    for seat in seats:
        lobby.leave(seat)

    assert (len(lobby), lobby._of_address) == (0, {})


async def test_who_makes_room_is_told_of_and_who_leaves_is_not():
    told: list[Seat] = []
    lobby = Lobby(max_per_address=1, made_room=told.append)
    first = sit(lobby)
    second = sit(lobby)

    lobby.leave(second)
    sit(lobby, "b")
    lobby.close()

    assert told == [first]
