"""`stores.node_store`: transitions that are on disk when they return."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stores import nodes
from stores.errors import NotAllowedError, StoreError
from stores.node_store import NodeStore
from stores.nodes import NodeBook, NodeRequest
from tests.builders import CLI, NOW_MS, PAIRING_SESSION

NODE = "ab" * 32


def declare(store: NodeStore, now_ms: int = NOW_MS) -> Any:
    """Let a node ask for the approval of a command."""
    wish = NodeRequest(request_id="", node_id=NODE, commands=("system.run",))
    return store.apply(partial(nodes.declare, wish=wish, since_ms=0), now_ms=now_ms)


def approve(store: NodeStore, caller: Any = CLI) -> Any:
    """Approve what waits."""
    approving = partial(
        nodes.approve, reference=NODE, caller=caller, needed=lambda _: ("operator.admin",)
    )
    return store.apply(approving, now_ms=NOW_MS)


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    """Return a store without files."""
    return NodeStore(tmp_path / "nodes")


def test_what_waits_and_what_is_approved_is_found_again(store: NodeStore):
    request = declare(store)
    waiting = NodeStore(store.directory).read(now_ms=NOW_MS)
    approve(store)
    approved = NodeStore(store.directory).read(now_ms=NOW_MS)

    assert waiting == NodeBook({request.request_id: request}, {})
    assert approved.pending == {}
    assert approved.paired[NODE].commands == ("system.run",)
    assert approved == store.book


def test_the_same_declaration_keeps_its_code_over_a_restart(store: NodeStore):
    first = declare(store).request_id
    again = NodeStore(store.directory)
    reject = partial(nodes.reject, reference=NODE, caller=CLI)
    again.apply(reject, now_ms=NOW_MS)

    assert declare(again).request_id == first


def test_the_files_are_private_and_in_the_published_spelling(store: NodeStore):
    declare(store)
    approve(store)

    paired = json.loads((store.directory / "paired.json").read_text())
    modes = {file.stat().st_mode & 0o777 for file in store.directory.iterdir()}
    assert paired[NODE]["approvedAtMs"] == NOW_MS
    assert paired[NODE]["commands"] == ["system.run"]
    assert "token" not in paired[NODE]
    assert (store.directory.stat().st_mode & 0o777, modes) == (0o700, {0o600})


def test_what_other_writers_keep_survives(store: NodeStore):
    store.directory.mkdir()
    theirs = {"nodeId": "old-1", "token": "t", "approvedAtMs": 1, "bins": ["sh"]}
    (store.directory / "paired.json").write_text(json.dumps({"old-1": theirs}))

    declare(store)
    approve(store)

    kept = json.loads((store.directory / "paired.json").read_text())["old-1"]
    assert kept.items() >= theirs.items()


def test_a_decision_leaves_a_line(store: NodeStore):
    declare(store)
    approve(store)

    (line,) = store.audit_trail.read_text().splitlines()
    assert json.loads(line).items() >= {"event": "node.approve", "nodeId": NODE}.items()
    assert json.loads(line)["ts"].endswith("Z")


def test_what_a_transition_refuses_changes_nothing(store: NodeStore):
    declare(store)
    before = store.book

    with pytest.raises(NotAllowedError):
        approve(store, PAIRING_SESSION)

    assert store.book == before
    assert not store.audit_trail.exists()


def test_an_entry_under_another_id_is_reported_and_not_used(store: NodeStore):
    store.directory.mkdir()
    record = {"nodeId": NODE, "commands": ["system.run"], "surface": True, "approvedAtMs": NOW_MS}
    request = {"requestId": "a", "nodeId": NODE}
    (store.directory / "paired.json").write_text(json.dumps({"cd" * 32: record}))
    (store.directory / "pending.json").write_text(json.dumps({"b": request}))

    assert store.read(now_ms=NOW_MS) == NodeBook({}, {})
    assert len(store.problems) == 2


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "nodes").write_text("in the way")

    with pytest.raises(StoreError):
        declare(NodeStore(tmp_path / "nodes"))


def test_expired_requests_are_forgotten_by_every_look(store: NodeStore):
    wish = NodeRequest(request_id="", node_id="old-1")
    asking = partial(nodes.ask, wish=wish, device_known=False, request_id="r1")
    store.apply(asking, now_ms=NOW_MS)
    declare(store)

    book = store.read(now_ms=NOW_MS + nodes.LEGACY_TTL_MS)

    assert [one.node_id for one in book.pending.values()] == [NODE]


def test_what_other_programs_change_is_noticed_once(store: NodeStore):
    first = store.changes_by_others()
    declare(store)
    own = store.changes_by_others()
    other = NodeStore(store.directory)
    approve(other)
    store.read(now_ms=NOW_MS)
    ((before, after),) = store.changes_by_others()

    assert (first, own, store.changes_by_others()) == ([], [], [])
    assert other.changes_by_others() == []  # what it found is no change
    assert (len(before.pending), list(before.paired)) == (1, [])
    assert (dict(after.pending), list(after.paired)) == ({}, [NODE])


def test_what_others_changed_before_a_decision_is_noticed_too(store: NodeStore):
    declare(store)
    approve(NodeStore(store.directory))
    store.apply(partial(nodes.remove, node_id=NODE, caller=CLI), now_ms=NOW_MS)

    ((before, after),) = store.changes_by_others()

    assert (list(before.paired), list(after.paired)) == ([], [NODE])
