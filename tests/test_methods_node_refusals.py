"""What may not be asked of a node, and whose answers count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stores.scopes import ADMIN, READ, WRITE
from tests.nodes import NODE, a_node, a_scene, approve_commands, question, refusal
from tests.sessions import a_gateway, admitted, paired
from tests.wire import key_of

OPERATOR = key_of(1)
NODE_ID = NODE.device_id


async def test_what_nobody_approved_names_the_approval(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway) as node,
    ):
        error = (await operator.call("node.invoke", question()))["error"]
        await node.call("health")

    assert error["code"] == "UNAVAILABLE"
    assert f"nodes approve {error['details']['requestId']}" in error["message"]
    assert all(frame.get("event") != "node.invoke.request" for frame in node.events)


async def test_what_the_configuration_allows_later_is_asked_for_when_it_is_wanted(tmp_path: Path):
    commands = ("system.which", "camera.snap")
    async with a_scene(tmp_path, commands=commands) as scene:
        barred = await refusal(scene, command="camera.snap")
        raw = json.dumps({"gateway": {"nodes": {"commands": {"allow": ["camera.snap"]}}}})
        config = await scene.operator.result("config.get", {})
        await scene.operator.result("config.patch", {"raw": raw, "baseHash": config["hash"]})
        await scene.operator.result("gateway.reload")
        waiting = await refusal(scene, command="camera.snap")
        await approve_commands(scene.operator)
        scene.serve()
        answer = await scene.operator.result("node.invoke", question(command="camera.snap"))

    assert barred["details"]["reason"] == "command not allowlisted"
    assert "config set gateway.nodes.commands.allow" in barred["details"]["remedy"]["command"]
    assert "nodes approve" in waiting["message"]
    assert answer["ok"]


@pytest.mark.parametrize(
    ("changes", "code", "message", "reason"),
    [
        pytest.param({"nodeId": "x"}, "UNAVAILABLE", "node not connected", None, id="unknown-node"),
        pytest.param(
            {"command": "system.notify"},
            "INVALID_REQUEST",
            "node command not allowed",
            "command not declared by node",
            id="not-declared",
        ),
        pytest.param(
            {"command": "camera.snap"},
            "INVALID_REQUEST",
            'node command not allowed: "camera.snap" requires explicit '
            "gateway.nodes.commands.allow opt-in",
            "command not allowlisted",
            id="not-allowed",
        ),
        pytest.param(
            {"command": "system.run"},
            "INVALID_REQUEST",
            'node command not allowed: "system.run" is in gateway.nodes.commands.deny',
            "command denied by configuration",
            id="denied",
        ),
        pytest.param(
            {"command": "system.execApprovals.set"},
            "INVALID_REQUEST",
            "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*",
            None,
            id="approvals",
        ),
        pytest.param(
            {"idempotencyKey": ""},
            "INVALID_REQUEST",
            "invalid node.invoke params: at /idempotencyKey: must NOT have fewer than 1 characters",
            None,
            id="no-key",
        ),
    ],
)
async def test_what_may_not_be_asked_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], code: str, message: str, reason: str | None
):
    section: dict[str, object] = {"nodes": {"commands": {"deny": ["system.run"]}}}
    async with a_scene(tmp_path, section) as scene:
        error = await refusal(scene, **changes)
        await scene.node.call("health")

    assert (error["code"], error["message"]) == (code, message)
    assert (error.get("details") or {}).get("reason") == reason
    assert all(frame.get("event") != "node.invoke.request" for frame in scene.node.events)


async def test_a_node_without_commands_says_so(tmp_path: Path):
    async with a_scene(tmp_path, commands=(), bare=True) as scene:
        error = await refusal(scene)

    assert error["details"]["reason"] == "node did not declare commands"


@pytest.mark.parametrize(
    ("scopes", "command", "missing"),
    [
        pytest.param((READ,), "system.which", WRITE, id="read-asks-nothing"),
        pytest.param((WRITE,), "browser.proxy", ADMIN, id="proxy-takes-admin"),
        pytest.param((WRITE,), "fs.listDir", ADMIN, id="folders-take-admin"),
    ],
)
async def test_asking_takes_what_the_command_can_do(
    tmp_path: Path, scopes: tuple[str, ...], command: str, missing: str
):
    async with a_scene(tmp_path, commands=("system.which", command)) as scene:
        token = await paired(scene.gateway, key_of(2), scopes=scopes)
        async with admitted(
            scene.gateway, key=key_of(2), scopes=scopes, device_token=token
        ) as other:
            answer = await other.call("node.invoke", question(command=command))
        await scene.node.call("health")

    assert answer["error"]["message"] == f"missing scope: {missing}"
    assert all(frame.get("event") != "node.invoke.request" for frame in scene.node.events)


async def test_a_node_answers_for_itself_alone(tmp_path: Path):
    async with a_scene(tmp_path) as scene, a_node(scene.gateway, key_of(72)) as other:
        request_id = await scene.ask()
        asked = await scene.asked()
        forged = {"id": asked["id"], "ok": True, "payload": "forged"}
        mismatch = await other.call("node.invoke.result", forged | {"nodeId": NODE_ID})
        ignored = await other.result(
            "node.invoke.result", forged | {"nodeId": key_of(72).device_id}
        )
        await scene.tell(asked, payload="true")
        answer = await scene.operator.answer(request_id)

    assert mismatch["error"]["message"] == "nodeId mismatch"
    assert ignored == {"ok": True, "ignored": True}
    assert answer["payload"]["payload"] == "true"


async def test_an_answer_of_the_wrong_shape_is_refused(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        params = {"id": "x", "nodeId": NODE_ID, "ok": True, "payloadJSON": {}}
        error = (await scene.node.call("node.invoke.result", params))["error"]
        progress = {"invokeId": "x", "nodeId": NODE_ID, "seq": 0, "chunk": ""}
        heard = await scene.node.result("node.invoke.progress", progress)

    assert "must be string" in error["message"]
    assert heard == {"ok": True, "ignored": True}


KEPT = {"nodeId": NODE_ID, "type": "status.request"}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        pytest.param(KEPT, "UNAVAILABLE", "keeps nothing for nodes that sleep", id="known"),
        pytest.param(KEPT | {"nodeId": "x"}, "INVALID_REQUEST", "unknown nodeId", id="unknown"),
        pytest.param(KEPT | {"type": "x"}, "INVALID_REQUEST", "at /type", id="type"),
        pytest.param(KEPT | {"expiresInMs": 1}, "INVALID_REQUEST", "at /expiresInMs", id="soon"),
        pytest.param(KEPT | {"more": 1}, "INVALID_REQUEST", "unexpected property", id="more"),
    ],
)
async def test_nothing_is_kept_for_a_node_that_sleeps(
    tmp_path: Path, params: dict[str, Any], code: str, message: str
):
    async with a_scene(tmp_path) as scene:
        error = (await scene.operator.call("node.pending.enqueue", params))["error"]

    assert error["code"] == code
    assert message in error["message"]


async def test_who_may_not_ask_a_node_may_leave_it_nothing_either(tmp_path: Path):
    async with (
        a_scene(tmp_path) as scene,
        admitted(scene.gateway, key=key_of(9), scopes=("operator.read",)) as reader,
    ):
        error = (await reader.call("node.pending.enqueue", KEPT))["error"]
        hello = reader.hello

    assert error["message"] == "missing scope: operator.write"
    assert hello is not None
    assert "node.pending.enqueue" not in hello["features"]["methods"]
