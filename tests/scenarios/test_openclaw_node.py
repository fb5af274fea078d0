"""The npm package openclaw-node, unchanged: pairs, reads, asks a node, and is a node itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.methods.agentless import NO_AGENT
from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    eventually,
    running_gateway,
    running_nginx,
)
from tests.scenarios.test_nodes import npm_node

SCRIPT = Path(__file__).with_name("npm_openclaw_node.mjs")
ASKED = {"command": "system.which", "params": {"bins": ["sh"]}, "idempotencyKey": "k1"}
pytestmark = [pytest.mark.slow, pytest.mark.real("node", "npm-openclaw-node", "npm-client")]


def words(folder: Path, port: int, *calls: Any, **options: Any) -> list[str]:
    """Return the words that run the package once."""
    folder.mkdir(exist_ok=True)
    texts = [word if isinstance(word, str) else json.dumps(word) for word in calls]
    asked = {"url": f"ws://127.0.0.1:{port}"} | options
    return ["node", str(SCRIPT), str(folder), json.dumps(asked), *texts]


def openclaw_node(folder: Path, port: int, *calls: Any, **options: Any) -> list[dict[str, Any]]:
    """Run the package as an operator; return what it saw, one object a line."""
    done = subprocess.run(
        words(folder, port, *calls, **options),
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return lines


@contextmanager
def staying(folder: Path, port: int, **options: Any) -> Iterator[None]:
    """Run the package while the body runs."""
    process = subprocess.Popen(
        words(folder, port, "stay", {}, **options),
        env=os.environ.copy(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def seen(lines: list[dict[str, Any]], key: str) -> Any:
    """Return what stands under ``key`` in the first line that has it."""
    return next((line[key] for line in lines if key in line), None)


def nodes_of(gateway: Gateway) -> dict[str, Any]:
    """Return what `nodes list` prints."""
    listed: dict[str, Any] = gateway.openclaw("nodes", "list", "--json").json
    return listed


@pytest.mark.real("nginx")
def test_it_reads_the_request_id_in_the_refusal_and_is_let_in_once_approved(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        refused = openclaw_node(tmp_path / "phone", proxy, token=gateway.token)
        pairing = seen(refused, "pairing")
        approved = gateway.openclaw("devices", "approve", pairing["requestId"])
        calls: tuple[Any, ...] = (
            "channels.status",
            {},
            "chat.send",
            {"message": "hello"},
            "status",
            {},
        )
        lines = openclaw_node(tmp_path / "phone", proxy, *calls, token=gateway.token)
        again = openclaw_node(tmp_path / "phone", proxy, "health", {})

    assert pairing["reason"] == f"run openclaw devices approve {pairing['requestId']}"
    assert approved.code == 0
    assert seen(lines, "hello")["protocol"] == 4
    told = {line["method"]: line for line in lines if "method" in line}
    assert told["channels.status"]["result"]["channels"] == {}
    assert told["chat.send"]["failed"] == NO_AGENT
    assert told["status"]["result"]["gateway"]["pairedDevices"] >= 1
    assert seen(again, "hello")["auth"]["method"] == "device-token"


def test_it_asks_a_node_and_hears_what_the_node_answers(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        npm_node(tmp_path / "kitchen", gateway.port, gateway.token) as node,
    ):
        eventually(lambda: node.seen("hello"))
        (node_id,) = [line["nodeId"] for line in node.lines() if "nodeId" in line]
        assert gateway.openclaw("nodes", "approve", node_id).code == 0
        calls: tuple[Any, ...] = ("node.list", {}, "node.invoke", {"nodeId": node_id} | ASKED)
        scopes = ["operator.admin", "operator.read", "operator.write"]
        desk, token = tmp_path / "desk", gateway.token
        lines = openclaw_node(desk, gateway.port, *calls, token=token, scopes=scopes)

    told = {line["method"]: line for line in lines if "method" in line}
    assert [one["nodeId"] for one in told["node.list"]["result"]["nodes"]] == [node_id]
    assert told["node.invoke"]["result"]["payload"] == {"asked": {"bins": ["sh"]}}


def test_as_a_node_it_is_listed_and_has_nothing_to_be_asked(tmp_path: Path) -> None:
    options = {"role": "node", "scopes": [], "clientId": "node-host"}
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        with staying(tmp_path / "attic", gateway.port, token=gateway.token, **options):
            eventually(lambda: [one for one in nodes_of(gateway)["nodes"] if one["connected"]])
            (node,) = nodes_of(gateway)["nodes"]
            ask = ("nodes", "invoke", "--node", node["nodeId"], "--command", "system.which")
            refused = gateway.openclaw(*ask)
        eventually(lambda: not nodes_of(gateway)["nodes"][0]["connected"])

    assert (node["commands"], node["connected"]) == ([], True)
    assert refused.code == 1
