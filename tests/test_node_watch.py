"""What other programs decide about nodes in the files: the gateway notices, tells it, and obeys."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway import node_watch
from gateway.policy.node_commands import scopes_to_approve
from stores import nodes
from stores.node_store import NodeStore
from tests.builders import CLI
from tests.nodes import NODE, OPERATOR, a_node, a_scene, approve_commands, question, refusal
from tests.serving import Serving
from tests.sessions import a_gateway, admitted
from tests.wire import key_of, now_ms

NODE_ID = NODE.device_id


def elsewhere(gateway: Serving, transition: Any) -> Any:
    """Let another program decide in the files."""
    return NodeStore(gateway.state_dir / "nodes").apply(transition, now_ms=now_ms())


APPROVE = partial(nodes.approve, reference=NODE_ID, caller=CLI, needed=scopes_to_approve)
REJECT = partial(nodes.reject, reference=NODE_ID, caller=CLI)
REMOVE = partial(nodes.remove, node_id=NODE_ID, caller=CLI)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway look often."""
    monkeypatch.setattr(node_watch, "LOOK_EVERY_S", 0.02)


@pytest.mark.parametrize(
    ("transition", "decision"),
    [pytest.param(APPROVE, "approved", id="yes"), pytest.param(REJECT, "rejected", id="no")],
)
async def test_a_decision_in_the_files_is_told_to_operators_and_to_the_node(
    tmp_path: Path, transition: Any, decision: str
):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway) as node,
    ):
        elsewhere(gateway, transition)
        told = [(await wire.event("node.pair.resolved"))["payload"] for wire in (operator, node)]

    assert [(one["nodeId"], one["decision"]) for one in told] == [(NODE_ID, decision)] * 2


async def test_an_approval_in_the_files_counts_without_a_new_connection(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway) as node,
    ):
        before = (await operator.call("node.invoke", question(timeoutMs=20)))["error"]
        elsewhere(gateway, APPROVE)
        await node.event("node.pair.resolved")
        after = (await operator.call("node.invoke", question(timeoutMs=20)))["error"]

    assert before["details"]["code"] == "PAIRING_CHANGED"
    assert after["message"] == "node invoke timed out"  # it was asked


async def test_a_removal_in_the_files_fails_what_is_being_asked_and_hides_the_commands(
    tmp_path: Path,
):
    async with a_scene(tmp_path) as scene:
        request_id = await scene.ask(timeoutMs=60_000)
        await scene.asked()
        elsewhere(scene.gateway, REMOVE)
        with trio.fail_after(5):
            lost = (await scene.operator.answer(request_id))["error"]
            waits = (await scene.operator.event("node.pair.requested"))["payload"]
            hidden = await refusal(scene, idempotencyKey="k2")

    assert lost["details"]["code"] == "PAIRING_CHANGED"
    assert waits["nodeId"] == NODE_ID
    assert hidden["details"]["code"] == "PAIRING_CHANGED"


async def test_what_of_two_nodes_is_decided_is_told_of_that_one_alone(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
        a_node(gateway, key_of(72)),
    ):
        elsewhere(gateway, APPROVE)
        told = (await operator.event("node.pair.resolved"))["payload"]
        elsewhere(gateway, REMOVE)
        await operator.event("node.pair.requested")
        waits = (await operator.result("node.pair.list"))["pending"]

    assert told["nodeId"] == NODE_ID
    assert {one["nodeId"] for one in waits} == {NODE_ID, key_of(72).device_id}


async def test_what_the_gateway_decided_itself_is_told_once(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        await approve_commands(operator)
        await node_watch.look(gateway.runtime)
        await operator.call("health")

    told = [frame for frame in operator.events if frame["event"] == "node.pair.resolved"]
    assert len(told) == 1


async def test_a_store_that_cannot_be_read_is_logged_once_and_its_return_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # the test looks; between two of its steps there is no file at all, which would be a reset
    monkeypatch.setattr(node_watch, "LOOK_EVERY_S", 60.0)
    caplog.set_level(logging.INFO, logger="gateway.nodes")
    async with a_scene(tmp_path) as scene:
        paired = scene.gateway.state_dir / "nodes" / "paired.json"
        aside = paired.rename(paired.with_name("aside"))
        paired.mkdir()
        for _ in range(3):
            await node_watch.look(scene.gateway.runtime)
        paired.rmdir()
        aside.rename(paired)
        await node_watch.look(scene.gateway.runtime)
        scene.serve()
        answer = await scene.operator.result("node.invoke", question())

    said = [record.getMessage() for record in caplog.records]
    assert sum("paired.json" in line for line in said) == 1
    assert sum("in order again" in line for line in said) == 1
    assert answer["payload"] == {"bins": ["sh"]}


async def test_operators_are_told_whenever_a_node_may_be_asked_another_thing(tmp_path: Path):
    changed = "node.runnerInventory.changed"
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with a_node(gateway) as node:
            told = [(await operator.event(changed))["payload"]]  # it came
            await approve_commands(operator)
            told.append((await operator.event(changed))["payload"])
            await node.result("node.runnerInventory.update", {})
            told.append((await operator.event(changed))["payload"])
            await operator.result("node.pair.remove", {"nodeId": NODE_ID})
            told.append((await operator.event(changed))["payload"])
            refused = await node.call("node.runnerInventory.update", {})
        told.append((await operator.event(changed))["payload"])  # it went
        await operator.call("health")

    assert told == [{"nodeId": NODE_ID}] * 5
    assert not refused["ok"]
    assert [frame for frame in operator.events if frame["event"] == changed] == []
