"""Pairing over the wire: who sees which request, who may decide it, and who hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from stores.scopes import ADMIN, PAIRING, READ, WRITE
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, paired, refused
from tests.wire import key_of

NEWCOMER = key_of(7)


async def knock(gateway: Serving, number: int = 7, **wanted: Any) -> str:
    """Let a device of another machine ask to pair; return its request id."""
    wanted.setdefault("scopes", (READ,))
    error = await refused(gateway, remote=True, key=key_of(number), token=TOKEN, **wanted)
    request_id: str = error["details"]["requestId"]
    return request_id


async def test_a_request_is_listed_and_approved_and_the_device_comes_in(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as operator:
        request_id = await knock(gateway, scopes=(READ, ADMIN))
        requested = await operator.event("device.pair.requested")
        listed = await operator.result("device.pair.list")

        approved = await operator.result("device.pair.approve", {"requestId": request_id})
        resolved = await operator.event("device.pair.resolved")

        [pending] = listed["pending"]
        assert requested["payload"]["requestId"] == pending["requestId"] == request_id
        assert (pending["scopes"], pending["remoteIp"]) == ([READ, ADMIN], "127.0.0.1")
        assert pending["deviceId"] == NEWCOMER.device_id
        assert approved["requestId"] == request_id
        assert approved["device"]["deviceId"] == NEWCOMER.device_id
        assert approved["device"]["tokens"][0]["scopes"] == [ADMIN, READ]
        assert "token" not in approved["device"]["tokens"][0]
        assert resolved["payload"] | {"ts": 0} == {
            "requestId": request_id,
            "deviceId": NEWCOMER.device_id,
            "decision": "approved",
            "ts": 0,
        }
        async with admitted(gateway, remote=True, key=NEWCOMER, scopes=(READ,)) as device:
            assert device.hello is not None
            token = device.hello["auth"]["deviceToken"]
        async with admitted(
            gateway, remote=True, key=NEWCOMER, device_token=token, scopes=(READ,)
        ) as device:
            assert device.hello is not None
            assert device.hello["auth"]["method"] == "device-token"


@pytest.mark.parametrize(
    "spelt",
    [
        pytest.param(str.lower, id="lower-case"),
        pytest.param(lambda code: code.replace("-", ""), id="without-dash"),
        pytest.param(lambda _code: NEWCOMER.device_id, id="device-id"),
        pytest.param(lambda code: f"  {code} ", id="with-spaces"),
    ],
)
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_an_id_is_taken_in_any_spelling(tmp_path, spelt, verb):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as operator:
        request_id = await knock(gateway)

        answer = await operator.result(f"device.pair.{verb}", {"requestId": spelt(request_id)})

        assert answer["requestId"] == request_id


async def test_a_rejected_device_is_told_to_nobody_as_paired(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as operator:
        request_id = await knock(gateway)

        answer = await operator.result("device.pair.reject", {"requestId": request_id})
        resolved = await operator.event("device.pair.resolved")
        listed = await operator.result("device.pair.list")

        assert answer == {"requestId": request_id, "deviceId": NEWCOMER.device_id}
        assert resolved["payload"]["decision"] == "rejected"
        assert listed["pending"] == []
        assert [item["deviceId"] for item in listed["paired"]] == [key_of(1).device_id]


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_an_unknown_request_is_told_with_what_to_do(tmp_path, verb):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        error = (await operator.call(f"device.pair.{verb}", {"requestId": "K7QM-3FXR"}))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"] == "unknown requestId"
        sentence = error["details"]["remedy"]["sentence"]
        assert "K7QM-3FXR" in sentence
        assert "`openclaw devices list`" in sentence


@pytest.mark.parametrize(
    ("method", "params", "fault"),
    [
        ("device.pair.approve", None, "must have required property 'requestId'"),
        ("device.pair.approve", {"requestId": ""}, "at /requestId: must NOT have fewer"),
        ("device.pair.approve", {"requestId": 1}, "at /requestId: must be string"),
        ("device.pair.reject", {"requestId": "x", "y": 1}, "at root: unexpected property 'y'"),
        ("device.pair.list", {"x": 1}, "at root: unexpected property 'x'"),
        ("device.pair.list", "x", "must be object"),
    ],
)
async def test_parameters_that_do_not_fit_are_named(tmp_path, method, params, fault):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        error = (await operator.call(method, params))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith(f"invalid {method} params: {fault}")


@pytest.mark.parametrize("verb", ["list", "approve", "reject"])
async def test_who_lacks_operator_pairing_decides_nothing(tmp_path, verb):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(WRITE, "operator.approvals")) as operator,
    ):
        error = (await operator.call(f"device.pair.{verb}", {"requestId": "x"}))["error"]

        assert (error["code"], error["message"]) == (
            "FORBIDDEN",
            "missing scope: operator.pairing",
        )


@pytest.mark.parametrize(
    ("holds", "asked", "lacks"),
    [
        pytest.param((PAIRING,), {"scopes": (ADMIN,)}, ADMIN, id="admin"),
        pytest.param((PAIRING,), {"scopes": (READ,)}, READ, id="read"),
        pytest.param((PAIRING, READ), {"scopes": (READ, WRITE)}, WRITE, id="one-of-two"),
        pytest.param(
            (PAIRING, WRITE), {"role": "node", "mode": "node", "scopes": ()}, ADMIN, id="node"
        ),
        pytest.param((PAIRING, READ), {"scopes": (READ,)}, None, id="just-enough"),
        pytest.param((ADMIN,), {"role": "node", "scopes": ()}, None, id="admin-and-node"),
    ],
)
async def test_nobody_gives_what_it_does_not_hold(tmp_path, holds, asked, lacks):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=holds) as operator:
        request_id = await knock(gateway, **asked)

        response = await operator.call("device.pair.approve", {"requestId": request_id})

        assert response["ok"] is (lacks is None)
        listed = await operator.result("device.pair.list")
        assert len(listed["pending"]) == (lacks is not None)
        if lacks is not None:
            error = response["error"]
            assert (error["code"], error["message"]) == ("FORBIDDEN", f"missing scope: {lacks}")
            assert error["details"]["missingScope"] == lacks


async def test_who_may_not_grant_a_request_may_still_reject_it(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(PAIRING,)) as operator:
        request_id = await knock(gateway, scopes=(ADMIN,))

        assert await operator.result("device.pair.reject", {"requestId": request_id})


async def test_a_device_token_sees_and_decides_its_own_device_only(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, key_of(1), scopes=(PAIRING, READ))
        request_id = await knock(gateway)
        async with admitted(
            gateway, key=key_of(1), device_token=token, scopes=(PAIRING, READ)
        ) as device:
            listed = await device.result("device.pair.list")

            assert listed["pending"] == []
            assert [item["deviceId"] for item in listed["paired"]] == [key_of(1).device_id]
            for verb in ("approve", "reject"):
                response = await device.call(f"device.pair.{verb}", {"requestId": request_id})
                error = response["error"]
                assert error["code"] == "INVALID_REQUEST"
                assert error["message"] == "device pairing approval denied"


async def test_a_device_token_of_an_admin_sees_and_decides_all(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, key_of(1), scopes=(ADMIN,))
        request_id = await knock(gateway)
        async with admitted(gateway, key=key_of(1), device_token=token, scopes=(ADMIN,)) as device:
            listed = await device.result("device.pair.list")
            answer = await device.result("device.pair.approve", {"requestId": request_id})

            assert len(listed["pending"]) == 1
            assert len(listed["paired"]) == 1
            assert answer["device"]["approvedBy"] == key_of(1).device_id


async def test_the_list_says_who_is_connected(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(2))
        async with admitted(gateway, key=key_of(1)) as operator:
            listed = await operator.result("device.pair.list")

            connected = {item["deviceId"]: item["connected"] for item in listed["paired"]}
            assert connected == {key_of(1).device_id: True, key_of(2).device_id: False}


@pytest.mark.parametrize("scope", [ADMIN, PAIRING])
async def test_a_store_that_cannot_be_written_is_no_end_of_the_session(tmp_path, scope):
    scopes = (scope, READ)
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as operator:
        request_id = await knock(gateway)
        lock = gateway.state_dir / "devices" / "pending.json"
        lock.unlink()
        lock.mkdir()  # no file any more: whatever is written next fails

        error = (await operator.call("device.pair.approve", {"requestId": request_id}))["error"]

        assert error["code"] == "UNAVAILABLE"
        assert "gateway's log" in error["message"]
        # Where files are is told to admins alone.
        assert (str(tmp_path) in str(error)) is (scope == ADMIN)
        assert ("`mv " in str(error.get("details"))) is (scope == ADMIN)
        assert (await operator.call("health"))["ok"]


async def test_events_of_pairing_go_to_those_who_may_pair(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(PAIRING,)) as pairer,
        admitted(gateway, scopes=(READ,)) as reader,
        admitted(gateway, key=key_of(2), role="node", mode="node", scopes=()) as node,
    ):
        request_id = await knock(gateway)
        await pairer.event("device.pair.requested")
        await pairer.result("device.pair.reject", {"requestId": request_id})
        await pairer.event("device.pair.resolved")

        for deaf in (reader, node):
            await deaf.result("health")
            assert [e for e in deaf.events if e["event"].startswith("device.")] == []
        assert [e for e in (*pairer.events, *node.events) if e["event"] == "presence"] == []


async def test_each_connection_counts_its_events_from_one_without_a_gap(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway) as early,
        admitted(gateway, scopes=(PAIRING,)) as partly,
    ):
        for number in (7, 8):
            await knock(gateway, number)
        async with admitted(gateway) as late:
            for number in (9, 10):
                await knock(gateway, number)
            for wire in (early, partly, late):
                while not any(
                    event.get("payload", {}).get("deviceId") == key_of(10).device_id
                    for event in wire.events
                ):
                    wire.events.append(await wire.receive())

            assert [event["seq"] for event in late.events] == [1, 2]
            for wire in (early, partly):
                numbers = [event["seq"] for event in wire.events]
                assert numbers == list(range(1, len(numbers) + 1))
                assert len(numbers) >= 4


async def test_the_list_knows_who_was_here_a_moment_ago(tmp_path):
    """Contacts are written once a minute; a sweep by what the list says would forget who came back."""
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as operator:
        await paired(gateway, NEWCOMER, scopes=(READ,))

        listed = (await operator.result("device.pair.list"))["paired"]

    (phone,) = [item for item in listed if item["deviceId"] == NEWCOMER.device_id]
    assert 0 <= gateway.runtime.now_ms() - phone["lastSeenAtMs"] < 60_000
    assert phone["tokens"][0]["lastUsedAtMs"] == phone["lastSeenAtMs"]
