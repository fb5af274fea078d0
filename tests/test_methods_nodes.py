"""Nodes at a whole gateway: listed, approved twice, renamed, removed; the older pairing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stores.scopes import ADMIN, PAIRING, READ, WRITE
from tests.nodes import COMMANDS, NODE, a_node, approve_commands, node_params
from tests.serving import Serving
from tests.sessions import FORWARDED, a_gateway, admitted, paired
from tests.wire import Wire, key_of, open_wire

OPERATOR = key_of(1)
NODE_ID = NODE.device_id


async def entry_of(operator: Wire) -> dict[str, Any]:
    """Return the one entry of ``node.list``."""
    (entry,) = (await operator.result("node.list", {}))["nodes"]
    return dict(entry)


async def pending_of(operator: Wire) -> list[dict[str, Any]]:
    """Return what waits for its second approval."""
    return list((await operator.result("node.pair.list", {}))["pending"])


async def test_the_commands_of_a_node_are_hidden_until_they_are_approved(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, name="kitchen") as node,
    ):
        before = await entry_of(operator)
        waiting = await operator.result("device.pair.list", {})
        requested = (await operator.event("node.pair.requested"))["payload"]
        await approve_commands(operator)
        decided = await operator.result("device.pair.list", {})
        after = await entry_of(operator)
        resolved = await node.event("node.pair.resolved")
        heard = await operator.event("node.pair.resolved")

    assert (before["commands"], before["caps"]) == ([], [])
    assert before["approvalState"] == "pending-approval"
    assert before["pendingDeclaredCommands"] == list(COMMANDS)
    assert requested["requestId"] == before["pendingRequestId"]
    (surface,) = [one["pendingNodeSurface"] for one in waiting["paired"] if "node" in one["roles"]]
    assert surface["requestId"] == requested["requestId"]
    assert surface["commands"] == list(COMMANDS)
    assert all("pendingNodeSurface" not in one for one in decided["paired"])
    assert requested["requiredApproveScopes"] == [PAIRING, ADMIN]
    assert (after["commands"], after["caps"]) == (list(COMMANDS), ["system"])
    assert after["approvalState"] == "approved"
    assert resolved["payload"]["decision"] == "approved"
    assert "seq" not in resolved  # to this node alone
    assert heard["payload"] == resolved["payload"]


async def test_an_entry_says_who_the_node_is(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR, scopes=(READ,)) as operator,
        a_node(gateway, name="kitchen"),
    ):
        entry = await entry_of(operator)
        described = await operator.result("node.describe", {"nodeId": NODE_ID})

    assert (
        entry.items()
        >= {
            "nodeId": NODE_ID,
            "displayName": "kitchen",
            "platform": "linux",
            "deviceFamily": "Linux",
            "clientId": "node-host",
            "clientMode": "node",
            "pathEnv": "/usr/bin",
            "paired": True,
            "connected": True,
        }.items()
    )
    assert "pendingRequestId" not in entry  # who may not decide does not see it
    assert {key: described[key] for key in entry} == entry


async def test_a_node_that_left_is_listed_after_those_that_are_here(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with a_node(gateway, key_of(72), name="a-gone"):
            pass
        async with a_node(gateway, name="z-here"), a_node(gateway, key_of(73), name="B-here"):
            nodes = (await operator.result("node.list", {}))["nodes"]

    assert [(node.get("displayName"), node["connected"]) for node in nodes] == [
        ("B-here", True),
        ("z-here", True),
        ("a-gone", False),
    ]


async def test_more_commands_than_were_approved_wait_and_the_others_stay(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with a_node(gateway):
            await approve_commands(operator)
        async with a_node(gateway, commands=(*COMMANDS, "system.notify")):
            entry = await entry_of(operator)
            (waiting,) = await pending_of(operator)

    assert entry["commands"] == list(COMMANDS)
    assert entry["approvalState"] == "pending-reapproval"
    assert "system.notify" in waiting["commands"]


async def test_what_was_approved_is_not_asked_again(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with a_node(gateway):
            await approve_commands(operator)
        async with a_node(gateway, commands=("system.which",)):
            entry, waiting = await entry_of(operator), await pending_of(operator)

    assert (entry["commands"], entry["approvalState"], waiting) == (
        ["system.which"],
        "approved",
        [],
    )


async def test_an_approval_ends_with_the_pairing_it_was_of(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with a_node(gateway):
            await approve_commands(operator)
        await operator.result("device.pair.remove", {"deviceId": NODE_ID})
        async with a_node(gateway):
            entry = await entry_of(operator)

    assert (entry["commands"], entry["approvalState"]) == ([], "pending-approval")


async def test_an_approval_outlives_the_gateway(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        await approve_commands(operator)
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        assert (await entry_of(operator))["commands"] == list(COMMANDS)


async def approved_by_operator(gateway: Serving, **wanted: Any) -> None:
    """Pair the node from outside, where an operator has to approve it."""
    async with open_wire(gateway.port, headers=FORWARDED) as wire:
        params = node_params(wire.challenge["nonce"], **wanted)
        await wire.send({"type": "req", "id": "c", "method": "connect", "params": params})
        assert not (await wire.answer("c"))["ok"]
    async with admitted(gateway, key=OPERATOR) as operator:
        await operator.result("device.pair.approve", {"requestId": NODE_ID})


async def test_of_protocol_3_the_approval_of_the_device_is_that_of_its_commands(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway:
        await approved_by_operator(gateway, protocol=3)
        async with (
            admitted(gateway, key=OPERATOR) as operator,
            a_node(gateway, remote=True, protocol=3),
        ):
            entry = await entry_of(operator)

    assert (entry["commands"], entry["approvalState"]) == (list(COMMANDS), "approved")


async def test_a_node_that_nobody_approved_has_no_commands_in_protocol_3_either(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, protocol=3),
    ):
        assert (await entry_of(operator))["commands"] == []


async def test_going_back_to_protocol_3_is_no_way_around_the_approval(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway:
        await approved_by_operator(gateway)
        async with a_node(gateway, remote=True):
            pass
        async with (
            admitted(gateway, key=OPERATOR) as operator,
            a_node(gateway, remote=True, protocol=3),
        ):
            entry = await entry_of(operator)

    assert (entry["commands"], entry["approvalState"]) == ([], "pending-approval")


async def test_an_approval_taken_away_counts_at_once_and_is_asked_for_again(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        await approve_commands(operator)
        removed = await operator.result("node.pair.remove", {"nodeId": NODE_ID})
        entry = await entry_of(operator)

    assert removed == {"nodeId": NODE_ID}
    assert (entry["commands"], entry["approvalState"]) == ([], "pending-approval")


async def test_a_rejected_node_stays_connected_without_commands(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway),
    ):
        (waiting,) = await pending_of(operator)
        rejected = await operator.result(
            "node.pair.reject", {"requestId": waiting["requestId"].lower()}
        )
        entry = await entry_of(operator)

    assert rejected == {"requestId": waiting["requestId"], "nodeId": NODE_ID}
    assert (entry["commands"], entry["approvalState"]) == ([], "unapproved")


@pytest.mark.parametrize("scopes", [(PAIRING,), (PAIRING, WRITE)])
async def test_commands_that_run_programs_take_an_admin_to_approve(
    tmp_path: Path, scopes: tuple[str, ...]
):
    async with (
        a_gateway(tmp_path) as gateway,
        a_node(gateway),
        admitted(gateway, key=OPERATOR, scopes=scopes) as operator,
    ):
        error = (await operator.call("node.pair.approve", {"requestId": NODE_ID}))["error"]
        (waiting,) = await pending_of(operator)

    assert error["details"]["missingScope"] == ADMIN
    assert waiting["nodeId"] == NODE_ID


async def test_harmless_commands_take_write_to_approve(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        a_node(gateway, commands=("system.notify",)),
        admitted(gateway, key=OPERATOR, scopes=(PAIRING, WRITE)) as operator,
    ):
        await approve_commands(operator)

        assert (await entry_of(operator))["commands"] == ["system.notify"]


async def test_a_device_token_decides_about_no_other_node(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, a_node(gateway):
        token = await paired(gateway, OPERATOR, scopes=(PAIRING, WRITE))
        async with admitted(
            gateway, key=OPERATOR, device_token=token, scopes=(PAIRING, WRITE)
        ) as operator:
            waiting = await pending_of(operator)
            answers = [
                await operator.call(method, params)
                for method, params in (
                    ("node.pair.approve", {"requestId": NODE_ID}),
                    ("node.pair.reject", {"requestId": NODE_ID}),
                    ("node.pair.remove", {"nodeId": NODE_ID}),
                    ("node.rename", {"nodeId": NODE_ID, "displayName": "mine"}),
                    ("node.rename", {"nodeId": "old-1", "displayName": "mine"}),
                    ("node.pair.request", {"nodeId": "old-1"}),
                    ("node.pair.verify", {"nodeId": "old-1", "token": "x"}),
                )
            ]

    assert waiting == []
    assert [answer["ok"] for answer in answers] == [False] * 7


async def test_a_node_is_renamed_as_its_device_is(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, name="kitchen"),
    ):
        told = await operator.result("node.rename", {"nodeId": NODE_ID, "displayName": "Stove"})
        entry = await entry_of(operator)
        devices = (await operator.result("device.pair.list"))["paired"]

    assert told == {"nodeId": NODE_ID, "displayName": "Stove"}
    assert entry["displayName"] == "Stove"
    assert "Stove" in [device.get("label") for device in devices]


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        pytest.param("node.describe", {"nodeId": "x"}, "unknown nodeId", id="describe"),
        pytest.param("node.describe", {}, "invalid node.describe params", id="describe-nothing"),
        pytest.param(
            "node.rename", {"nodeId": "x", "displayName": "y"}, "unknown nodeId", id="rename"
        ),
        pytest.param("node.pair.remove", {"nodeId": "x"}, "unknown nodeId", id="remove"),
        pytest.param("node.pair.approve", {"requestId": "x"}, "unknown requestId", id="approve"),
        pytest.param("node.pair.reject", {"requestId": "x"}, "unknown requestId", id="reject"),
        pytest.param("node.list", {"all": True}, "invalid node.list params", id="list"),
    ],
)
async def test_what_is_not_there_is_said(
    tmp_path: Path, method: str, params: dict[str, Any], message: str
):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        error = (await operator.call(method, params))["error"]

    assert error["code"] == "INVALID_REQUEST"
    assert error["message"].startswith(message)


async def test_who_mistakes_the_first_approval_for_the_second_is_told(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        async with open_wire(gateway.port, headers=FORWARDED) as wire:
            params = node_params(wire.challenge["nonce"])
            await wire.send({"type": "req", "id": "c", "method": "connect", "params": params})
            request_id = (await wire.answer("c"))["error"]["details"]["requestId"]
        error = (await operator.call("node.pair.approve", {"requestId": request_id}))["error"]

    assert error["details"]["remedy"]["command"].endswith(f"devices approve {request_id}")


async def test_a_probe_takes_no_nodes_place(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        a_node(gateway, name="kitchen"),
        a_node(gateway, mode="probe"),
    ):
        assert (await entry_of(operator))["clientMode"] == "node"
        assert gateway.runtime.nodes.live[NODE_ID].ending is None


async def test_a_store_that_cannot_be_used_hides_commands_and_lets_the_node_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with a_gateway(tmp_path) as gateway:
        (gateway.state_dir / "nodes").write_text("in the way")
        async with admitted(gateway, key=OPERATOR) as operator, a_node(gateway):
            entry = await entry_of(operator)
            error = (await operator.call("node.pair.approve", {"requestId": "x"}))["error"]

    assert (entry["commands"], entry["connected"]) == ([], True)
    assert error["code"] == "UNAVAILABLE"
    assert "was not recorded" in caplog.text


async def test_what_is_wrong_with_the_node_store_is_told_by_health(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        (gateway.state_dir / "nodes").mkdir(mode=0o700)
        (gateway.state_dir / "nodes" / "paired.json").write_text("{")
        await operator.result("node.list", {})
        problems = (await operator.result("health"))["problems"]

    assert ["nodes/paired.json" in problem["where"] for problem in problems] == [True]
