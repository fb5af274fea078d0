"""Live sessions: who is here, what each may hear, and how each is told or ended.

Nothing here blocks: to send is to put into a bounded outbox, to end is to ask for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from gateway.policy.credentials import Method
from gateway.protocol.close import DEVICE_REMOVED, SLOW_CONSUMER, Close
from gateway.protocol.frames import EventBody, text_message
from gateway.protocol.hello import MAX_BUFFERED_BYTES
from stores.records import Role
from stores.scopes import ADMIN, closure

if TYPE_CHECKING:
    from gateway.corked import CorkedStream
    from gateway.door import Visit
    from gateway.nodes import NodeFacts

#: Which scope an event asks for, and events for everybody connected. One that stands in neither
#: is for nobody: who adds an event decides who may hear it.
#: Source: protocol fact, the visibility table of 2026.9.6.
EVENT_SCOPES = {
    "presence": "operator.read",
    "config.changed": "operator.read",
    "device.pair.requested": "operator.pairing",
    "device.pair.resolved": "operator.pairing",
    "device.pair.changed": "operator.pairing",
    "device.pair.setup.completed": "operator.pairing",
    "node.pair.requested": "operator.pairing",
    "node.pair.resolved": "operator.pairing",
    "node.runnerInventory.changed": "operator.read",
}
OPEN_EVENTS = frozenset({"tick", "health", "heartbeat", "shutdown"})

#: Events a slow reader may miss instead of being ended for them.
DROPPABLE = frozenset(
    {"presence", "health", "tick", "device.pair.requested", "device.pair.resolved"}
    | {"node.pair.requested", "node.pair.resolved"}
)

#: Unsent bytes from which on a session's requests wait: who does not read is not answered.
READ_ON_BELOW_BYTES = 1 << 20

#: How long an ended peer may take to take its last frames and to answer the close.
END_GRACE_S = 3.0


def _never_now(_message: bytes) -> bool:
    return False


@lru_cache(maxsize=256)
def _heard_by(role: str, holds: frozenset[str]) -> frozenset[str]:
    """Return the events for a session: worked out when it is admitted, for sessions alike once."""
    given = (
        event
        for event, needed in EVENT_SCOPES.items()
        if role == Role.OPERATOR and (needed in holds or ADMIN in holds)
    )
    return OPEN_EVENTS.union(given)


@define(eq=False)
class Session:
    """One connection: anonymous until its device is known, a session once admitted.

    ``scopes`` are what it holds; ``holds`` is their closure. ``unsent_bytes`` counts what the
    peer has not taken yet. ``owes_answer`` holds its end back until the decision it asked for,
    which may be about itself, was answered. ``visit`` is what its head said, and ``user`` whom a
    proxy named: a narrower configuration is held against them. ``node`` is what a node declared.
    ``apart`` counts requests that are answered in tasks of their own. ``traffic`` counts bytes.
    """

    conn_id: str
    client: str = "?"
    protocol: int = 4
    role: str = Role.OPERATOR
    scopes: tuple[str, ...] = ()
    device_id: str | None = None
    method: str = "none"
    address: str = ""
    local: bool = False
    pending_upgrade_id: str | None = None
    presence_key: str | None = None
    visit: Visit | None = None
    traffic: CorkedStream | None = None
    requests: int = 0
    display_name: str | None = None
    locality_why: str = ""
    user: str | None = None
    node: NodeFacts | None = None
    apart: int = 0
    admitted: bool = False
    connected_at_ms: int = 0
    max_buffered_bytes: int = MAX_BUFFERED_BYTES
    holds: frozenset[str] = frozenset()
    unsent_bytes: int = 0
    seq: int = 0
    dropped_events: int = 0
    ending: Close | None = None
    outbox: deque[str] = field(factory=deque)
    hears: frozenset[str] = OPEN_EVENTS
    refused_calls: int = 0
    owes_answer: bool = False
    half_sent_bytes: int = 0
    _drained: trio.Event | None = None
    _scope: trio.CancelScope | None = None
    _start_ping: Callable[[], None] | None = None
    _start_writer: Callable[[], None] | None = None
    _send_now: Callable[[bytes], bool] = _never_now
    _writing: bool = False

    def bind(
        self,
        scope: trio.CancelScope,
        start_ping: Callable[[], None],
        start_writer: Callable[[], None] | None = None,
        send_now: Callable[[bytes], bool] = _never_now,
    ) -> None:
        """Tie the session to the task that serves it: what ends it, pings it, writes its outbox.

        The writer is started when there is something to write and ends when there is no more: a
        task that waits for ever would cost every idle session its memory.

        Args:
            send_now: Sends a WebSocket message without waiting, or returns False. It is asked only
                while nothing waits in the outbox.
        """
        self._scope, self._start_ping, self._start_writer = scope, start_ping, start_writer
        self._send_now = send_now
        if self.ending is not None:
            scope.deadline = trio.current_time() + END_GRACE_S

    def unbind(self) -> None:
        """Let go of the task that served it: the session is over."""
        self._scope = self._start_ping = self._start_writer = None
        self._send_now = _never_now

    def rouse(self) -> None:
        """Start the writer if there is something to do for it and it is not at work."""
        if self._start_writer is None or self._writing or self.owes_answer:
            return
        if self.unsent_bytes or self.ending is not None:
            self._writing = True
            self._start_writer()

    def wrote_all(self) -> None:
        """Note that the writer is done."""
        self._writing = False

    def ping(self) -> None:
        """Ask the peer whether it is still there, without waiting for the answer."""
        if self._start_ping is not None and self.ending is None:
            self._start_ping()

    def cut(self) -> None:
        """End the connection at once, without a word."""
        if self._scope is not None:
            self._scope.cancel()

    def admit(self, *, role: str, scopes: tuple[str, ...]) -> None:
        """Turn the connection into a session with these scopes."""
        self.role, self.scopes, self.holds = role, scopes, closure(scopes)
        self.hears = _heard_by(role, self.holds)
        self.admitted = True

    def may_hear(self, event: str) -> bool:
        """Tell whether an event is for this session."""
        return event in self.hears

    def may_hear_of(self, device_id: str | None) -> bool:
        """Tell whether an event about a device is for this session."""
        if device_id is None or device_id == self.device_id:
            return True
        return self.method != Method.DEVICE_TOKEN or ADMIN in self.holds

    def send(self, frame: str) -> None:
        """Put a frame that must arrive into the outbox; a full outbox ends the slow peer."""
        if self.ending is not None:
            return
        if self.unsent_bytes + len(frame) > self.max_buffered_bytes:
            self.end(SLOW_CONSUMER)
            return
        if self._may_send_now() and self._send_now(text_message(frame.encode())):
            return
        self.outbox.append(frame)
        self.unsent_bytes += len(frame)
        self.rouse()

    def respond(self, frame: str) -> None:
        """Put a response into the outbox: an end that waits for it lets it pass, no event."""
        if self.ending is None:
            self.send(frame)
        elif self.owes_answer:
            self.outbox.append(frame)
            self.unsent_bytes += len(frame)

    def answered(self) -> None:
        """Note that the answer it was owed is on its way: an end that waited goes on."""
        if self.owes_answer:
            self.owes_answer = False
            self.rouse()

    def put_first(self, frame: str) -> None:
        """Put a frame in front of all that broadcasts left in the outbox already."""
        self.outbox.appendleft(frame)
        self.unsent_bytes += len(frame)

    def send_event(self, body: EventBody) -> None:
        """Put a broadcast event into the outbox, with this connection's next number."""
        if self.unsent_bytes > self.max_buffered_bytes // 2 and body.name in DROPPABLE:
            self.dropped_events += 1
            return
        self.seq += 1
        if self._may_send_now() and self._send_now(body.message(self.seq)):
            return
        self.send(body.numbered(self.seq))

    def _may_send_now(self) -> bool:
        return not (self.unsent_bytes or self.owes_answer or self.ending is not None)

    def half_sent(self, left: int) -> None:
        """Note that of a message sent at once the last ``left`` bytes wait for the writer."""
        self.half_sent_bytes += left
        self.unsent_bytes += left
        self.rouse()

    def sent(self, size: int) -> None:
        """Note that the peer took so many bytes of what was in the outbox."""
        self.unsent_bytes -= size
        if self._drained is not None and self.unsent_bytes < READ_ON_BELOW_BYTES:
            self._drained.set()
            self._drained = None

    async def wait_read_on(self) -> None:
        """Wait until so little is unsent that the next request may be read."""
        while self.unsent_bytes >= READ_ON_BELOW_BYTES:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    def end(self, close: Close) -> None:
        """Ask for the connection to be closed once what is in the outbox was written."""
        if self.ending is not None:
            return
        self.ending = close
        self.rouse()
        if self._scope is not None:
            # A peer that takes nothing any more would keep the writer for ever.
            self._scope.deadline = trio.current_time() + END_GRACE_S


