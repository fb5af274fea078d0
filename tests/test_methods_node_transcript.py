"""A published node host and a published command at a published gateway, replayed at this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define

from tests.nodes import NODE, a_node, approve_commands
from tests.sessions import a_gateway, admitted
from tests.wire import Wire, key_of

FILE = Path(__file__).parent / "vectors/transcripts/node-2026.2.19.jsonl"

#: What the node host of that version declared.
DECLARED = ("system.run", "system.which", "system.execApprovals.get", "browser.proxy")

#: What differs from run to run, or is said here and was not there.
APART = {"id", "ts", "nodeId", "connectedAtMs", "pathEnv", "version", "remedy", "handled", "reason"}
APART |= {"approvalState", "approvedAtMs", "clientId", "clientMode", "lastConnectedAtMs"}
APART |= {
    "sessionHost",
    "nodePluginTools",
    "pendingRequestId",
    "lastSeenAtMs",
    "lastSeenReason",
    "remoteIp",
    "deviceFamily",
    "event",
    "caps",
}


@define
class Exchange:
    """One request of the command, and what the node and the gateway said to it."""

    request: dict[str, Any]
    answer: dict[str, Any]
    asked: dict[str, Any] | None
    told: list[dict[str, Any]]


def exchanges() -> list[Exchange]:
    """Return the requests of the published command, each with all that came of it."""
    lines = [json.loads(line) for line in FILE.read_text().splitlines()]
    found: list[Exchange] = []
    for line in lines:
        frame = line.get("frame")
        if frame is None:
            continue
        of_node = line["conn"] == 12
        if frame["type"] == "req" and not of_node:
            found.append(Exchange(frame, {}, None, []))
        elif frame["type"] == "event":
            found[-1].asked = frame["payload"]
        elif frame["type"] == "req":
            found[-1].told.append(frame)
        elif not of_node:
            found[-1].answer = frame
    return found


def shape(value: Any) -> Any:
    """Return what was said without what differs between two runs."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items() if key not in APART}
    return [shape(item) for item in value] if isinstance(value, list) else value


async def replay(exchange: Exchange, operator: Wire, node: Wire) -> dict[str, Any]:
    """Send what was sent, answer as the node answered, and return what the command is told."""
    params = dict(exchange.request["params"])
    if "nodeId" in params:
        params["nodeId"] = NODE.device_id
    request = {"type": "req", "id": "again", "method": exchange.request["method"]}
    await operator.send(request | {"params": params})
    if exchange.asked is not None:
        asked = (await node.event("node.invoke.request"))["payload"]
        assert asked.keys() == exchange.asked.keys()
        assert shape(asked) == shape(exchange.asked)
        for frame in exchange.told:
            told = dict(frame["params"])
            if frame["method"] == "node.invoke.result":
                told |= {"id": asked["id"], "nodeId": NODE.device_id}
            assert (await node.result(frame["method"], told))["ok"]
    return await operator.answer("again")


async def test_a_published_command_and_node_host_meet_here_as_they_met_there(tmp_path: Path):
    wanted: dict[str, Any] = {"commands": DECLARED, "protocol": 3, "name": "TestNode"}
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), protocols=(3, 3)) as operator,
        a_node(gateway, **wanted) as node,
    ):
        await approve_commands(operator)
        replayed = exchanges()
        for exchange in replayed:
            ours = await replay(exchange, operator, node)

            theirs = exchange.answer
            if not theirs["ok"]:  # the text goes on with the way to allow it
                assert ours["error"]["message"].startswith(theirs["error"]["message"])
                ours["error"]["message"] = theirs["error"]["message"]
            assert shape(ours) == shape(theirs), exchange.request

    assert [one.request["method"] for one in replayed].count("node.invoke") == 3
    assert sum(one.asked is not None for one in replayed) == 2
