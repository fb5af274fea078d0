"""`openclaw nodes` without the gateway: what the files say, what is decided in them, who else hears."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stores.errors import StoreError
from stores.node_store import NodeStore
from stores.nodes import NodeRequest, ask, declare
from stores.records import EMPTY
from tests.machine import Machine, now_ms
from tests.peers import FakeGateway, closed_port, listening, silent, upgrades

WANTS = ("system.run", "system.which")


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    """Return a machine with nothing in it, whose gateway does not run."""
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    found = Machine(tmp_path / "state", capsys)
    found.configure(closed_port())
    found.state_dir.chmod(0o700)
    return found


def a_node(machine: Machine, name: str = "kitchen") -> tuple[str, NodeRequest]:
    """Pair a node whose commands wait; return its id and what waits."""
    node_id = machine.pair(name, role="node")
    wish = NodeRequest("", node_id, commands=WANTS, display_name=name)
    request = store_of(machine).apply(partial(declare, wish=wish, since_ms=0), now_ms=now_ms())
    return node_id, request


def store_of(machine: Machine) -> NodeStore:
    """Return another program's view of the node store."""
    return NodeStore(machine.state_dir / "nodes")


def test_what_waits_and_who_is_paired_is_listed_from_the_files(machine: Machine):
    node_id, request = a_node(machine)
    device = machine.knock("attic", role="node")
    machine.knock("laptop")

    plain = machine.run("nodes", "list", "--offline")
    found = machine.run("nodes", "list", "--offline", "--json").json

    assert plain.code == 0
    assert "Using the local state in " in plain.err
    assert str(machine.state_dir / "nodes") in plain.err
    assert "Pending: 2 · Paired: 1" in plain.out
    assert [(one["approval"], one["requestId"]) for one in found["pending"]] == [
        ("device", device.request_id),
        ("commands", request.request_id),
    ]
    (node,) = found["nodes"]
    assert (node["nodeId"], node["displayName"]) == (node_id, "kitchen")
    assert (node["approvalState"], node["pendingRequestId"]) == (
        "pending-approval",
        request.request_id,
    )
    assert "connected" not in node  # the files cannot know
    assert (found["source"], found["store"]) == ("files", str(machine.state_dir / "devices"))


def test_what_waits_is_shown_alone(machine: Machine):
    _, request = a_node(machine)

    plain = machine.run("nodes", "pending", "--offline")
    found = machine.run("nodes", "pending", "--offline", "--json").json

    assert f"openclaw nodes approve {request.request_id}" in plain.out
    assert [one["requiredApproveScopes"] for one in found["pending"]] == [
        ["operator.pairing", "operator.admin"]
    ]
    assert found["source"] == "files"


def test_commands_are_approved_in_the_files_and_the_trail_says_by_whom(machine: Machine):
    node_id, request = a_node(machine)

    ran = machine.run("nodes", "approve", request.request_id.lower(), "--offline")
    found = machine.run("nodes", "describe", "kitchen", "--offline", "--json").json

    assert ran.code == 0
    assert "system.run, system.which" in ran.out
    book = store_of(machine).read(now_ms=now_ms())
    assert (list(book.pending), book.paired[node_id].commands) == ([], WANTS)
    trail = (machine.state_dir / "nodes" / "audit.jsonl").read_text().splitlines()
    line = json.loads(trail[-1])
    assert (line["event"], line["by"]["kind"]) == ("node.approve", "cli")
    assert found["approvalState"] == "approved"


def test_the_device_of_a_node_is_approved_by_the_same_command(machine: Machine):
    item = machine.knock("attic", role="node")

    ran = machine.run("nodes", "approve", item.device_id, "--offline")

    assert f"Approved the device {item.device_id}" in ran.out
    assert item.device_id in machine.store.read().paired


@pytest.mark.parametrize("which", ["device", "commands"])
def test_either_is_turned_down_in_the_files(machine: Machine, which: str):
    if which == "device":
        code = machine.knock("attic", role="node").request_id
    else:
        code = a_node(machine)[1].request_id

    ran = machine.run("nodes", "reject", code, "--offline")

    assert ran.code == 0
    assert code in ran.out
    assert machine.store.read().pending == EMPTY
    assert store_of(machine).read(now_ms=now_ms()).pending == EMPTY


def test_a_node_is_renamed_as_its_device_and_loses_its_approval(machine: Machine):
    node_id, request = a_node(machine)
    machine.run("nodes", "approve", request.request_id, "--offline")

    renamed = machine.run("nodes", "rename", "kitchen", "Stove", "--offline")
    removed = machine.run("nodes", "remove", "Stove", "--offline")

    shown = machine.run("nodes", "list", "--offline").out
    assert "is called Stove" in renamed.out
    assert "Stove" in shown
    assert removed.code == 0
    assert machine.store.read().notes[node_id].label == "Stove"
    assert node_id in machine.store.read().paired
    assert store_of(machine).read(now_ms=now_ms()).paired == EMPTY


