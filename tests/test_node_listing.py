"""What both roads tell of a node: its record, its approval, and what its session says on top."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from attrs import evolve

from stores.node_listing import (
    in_order,
    is_paired_node,
    node_item,
    pair_listing,
    paired_nodes,
    standing,
)
from stores.nodes import NodeBook, NodeRecord, NodeRequest
from stores.records import DeviceBook, DeviceNote, PairedDevice

NODE, OTHER = "ab" * 32, "cd" * 32
KITCHEN = PairedDevice(NODE, "key", role="node", roles=("node",), created_at_ms=10)
LAPTOP = PairedDevice(OTHER, "key", role="operator", roles=("operator",), created_at_ms=10)
DEVICES = DeviceBook(paired={NODE: evolve(KITCHEN, display_name="kitchen"), OTHER: LAPTOP})
WAITS = NodeRequest("CODE", NODE, caps=("system",), commands=("system.run",), surface=True, ts=5)
APPROVED = NodeRecord(NODE, commands=("system.run",), approved_at_ms=20, surface=True)
LEGACY = NodeRecord("old", token="t", approved_at_ms=30)


def needed(commands: Collection[str]) -> tuple[str, ...]:
    return tuple(f"for.{command}" for command in commands)


def test_only_devices_that_are_paired_as_nodes_are_nodes():
    assert list(paired_nodes(DEVICES)) == [NODE]
    assert [is_paired_node(DEVICES, one) for one in (NODE, OTHER, "nobody")] == [True, False, False]


@pytest.mark.parametrize(
    ("book", "state"),
    [
        pytest.param(NodeBook(), "unapproved", id="nothing"),
        pytest.param(NodeBook({"CODE": WAITS}), "pending-approval", id="waits"),
        pytest.param(NodeBook({}, {NODE: APPROVED}), "approved", id="approved"),
        pytest.param(NodeBook({"CODE": WAITS}, {NODE: APPROVED}), "pending-reapproval", id="more"),
        pytest.param(
            NodeBook({}, {NODE: evolve(APPROVED, approved_at_ms=9)}), "unapproved", id="older"
        ),
    ],
)
def test_an_entry_says_how_far_the_approval_is(book: NodeBook, state: str):
    assert node_item(DEVICES, book, NODE)["approvalState"] == state


def test_what_waits_is_told_to_who_may_decide_it():
    book = NodeBook({"CODE": WAITS})

    told = node_item(DEVICES, book, NODE)
    kept = node_item(DEVICES, book, NODE, may_decide=False)

    assert told["pendingDeclaredCommands"] == ["system.run"]
    assert told["pendingRequestId"] == "CODE"
    assert not [key for key in kept if key.startswith("pending")]


def test_what_a_session_says_counts_more_and_a_label_most():
    labelled = evolve(DEVICES, notes={NODE: DeviceNote(label="stove")})
    live = {"displayName": "cellar", "commands": ["system.which"]}

    plain = node_item(DEVICES, NodeBook(), NODE, live=live, connected=True)
    named = node_item(labelled, NodeBook(), NODE, live=live, connected=True)

    assert (plain["displayName"], plain["commands"]) == ("cellar", ["system.which"])
    assert (named["displayName"], named["connected"]) == ("stove", True)


def test_of_a_node_without_a_record_and_of_one_nobody_asked_little_is_known():
    unknown = node_item(DEVICES, NodeBook(), "nobody", connected=True, otherwise="approved")
    on_file: dict[str, Any] = node_item(DEVICES, NodeBook(), NODE)

    assert (unknown["paired"], unknown["commands"]) == (False, [])
    assert unknown["approvalState"] == "approved"
    assert "connected" not in on_file


def test_connected_nodes_come_first_then_names_then_ids():
    entries: list[dict[str, Any]] = [
        {"nodeId": "3", "displayName": "b", "connected": False},
        {"nodeId": "2", "connected": False},
        {"nodeId": "1", "displayName": "C", "connected": True},
        {"nodeId": "0", "displayName": "b"},
    ]

    assert [one["nodeId"] for one in in_order(entries)] == ["1", "2", "0", "3"]


def test_an_approval_stands_for_the_present_pairing_alone():
    book = NodeBook({}, {NODE: APPROVED})

    assert standing(book, KITCHEN) is APPROVED
    assert standing(book, evolve(KITCHEN, created_at_ms=21)) is None
    assert standing(book, LAPTOP) is None
    assert standing(book, None) is None


def test_both_kinds_of_requests_and_records_are_listed_without_tokens():
    asked = NodeRequest("older", "old-2", ts=7)
    gone = NodeRequest("GONE", "gone", surface=True, ts=9)
    unpaired = NodeRecord("gone", approved_at_ms=40, surface=True)
    book = NodeBook(
        {"CODE": WAITS, "older": asked, "GONE": gone},
        {NODE: APPROVED, "old": LEGACY, "gone": unpaired},
    )

    listed = pair_listing(DEVICES, book, needed=needed, is_node=lambda one: one == NODE)

    assert [one["requestId"] for one in listed["pending"]] == ["older", "CODE"]
    assert listed["pending"][1]["requiredApproveScopes"] == ["for.system.run"]
    assert "requiredApproveScopes" not in listed["pending"][0]
    assert [one["nodeId"] for one in listed["paired"]] == ["old", NODE]
    assert not [one for one in listed["paired"] if "token" in one or "surface" in one]
