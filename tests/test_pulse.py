"""Pings, ticks, health and presence, each at its own pace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock

from gateway.hub import Hub, Session
from gateway.presence import TTL_MS, Presence
from gateway.protocol.frames import StateVersion
from gateway.pulse import PRESENCE_EVERY_S, Pulse, tell_health, tell_presence, tick


def now_ms() -> int:
    return int(trio.current_time() * 1000)


def a_listener(hub: Hub, *scopes: str) -> Session:
    session = Session(f"c{len(hub)}")
    session.admit(role="operator", scopes=scopes)
    hub.open(session)
    return session


def heard(session: Session) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in session.outbox]


def pinged(session: Session) -> list[float]:
    """Return the list that the times of the session's pings go into."""
    times: list[float] = []
    begin: Callable[[], None] = lambda: times.append(trio.current_time() - start_s)  # noqa: E731  # one line
    start_s = trio.current_time()
    session.bind(trio.CancelScope(), begin)
    return times


async def test_each_session_is_pinged_every_25_s_from_when_it_came(autojump_clock: MockClock):
    pulse = Pulse()
    early, late = Session("early"), Session("late")
    early_times, late_times = pinged(early), pinged(late)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulse.ping_sessions)
        pulse.watch(early)
        await trio.sleep(10)
        pulse.watch(late)
        await trio.sleep(55)
        nursery.cancel_scope.cancel()

    assert early_times == [25, 50]
    assert late_times == [35, 60]


async def test_a_forgotten_session_is_not_pinged_and_not_kept(autojump_clock: MockClock):
    pulse = Pulse()
    session = Session("gone")
    times = pinged(session)
    pulse.watch(session)
    pulse.forget(session)
    pulse.forget(session)

    with trio.move_on_after(60):
        await pulse.ping_sessions()

    assert times == []
    assert len(pulse) == 0


async def test_everybody_hears_a_tick_every_30_s(autojump_clock: MockClock):
    hub = Hub()
    session = a_listener(hub)

    with trio.move_on_after(61):
        await tick(hub, now_ms=lambda: 7)

    assert heard(session) == [
        {"type": "event", "event": "tick", "payload": {"ts": 7}, "seq": number} for number in (1, 2)
    ]


async def test_everybody_hears_of_the_health_every_minute(autojump_clock: MockClock):
    hub = Hub()
    session = a_listener(hub)

    with trio.move_on_after(61):
        await tell_health(hub, lambda: {"ok": True}, lambda: StateVersion(3, 4))

    (event,) = heard(session)
    assert (event["payload"], event["stateVersion"]) == ({"ok": True}, {"presence": 3, "health": 4})


async def test_many_arrivals_are_one_piece_of_news(autojump_clock: MockClock):
    hub, presence = Hub(), Presence()
    reader, deaf = a_listener(hub, "operator.read"), a_listener(hub)
    version = lambda: StateVersion(presence.version, 1)  # noqa: E731  # one line

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: tell_presence(hub, presence, now_ms=now_ms, version=version))
        for number in range(100):
            presence.note(f"d{number}", {"ts": now_ms()})
        await trio.sleep(0.01)
        presence.note("last", {"ts": now_ms()})
        await trio.sleep(3 * PRESENCE_EVERY_S)
        nursery.cancel_scope.cancel()

    events = heard(reader)
    assert [len(event["payload"]["presence"]) for event in events] == [101, 102]
    assert events[1]["stateVersion"]["presence"] == presence.version
    assert heard(deaf) == []


async def test_entries_of_those_long_gone_are_dropped_and_that_is_told(autojump_clock: MockClock):
    hub, presence = Hub(), Presence()
    presence.note("old", {"ts": 0})
    presence.changed = trio.Event()
    reader = a_listener(hub, "operator.read")
    version = lambda: StateVersion(presence.version, 1)  # noqa: E731  # one line

    with trio.move_on_after(TTL_MS / 1000 + 61):
        await tell_presence(hub, presence, now_ms=now_ms, version=version)

    (event,) = heard(reader)
    assert len(event["payload"]["presence"]) == 1  # the gateway itself


async def test_news_nobody_may_hear_is_not_made(autojump_clock: MockClock):
    hub, presence = Hub(), Presence()
    presence.note("d", {"ts": 0})

    with trio.move_on_after(1):
        await tell_presence(hub, presence, now_ms=now_ms, version=lambda: StateVersion(1, 1))

    assert not presence.changed.is_set()
