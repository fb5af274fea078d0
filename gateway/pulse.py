"""The gateway's clockwork for sessions: a ping for each, a tick and a health event for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import trio
from attrs import define, field

from gateway.hub import Hub, Session
from gateway.protocol.frames import EventBody, StateVersion
from gateway.protocol.hello import TICK_INTERVAL_MS

#: Time between two pings of one session, s (protocol fact).
PING_EVERY_S = 25.0

#: Time between two health events, s (protocol fact).
HEALTH_EVERY_S = 60.0


@define(eq=False)
class Pulse:
    """Which session is due for a ping next: one queue for all, because all wait equally long."""

    _due: deque[tuple[float, Session]] = field(factory=deque)

    def watch(self, session: Session) -> None:
        """Ping a session from now on until it is gone."""
        self._due.append((trio.current_time() + PING_EVERY_S, session))

    async def ping_sessions(self, hub: Hub) -> None:
        """Serve for ever: ping each live session once in `PING_EVERY_S`."""
        while True:
            now_s = trio.current_time()
            while self._due and self._due[0][0] <= now_s:
                _, session = self._due.popleft()
                if session.conn_id in hub.sessions:
                    session.ping()
                    self._due.append((now_s + PING_EVERY_S, session))
            wait_s = self._due[0][0] - now_s if self._due else PING_EVERY_S
            await trio.sleep(wait_s)


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
