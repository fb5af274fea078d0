"""What a connection meets on its way in, and what is known of it before it says a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address

import trio
from attrs import define, field, frozen

from gateway.keeper import Keeper
from gateway.lobby import Lobby, Seat
from gateway.policy.address import ClientAddress, ForwardingHeaders, resolve_client
from gateway.refusals import RefusalLog, Visitor
from gateway.runtime import Runtime
from gateway.settings import Settings

Header = tuple[bytes, bytes]


@define(eq=False)
class Door:
    """The shared side: the runtime, the writer of the store, and what guards the entrance."""

    runtime: Runtime
    keeper: Keeper
    lobby: Lobby = field(factory=Lobby)
    refusals: RefusalLog = field(factory=RefusalLog)
    clock: Callable[[], float] = trio.current_time

    def __attrs_post_init__(self) -> None:
        self.lobby.made_room = self._log_made_room

    def _log_made_room(self, seat: Seat) -> None:
        text = "unauthenticated connections ended to make room: more than are allowed at once"
        self.refusals.note(seat.address or "behind a trusted proxy", "n/a", text)


@frozen
class Visit:
    """One connection before it is judged; ``settings`` are those it began with.

    ``peer`` and ``local`` are the (address, port) ends of the socket.
    """

    conn_id: str
    peer: tuple[str, int]
    local: tuple[str, int]
    address: ClientAddress
    host: str | None
    origin: str | None
    user_agent: str | None
    settings: Settings

    def visitor(self) -> Visitor:
        """Return what the log says about the connection."""
        return Visitor(
            conn_id=self.conn_id,
            remote=str(self.address.peer),
            client=str(self.address.client),
            forwarded=self.address.quoted,
            origin=self.origin,
            host=self.host,
            user_agent=self.user_agent,
        )


def begin_visit(
    door: Door,
    conn_id: str,
    peer: tuple[str, int],
    local: tuple[str, int],
    headers: Sequence[Header],
) -> Visit:
    """Return what the head of a request tells about a connection; header names are lower case."""
    settings = door.runtime.settings
    address = resolve_client(
        ip_address(peer[0].partition("%")[0]),
        ForwardingHeaders.from_headers(headers),
        settings.trusted,
        allow_real_ip=settings.allow_real_ip,
    )
    return Visit(
        conn_id=conn_id,
        peer=peer,
        local=local,
        address=address,
        host=_value(headers, b"host"),
        origin=_value(headers, b"origin"),
        user_agent=_value(headers, b"user-agent"),
        settings=settings,
    )


def _value(headers: Sequence[Header], name: bytes) -> str | None:
    """Return a header's value; of one sent twice all of it, so that no part can hide behind."""
    values = [value.decode("latin-1") for key, value in headers if key == name]
    return ", ".join(values) if values else None
