"""Nodes that are here, and what is asked of them: one session a node, each question answered once.

Nothing here touches a socket: a question goes into the node's outbox, its answer comes in as a
request of the node, and whatever happens in between fails the question at once.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson
import trio
from attrs import define, field, frozen

from gateway.hub import Session
from gateway.policy.node_commands import CommandRules, Declared
from gateway.protocol.close import POLICY_VIOLATION, Close
from gateway.protocol.connect import ClientInfo
from gateway.protocol.frames import event
from stores.config.model import NodeCommandsConfig
from stores.node_listing import standing
from stores.node_store import NodeStore
from stores.nodes import NodeRecord
from stores.records import PairedDevice

logger = logging.getLogger("gateway.nodes")

#: Time for an answer when the caller names none, ms (protocol fact).
DEFAULT_TIMEOUT_MS = 30_000

#: Longest time for an answer, whatever the caller names, ms.
MAX_TIMEOUT_MS = 3_600_000

#: Answers kept for who asks again under the same key: how many, how long, how large at most.
KEPT_ANSWERS = 512
KEPT_FOR_S = 300.0
KEPT_BYTES = 65_536

#: What an older connection of a node is told when a newer one takes its place.
REPLACED = Close(POLICY_VIOLATION, "replaced by a newer connection of this node")

#: Whose question it is: the node, the caller, and the key the caller gave it.
Key: TypeAlias = tuple[str, str, str]


@frozen
class NodeFacts:
    """What a node said of itself when it connected; ``needs_approval`` is ours."""

    client: ClientInfo
    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: Mapping[str, bool] = field(factory=dict)
    path_env: str | None = None
    remote_ip: str | None = None
    needs_approval: bool = True


@frozen
class Answered:
    """The node did what it was asked."""

    payload: Any = None
    payload_json: str | None = None


@frozen
class Declined:
    """The node said no; ``error`` is its code and message."""

    error: Mapping[str, Any]


@frozen
class TimedOut:
    """The node did not answer in time."""


@frozen
class NodeGone:
    """The node's connection ended first."""


@frozen
class PairingChanged:
    """The node lost the approval of its commands first."""


Outcome: TypeAlias = Answered | Declined | TimedOut | NodeGone | PairingChanged


@define(eq=False)
class Invoke:
    """One question to one node, and everybody who waits for its answer."""

    invoke_id: str
    node: Session
    command: str
    params_json: str | None
    key: Key
    deadline_s: float
    asked_s: float
    outcome: Outcome | None = None
    done: trio.Event = field(factory=trio.Event)
    waiters: int = 0


class KeyTakenError(Exception):
    """The key was given to another question to the same node."""


