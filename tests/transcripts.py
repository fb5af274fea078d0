"""Captured sessions with published gateways, replayed line by line against one of ours.

What clients sent is sent again, in the order captured: with keys of the tests' own, signed anew for
the nonce of the moment, and with our ids and tokens where theirs were. What the gateway said to it
is compared: how each request and each connection ended, and which events each connection heard.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
from attrs import define, field, frozen
from trio_websocket import ConnectionClosed

from tests.serving import Serving
from tests.test_handshake_vectors import OUR_ID, THEIR_ID, payload_of, what_was_signed
from tests.wire import Wire, key_of, now_ms, open_wire

FOLDER = Path(__file__).parent / "vectors" / "transcripts"

#: Events that follow from what was asked; the others come by the clock, or with who comes and goes.
CAUSED = re.compile(r"(device|node)\.pair\..*|node\.(invoke|runner).*|voicewake.*|talk.*|shutdown")

#: What a gateway makes up, and a client says again later.
MADE_UP = frozenset(
    {"requestId", "deviceToken", "token", "id", "nodeId", "deviceId", "publicKey", "hash"}
)

#: How long what must come is waited for, s: it is on its way, or it does not come.
PATIENCE_S = 3.0

#: Cases that wait for the gateway's own clock, or send what was not kept: other tests do both.
ELSEWHERE = frozenset({"handshake-timeout", "big"})

#: Cases whose connection came over a proxy; their upgrade was not kept.
OVER_A_PROXY = {"newdev": ["", "X-Forwarded-For: 203.0.113.9"]}


@frozen(order=True)
class Difference:
    """What happened there and not here, at the same point of the same session."""

    who: str
    what: str
    there: str
    here: str


@define(eq=False)
class _Connection:
    """One connection of a transcript, as it was there and is here."""

    who: str
    wire: Wire
    scope: trio.CancelScope
    nonce: str
    asked: dict[str, str] = field(factory=dict)
    told: Counter[str] = field(factory=Counter)


@define(eq=False)
class Replay:
    """One transcript under way at one gateway."""

    gateway: Serving
    nursery: trio.Nursery
    found: list[Difference] = field(factory=list)
    compared: int = 0
    _of_step: str = ""
    _heads: dict[str, list[str]] = field(factory=dict)
    _open: dict[str, _Connection] = field(factory=dict)
    _ours: dict[str, str] = field(factory=dict)

    async def run(self, name: str) -> list[Difference]:
        """Replay a transcript and return where it went another way."""
        for line in lines_of(name):
            await self._follow(line)
        for connection in list(self._open.values()):
            await self._compare_events(connection)
        return self.found

    async def _follow(self, line: Mapping[str, Any]) -> None:
        if "mark" in line:
            self._of_step = str(line["mark"]).split(" ", 1)[0] + " "
            return
        who = name_of(line)
        if who in ELSEWHERE:
            return
        kind, sent = line["kind"], line["dir"] == "c2s"
        if kind == "upgrade":
            self._heads[who] = line["head"]
        elif kind == "frame" and type(line["frame"]) is dict and "_raw" not in line["frame"]:
            await self._frame(who, line, sent=sent)
        elif kind == "close":
            await self._close(who, line, sent=sent)

    async def _frame(self, who: str, line: Mapping[str, Any], *, sent: bool) -> None:
        frame = line["frame"]
        if frame.get("event") == "connect.challenge":
            self._open[who] = await self._connect(who, frame["payload"]["nonce"])
            return
        connection = self._open.get(who)
        if connection is None:
            return
        if sent:
            await self._ask(connection, frame, at_ms=line["t"])
        elif frame["type"] == "res":
            await self._hear(connection, frame)
        elif CAUSED.fullmatch(frame["event"]):
            await self._hear_event(connection, frame)

    async def _connect(self, who: str, nonce: str) -> _Connection:
        headers = dict(
            text.split(": ", 1) for text in self._heads.pop(who, OVER_A_PROXY.get(who, []))[1:]
        )
        extra = tuple((name, text) for name, text in headers.items() if name.startswith("X-"))
        host, origin = headers.get("Host"), headers.get("Origin")

        async def hold(task_status: trio.TaskStatus[tuple[Wire, trio.CancelScope]]) -> None:
            with trio.CancelScope() as scope:
                async with open_wire(
                    self.gateway.port, host=host, origin=origin, headers=extra
                ) as wire:
                    task_status.started((wire, scope))
                    await trio.sleep_forever()

        step = "" if who == "watcher" else self._of_step
        wire, scope = await self.nursery.start(hold)
        return _Connection(f"{step}{who}", wire, scope, nonce)

    async def _ask(self, connection: _Connection, frame: dict[str, Any], *, at_ms: int) -> None:
        method = frame["method"]
        frame = json.loads(json.dumps(frame))
        if method == "connect" and connection.wire.hello is None and "client" in frame["params"]:
            self._sign(connection, frame["params"], at_ms)
        frame["params"] = self._as_ours(frame.get("params"))
        connection.asked[frame["id"]] = method
        if frame["params"] is None:
            del frame["params"]
        try:
            await connection.wire.send(frame)
        except ConnectionClosed:
            return

    def _sign(self, connection: _Connection, params: dict[str, Any], at_ms: int) -> None:
        """Let a device of ours do what the captured one did."""
        device = params.get("device")
        if device is None:
            return
        version, nonce = what_was_signed(params, connection.nonce)
        own = key_of(int.from_bytes(device["publicKey"].encode()[:4], "big"))
        self._ours |= {device["id"]: own.device_id, device["publicKey"]: own.public_key}
        device |= {"id": own.device_id, "publicKey": own.public_key}
        device["signedAt"] += now_ms() - at_ms
        fresh = connection.wire.challenge["nonce"]
        if device.get("nonce") == connection.nonce:
            device["nonce"] = fresh
        params["auth"] = self._as_ours(params.get("auth", {}))
        text = payload_of(params, version, fresh if nonce == connection.nonce else nonce)
        device["signature"] = own.sign(text.encode())

    def _as_ours(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._as_ours(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._as_ours(item) for item in value]
        return self._ours.get(value, value) if isinstance(value, str) else value

    async def _hear(self, connection: _Connection, theirs: dict[str, Any]) -> None:
        method = connection.asked.pop(theirs["id"], None)
        if method is None:
            return
        with trio.move_on_after(PATIENCE_S):
            try:
                ours = await _answer(connection.wire, theirs["id"])
            except ConnectionClosed:
                ours = {"closed": True}
            if ours.get("ok") and method == "connect":
                connection.wire.hello = ours["payload"]
            self._learn(theirs, ours)
            self._compare(connection, method, answer_in_words(theirs), answer_in_words(ours))
            return
        self._compare(connection, method, answer_in_words(theirs), "no answer")

    async def _hear_event(self, connection: _Connection, theirs: dict[str, Any]) -> None:
        """Note what was told there; it is compared when the connection is over.

        What a node answers to, or acts on, is waited for.
        """
        if theirs["event"] == "shutdown":
            self.gateway.stop.set()
        words = event_in_words(theirs)
        connection.told[words] += 1
        with trio.move_on_after(PATIENCE_S):
            while theirs["event"] in ACTED_ON:
                events = connection.wire.events
                kept = [one for one in events if event_in_words(one) == words]
                if len(kept) >= connection.told[words]:
                    self._learn(theirs["payload"], kept[connection.told[words] - 1]["payload"])
                    break
                events.append(await connection.wire.receive())

    async def _close(self, who: str, line: Mapping[str, Any], *, sent: bool) -> None:
        connection = self._open.pop(who, None)
        if connection is None:
            return
        if sent or line.get("code") in (None, 0, NORMAL):  # the echo of the client's own
            await self._compare_events(connection)
            with trio.move_on_after(PATIENCE_S):
                await connection.wire.ws.aclose()
        else:
            here = "stays open"
            with trio.move_on_after(PATIENCE_S):
                here = close_in_words(*await self._closed(connection))
            self._compare(
                connection, "close", close_in_words(line["code"], line.get("reason") or ""), here
            )
            await self._compare_events(connection)
        connection.scope.cancel()

    async def _closed(self, connection: _Connection) -> tuple[int, str]:
        try:
            while True:
                connection.wire.events.append(await connection.wire.receive())
        except ConnectionClosed as ended:
            reason = ended.reason
            return (reason.code, reason.reason or "") if reason else (1006, "")

    async def _compare_events(self, connection: _Connection) -> None:
        """Compare what was told by events, in any order, once all of it has arrived."""
        frame = {"type": "req", "id": FENCE, "method": "connect", "params": {}}
        with trio.move_on_after(PATIENCE_S), suppress(ConnectionClosed):
            await connection.wire.send(
                frame
            )  # a request that changes nothing and is counted nowhere
            await _answer(connection.wire, FENCE)
        events = [one for one in connection.wire.events if one["type"] == "event"]
        here = Counter(event_in_words(one) for one in events if CAUSED.fullmatch(one["event"]))
        self.compared += sum((connection.told | here).values())
        for words in connection.told - here:
            self.found.append(Difference(connection.who, "event", words, "nothing"))
        for words in here - connection.told:
            self.found.append(Difference(connection.who, "event", "nothing", words))

    def _learn(self, theirs: Any, ours: Any, key: str = "") -> None:
        if isinstance(theirs, dict) and isinstance(ours, dict):
            for name in theirs.keys() & ours.keys():
                self._learn(theirs[name], ours[name], name)
        elif isinstance(theirs, list) and isinstance(ours, list):
            for one, other in zip(theirs, ours, strict=False):
                self._learn(one, other)
        elif isinstance(theirs, str) and isinstance(ours, str) and key in MADE_UP:
            self._ours.setdefault(theirs, ours)

    def _compare(self, connection: _Connection, what: str, there: str, here: str) -> None:
        self.compared += 1
        if there != here:
            self.found.append(Difference(connection.who, what, there, here))


async def _answer(wire: Wire, request_id: str) -> dict[str, Any]:
    """Return the response to a request, from those kept or those to come."""
    for kept in wire.events:
        if kept["type"] == "res" and kept["id"] == request_id:
            wire.events.remove(kept)
            return kept
    return await wire.answer(request_id)


#: Events after which a client goes on in another way than before.
ACTED_ON = frozenset({"node.invoke.request", "node.pair.resolved"})

#: How clients say goodbye, and no gateway does first (RFC 6455 section 7.4.1).
NORMAL = 1000

#: The id of a request of the replay itself.
FENCE = "all-arrived"


def lines_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a transcript."""
    for text in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(text)


