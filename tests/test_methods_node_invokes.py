"""Asking a node: one answer each, whatever happens to the node, the asker and the approval."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway import nodes as gateway_nodes
from gateway import session as gateway_session
from gateway.nodes import REPLACED
from tests.nodes import NODE, a_node, a_scene, question, refusal, serve_node
from tests.patience import within
from tests.sessions import admitted
from tests.wire import key_of

NODE_ID = NODE.device_id


async def test_a_node_is_asked_in_the_words_of_the_wire(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        request_id = await scene.ask(timeoutMs=15_000)
        frame = await scene.node.event("node.invoke.request")
        told = await scene.tell(frame["payload"], payloadJSON='{"bins":{"sh":"/bin/sh"}}')
        answer = await scene.operator.answer(request_id)

    invoke_id = frame["payload"].pop("id")
    assert frame == {
        "type": "event",
        "event": "node.invoke.request",
        "payload": {
            "nodeId": NODE_ID,
            "command": "system.which",
            "paramsJSON": '{"bins":["sh"]}',
            "timeoutMs": 15_000,
            "idempotencyKey": "k1",
        },
    }
    assert str(uuid.UUID(invoke_id)) == invoke_id
    assert told == {"ok": True}
    assert answer["payload"] == {
        "ok": True,
        "nodeId": NODE_ID,
        "command": "system.which",
        "payload": {"bins": {"sh": "/bin/sh"}},
        "payloadJSON": '{"bins":{"sh":"/bin/sh"}}',
    }


@pytest.mark.parametrize(
    ("told", "payload", "text"),
    [
        pytest.param({"payload": [1]}, [1], None, id="payload"),
        pytest.param({}, None, None, id="nothing"),
        pytest.param({"payloadJSON": "no json"}, None, "no json", id="text-that-is-no-json"),
    ],
)
async def test_an_answer_comes_through_as_the_node_gave_it(
    tmp_path: Path, told: dict[str, Any], payload: Any, text: str | None
):
    async with a_scene(tmp_path) as scene:
        scene.serve(lambda _: {"ok": True} | told)
        answer = await scene.operator.result("node.invoke", question(params=None))

    assert (answer["payload"], answer["payloadJSON"]) == (payload, text)


async def test_what_the_node_refuses_is_told_in_its_words(tmp_path: Path):
    error = {"code": "UNAVAILABLE", "message": "SYSTEM_RUN_DENIED: approval required"}
    async with a_scene(tmp_path) as scene:
        scene.serve(lambda _: {"ok": False, "error": error})
        told = await refusal(scene)

    assert told == {
        "code": "UNAVAILABLE",
        "message": "SYSTEM_RUN_DENIED: approval required",
        "details": {"nodeError": error},
    }


async def test_a_node_that_says_no_without_a_word_failed(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        scene.serve(lambda _: {"ok": False, "error": "odd"})

        assert (await refusal(scene))["message"] == "node invoke failed"


async def test_a_node_that_does_not_answer_in_time_is_told_off(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        error = await refusal(scene, timeoutMs=20)
        asked = await scene.asked()
        called_off = (await scene.node.event("node.invoke.cancel"))["payload"]
        late = await scene.tell(asked)

    assert (error["code"], error["message"]) == ("UNAVAILABLE", "node invoke timed out")
    assert error["details"]["nodeError"]["code"] == "TIMEOUT"
    assert called_off == {"id": asked["id"], "invokeId": asked["id"], "nodeId": NODE_ID}
    assert late == {"ok": True, "ignored": True}


async def test_the_end_of_a_node_fails_what_it_was_asked_at_once(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        request_id = await scene.ask(timeoutMs=60_000)
        await scene.asked()
        await scene.node.ws.aclose()
        async with within(2):
            error = (await scene.operator.answer(request_id))["error"]

    assert (error["code"], error["message"]) == ("UNAVAILABLE", "node disconnected (system.which)")
    assert error["details"]["code"] == "NOT_CONNECTED"


async def test_a_node_that_connects_again_takes_its_own_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with a_scene(tmp_path) as scene:
        request_id = await scene.ask()
        asked = await scene.asked()
        async with a_node(scene.gateway) as newer:
            lost = (await scene.operator.answer(request_id))["error"]
            closed = await scene.node.closed()
            scene.nursery.start_soon(serve_node, newer)
            answer = await scene.operator.result("node.invoke", question())
            entry = (await scene.operator.result("node.list", {}))["nodes"][0]

    assert lost["message"] == "node disconnected (system.which)"
    assert closed == (REPLACED.code, REPLACED.reason)
    assert answer["payload"] == {"bins": ["sh"]}
    assert entry["connected"] is True  # the end of the older one took nothing from the newer
    assert asked["id"] not in scene.gateway.runtime.nodes._asked
    assert "connected again" in caplog.text


async def test_an_asker_that_leaves_calls_its_question_off(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        async with admitted(scene.gateway, key=key_of(2)) as other:
            frame = {"type": "req", "id": "7", "method": "node.invoke"}
            await other.send(frame | {"params": question(idempotencyKey="other")})
            asked = await scene.asked()
        called_off = (await scene.node.event("node.invoke.cancel"))["payload"]
        late = await scene.tell(asked)

    assert called_off["id"] == asked["id"]
    assert late == {"ok": True, "ignored": True}
    assert scene.gateway.runtime.nodes.in_flight == 0
    assert scene.gateway.runtime.nodes._by_key == {}


async def test_a_node_of_protocol_3_hears_of_no_newer_event(tmp_path: Path):
    async with a_scene(tmp_path, protocol=3) as scene:
        await refusal(scene, timeoutMs=1)
        await scene.node.call("health")

    assert {frame["event"] for frame in scene.node.events} <= {
        *("node.invoke.request", "node.pair.resolved", "health", "tick"),
    }


async def test_a_question_that_waits_holds_up_nothing_else(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        first = await scene.ask(idempotencyKey="first")
        asked = await scene.asked()
        async with within(2):
            assert (await scene.operator.call("health"))["ok"]
            second = await scene.ask(idempotencyKey="second")
            await scene.tell(await scene.asked(), payload=2)
            later = await scene.operator.answer(second)
        await scene.tell(asked, payload=1)
        earlier = await scene.operator.answer(first)

    assert (earlier["payload"]["payload"], later["payload"]["payload"]) == (1, 2)


async def test_too_many_questions_of_one_session_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gateway_session, "MAX_APART", 2)
    async with a_scene(tmp_path) as scene:
        waiting = [await scene.ask(idempotencyKey=str(number)) for number in range(2)]
        error = await refusal(scene, idempotencyKey="one-more")
        for _ in waiting:
            await scene.tell(await scene.asked())
        answers = [await scene.operator.answer(waiting[0])]
        answers.append(await scene.operator.call("health"))
        scene.serve()
        again = await scene.operator.result("node.invoke", question(idempotencyKey="one-more"))

    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
    assert all(answer["ok"] for answer in answers)
    assert again["ok"]


async def test_the_same_key_is_the_same_question(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        both = {await scene.ask(), await scene.ask()}
        await scene.tell(await scene.asked(), payload="once")
        await scene.operator.call("health")  # whatever comes first, both are there by now
        answers = [one["payload"] for one in scene.operator.events if one.get("type") == "res"]
        kept = await scene.operator.result("node.invoke", question())

    answered = {one["id"] for one in scene.operator.events if one.get("type") == "res"}
    assert answered == both
    assert [answer["payload"] for answer in (*answers, kept)] == ["once"] * 3
    assert [one for one in scene.node.events if one.get("event") == "node.invoke.request"] == []


@pytest.mark.parametrize("change", [{"params": {"bins": []}}, {"command": "system.run"}])
async def test_a_key_that_was_used_for_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any]
):
    async with a_scene(tmp_path) as scene:
        await scene.ask()
        await scene.asked()
        error = await refusal(scene, **change)

    assert error["code"] == "INVALID_REQUEST"
    assert "idempotencyKey" in error["message"]


async def test_the_key_of_one_asker_is_not_that_of_another(tmp_path: Path):
    async with a_scene(tmp_path) as scene, admitted(scene.gateway, key=key_of(2)) as other:
        count = iter(range(9))
        scene.serve(lambda _: {"ok": True, "payload": next(count)})
        mine = await scene.operator.result("node.invoke", question())
        theirs = await other.result("node.invoke", question())

    assert (mine["payload"], theirs["payload"]) == (0, 1)


async def test_answers_are_kept_in_a_bounded_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gateway_nodes, "KEPT_ANSWERS", 3)
    monkeypatch.setattr(gateway_nodes, "KEPT_BYTES", 100)
    async with a_scene(tmp_path) as scene:
        scene.serve()
        for number in range(10):
            await scene.operator.result("node.invoke", question(idempotencyKey=str(number)))
        held = len(scene.gateway.runtime.nodes._by_key)
        large = question(idempotencyKey="large", params={"text": "x" * 200})
        await scene.operator.result("node.invoke", large)

    assert held <= 4
    assert "large" not in {key[2] for key in scene.gateway.runtime.nodes._by_key}


async def test_a_node_that_lost_its_approval_fails_what_it_was_asked(tmp_path: Path):
    async with a_scene(tmp_path) as scene:
        request_id = await scene.ask()
        await scene.asked()
        await scene.operator.send(
            {"type": "req", "id": "rm", "method": "node.pair.remove", "params": {"nodeId": NODE_ID}}
        )
        error = (await scene.operator.answer(request_id))["error"]

    assert error["message"] == "node pairing changed while invocation was active"
    assert (error["details"]["code"], error["retryable"]) == ("PAIRING_CHANGED", True)
