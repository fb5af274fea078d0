"""`openclaw nodes`: what is asked of the gateway, what is printed, and what must be said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.node_road import find_node, find_pending
from stores.errors import UserFacingError
from stores.node_store import NodeStore
from stores.nodes import NodeRequest, declare
from tests.machine import Machine
from tests.peers import FakeGateway, listening

KITCHEN = {
    "nodeId": "ab" * 32,
    "displayName": "kitchen",
    "platform": "linux",
    "commands": ["system.which"],
    "approvalState": "approved",
    "connected": True,
    "paired": True,
    "lastConnectedAtMs": 1,
}
GARDEN = {
    "nodeId": "abababab" + "cd" * 28,
    "displayName": "garden\x1b[2J",
    "connected": False,
    "paired": True,
    "lastSeenAtMs": 1,
}
NODES = [KITCHEN, GARDEN]
DEVICE = {"requestId": "DDDD-2222", "deviceId": "ef" * 32, "roles": ["node"], "label": "attic"}
LAPTOP = {"requestId": "EEEE-3333", "deviceId": "aa" * 32, "roles": ["operator"]}
COMMANDS = {"requestId": "CCCC-4444", "nodeId": "ab" * 32, "commands": ["system.run"]}


ANSWERS: dict[str, Any] = {
    "node.list": {"ts": 1, "nodes": NODES},
    "device.pair.list": {"pending": [DEVICE, LAPTOP]},
    "node.pair.list": {"pending": [COMMANDS]},
    "node.describe": {"ts": 1, **KITCHEN, "caps": [], "approvalState": "pending-approval"}
    | {"pendingRequestId": "CCCC-4444"},
    "node.invoke": {"ok": True, "payload": {"bins": ["sh"]}, "payloadJSON": "…"},
    "node.rename": {"ok": True},
    "node.pair.remove": {"ok": True},
    "node.pair.approve": {"requestId": "CCCC-4444", "node": {"commands": ["system.run"]}},
    "device.pair.approve": {"requestId": "DDDD-2222", "device": {}},
    "node.pair.reject": {"ok": True},
    "device.pair.reject": {"ok": True},
}


@pytest.fixture
def gateway() -> FakeGateway:
    """Return a gateway with two nodes."""
    return FakeGateway(answers=ANSWERS)


@pytest.fixture
def asked(gateway: FakeGateway) -> list[tuple[str, Any]]:
    """Return what the gateway is asked."""
    return gateway.requests


@pytest.fixture
def machine(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    gateway: FakeGateway,
) -> Iterator[Machine]:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "s"))
    monkeypatch.setenv("COLUMNS", "120")
    found = Machine(tmp_path / "s", capsys)
    with listening(gateway) as port:
        found.configure(port)
        yield found


def test_both_approvals_are_listed_in_one_place(machine: Machine, asked: list[Any]):
    ran = machine.run("nodes", "list")

    assert ran.code == 0
    assert "Pending: 2 · Paired: 2" in ran.out
    assert "attic: the device waits" in ran.out
    assert "openclaw devices approve DDDD-2222" in ran.out
    assert "its commands wait (system.run)" in ran.out
    assert "openclaw nodes approve CCCC-4444" in ran.out
    assert "EEEE-3333" not in ran.out  # of an operator
    assert "\x1b" not in ran.out
    assert len(asked) == 3


def test_the_list_as_json_holds_nodes_and_what_waits(machine: Machine, asked: list[Any]):
    listed = machine.run("nodes", "list", "--json").json

    assert [node["nodeId"] for node in listed["nodes"]] == [node["nodeId"] for node in NODES]
    assert [(one["approval"], one["nodeId"], one["command"]) for one in listed["pending"]] == [
        ("device", "ef" * 32, "openclaw devices approve DDDD-2222"),
        ("commands", "ab" * 32, "openclaw nodes approve CCCC-4444"),
    ]
    assert asked


@pytest.mark.parametrize("verb", ["list", "status"])
@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param((), ["kitchen", "garden\x1b[2J"], id="all"),
        pytest.param(("--connected",), ["kitchen"], id="connected"),
        pytest.param(("--last-connected", "24h"), ["kitchen"], id="lately"),
    ],
)
def test_nodes_are_chosen_by_whether_they_are_here(
    machine: Machine, asked: list[Any], verb: str, words: tuple[str, ...], names: list[str]
):
    listed = machine.run("nodes", verb, *words, "--json").json

    assert [node["displayName"] for node in listed["nodes"]] == names
    assert asked


def test_the_status_counts_who_is_here(machine: Machine, asked: list[Any]):
    ran = machine.run("nodes", "status")

    assert "Known: 2 · Connected: 1" in ran.out
    assert "kitchen" in ran.out
    assert asked == [("node.list", {})]


def test_what_waits_is_shown_alone(machine: Machine, asked: list[Any]):
    assert "openclaw nodes approve CCCC-4444" in machine.run("nodes", "pending").out
    assert len(machine.run("nodes", "pending", "--json").json["pending"]) == 2
    assert asked


def test_a_node_is_described_with_what_it_waits_for(machine: Machine, asked: list[Any]):
    ran = machine.run("nodes", "describe", "kitchen")

    assert "nodeId: " + "ab" * 32 in ran.out
    assert "openclaw nodes approve CCCC-4444" in ran.out
    assert asked[-1] == ("node.describe", {"nodeId": "ab" * 32})


@pytest.mark.parametrize(
    ("word", "method", "said"),
    [
        pytest.param("cccc4444", "node.pair.approve", "Approved the commands", id="commands"),
        pytest.param("ab" * 32, "node.pair.approve", "system.run", id="by-node"),
        pytest.param("DDDD-2222", "device.pair.approve", "Approved the device", id="device"),
        pytest.param("efefefef", "device.pair.approve", "openclaw nodes pending", id="by-device"),
    ],
)
def test_either_approval_is_given_by_the_one_command(
    machine: Machine, asked: list[Any], word: str, method: str, said: str
):
    ran = machine.run("nodes", "approve", word)

    assert ran.code == 0
    assert asked[-1][0] == method
    assert said in ran.out


@pytest.mark.parametrize(
    ("word", "method"),
    [("CCCC-4444", "node.pair.reject"), ("DDDD-2222", "device.pair.reject")],
)
def test_either_approval_is_refused_by_the_one_command(
    machine: Machine, asked: list[Any], word: str, method: str
):
    ran = machine.run("nodes", "reject", word)

    assert asked[-1] == (method, {"requestId": word})
    assert f"({word})" in ran.out


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("word", ["kitchen", "attic", "EEEE-3333", "abab", ""])
def test_a_name_decides_nothing(machine: Machine, asked: list[Any], verb: str, word: str):
    ran = machine.run("nodes", verb, word)

    assert ran.code == 1
    assert "openclaw nodes pending" in ran.err
    assert all(method.endswith(".list") for method, _ in asked)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        pytest.param(
            ("rename", "kitchen", "Stove"),
            ("node.rename", {"nodeId": "ab" * 32, "displayName": "Stove"}),
            id="rename",
        ),
        pytest.param(
            ("remove", "ab" * 32), ("node.pair.remove", {"nodeId": "ab" * 32}), id="remove"
        ),
    ],
)
def test_a_node_is_meant_by_name_or_id(
    machine: Machine, asked: list[Any], words: tuple[str, ...], call: tuple[str, Any]
):
    ran = machine.run("nodes", *words)
    as_json = machine.run("nodes", *words, "--json").json

    assert ran.code == 0
    assert asked[-1] == call
    assert as_json == {"ok": True, "source": "gateway"}


def test_a_node_is_asked_and_its_answer_printed(machine: Machine, asked: list[Any]):
    words = ("nodes", "invoke", "--node", "kitchen", "--command", "system.which")
    ran = machine.run(*words, "--params", '{"bins": ["sh"]}', "--timeout-ms", "9000")

    method, params = asked[-1]
    assert method == "node.invoke"
    assert len(params.pop("idempotencyKey")) == 36
    assert params == {
        "nodeId": "ab" * 32,
        "command": "system.which",
        "params": {"bins": ["sh"]},
        "timeoutMs": 9000,
    }
    assert json.loads(ran.out) == {"bins": ["sh"]}
    machine.run(*words, "--idempotency-key", "mine")
    assert asked[-1][1]["idempotencyKey"] == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            ("invoke", "--node", "x", "--command", "y", "--params", "{"), "not JSON", id="params"
        ),
        pytest.param(("invoke", "--command", "y"), "--node", id="no-node"),
        pytest.param(("list", "--last-connected", "soon"), "no span of time", id="span"),
    ],
)
def test_words_that_are_off_ask_nothing(
    machine: Machine, asked: list[Any], words: tuple[str, ...], said: str
):
    ran = machine.run("nodes", *words)

    assert ran.code == 2
    assert said in ran.err
    assert asked == []


@pytest.mark.parametrize("word", ["nobody", "abababab", ""])
def test_a_word_that_means_no_node_or_several_is_refused(word: str):
    with pytest.raises(UserFacingError) as caught:
        find_node([dict(node) for node in NODES], word)

    assert "openclaw nodes list" in str(caught.value)


def test_of_a_node_that_waits_twice_the_device_comes_first():
    both = [{"nodeId": "ab" * 32, "requestId": code} for code in ("first", "second")]

    assert find_pending(both, "ab" * 32)["requestId"] == "first"
    with pytest.raises(UserFacingError, match="2 nodes wait"):
        find_pending([both[0], {"nodeId": "abababab", "requestId": "x"}], "abababab")


def test_the_list_of_devices_names_the_approval_that_a_node_waits_for(
    machine: Machine, gateway: FakeGateway
):
    surface = {"requestId": "CCCC-4444", "commands": ["system.run"]}
    device = {"deviceId": "ab" * 32, "roles": ["node"], "tokens": [], "scopes": []}
    paired = [device | {"pendingNodeSurface": surface}, device | {"deviceId": "cd" * 32}]
    gateway.answers = ANSWERS | {"device.pair.list": {"pending": [], "paired": paired}}

    ran = machine.run("devices", "list")

    assert ran.out.count("wait for approval: openclaw nodes approve CCCC-4444") == 1
    assert ran.out.endswith("Commands of one node wait for approval: openclaw nodes pending\n")


@pytest.mark.parametrize(
    ("role", "since_ms", "told"),
    [
        pytest.param("node", 7, True, id="new-node"),
        pytest.param("node", 3, False, id="node-that-was-in"),
        pytest.param("operator", 7, False, id="operator"),
    ],
)
def test_who_lets_a_node_in_is_told_of_its_second_approval(
    machine: Machine, gateway: FakeGateway, role: str, since_ms: int, *, told: bool
):
    tokens = [{"role": role, "createdAtMs": since_ms}]
    device = {"deviceId": "ef" * 32, "roles": [role], "approvedAtMs": 7, "tokens": tokens}
    answer = {"requestId": "DDDD-2222", "device": device}
    gateway.answers = ANSWERS | {"device.pair.approve": answer}

    ran = machine.run("devices", "approve", "DDDD-2222")

    assert ran.code == 0
    assert ("openclaw nodes pending" in ran.out) == told


def test_without_the_gateway_the_list_of_devices_names_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "s"))
    away = Machine(tmp_path / "s", capsys)
    node_id = away.pair("kitchen")
    away.state_dir.chmod(0o700)
    wish = NodeRequest("", node_id, commands=("system.run",))
    new = NodeStore(tmp_path / "s" / "nodes").apply(
        partial(declare, wish=wish, since_ms=0), now_ms=1
    )

    told = away.run("devices", "list", "--offline")
    (tmp_path / "s" / "nodes" / "pending.json").write_text("[]")
    broken = away.run("devices", "list", "--offline")

    assert f"openclaw nodes approve {new.request_id}" in told.out
    assert "kitchen" in broken.out
    assert "nodes approve" not in broken.out


def test_no_file_can_answer_for_a_node_and_the_command_says_what_does(machine: Machine):
    ran = machine.run("nodes", "invoke", "--node", "x", "--command", "y", "--offline")

    assert ran.code == 2
    assert "the running gateway alone" in ran.err
    assert "`openclaw gateway run`" in ran.err
