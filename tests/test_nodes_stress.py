"""Many nodes, many askers, nodes that die at random: every question has exactly one answer."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway import pulse, session
from stores import nodes
from tests.builders import CLI, NOW_MS
from tests.nodes import a_node, question, serve_node
from tests.serving import TOKEN, Serving, open_gateway
from tests.wire import Wire, key_of, open_wire

#: How much of everything; the questions of one asker are in flight at once.
NODES, ASKERS, QUESTIONS = 200, 200, 50

#: The whole of it takes about 40 s on two cores.
PATIENCE_S = 240


@pytest.mark.slow
async def test_every_question_has_one_answer_while_nodes_die(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Both ends share one thread here: a pong comes late, and presence goes to everybody twice.
    monkeypatch.setattr(session, "PONG_WITHIN_S", PATIENCE_S)
    monkeypatch.setattr(pulse, "PRESENCE_EVERY_S", 10)
    dice = random.Random(7)
    with trio.fail_after(PATIENCE_S):
        async with open_gateway(tmp_path / "state") as gateway, trio.open_nursery() as nursery:
            for number in range(NODES):
                await nursery.start(live_and_die, gateway, number, dice)
            approve_all(gateway)
            answers = Counter[str]()
            async with trio.open_nursery() as askers:
                for number in range(ASKERS):
                    askers.start_soon(ask_many, gateway, number, dice, answers)
            nursery.cancel_scope.cancel()
            registry = gateway.runtime.nodes

    assert answers.total() == ASKERS * QUESTIONS
    assert answers["answered"] > 0
    assert answers["UNAVAILABLE"] > 0
    assert set(answers) <= {"answered", "UNAVAILABLE"}
    assert registry.in_flight == 0
    assert registry._by_node == {}


def approve_all(gateway: Serving) -> None:
    """Give every node its second approval."""
    store = gateway.runtime.nodes.store
    for request in tuple(store.book.pending.values()):
        approving = partial(
            nodes.approve, reference=request.request_id, caller=CLI, needed=lambda _: ()
        )
        store.apply(approving, now_ms=gateway.runtime.now_ms() or NOW_MS)


async def live_and_die(
    gateway: Serving, number: int, dice: random.Random, task_status: trio.TaskStatus[None]
) -> None:
    """Be a node that answers, slowly at times, and drops its connection again and again."""

    def reply(asked: dict[str, Any]) -> dict[str, Any] | None:
        if dice.random() < 0.01:
            return None  # never answered: the question times out, or the node dies first
        return {"ok": True, "payloadJSON": asked["paramsJSON"]}

    started = False
    while True:
        async with a_node(gateway, key_of(10_000 + number)) as wire:
            if not started:
                started = True
                task_status.started()
            with trio.move_on_after(dice.uniform(1, 15)):
                await serve_node(wire, reply)
            if dice.random() < 0.5:
                await trio.aclose_forcefully(wire.ws._stream)  # as a cable that is pulled


async def ask_many(
    gateway: Serving, number: int, dice: random.Random, answers: Counter[str]
) -> None:
    """Ask random nodes, everything at once, and count what comes back."""
    seen: list[dict[str, Any]] = []
    async with open_wire(gateway.port) as wire:
        assert (await wire.connect(key=key_of(20_000 + number), token=TOKEN))["ok"]
        for ask in range(QUESTIONS):
            node = key_of(10_000 + dice.randrange(NODES))
            params = question(node, idempotencyKey=f"{ask}", params={"n": ask}, timeoutMs=5_000)
            frame = {"type": "req", "id": f"q{ask}", "method": "node.invoke", "params": params}
            await wire.send(frame)
        seen = await answers_of(wire)
    for told in seen:
        ok = told["ok"]
        assert not ok or told["payload"]["payload"] == {"n": int(told["id"][1:])}
        answers["answered" if ok else told["error"]["code"]] += 1


async def answers_of(wire: Wire) -> list[dict[str, Any]]:
    """Return one answer to every question, and fail at a second one."""
    seen: dict[str, dict[str, Any]] = {}
    while len(seen) < QUESTIONS:
        text = str(await wire.ws.get_message())
        if text.startswith('{"type":"event"'):
            continue  # presence of 400 clients, which 200 readers would take a minute to parse
        frame = json.loads(text)
        assert frame["id"] not in seen
        seen[frame["id"]] = frame
    assert (await wire.call("health"))["ok"]
    assert [frame for frame in wire.events if frame["type"] == "res"] == []
    return list(seen.values())
