"""The gateway's clockwork for sessions: a ping for each, a tick and a health event for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from attrs import define, field

from gateway.hub import Hub, Session
from gateway.metrics import Metrics
from gateway.presence import Presence
from gateway.protocol.frames import EventBody, StateVersion
from gateway.protocol.hello import TICK_INTERVAL_MS

#: Time between two pings of one session, s (protocol fact).
PING_EVERY_S = 25.0

#: Time between two health events, s (protocol fact).
HEALTH_EVERY_S = 60.0

#: Time between two presence events at least, s: thousands who come at once are one piece of news.
PRESENCE_EVERY_S = 0.5

#: Time between two measurements of how late the event loop is, s.
LAG_EVERY_S = 1.0


@define(eq=False)
class Pulse:
    """Which session is due for a ping next: one queue for all, because all wait equally long."""

    # Insertion order is the order of times.
    _due_s: dict[Session, float] = field(factory=dict)

    def watch(self, session: Session) -> None:
        """Ping a session from now on."""
        self._due_s[session] = trio.current_time() + PING_EVERY_S

    def forget(self, session: Session) -> None:
        """Ping a session no more; fine for one that was never watched."""
        self._due_s.pop(session, None)

    async def ping_sessions(self) -> None:
        """Serve for ever: ping each watched session once in `PING_EVERY_S`."""
        while True:
            now_s = trio.current_time()
            while self._due_s:
                session, due_s = next(iter(self._due_s.items()))
                if due_s > now_s:
                    break
                del self._due_s[session]
                session.ping()
                self._due_s[session] = now_s + PING_EVERY_S
            next_s = next(iter(self._due_s.values()), now_s + PING_EVERY_S)
            await trio.sleep(next_s - now_s)

    def __len__(self) -> int:
        return len(self._due_s)


async def measure_lag(metrics: Metrics) -> None:
    """Serve for ever: note how late a wish to be woken is granted; all work waits as long."""
    while True:
        due_s = trio.current_time() + LAG_EVERY_S
        await trio.sleep_until(due_s)
        metrics.lagged(trio.current_time() - due_s)


async def tick(hub: Hub, *, now_ms: Callable[[], int]) -> None:
    """Serve for ever: tell every session that the gateway is alive; clients hang up without it."""
    while True:
        await trio.sleep(TICK_INTERVAL_MS / 1000)
        hub.broadcast(EventBody("tick", {"ts": now_ms()}))


async def tell_health(
    hub: Hub, health: Callable[[], dict[str, Any]], version: Callable[[], StateVersion]
) -> None:
    """Serve for ever: tell every session how the gateway is."""
    while True:
        await trio.sleep(HEALTH_EVERY_S)
        hub.broadcast(EventBody("health", health(), version()))


async def tell_presence(
    hub: Hub, presence: Presence, *, now_ms: Callable[[], int], version: Callable[[], StateVersion]
) -> None:
    """Serve for ever: tell who is here when that changed, and forget who is long gone."""
    while True:
        with trio.move_on_after(HEALTH_EVERY_S):
            await presence.changed.wait()
        presence.drop_old(now_ms=now_ms())
        if presence.changed.is_set():
            presence.changed = trio.Event()
            if any(session.may_hear("presence") for session in hub):
                listing = {"presence": presence.listing(now_ms=now_ms())}
                hub.broadcast(EventBody("presence", listing, version()))
            await trio.sleep(PRESENCE_EVERY_S)
