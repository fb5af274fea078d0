"""A node and its operator while the gateway is up, stuck or down: the files, and who notices them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.nodes import NODE, node_params
from tests.scenarios.programs import Finished, Gateway, running_gateway
from tests.scenarios.timing import timed
from tests.wire import Wire, open_wire

pytestmark = pytest.mark.slow

NODE_ID = NODE.device_id

#: As for devices: a gateway that is stuck is not waited for longer, s; a busy machine is slower.
WITHIN_S = 3.0


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state."""
    return tmp_path / "home" / ".openclaw"


@asynccontextmanager
async def a_node_of(gateway: Gateway) -> AsyncIterator[Wire]:
    """Open the session of a node of this machine, which is paired by that."""
    async with open_wire(gateway.port) as node:
        params = node_params(node.challenge["nonce"], token=gateway.token, name="kitchen")
        await node.send({"type": "req", "id": "1", "method": "connect", "params": params})
        assert (await node.answer("1"))["ok"]
        yield node


async def run(gateway: Gateway, *words: str) -> Finished:
    """Run a command beside the clients of this test."""
    return await trio.to_thread.run_sync(gateway.openclaw, *words)


async def test_a_gateway_that_runs_notices_what_is_decided_in_the_files(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        async with a_node_of(gateway) as node:
            approved = await run(gateway, "nodes", "approve", NODE_ID, "--offline")
            told = (await node.event("node.pair.resolved"))["payload"]
            here = (await run(gateway, "nodes", "list", "--json")).json
            removed = await run(gateway, "nodes", "remove", "kitchen", "--offline")
            await trio.sleep(1.5)  # it looks at its files so often at least
            gone = (await run(gateway, "nodes", "list", "--json")).json

    assert (approved.code, told["decision"], removed.code) == (0, "approved", 0)
    assert f"{state_dir / 'devices'} and {state_dir / 'nodes'}" in approved.err
    assert (here["source"], here["nodes"][0]["commands"]) == (
        "gateway",
        ["system.run", "system.which"],
    )
    assert (gone["nodes"][0]["commands"], gone["nodes"][0]["connected"]) == ([], True)
    assert [one["nodeId"] for one in gone["pending"]] == [NODE_ID]


async def test_while_it_is_stuck_the_files_answer_soon(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        async with a_node_of(gateway):
            gateway.tell(signal.SIGSTOP)
            words = ("nodes", "list", "--json")
            listed, took_s = await trio.to_thread.run_sync(timed, gateway, *words)
            approved = await run(gateway, "nodes", "approve", NODE_ID)
            gateway.tell(signal.SIGCONT)

    assert listed.json["source"] == "files"
    assert listed.json["nodes"][0]["approvalState"] == "pending-approval"
    assert approved.code == 0
    assert "using the local state in " in approved.err
    assert took_s < WITHIN_S


async def test_while_it_is_down_the_files_answer_and_it_honours_them_later(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        async with a_node_of(gateway):
            pass
    down = gateway.openclaw("nodes", "approve", NODE_ID, "--json")
    refused = gateway.openclaw("nodes", "remove", NODE_ID)
    with running_gateway(state_dir, port=gateway.port) as again:
        async with a_node_of(again):
            listed = (await run(again, "nodes", "list", "--json")).json

    assert (down.code, down.json["source"]) == (0, "files")
    assert refused.code == 3
    assert f"openclaw nodes remove {NODE_ID} --offline" in refused.err
    assert (listed["source"], listed["pending"]) == ("gateway", [])
    assert listed["nodes"][0]["commands"] == ["system.run", "system.which"]