def test_an_older_request_is_listed_and_approved_with_its_token(machine: Machine):
    wish = NodeRequest("", "old-node", display_name="old")
    asking = partial(ask, wish=wish, device_known=False, request_id="older-request")
    store_of(machine).apply(asking, now_ms=now_ms())

    found = machine.run("nodes", "approve", "older-request", "--offline", "--json").json

    assert (found["node"]["nodeId"], found["source"]) == ("old-node", "files")
    assert found["node"]["token"]


def test_the_commands_of_a_device_that_is_gone_are_not_listed(machine: Machine):
    node_id, _ = a_node(machine)
    machine.run("devices", "remove", node_id, "--yes", "--offline")

    found = machine.run("nodes", "list", "--offline", "--json").json

    assert (found["nodes"], found["pending"]) == ([], [])


@pytest.mark.parametrize("verb", ["list", "status"])
def test_who_is_connected_is_not_guessed_from_files(machine: Machine, verb: str):
    a_node(machine)

    refused = machine.run("nodes", verb, "--connected", "--offline")

    assert refused.code == 1
    assert "only the gateway knows which nodes are connected" in refused.err


def test_the_status_from_files_says_that_it_does_not_know_who_is_here(machine: Machine):
    a_node(machine)

    assert "Known: 1 · Connected: ?" in machine.run("nodes", "status", "--offline").out


# ------------------------------------------------------------------------------------ by itself


def test_reading_and_deciding_go_on_in_the_files_when_the_gateway_is_down(machine: Machine):
    node_id, request = a_node(machine)

    listed = machine.run("nodes", "list")
    approved = machine.run("nodes", "approve", request.request_id)

    assert "connection refused" in listed.err
    assert "using the local state in " in listed.err
    assert listed.err.count("using the local state") == 1
    assert "kitchen" in listed.out
    assert approved.code == 0
    assert node_id in store_of(machine).read(now_ms=now_ms()).paired


@pytest.mark.slow
def test_a_gateway_that_hangs_is_not_waited_for_long(machine: Machine):
    _, request = a_node(machine)

    with listening(upgrades(lambda peer: silent(peer.connection))) as port:
        machine.configure(port)
        listed = machine.run("nodes", "pending")

    assert request.request_id in listed.out
    assert "using the local state in " in listed.err


@pytest.mark.parametrize(
    "words", [("remove", "kitchen"), ("rename", "kitchen", "Stove")], ids=["remove", "rename"]
)
def test_what_takes_or_changes_something_names_the_other_way(
    machine: Machine, words: tuple[str, ...]
):
    node_id, _ = a_node(machine)

    ran = machine.run("nodes", *words)

    assert ran.code == 3
    assert f"`openclaw nodes {' '.join(words)} --offline`" in ran.err
    assert machine.store.read().notes[node_id].label is None


def test_a_clear_no_of_the_gateway_is_not_gone_around(machine: Machine):
    _, request = a_node(machine)
    no: dict[str, Any] = {"code": "FORBIDDEN", "message": "missing scope: operator.admin"}
    item = {"requestId": request.request_id, "nodeId": request.node_id, "commands": list(WANTS)}
    answers = {
        "device.pair.list": {"pending": []},
        "node.pair.list": {"pending": [item]},
        "node.pair.approve": no,
    }

    with listening(FakeGateway(answers=answers)) as port:
        machine.configure(port)
        ran = machine.run("nodes", "approve", request.request_id)

    assert ran.code != 0
    assert "missing scope: operator.admin" in ran.err
    assert request.request_id in store_of(machine).read(now_ms=now_ms()).pending


def test_files_of_another_machine_are_no_answer(machine: Machine):
    ran = machine.run("nodes", "list", "--offline", "--url", "ws://127.0.0.1:1")

    assert ran.code == 2
    assert "--url names another gateway" in ran.err


def test_a_store_that_cannot_be_read_says_which_file(machine: Machine):
    a_node(machine)
    pending = machine.state_dir / "nodes" / "pending.json"
    pending.unlink()
    pending.mkdir()

    ran = machine.run("nodes", "pending", "--offline")

    assert ran.code == 1
    assert str(pending) in ran.err
    with pytest.raises(StoreError):
        store_of(machine).read(now_ms=now_ms())


def test_a_folder_that_others_may_write_to_decides_nothing(machine: Machine):
    _, request = a_node(machine)
    machine.state_dir.chmod(0o777)

    ran = machine.run("nodes", "approve", request.request_id, "--offline")
    machine.state_dir.chmod(0o700)

    assert ran.code == 1
    assert request == store_of(machine).read(now_ms=now_ms()).pending[request.request_id]
