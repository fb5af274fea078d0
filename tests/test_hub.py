"""Who hears what, who is ended, and that nothing of a session stays behind."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.hub import END_GRACE_S, EVENT_SCOPES, OPEN_EVENTS, READ_ON_BELOW_BYTES, Hub, Session
from gateway.protocol.close import DEVICE_REMOVED, SERVICE_RESTART, SLOW_CONSUMER, Close
from gateway.protocol.frames import EventBody


def a_session(name: str = "c1", *, role: str = "operator", scopes: tuple[str, ...] = ()) -> Session:
    session = Session(name)
    session.admit(role=role, scopes=scopes)
    return session


def tick(payload: object = None) -> EventBody:
    return EventBody("tick", payload)


ALL_EVENTS = sorted({*EVENT_SCOPES, *OPEN_EVENTS, "never.heard.of"})
OPEN = set(OPEN_EVENTS)
READ_EVENTS = {"presence", "config.changed", "node.runnerInventory.changed"}
PAIRING_EVENTS = {
    *("device.pair.requested", "device.pair.resolved", "device.pair.changed"),
    *("device.pair.setup.completed",),
    *("node.pair.requested", "node.pair.resolved"),
}


@pytest.mark.parametrize(
    ("role", "scopes", "heard"),
    [
        pytest.param("operator", (), OPEN, id="no-scope"),
        pytest.param("operator", ("operator.read",), OPEN | READ_EVENTS, id="read"),
        pytest.param("operator", ("operator.write",), OPEN | READ_EVENTS, id="write-implies-read"),
        pytest.param("operator", ("operator.pairing",), OPEN | PAIRING_EVENTS, id="pairing"),
        pytest.param("operator", ("operator.approvals",), OPEN, id="approvals"),
        pytest.param(
            "operator", ("operator.admin",), OPEN | READ_EVENTS | PAIRING_EVENTS, id="admin"
        ),
        pytest.param("node", ("operator.admin",), OPEN, id="node-whatever-it-holds"),
    ],
)
def test_an_event_is_heard_by_those_it_is_for(role: str, scopes: tuple[str, ...], heard: set[str]):
    session = a_session(role=role, scopes=scopes)

    assert {event for event in ALL_EVENTS if session.may_hear(event)} == heard


def test_a_broadcast_reaches_those_who_may_hear_it_each_with_its_own_number():
    hub = Hub()
    reader, pairer = a_session("r", scopes=("operator.read",)), a_session("p")
    pairer.admit(role="operator", scopes=("operator.pairing",))
    for session in (reader, pairer):
        hub.open(session)

    hub.broadcast(EventBody("device.pair.requested", {}))
    hub.broadcast(tick())

    assert [json.loads(frame)["event"] for frame in reader.outbox] == ["tick"]
    assert [json.loads(frame)["seq"] for frame in reader.outbox] == [1]
    assert [json.loads(frame)["seq"] for frame in pairer.outbox] == [1, 2]


def test_a_device_is_ended_in_all_its_connections_admitted_or_not():
    hub = Hub()
    asking, admitted, other = Session("a"), a_session("b"), a_session("c")
    hub.claim(asking, "d1")
    hub.claim(admitted, "d1")
    hub.claim(other, "d2")

    assert hub.end_device("d1", role=None) == 2

    assert asking.ending is DEVICE_REMOVED
    assert admitted.ending is DEVICE_REMOVED
    assert other.ending is None


def test_ending_one_role_spares_sessions_in_another():
    hub = Hub()
    operator, node = a_session("o"), a_session("n", role="node")
    for session in (operator, node):
        hub.claim(session, "d1")

    assert hub.end_device("d1", role="node") == 1

    assert operator.ending is None
    assert node.ending is DEVICE_REMOVED


def test_ending_an_unknown_device_ends_nobody():
    assert Hub().end_device("nobody", role=None) == 0


def test_leaving_twice_or_without_having_been_there_is_fine():
    hub = Hub()
    session = a_session()
    hub.leave(session)
    hub.claim(session, "d1")
    hub.open(session)
    assert hub.connected_devices() == {"d1"}

    hub.leave(session)
    hub.leave(session)

    assert (len(hub), hub.connected_devices(), hub._by_device) == (0, set(), {})


def test_a_device_stays_known_while_one_of_its_connections_is_left():
    hub = Hub()
    one, two = a_session("1"), a_session("2")
    for session in (one, two):
        hub.claim(session, "d1")
        hub.open(session)

    hub.leave(one)

    assert hub.end_device("d1", role=None) == 1
    assert two.ending is DEVICE_REMOVED


def test_a_full_outbox_ends_the_peer_and_takes_no_more():
    session = a_session()
    session.max_buffered_bytes = 100
    session.send("x" * 60)

    session.send("y" * 60)
    session.send("z")

    assert session.ending is SLOW_CONSUMER
    assert list(session.outbox) == ["x" * 60]


@pytest.mark.parametrize(
    ("event", "sent"),
    [pytest.param("tick", 0, id="droppable"), pytest.param("shutdown", 1, id="must-arrive")],
)
def test_a_slow_peer_misses_what_may_be_missed(event: str, sent: int):
    session = a_session()
    session.max_buffered_bytes = 1000
    session.unsent_bytes = 501

    session.send_event(EventBody(event, None))

    assert len(session.outbox) == sent
    assert session.seq == sent  # a gap would make clients resync


def test_the_first_goodbye_counts():
    session = a_session()
    session.end(DEVICE_REMOVED)
    session.end(SERVICE_RESTART)

    assert session.ending is DEVICE_REMOVED


def test_all_sessions_end_when_the_gateway_stops():
    hub = Hub()
    sessions = [a_session(str(number)) for number in range(3)]
    for session in sessions:
        hub.open(session)

    hub.end_all(SERVICE_RESTART)

    assert {session.ending for session in sessions} == {SERVICE_RESTART}


def test_a_hello_goes_before_what_was_broadcast_meanwhile():
    session = a_session()
    session.send_event(tick())

    session.put_first("hello")

    assert session.outbox[0] == "hello"
    assert session.unsent_bytes == sum(map(len, session.outbox))


@pytest.mark.parametrize("bound_first", [True, False])
async def test_an_ended_session_is_cut_when_its_grace_is_over(
    autojump_clock: MockClock, bound_first: bool
):
    session = a_session()
    began_s = trio.current_time()
    with trio.CancelScope() as scope:
        if bound_first:
            session.bind(scope, lambda: None)
        session.end(DEVICE_REMOVED)
        session.bind(scope, lambda: None)
        await trio.sleep_forever()

    assert trio.current_time() - began_s == END_GRACE_S


async def test_requests_wait_while_much_is_unsent(autojump_clock: MockClock):
    session = a_session()
    session.put_first("x" * READ_ON_BELOW_BYTES)
    passed = []

    async def read_on() -> None:
        await session.wait_read_on()
        passed.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_on)
        await wait_all_tasks_blocked()
        assert not passed
        session.sent(1)

    assert passed


def test_only_a_bound_session_that_goes_on_is_pinged():
    pinged = []
    session = a_session()
    session.ping()
    session.bind(trio.CancelScope(), lambda: pinged.append(1))
    session.ping()
    session.unbind()
    session.ping()
    session.bind(trio.CancelScope(), lambda: pinged.append(2))
    session.ending = Close(1000)
    session.ping()

    assert pinged == [1]
    session.unbind()
    session.cut()  # nothing is left to cut


@pytest.mark.parametrize(
    ("method", "scope", "heard_of"),
    [
        pytest.param("device-token", "operator.pairing", ["own"], id="its-token-alone"),
        pytest.param("device-token", "operator.admin", ["own", "other"], id="an-admin"),
        pytest.param("token", "operator.pairing", ["own", "other"], id="the-shared-secret"),
    ],
)
def test_who_proved_only_a_device_token_hears_of_its_own_device(
    method: str, scope: str, heard_of: list[str]
):
    hub = Hub()
    session = a_session(scopes=(scope,))
    hub.open(session)
    hub.claim(session, "own")
    session.method = method

    for device_id in ("own", "other"):
        hub.broadcast(EventBody("device.pair.requested", {"id": device_id}), about=device_id)

    assert [json.loads(frame)["payload"]["id"] for frame in session.outbox] == heard_of


async def test_who_is_owed_an_answer_hears_it_and_no_event_before_it_is_ended():
    session, started = a_session(), []
    session.bind(trio.CancelScope(), lambda: None, lambda: started.append("writer"))
    session.owes_answer = True

    session.end(DEVICE_REMOVED)
    session.send_event(tick())
    session.respond("the answer")

    assert started == []
    assert list(session.outbox) == ["the answer"]
    session.answered()
    assert started == ["writer"]


def test_who_is_owed_nothing_hears_nothing_more_once_it_is_ended():
    session = a_session()
    session.end(DEVICE_REMOVED)

    session.respond("too late")
    session.answered()

    assert not session.outbox


async def test_who_is_owed_an_answer_for_too_long_is_ended_all_the_same(autojump_clock: MockClock):
    session, begun_s = a_session(), trio.current_time()
    session.owes_answer = True
    with trio.CancelScope() as scope:
        session.bind(scope, lambda: None, lambda: None)
        session.end(DEVICE_REMOVED)
        await trio.sleep_forever()

    assert scope.cancelled_caught
    assert trio.current_time() - begun_s == pytest.approx(END_GRACE_S)
