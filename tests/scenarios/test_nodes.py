"""A published client as a node: pairs, is approved twice, is listed and invoked, and leaves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    eventually,
    running_gateway,
    running_nginx,
)

SCRIPT = Path(__file__).with_name("npm_node.mjs")
pytestmark = [pytest.mark.slow, pytest.mark.real("node", "npm-client", "nginx")]


class NpmNode:
    """The npm client as a node, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        self.process = process
        self._said = said

    def lines(self) -> list[dict[str, Any]]:
        """Return what it saw, one object a line."""
        whole = self._said.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def seen(self, key: str) -> dict[str, Any] | None:
        """Return the last line that has ``key``."""
        return next((line for line in reversed(self.lines()) if key in line), None)


@contextmanager
def npm_node(folder: Path, port: int, token: str) -> Iterator[NpmNode]:
    """Run the npm client as a node while the body runs."""
    folder.mkdir(exist_ok=True)
    said = folder / f"said-{len(list(folder.iterdir()))}"
    words = {"url": f"ws://127.0.0.1:{port}", "token": token}
    with said.open("w") as out:
        process = subprocess.Popen(
            ["node", str(SCRIPT), str(folder), json.dumps(words)],
            env=os.environ.copy(),
            stdin=subprocess.PIPE,
            stdout=out,
            text=True,
        )
    try:
        yield NpmNode(process, said)
    finally:
        process.kill()
        process.communicate()


def nodes_of(gateway: Gateway) -> dict[str, Any]:
    """Return what `nodes list` prints."""
    listed: dict[str, Any] = gateway.openclaw("nodes", "list", "--json").json
    return listed


def test_the_npm_client_is_a_node_that_is_approved_twice_and_invoked(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        with npm_node(tmp_path / "kitchen", proxy, gateway.token) as node:
            eventually(lambda: node.seen("refused"))
        (first,) = nodes_of(gateway)["pending"]
        device = gateway.openclaw("nodes", "approve", first["requestId"])
        with npm_node(tmp_path / "kitchen", proxy, gateway.token) as node:
            eventually(lambda: node.seen("hello"))
            before = nodes_of(gateway)
            ask = ("nodes", "invoke", "--node", "kitchen", "--command", "system.which")
            hidden = gateway.openclaw(*ask)
            approved = gateway.openclaw("nodes", "approve", before["pending"][0]["requestId"])
            after = nodes_of(gateway)
            answer = gateway.openclaw(*ask, "--params", '{"bins": ["sh"]}')
            eventually(lambda: node.seen("told"))
            lines = node.lines()
        eventually(lambda: not nodes_of(gateway)["nodes"][0]["connected"])
        gone = gateway.openclaw(*ask)

    assert (first["approval"], device.code) == ("device", 0)
    assert (before["nodes"][0]["commands"], before["pending"][0]["approval"]) == ([], "commands")
    assert hidden.code == 1
    assert before["pending"][0]["requestId"] in hidden.err
    assert approved.code == 0
    assert after["pending"] == []
    assert after["nodes"][0]["commands"] == ["system.run", "system.which"]
    assert answer.json == {"asked": {"bins": ["sh"]}}
    assert {"told": {"ok": True}} in lines
    assert not [line for line in lines if "gap" in line]
    assert gone.code == 1
    assert "not connected" in gone.err


def test_a_published_node_that_is_told_off_goes_on(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        npm_node(tmp_path / "kitchen", gateway.port, gateway.token) as node,
    ):
        eventually(lambda: node.seen("hello"))
        (waiting,) = nodes_of(gateway)["pending"]
        assert gateway.openclaw("nodes", "approve", waiting["requestId"]).code == 0
        ask = ("nodes", "invoke", "--node", "kitchen", "--params", "{}", "--command")
        late = gateway.openclaw(*ask, "system.run", "--timeout-ms", "200")
        eventually(
            lambda: [one for one in node.lines() if one.get("event") == "node.invoke.cancel"]
        )
        answer = gateway.openclaw(*ask, "system.which")
        lines = node.lines()

    assert (late.code, answer.json) == (1, {"asked": {}})
    assert "timed out" in late.err
    assert not [line for line in lines if "close" in line or "gap" in line]