@define(eq=False)
class Hub:
    """Every live session, and every connection whose device is known, admitted or not yet.

    ``dropped_events`` counts what sessions that are gone missed, ``ended_slow`` those that were
    ended as too slow.
    """

    sessions: dict[str, Session] = field(factory=dict)
    dropped_events: int = 0
    ended_slow: int = 0
    _by_device: dict[str, set[Session]] = field(factory=dict)

    def claim(self, session: Session, device_id: str) -> None:
        """Note which device a connection speaks for, before its record is looked at.

        A device removed from now on finds this connection and ends it.
        """
        session.device_id = device_id
        self._by_device.setdefault(device_id, set()).add(session)

    def open(self, session: Session) -> None:
        """Take an admitted session in."""
        self.sessions[session.conn_id] = session

    def leave(self, session: Session) -> None:
        """Forget a connection; fine for one that never got far."""
        if self.sessions.pop(session.conn_id, None) is not None:
            self.dropped_events += session.dropped_events
            self.ended_slow += session.ending is SLOW_CONSUMER
        if session.device_id is None:
            return
        mates = self._by_device.get(session.device_id)
        if mates is not None:
            mates.discard(session)
            if not mates:
                del self._by_device[session.device_id]

    def broadcast(self, body: EventBody, *, about: str | None = None) -> None:
        """Send an event, serialised once, to every session that may hear it.

        Args:
            about: The device it tells of: a session that proved only a device token, and is no
                admin, hears of its own device alone.
        """
        for session in tuple(self.sessions.values()):
            if session.may_hear(body.name) and session.may_hear_of(about):
                session.send_event(body)

    def end_device(self, device_id: str, *, role: str | None, close: Close = DEVICE_REMOVED) -> int:
        """End every connection of a device, or those in one role; return how many."""
        ended = 0
        for session in tuple(self._by_device.get(device_id, ())):
            if role is None or session.role == role or not session.admitted:
                session.end(close)
                ended += 1
        return ended

    def end_all(self, close: Close) -> None:
        """End every session."""
        for session in tuple(self.sessions.values()):
            session.end(close)

    def connected_devices(self) -> Collection[str]:
        """Return the ids of the devices with a live session."""
        return {s.device_id for s in self.sessions.values() if s.device_id is not None}

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self.sessions.values()))

    def __len__(self) -> int:
        return len(self.sessions)
