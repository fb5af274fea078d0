"""The older pairing of nodes, who hears what of nodes, and what nodes tell by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.hub import EVENT_SCOPES, OPEN_EVENTS, Session
from stores.scopes import ADMIN, PAIRING, READ
from tests.nodes import COMMANDS, NODE, a_node, approve_commands, question
from tests.sessions import a_gateway, admitted
from tests.wire import key_of

OPERATOR = key_of(1)
NODE_ID = NODE.device_id


def transcript() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return requests and answers of the older pairing as a published gateway gave them."""
    file = Path(__file__).parent / "vectors/transcripts/legacy-node-pairing-2026.2.19.jsonl"
    frames = [json.loads(line).get("frame") or {} for line in file.read_text().splitlines()]
    answers = {frame["id"]: frame for frame in frames if frame.get("type") == "res"}
    return [
        (frame, answers[frame["id"]])
        for frame in frames
        if frame.get("type") == "req" and frame["method"].startswith("node.")
    ]


async def test_the_older_pairing_goes_as_it_went(tmp_path: Path):
    known: dict[str, str] = {}
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR, protocols=(3, 3)) as operator,
    ):
        for request, theirs in transcript():
            params = {
                key: known.get(value, value) if isinstance(value, str) else value
                for key, value in request["params"].items()
            }

            ours = await operator.call(request["method"], params)

            learn(known, theirs.get("payload"), ours.get("payload"))
            assert shape(ours) == shape(theirs), request["method"]
    assert len(known) == 4  # three requests and a token


def learn(known: dict[str, str], theirs: Any, ours: Any) -> None:
    """Note which id or token of ours stands for which of theirs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in theirs.items():
            if key in ("requestId", "token") and key in ours:
                known[value] = ours[key]
            learn(known, value, ours.get(key))


def shape(value: Any) -> Any:
    """Return a frame without what differs between two runs, and without our own details."""
    if isinstance(value, dict):
        left = {"id", "ts", "requestId", "token", "createdAtMs", "approvedAtMs", "details"}
        return {key: shape(item) for key, item in value.items() if key not in left}
    if isinstance(value, list):
        return sorted((shape(item) for item in value), key=str)
    return value


async def test_only_who_approves_sees_the_token_of_an_older_node(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        asked = await operator.result("node.pair.request", {"nodeId": "old-1"})
        approved = await operator.result(
            "node.pair.approve", {"requestId": asked["request"]["requestId"]}
        )
        listed = await operator.result("node.pair.list", {})

    token = approved["node"]["token"]
    assert len(token) > 40
    assert token not in json.dumps(listed)
    assert [node["nodeId"] for node in listed["paired"]] == ["old-1"]


async def test_the_older_pairing_is_no_way_to_approve_a_device(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        params = {"nodeId": NODE_ID, "commands": list(COMMANDS)}
        error = (await operator.call("node.pair.request", params))["error"]

    assert "asks when it connects" in error["message"]


def a_session(role: str, *scopes: str) -> Session:
    """Return an admitted session."""
    session = Session("c")
    session.admit(role=role, scopes=scopes)
    return session


SESSIONS = {
    "admin": a_session("operator", ADMIN),
    "read": a_session("operator", READ),
    "pairing": a_session("operator", PAIRING),
    "none": a_session("operator"),
    "node": a_session("node"),
}

#: Who hears an event that is sent to all.
HEARD_BY = {
    "presence": {"admin", "read"},
    "config.changed": {"admin", "read"},
    "node.runnerInventory.changed": {"admin", "read"},
    "device.pair.requested": {"admin", "pairing"},
    "device.pair.resolved": {"admin", "pairing"},
    "device.pair.changed": {"admin", "pairing"},
    "device.pair.setup.completed": {"admin", "pairing"},
    "node.pair.requested": {"admin", "pairing"},
    "node.pair.resolved": {"admin", "pairing"},
    "tick": set(SESSIONS),
    "health": set(SESSIONS),
    "heartbeat": set(SESSIONS),
    "shutdown": set(SESSIONS),
    "node.invoke.request": set[str](),
    "node.invoke.cancel": set[str](),
    "nobody.knows.it": set[str](),
}


@pytest.mark.parametrize("event", HEARD_BY)
def test_an_event_is_heard_by_those_who_may(event: str):
    heard = {who for who, session in SESSIONS.items() if session.may_hear(event)}

    assert heard == HEARD_BY[event]


def test_every_event_that_is_sent_to_all_is_in_the_table():
    assert EVENT_SCOPES.keys() | OPEN_EVENTS <= HEARD_BY.keys()


async def test_a_node_hears_of_no_other_node(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, key_of(72)) as other,
        a_node(gateway),
    ):
        await approve_commands(operator)
        await other.call("health")

    assert [frame for frame in other.events if frame["event"].startswith("node.")] == []


NODE_METHODS_ANSWERED = [
    pytest.param(
        "node.event",
        {"event": "exec.denied", "payloadJSON": "{}"},
        {
            "ok": True,
            "event": "exec.denied",
            "handled": False,
            "reason": "no agent is attached to this gateway",
        },
        id="event",
    ),
    pytest.param("node.skills.update", {"skills": []}, {"nodeId": NODE_ID, "skills": []}, id="s"),
    pytest.param(
        "node.pluginTools.update", {"tools": []}, {"nodeId": NODE_ID, "tools": []}, id="t"
    ),
    pytest.param("node.pending.pull", {}, {"nodeId": NODE_ID, "actions": []}, id="pull"),
    pytest.param(
        "node.pending.ack",
        {"ids": ["x"]},
        {"nodeId": NODE_ID, "ackedIds": [], "remainingCount": 0},
        id="ack",
    ),
    pytest.param(
        "node.pending.drain",
        {"maxItems": 5},
        {"nodeId": NODE_ID, "revision": 0, "items": [], "hasMore": False},
        id="drain",
    ),
    pytest.param("skills.bins", {}, {"bins": []}, id="bins"),
]


@pytest.mark.parametrize(("method", "params", "answer"), NODE_METHODS_ANSWERED)
async def test_what_nodes_tell_by_themselves_is_answered(
    tmp_path: Path, method: str, params: dict[str, Any], answer: dict[str, Any]
):
    async with a_gateway(tmp_path) as gateway, a_node(gateway) as node:
        assert await node.result(method, params) == answer


async def test_a_runner_is_taken_once_the_commands_are_approved(tmp_path: Path):
    update = ("node.runnerInventory.update", {"workerHost": {"enabled": False}})
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway) as node,
    ):
        before = (await node.call(*update))["error"]
        await approve_commands(operator)
        after = await node.result(*update)

    assert before["code"] == "UNAVAILABLE"
    assert f"nodes approve {before['details']['requestId']}" in before["message"]
    assert after == {"nodeId": NODE_ID}


async def test_operators_may_not_call_what_belongs_to_nodes(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway) as node,
    ):
        of_operator = (await operator.call("node.event", {"event": "x"}))["error"]
        of_node = (await node.call("node.invoke", question()))["error"]
        listing = (await node.call("node.list", {}))["error"]

    assert of_operator["message"] == "unauthorized role: operator"
    assert of_node["message"] == listing["message"] == "unauthorized role: node"
