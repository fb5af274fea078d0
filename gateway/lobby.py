"""Connections that have proven nothing yet: how many there may be, and who makes room."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import define, field

#: Connections before admission, in all and of one client address.
MAX_WAITING = 1024
MAX_WAITING_PER_ADDRESS = 32

#: Environment variable for the second limit (protocol fact).
PER_ADDRESS_VARIABLE = "OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP"


@define(eq=False)
class Seat:
    """One connection's place in the lobby.

    Args:
        address: Whose budget it counts against; None while nobody knows who is behind a proxy.
        no_room: There was no seat, and ending another connection would have freed none.
    """

    address: str | None
    scope: trio.CancelScope
    no_room: bool = False


@define(eq=False)
class Lobby:
    """The budget of unauthenticated connections; the one silent for longest makes room."""

    max_waiting: int = MAX_WAITING
    max_per_address: int = MAX_WAITING_PER_ADDRESS
    #: Called with each connection that was ended to make room.
    made_room: Callable[[Seat], None] | None = None
    _closed: bool = False
    # In the order in which they were heard last.
    _seats: dict[Seat, None] = field(factory=dict)
    _of_address: dict[str, dict[Seat, None]] = field(factory=dict)
    # Told to end, and still there: whoever cannot be ended in time frees nothing.
    _ending: set[Seat] = field(factory=set)

    def enter(self, address: str | None, scope: trio.CancelScope) -> Seat:
        """Give a connection a seat; over budget, one of its address, or of all, is ended."""
        seat = Seat(address, scope)
        if self._closed:
            scope.cancel()
        elif len(self._ending) >= self.max_waiting:
            seat.no_room = True
        else:
            self._sit(seat)
        return seat

    def heard(self, seat: Seat, address: str) -> None:
        """Note that a connection spoke, and which client it speaks for."""
        if seat in self._seats:
            self.leave(seat)
            seat.address = address
            self._sit(seat)

    def leave(self, seat: Seat) -> None:
        """Take a connection out: it was admitted, or it is gone. Fine to do twice."""
        self._ending.discard(seat)
        self._seats.pop(seat, None)
        if seat.address is None:
            return
        mates = self._of_address.get(seat.address)
        if mates is not None:
            mates.pop(seat, None)
            if not mates:
                del self._of_address[seat.address]

    def close(self) -> None:
        """End every connection that is not admitted, and all that come: the gateway stops."""
        self._closed = True
        for seat in tuple(self._seats):
            self._end(seat)

    def _sit(self, seat: Seat) -> None:
        mates = self._of_address.get(seat.address, {}) if seat.address else {}
        if len(mates) >= self.max_per_address:
            self._make_room(next(iter(mates)))
        elif len(self._seats) >= self.max_waiting:
            self._make_room(next(iter(self._seats)))
        self._seats[seat] = None
        if seat.address is not None:
            self._of_address.setdefault(seat.address, {})[seat] = None

    def _make_room(self, seat: Seat) -> None:
        self._end(seat)
        if self.made_room is not None:
            self.made_room(seat)

    def _end(self, seat: Seat) -> None:
        self.leave(seat)
        self._ending.add(seat)
        seat.scope.cancel()

    def __len__(self) -> int:
        return len(self._seats)
