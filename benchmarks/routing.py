"""What it costs to ask a node and to tell a thousand sessions, and that neither leaves anything behind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import orjson
from attrs import define, field

from benchmarks.client import Client, key_of
from benchmarks.costs import KNOWN, pair
from benchmarks.effort import Effort
from benchmarks.footprint import KIB, allow_files
from benchmarks.processes import Server, floor, gateway, medians
from benchmarks.table import Row

ROUND_TRIP_TARGET = 2.0
BROADCAST_TARGET_MS = 20
GAINED_TARGET_KIB = 1024

#: The node that is asked, and what it can do.
NODE = key_of(2)
COMMAND = "system.which"

#: Of the requests whose memory is looked for: so many of health for each question to a node.
PER_QUESTION = 16

#: Presence is told at most every half second: after this nothing of it is under way.
QUIET_S = 0.7


def routing_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield the round trip of a question, the CPU of a broadcast, and the memory of many requests."""
    answers = scratch / "answers.json"
    with gateway(scratch / "routing") as ours, _scene(ours) as scene:
        health = scene.operator.call("health")["payload"]
        answers.write_bytes(orjson.dumps({"connect": None, "health": health}))
        with floor(answers) as bare:
            yield _round_trip(scene, bare, effort)
        yield _gained(ours, scene, effort)
    with gateway(scratch / "broadcast") as ours:
        yield _broadcast(ours, effort)


@define(eq=False)
class Scene:
    """An operator and a node whose command is approved, driven by one thread in turn."""

    operator: Client
    node: Client
    _keys: Iterator[int] = field(factory=count)

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.drop()
        self.node.drop()

    def ask(self) -> None:
        """Put one question and see its answer arrive."""
        params = {"nodeId": NODE.device_id, "command": COMMAND, "params": {"bins": ["sh"]}}
        self.operator.send("node.invoke", params | {"idempotencyKey": f"k{next(self._keys)}"})
        asked = self.node.event("node.invoke.request")
        told = {"id": asked["id"], "nodeId": NODE.device_id, "ok": True}
        self.node.send("node.invoke.result", told | {"payloadJSON": asked["paramsJSON"]})
        (answer,) = self.operator.answers()
        assert answer["ok"], answer
        assert self.node.answers()[0]["ok"]


def _scene(ours: Server) -> Scene:
    pair(ours)
    operator, node = Client(ours.port), Client(ours.port)
    assert operator.connect(KNOWN)["ok"]
    assert node.connect(NODE, commands=(COMMAND,))["ok"]
    approved = operator.call("node.pair.approve", {"requestId": NODE.device_id})
    assert approved["ok"], approved
    return Scene(operator, node)


def _round_trip(scene: Scene, bare: Server, effort: Effort) -> Row:
    hopping = Client(bare.port)
    hopping.connect(KNOWN)

    def questions_s() -> float:
        begun_s = time.perf_counter()
        for _ in range(effort.questions):
            scene.ask()
        return (time.perf_counter() - begun_s) / effort.questions

    def hops_s() -> float:
        begun_s = time.perf_counter()
        for _ in range(2 * effort.questions):
            hopping.call("health")
        return (time.perf_counter() - begun_s) / effort.questions

    questions_s(), hops_s()
    found_s, least_s = medians([questions_s, hops_s], rounds=effort.rounds)
    hopping.drop()
    name = "node.invoke, round trip (floor: two hops)"
    return Row(name, found_s * 1e6, "µs", ROUND_TRIP_TARGET, least_s * 1e6)


def _gained(ours: Server, scene: Scene, effort: Effort) -> Row:
    """Return what many requests leave behind, after as many as fill what is kept on purpose."""

    def ask_for(requests: int) -> None:
        for _ in range(requests // (PER_QUESTION + 1)):
            scene.operator.calls("health", {}, count=PER_QUESTION)
            scene.ask()

    ask_for(min(effort.endured, 20_000))
    before = ours.private_bytes()
    ask_for(effort.endured)
    gained = ours.private_bytes() - before
    name = f"memory gained over {effort.endured} requests"
    return Row(name, gained / KIB, "KiB", GAINED_TARGET_KIB)


def _broadcast(ours: Server, effort: Effort) -> Row:
    """Return the CPU of one event to all, from its cause to the last reader's socket."""
    allow_files(effort.sessions + 100)
    pair(ours)
    with ExitStack() as opened:

        def reader() -> Client:
            client = Client(ours.port)
            opened.callback(client.drop)
            assert client.connect(KNOWN)["ok"]
            return client

        readers = [reader() for _ in range(effort.sessions)]
        tell = partial(_tell_ms, ours, reader(), readers)
        tell()
        taken_ms = statistics.median(tell() for _ in range(effort.rounds))
    name = f"CPU per broadcast to {effort.sessions} sessions"
    return Row(name, taken_ms, "ms", BROADCAST_TARGET_MS)


def _tell_ms(ours: Server, operator: Client, readers: list[Client]) -> float:
    time.sleep(QUIET_S)
    before_s = ours.cpu_s()
    assert operator.call("system-event", {"text": "news"})["ok"]
    for reader in readers:
        reader.event("presence")
    return (ours.cpu_s() - before_s) * 1000