@define(eq=False)
class Nodes:
    """The nodes of one gateway: who is here, what was approved, what is being asked.

    Args:
        store: What was approved; its methods do file work, its book costs nothing.
        trouble: Why its files could not be read at the last look.
    """

    store: NodeStore
    trouble: str | None = None
    live: dict[str, Session] = field(factory=dict)
    _asked: dict[str, Invoke] = field(factory=dict)
    _by_node: dict[str, dict[str, Invoke]] = field(factory=dict)
    _by_key: dict[Key, Invoke] = field(factory=dict)
    _kept: OrderedDict[Key, float] = field(factory=OrderedDict)

    def arrive(self, session: Session) -> Session | None:
        """Make a session the one of its node; return the older one, whose questions fail now."""
        assert session.device_id is not None
        older = self.live.get(session.device_id)
        self.live[session.device_id] = session
        if older is None or older is session:
            return None
        self._fail_all(older, NodeGone())
        older.end(REPLACED)
        return older

    def depart(self, session: Session) -> bool:
        """Forget a session that is over, fine for one that is no node's; tell if a node is gone."""
        # By connection: the end of an older connection takes nothing from a newer one.
        gone = session.device_id is not None and self.live.get(session.device_id) is session
        if session.device_id is not None and gone:
            del self.live[session.device_id]
        self._fail_all(session, NodeGone())
        return gone

    def fail_unapproved(self, session: Session) -> None:
        """Fail what is asked of a node that lost its approval."""
        self._fail_all(session, PairingChanged())

    def _fail_all(self, session: Session, outcome: Outcome) -> None:
        for invoke in tuple(self._by_node.get(session.conn_id, {}).values()):
            self._settle(invoke, outcome)

    def approval(self, device: PairedDevice) -> NodeRecord | None:
        """Return what was approved of a device's commands in its present pairing, or None."""
        return standing(self.store.book, device)

    def declared(self, session: Session, device: PairedDevice | None) -> Declared:
        """Return what is known of a connected node's commands, for policy."""
        facts = session.node
        assert facts is not None
        record = self.approval(device) if device is not None else None
        return Declared(
            platform=facts.client.platform,
            device_family=facts.client.device_family,
            protocol=session.protocol,
            commands=facts.commands,
            approved=None if record is None else frozenset(record.commands or ()),
            needs_approval=facts.needs_approval,
        )

    async def ask(
        self,
        node: Session,
        *,
        caller: str,
        command: str,
        params_json: str | None,
        timeout_ms: int | None,
        idempotency_key: str,
    ) -> Outcome:
        """Put a question to a node and return what came of it.

        The same key from the same caller is the same question: it is put once, and everybody who
        asks gets its one answer, also for a while after it came.

        Cancellation: when nobody waits any more, the node is told and its answer is ignored.

        Raises:
            KeyTakenError: the key was given to another command or other parameters.
        """
        assert node.device_id is not None
        self._forget_old()
        key = (node.device_id, caller, idempotency_key)
        invoke = self._by_key.get(key)
        if invoke is None:
            invoke = self._put(node, key, command, params_json, timeout_ms)
        elif (invoke.command, invoke.params_json) != (command, params_json):
            raise KeyTakenError
        invoke.waiters += 1
        try:
            with trio.move_on_at(invoke.deadline_s):
                await invoke.done.wait()
            if invoke.outcome is None:
                self._settle(invoke, TimedOut())
                self._call_off(invoke)
        finally:
            invoke.waiters -= 1
            if invoke.outcome is None and not invoke.waiters:
                self._settle(invoke, NodeGone())
                self._call_off(invoke)
        assert invoke.outcome is not None
        return invoke.outcome

    def _put(
        self,
        node: Session,
        key: Key,
        command: str,
        params_json: str | None,
        timeout_ms: int | None,
    ) -> Invoke:
        now_s = trio.current_time()
        wait_ms = min(DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms, MAX_TIMEOUT_MS)
        invoke = Invoke(
            invoke_id=str(uuid.uuid4()),
            node=node,
            command=command,
            params_json=params_json,
            key=key,
            deadline_s=now_s + wait_ms / 1000,
            asked_s=now_s,
        )
        self._asked[invoke.invoke_id] = self._by_key[key] = invoke
        self._by_node.setdefault(node.conn_id, {})[invoke.invoke_id] = invoke
        payload: dict[str, Any] = {
            "id": invoke.invoke_id,
            "nodeId": node.device_id,
            "command": command,
            "paramsJSON": params_json,
        }
        if timeout_ms is not None:
            payload["timeoutMs"] = wait_ms
        node.send(event("node.invoke.request", payload | {"idempotencyKey": key[2]}))
        return invoke

    def _call_off(self, invoke: Invoke) -> None:
        """Tell a node of protocol 4 that nobody waits for its answer.

        The event is a protocol fact; what is in it is published nowhere, so the question is named
        both as its request named it and as `node.invoke.progress` does. A node that does not know
        the event drops it, and its answer is ignored.
        """
        if invoke.node.protocol >= 4:
            told = {"id": invoke.invoke_id, "invokeId": invoke.invoke_id}
            told["nodeId"] = invoke.key[0]
            invoke.node.send(event("node.invoke.cancel", told))

    def answer(self, node: Session, invoke_id: str, outcome: Outcome) -> bool:
        """Take a node's answer in; False if nobody asked this node, or nobody waits any more."""
        invoke = self._asked.get(invoke_id)
        if invoke is None or invoke.node is not node:
            return False
        self._settle(invoke, outcome)
        return True

    def _settle(self, invoke: Invoke, outcome: Outcome) -> None:
        if invoke.outcome is not None:
            return
        invoke.outcome = outcome
        del self._asked[invoke.invoke_id]
        mine = self._by_node[invoke.node.conn_id]
        del mine[invoke.invoke_id]
        if not mine:
            del self._by_node[invoke.node.conn_id]
        if _worth_keeping(outcome):
            self._kept[invoke.key] = trio.current_time()
        else:
            del self._by_key[invoke.key]  # asking again under this key asks the node again
        invoke.done.set()

    def _forget_old(self) -> None:
        """Forget answers that are kept for long, and the oldest of too many."""
        before_s = trio.current_time() - KEPT_FOR_S
        while self._kept:
            key, at_s = next(iter(self._kept.items()))
            if at_s >= before_s and len(self._kept) <= KEPT_ANSWERS:
                return
            del self._kept[key]
            del self._by_key[key]

    @property
    def in_flight(self) -> int:
        """How many questions wait for an answer."""
        return len(self._asked)


def _worth_keeping(outcome: Outcome) -> bool:
    """Tell whether who asks again gets this answer: one of the node's own, and small."""
    match outcome:
        case Answered(payload, text):
            size = len(orjson.dumps(payload)) if text is None else len(text)
            return size < KEPT_BYTES
        case Declined():
            return True
        case _:
            return False


def rules_of(commands: NodeCommandsConfig) -> CommandRules:
    """Return the rules of ``gateway.nodes.commands`` in a configuration."""
    return CommandRules(allow=commands.allow, deny=commands.deny)
