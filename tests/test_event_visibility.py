"""Who hears which event, held against the published table: all events, all roles, all scopes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.hub import EVENT_SCOPES, OPEN_EVENTS, Hub, Session
from gateway.methods.table import ADVERTISED_EVENTS
from gateway.protocol.frames import EventBody
from stores.scopes import ADMIN, KNOWN, closure
from tests.imports import ROOT
from tests.nodes import NODE, a_node
from tests.sessions import a_gateway, admitted
from tests.wire import Wire, key_of

VECTOR = Path(__file__).parent / "vectors" / "methods" / "event-visibility.json"
PUBLISHED: dict[str, list[str]] = json.loads(VECTOR.read_text())["2026.9.6"]["requiredScope"]

#: Event -> the scope it asks for, None for everybody connected.
TABLE: dict[str, str | None] = {
    event: scope if scope.startswith("operator.") else None
    for scope, events in PUBLISHED.items()
    for event in events
}

#: What is sent to one connection, never broadcast.
DIRECT = {"connect.challenge", "node.invoke.request", "node.invoke.cancel"}

#: The events that are broadcast here.
OURS = sorted(EVENT_SCOPES.keys() | OPEN_EVENTS)

#: Roles with each scope alone, and with none.
SESSIONS = [
    pytest.param(role, scopes, id=f"{role}-{'-'.join(scopes) or 'nothing'}")
    for role in ("operator", "node")
    for scopes in ((), *((scope,) for scope in sorted(KNOWN)))
]


def test_every_event_asks_for_what_it_asks_for_elsewhere():
    assert {event: EVENT_SCOPES.get(event) for event in OURS} == {
        event: TABLE[event] for event in OURS
    }


def test_every_event_that_the_gateway_sends_stands_in_the_table():
    sources = "".join(file.read_text() for file in (ROOT / "gateway").rglob("*.py"))
    sent = set(re.findall(r'\b(?:EventBody|event)\(\s*"([A-Za-z.]+)"', sources))

    assert len(sent) > 10
    assert sent <= {*OURS, *DIRECT}
    assert {*ADVERTISED_EVENTS} <= {*OURS, *DIRECT}


@pytest.mark.parametrize(("role", "scopes"), SESSIONS)
def test_a_session_may_hear_what_the_table_gives_it(role: str, scopes: tuple[str, ...]):
    session = Session("c1")
    session.admit(role=role, scopes=scopes)

    heard = {event for event in TABLE if session.may_hear(event)}

    held = closure(scopes) if role == "operator" else frozenset()
    given = {event for event in OURS if TABLE[event] is None or TABLE[event] in held}
    assert heard == (set(OURS) if role == "operator" and ADMIN in held else given)


@pytest.mark.parametrize(("role", "scopes"), SESSIONS)
async def test_a_live_session_hears_its_events_and_no_other(
    tmp_path: Path, role: str, scopes: tuple[str, ...]
):
    async with a_gateway(tmp_path) as gateway:
        node = role == "node"
        opening = a_node(gateway, bare=True, commands=(), scopes=scopes) if node else None
        async with opening or admitted(gateway, key=key_of(5), scopes=scopes) as wire:
            for event in OURS:
                gateway.runtime.hub.broadcast(EventBody(event, {"marker": event}))
            heard = await marked(wire)

    held = frozenset() if node else closure(scopes)
    assert heard == [
        event for event in OURS if TABLE[event] is None or TABLE[event] in held or ADMIN in held
    ]


async def marked(wire: Wire) -> list[str]:
    """Return the marked events that came before the answer to one more request, in order."""
    assert (await wire.call("health"))["ok"]
    payloads = (frame.get("payload") or {} for frame in wire.events)
    return [payload["marker"] for payload in payloads if "marker" in payload]


async def test_news_of_one_device_goes_to_no_other_device_that_proved_a_token_alone(tmp_path: Path):
    pairing = ("operator.pairing",)
    async with a_gateway(tmp_path) as gateway:
        async with admitted(gateway, key=key_of(5), scopes=pairing) as wire:
            assert wire.hello is not None
            token = wire.hello["auth"]["deviceToken"]
        proved = {"key": key_of(5), "scopes": pairing, "device_token": token}
        async with admitted(gateway, **proved) as wire:
            for device_id in (NODE.device_id, key_of(5).device_id):
                body = EventBody("node.pair.requested", {"marker": device_id})
                gateway.runtime.hub.broadcast(body, about=device_id)
            heard = await marked(wire)

    assert heard == [key_of(5).device_id]


def test_an_event_is_serialised_once_however_many_hear_it():
    payload = {"ts": 1}
    body, hub = EventBody("tick", payload), Hub()
    for number in range(3):
        hub.open(Session(f"c{number}", admitted=True))
    payload["ts"] = 2  # too late for anybody

    hub.broadcast(body)

    texts = {frame for session in hub for frame in session.outbox}
    assert [json.loads(text)["payload"] for text in texts] == [{"ts": 1}]
