"""What follows from a verdict: hello-ok, a silent pairing, a pending request, a pending upgrade."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from gateway.admission import MAX_DISPLAY_NAME, request_pairing, wish_of
from gateway.door import begin_visit
from gateway.policy.access import PairingReason, RequirePairing
from stores import pairing
from stores.files import stamp
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.facts import DEVICE_ID, remote_facts
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, knocking, paired, refused
from tests.wire import key_of, now_ms

REMOTE_READER: dict[str, Any] = {"remote": True, "key": key_of(1)}


async def test_hello_gives_a_device_its_token_and_a_browser_nothing_to_compare(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        hello = wire.hello

        assert hello is not None
        assert (hello["type"], hello["protocol"]) == ("hello-ok", 4)
        assert set(hello["server"]) == {"version", "bootId", "connId"}
        auth = hello["auth"]
        stored = gateway.runtime.store.book.paired[key_of(1).device_id]
        assert auth["deviceToken"] == stored.tokens["operator"].token
        assert auth["method"] == "token"
        assert auth["issuedAtMs"] > 0
        assert hello["policy"] == {
            "maxPayload": 26_214_400,
            "maxBufferedBytes": 52_428_800,
            "tickIntervalMs": 30_000,
        }


@pytest.mark.parametrize(
    ("protocols", "spoken"), [((3, 3), 3), ((4, 4), 4), ((3, 4), 4), ((1, 3), 3), ((2, 9), 4)]
)
async def test_hello_names_the_protocol_picked(tmp_path, protocols, spoken):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, protocols=protocols) as wire:
        assert wire.hello is not None
        assert wire.hello["protocol"] == spoken


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        pytest.param((), set(), id="nobody"),
        pytest.param((READ,), {"presence"}, id="reader"),
        pytest.param((ADMIN,), {"presence", "configPath", "stateDir"}, id="admin"),
    ],
)
async def test_the_snapshot_tells_what_the_scopes_allow(tmp_path, scopes, told):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        assert wire.hello is not None
        snapshot = wire.hello["snapshot"]

        found = {key for key in ("presence", "configPath", "stateDir") if snapshot.get(key)}
        assert found == told
        assert (str(tmp_path) in json.dumps(wire.hello)) is (ADMIN in scopes)


async def test_without_a_device_there_is_no_device_token(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(READ,)) as wire:
        assert wire.hello is not None
        assert wire.hello["auth"] == {"method": "token", "role": "operator", "scopes": [READ]}


async def test_a_remote_client_without_a_device_holds_nothing(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, remote=True, scopes=(ADMIN,)) as wire,
    ):
        assert wire.hello is not None
        assert wire.hello["auth"]["scopes"] == []
        assert (await wire.call("status"))["error"]["message"] == "missing scope: operator.read"


async def test_a_local_device_is_paired_silently_with_a_line_in_the_trail(tmp_path, caplog):
    caplog.set_level("INFO")
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway) as operator,
        admitted(gateway, key=key_of(1), scopes=(READ,)),
    ):
        resolved = await operator.event("device.pair.resolved")

        assert resolved["payload"]["deviceId"] == key_of(1).device_id
        assert resolved["payload"]["decision"] == "approved"
        trail = (gateway.state_dir / "devices" / "audit.jsonl").read_text().splitlines()
        entry = json.loads(trail[-1])
        assert (entry["event"], entry["by"]["kind"]) == ("device.approved", "local")
        assert gateway.runtime.store.book.pending == {}
    assert "device pairing auto-approved" in caplog.text


@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        pytest.param({"scopes": (READ,)}, {"scopes": (ADMIN,)}, "scope-upgrade", id="scopes"),
        pytest.param(
            {"role": "node", "scopes": ()}, {"scopes": (READ,)}, "role-upgrade", id="role"
        ),
    ],
)
async def test_a_local_device_is_upgraded_silently_and_keeps_its_token(
    tmp_path, caplog, first, then, reason
):
    caplog.set_level("INFO")
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, key_of(1), **first)
        async with admitted(gateway, key=key_of(1), **then) as wire:
            assert wire.hello is not None
            auth = wire.hello["auth"]

            assert set(then["scopes"]) <= set(auth["scopes"])
            assert (auth["deviceToken"] == token) is (reason == "scope-upgrade")
            assert len(gateway.runtime.store.book.paired) == 1
    assert f"device access upgrade requested reason={reason}" in caplog.text


async def test_a_paired_device_that_asks_for_nothing_new_leaves_no_trace(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1), scopes=(WRITE,))
        files = [gateway.state_dir / "devices" / name for name in ("paired.json", "audit.jsonl")]
        before = [file.read_bytes() for file in files]

        for remote in (False, True):
            async with admitted(gateway, key=key_of(1), scopes=(READ,), remote=remote):
                pass

        assert [file.read_bytes() for file in files] == before
        assert gateway.runtime.store.book.pending == {}


async def test_a_probe_leaves_no_record_and_a_known_one_no_mark(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        async with admitted(gateway, key=key_of(1), mode="probe") as probe:
            assert probe.hello is not None
            assert probe.hello["auth"]["scopes"] == [ADMIN, "operator.approvals", PAIRING]
            assert "deviceToken" not in probe.hello["auth"]
        async with admitted(gateway, key=key_of(1), mode="probe", remote=True) as probe:
            assert probe.hello is not None
            assert probe.hello["auth"]["scopes"] == []

        assert gateway.runtime.store.book.paired == {}
        assert gateway.runtime.store.book.pending == {}


async def test_a_remote_wish_for_more_is_admitted_with_the_rest_left_as_a_request(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))
        async with admitted(gateway, **REMOTE_READER, scopes=(ADMIN, PAIRING)) as wire:
            assert wire.hello is not None
            upgrade = wire.hello["auth"]["pendingUpgrade"]
            error = (await wire.call("device.pair.list"))["error"]

            command = f"openclaw devices approve {upgrade['requestId']}"
            assert upgrade["scopes"] == [ADMIN, PAIRING]
            assert wire.hello["auth"]["scopes"] == [READ]
            assert (await wire.call("status"))["ok"]
            assert error["message"] == f"missing scope: operator.pairing (run {command})"
            assert error["details"]["requestId"] == upgrade["requestId"]
            assert error["details"]["remedy"]["command"] == command
            assert error["details"]["remedy"]["where"] == "gateway-host"


async def test_the_hint_of_an_upgrade_goes_with_what_became_of_it(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        await paired(gateway, key_of(1), scopes=(READ,))
        async with admitted(gateway, **REMOTE_READER, scopes=(PAIRING, READ)) as wire:
            assert wire.hello is not None
            request = {"requestId": wire.hello["auth"]["pendingUpgrade"]["requestId"]}

            other = (await wire.call("no.such"))["error"]["message"]
            await operator.result("device.pair.approve", request)
            after = (await wire.call("device.pair.list"))["error"]

            assert other == "missing scope: operator.admin"
            assert after["message"].endswith("(approved meanwhile: connect again)")
            assert after["details"]["remedy"]["where"] == "this-device"
        async with admitted(gateway, **REMOTE_READER, scopes=(PAIRING, READ)) as wire:
            assert (await wire.call("device.pair.list"))["ok"]


async def test_a_rejected_upgrade_is_not_named_any_more(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        await paired(gateway, key_of(1), scopes=(READ,))
        async with admitted(gateway, **REMOTE_READER, scopes=(PAIRING, READ)) as wire:
            assert wire.hello is not None
            request = {"requestId": wire.hello["auth"]["pendingUpgrade"]["requestId"]}
            await operator.result("device.pair.reject", request)

            error = (await wire.call("device.pair.list"))["error"]

            assert error["message"] == "missing scope: operator.pairing"


async def test_a_retry_of_a_request_keeps_its_id_and_costs_no_write(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        first = await refused(gateway, remote=True, key=key_of(1), token=TOKEN)
        pending = gateway.state_dir / "devices" / "pending.json"
        before = stamp(pending)  # not when it was read: the gateway looks at it by itself

        again = await refused(gateway, remote=True, key=key_of(1), token=TOKEN)

        assert again["details"]["requestId"] == first["details"]["requestId"]
        assert stamp(pending) == before


async def test_a_local_contact_resolves_the_request_the_device_left_from_afar(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        far = await refused(gateway, remote=True, key=key_of(1), token=TOKEN)
        request_id = far["details"]["requestId"]
        await operator.event("device.pair.requested")

        async with admitted(gateway, key=key_of(1)):
            assert gateway.runtime.store.book.pending == {}
            await operator.result("health")

        resolved = [e["payload"] for e in operator.events if e["event"] == "device.pair.resolved"]
        told = [payload["decision"] for payload in resolved if payload["requestId"] == request_id]
        assert told == ["approved"]


async def test_a_full_list_refuses_the_newcomer_and_evicts_nobody(tmp_path):
    section: dict[str, object] = {"pairing": {"maxPending": 1}}
    async with a_gateway(tmp_path, section) as gateway:
        await refused(gateway, remote=True, key=key_of(1), token=TOKEN)

        error = await refused(gateway, remote=True, key=key_of(2), token=TOKEN)

        assert error["details"]["reason"] == "too-many-pending"
        assert error["message"].startswith("pairing required")
        waiting = [item.device_id for item in gateway.runtime.store.book.pending.values()]
        assert waiting == [key_of(1).device_id]


async def test_where_enough_came_in_unasked_the_next_waits(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(pairing, "MAX_UNASKED", 1)
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))

        error = await refused(gateway, key=key_of(2), token=TOKEN, scopes=(READ,))
        await paired(gateway, key_of(1), scopes=(READ, WRITE))  # who is in may have more

        waiting = [item.device_id for item in gateway.runtime.store.book.pending.values()]
        assert waiting == [key_of(2).device_id]
    assert error["details"]["code"] == "PAIRING_REQUIRED"
    assert error["details"]["requestId"]
    assert "1 devices were let in unasked already" in caplog.text
    assert "`openclaw devices prune --older-than 90d`" in caplog.text


async def test_a_full_list_does_not_keep_an_upgrade_from_its_old_access(tmp_path):
    section: dict[str, object] = {"pairing": {"maxPending": 1}}
    async with a_gateway(tmp_path, section) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))
        await refused(gateway, remote=True, key=key_of(2), token=TOKEN)

        async with admitted(gateway, **REMOTE_READER, scopes=(ADMIN,)) as wire:
            assert wire.hello is not None
            assert "pendingUpgrade" not in wire.hello["auth"]
            assert wire.hello["auth"]["scopes"] == [READ]


@pytest.mark.parametrize("remote", [True, False])
async def test_a_store_that_cannot_be_written_is_told_as_such(tmp_path, remote):
    async with a_gateway(tmp_path) as gateway:
        devices = gateway.state_dir / "devices"
        devices.mkdir(mode=0o700, exist_ok=True)
        (devices / "pending.json").mkdir()
        (devices / "paired.json").mkdir()

        error = await refused(gateway, remote=remote, key=key_of(1), token=TOKEN)

        assert error["code"] == "UNAVAILABLE"
        assert error["retryable"] is True
        assert error["close"] == (1011, "device store unavailable")
        assert str(tmp_path) not in str(error)


async def test_too_many_scopes_are_no_trouble_of_the_store(tmp_path):
    many = tuple(f"operator.x{number}" for number in range(40))
    async with a_gateway(tmp_path) as gateway:
        error = await refused(gateway, key=key_of(1), token=TOKEN, scopes=many)

        assert error["code"] == "NOT_PAIRED"
        assert error["message"] == "pairing required"
        assert error["close"] == (1008, "pairing required")


async def test_a_role_revoked_in_the_files_a_moment_ago_is_not_given_back(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))
        file = gateway.state_dir / "devices" / "paired.json"
        records = json.loads(file.read_bytes())
        records[key_of(1).device_id]["tokens"]["operator"]["revokedAtMs"] = 1
        file.write_text(json.dumps(records))

        error = await refused(gateway, key=key_of(1), token=TOKEN, scopes=(ADMIN,))

        assert error["code"] == "NOT_PAIRED"
        assert error["message"].startswith("pairing required")


async def test_a_device_blocked_in_the_files_a_moment_ago_gets_no_request(tmp_path):
    wanted = remote_facts()
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1))
        notes = gateway.state_dir / "devices" / "notes.json"
        notes.write_text(json.dumps({DEVICE_ID: {"blocked": True}}))
        notes.chmod(0o600)
        visit = begin_visit(gateway.door, "c", ("127.0.0.1", 1), ("127.0.0.1", 2), [])
        decision = RequirePairing(PairingReason.NOT_PAIRED)

        told = await request_pairing(gateway.door, visit, wanted, decision)

        assert told.error.to_wire() == {
            "code": "NOT_PAIRED",
            "message": "pairing required",
            "details": {"code": "PAIRING_REQUIRED"},
        }
        assert "is blocked" in told.sentence


async def test_a_node_holds_no_scope_and_hears_no_presence(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), role="node", mode="node", scopes=(ADMIN,)) as node,
    ):
        assert node.hello is not None
        assert node.hello["auth"]["role"] == "node"
        assert node.hello["auth"]["scopes"] == []
        assert node.hello["snapshot"]["presence"] == []


async def test_a_device_removed_by_another_program_is_cut_off(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1)) as wire,
    ):
        (gateway.state_dir / "devices" / "paired.json").write_text("{}")
        await gateway.door.keeper.look()

        assert await wire.closed() == (4001, "device removed")


async def test_an_approval_by_another_program_counts_at_once(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        error = await refused(gateway, remote=True, key=key_of(1), token=TOKEN, scopes=(READ,))
        approve(gateway, error["details"]["requestId"])

        async with knocking(gateway, remote=True) as wire:
            assert (await wire.connect(key=key_of(1), token=TOKEN, scopes=(READ,)))["ok"]


def approve(gateway: Serving, request_id: str) -> None:
    """Approve as the command line does when it speaks to the files."""
    transition = partial(pairing.approve, reference=request_id, caller=Caller("cli", uid=0))
    gateway.store.apply([transition], now_ms=now_ms())


def test_a_name_without_end_is_kept_short():
    facts = remote_facts()
    client = evolve(facts.params.client, display_name="n" * 40_000)
    wish = wish_of(evolve(facts, params=evolve(facts.params, client=client)))

    assert wish.display_name == "n" * MAX_DISPLAY_NAME