def name_of(line: Mapping[str, Any]) -> str:
    """Return what a transcript calls one of its connections."""
    return str(line.get("case") or line.get("conn"))


def answer_in_words(frame: Mapping[str, Any]) -> str:
    """Return how a request ended, ids written as ID."""
    if "closed" in frame:
        return "closed"
    if frame["ok"]:
        return "ok"
    return f'{frame["error"]["code"]} "{without_ids(frame["error"]["message"])}"'


def event_in_words(frame: Mapping[str, Any]) -> str:
    """Return an event's name, and what was decided where that is what it tells."""
    payload = frame.get("payload")
    decision = payload.get("decision") if isinstance(payload, dict) else None
    return f"{frame.get('event')} {decision}" if decision else str(frame.get("event"))


def close_in_words(code: int, reason: str) -> str:
    """Return how a connection ended, ids written as ID."""
    return f'close {int(code)} "{without_ids(reason)}"'


def without_ids(text: str) -> str:
    """Return a text without what differs from run to run: ids, and where a test's state is."""
    for pattern, words in (
        (r"\(requestId: [^)]*\)?", "(requestId: ID)"),  # a close reason may be cut in the id
        (r"OPENCLAW_\w+=\S+ ", ""),
        (OUR_ID, "ID"),
        (THEIR_ID, "ID"),
    ):
        text = re.sub(pattern, words, text)
    return text
