"""Nodes at a whole gateway: paired, admitted, and answering what they are asked."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
from trio_websocket import ConnectionClosed

from stores.keys import KeyPair
from tests.serving import TOKEN, Serving
from tests.sessions import FORWARDED, a_gateway, admitted
from tests.wire import Wire, connect_params, key_of, open_wire

#: What a test's node can do: a Linux host that runs programs and looks them up.
COMMANDS = ("system.run", "system.which")

NODE = key_of(71)
OPERATOR = key_of(1)

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


def node_params(
    nonce: str,
    key: KeyPair = NODE,
    *,
    commands: tuple[str, ...] = COMMANDS,
    protocol: int = 4,
    name: str | None = None,
    **wanted: Any,
) -> dict[str, Any]:
    """Return what a node host sends as ``connect``."""
    usual: dict[str, Any] = {"role": "node", "scopes": (), "client_id": "node-host"}
    usual |= {"mode": "node", "token": TOKEN, "family": "Linux"}
    usual |= {"protocols": (protocol, protocol)}
    params = connect_params(nonce, key=key, **usual | wanted)
    if name is not None:
        params["client"]["displayName"] = name
    return params | {"caps": ["system"], "commands": list(commands), "pathEnv": "/usr/bin"}


@asynccontextmanager
async def a_node(
    gateway: Serving,
    key: KeyPair = NODE,
    *,
    remote: bool = False,
    bare: bool = False,
    **wanted: Any,
) -> AsyncIterator[Wire]:
    """Open the session of a node, let in silently unless it is ``remote``.

    ``bare`` says that nothing of it will wait for approval.
    """
    assert not (bare and wanted.get("commands"))
    async with open_wire(gateway.port, headers=FORWARDED if remote else ()) as wire:
        params = node_params(wire.challenge["nonce"], key, **wanted)
        await wire.send({"type": "req", "id": "connect", "method": "connect", "params": params})
        response = await wire.answer("connect")
        assert response["ok"], response
        wire.hello = response["payload"]
        yield wire


async def approve_commands(operator: Wire, key: KeyPair = NODE) -> None:
    """Give a node that waits its second approval."""
    await operator.result("node.pair.approve", {"requestId": key.device_id})


def yes(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a node that gives back what it was given."""
    return {"ok": True, "payloadJSON": asked["paramsJSON"]}


async def serve_node(wire: Wire, reply: Answer = yes) -> None:
    """Answer what a node is asked until its connection ends; None answers nothing."""
    count = 0
    try:
        while True:
            frame = await wire.receive()
            wire.events.append(frame)
            if frame.get("event") != "node.invoke.request":
                continue
            asked = frame["payload"]
            told = reply(asked)
            if told is None:
                continue
            count += 1
            params = {"id": asked["id"], "nodeId": asked["nodeId"]} | told
            request = {"type": "req", "id": f"r{count}", "method": "node.invoke.result"}
            await wire.send(request | {"params": params})
    except (ConnectionClosed, trio.ClosedResourceError):
        return


def question(key: KeyPair = NODE, **changes: Any) -> dict[str, Any]:
    """Return the parameters of a ``node.invoke``."""
    params: dict[str, Any] = {"nodeId": key.device_id, "command": "system.which"}
    return params | {"params": {"bins": ["sh"]}, "idempotencyKey": "k1"} | changes


@attrs.define
class Scene:
    """A gateway with an operator and a node whose commands are approved."""

    gateway: Serving
    operator: Wire
    node: Wire
    nursery: trio.Nursery

    def serve(self, reply: Answer = yes) -> None:
        """Let the node answer from now on."""
        self.nursery.start_soon(serve_node, self.node, reply)

    async def ask(self, **changes: Any) -> str:
        """Send a question and return its id; the answer is waited for elsewhere."""
        request_id = str(uuid.uuid4())
        params = question(**changes)
        frame = {"type": "req", "id": request_id, "method": "node.invoke", "params": params}
        await self.operator.send(frame)
        return request_id

    async def asked(self) -> dict[str, Any]:
        """Return what the node is asked next."""
        return dict((await self.node.event("node.invoke.request"))["payload"])

    async def tell(self, asked: dict[str, Any], **told: Any) -> Any:
        """Answer as the node; return what the gateway says to that."""
        params = {"id": asked["id"], "nodeId": asked["nodeId"], "ok": True} | told
        return await self.node.result("node.invoke.result", params)


@asynccontextmanager
async def a_scene(
    folder: Path, section: dict[str, object] | None = None, **wanted: Any
) -> AsyncIterator[Scene]:
    """Open a scene; ``wanted`` is about the node."""
    async with (
        a_gateway(folder, section) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, **wanted) as node,
        trio.open_nursery() as nursery,
    ):
        if not wanted.get("bare"):
            await approve_commands(operator)
        yield Scene(gateway, operator, node, nursery)
        nursery.cancel_scope.cancel()


async def refusal(scene: Scene, **changes: Any) -> dict[str, Any]:
    """Return the error of a question that is refused."""
    return dict((await scene.operator.call("node.invoke", question(**changes)))["error"])
