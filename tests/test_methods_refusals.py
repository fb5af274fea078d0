"""Refusals and lockouts over the wire: who may read what, and lifting a lock."""

from __future__ import annotations

from typing import Any

import pytest

from stores.refusal_ring import read_refusals, ring_file
from stores.scopes import ADMIN, PAIRING, READ
from tests.sessions import a_gateway, admitted, paired, refused
from tests.wire import key_of

WRONG = "not-the-token"


async def lock_out(gateway: Any) -> dict[str, Any]:
    """Send wrong tokens from afar until they are not looked at any more."""
    for _ in range(10):
        await refused(gateway, remote=True, token=WRONG)
    return await refused(gateway, remote=True, token=WRONG)


async def test_a_refusal_is_listed_with_all_that_was_seen(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        error = await refused(gateway, remote=True, key=key_of(1), token="a-shared-token-for-tests")

        (told,) = (await operator.result("gateway.refusals.list"))["refusals"]

    assert told["requestId"] == error["details"]["requestId"]
    assert told["code"] == "PAIRING_REQUIRED"
    assert told["closeReason"] == error["close"][1]
    assert told["client"] == {"id": "cli", "mode": "cli"}
    assert told["authenticated"] is True
    assert told["deviceId"] == key_of(1).device_id
    assert told["saw"]["peer"] == "127.0.0.1"
    assert told["saw"]["locality"] == {"local": False, "why": "untrusted-proxy"}
    assert told["command"].endswith(f"openclaw devices approve {told['requestId']}")
    assert error["details"]["remedy"]["sentence"].partition(" (to see")[0] in told["sentence"]


async def test_the_same_refusals_are_on_file_once_the_gateway_stopped(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await refused(gateway, remote=True, token=WRONG)
        await refused(gateway, remote=True, token=WRONG)

    (told,) = read_refusals(ring_file(gateway.state_dir / "logs"))
    assert (told["code"], told["count"]) == ("AUTH_TOKEN_MISMATCH", 2)
    assert WRONG not in str(told)


async def test_an_id_and_a_limit_choose(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        one = await refused(gateway, remote=True, key=key_of(1), token="a-shared-token-for-tests")
        await refused(gateway, remote=True, token=WRONG)
        spelling = one["details"]["requestId"].lower().replace("-", "")

        by_id = await operator.result("gateway.refusals.list", {"id": spelling})
        newest = await operator.result("gateway.refusals.list", {"limit": 1})

    assert [told["requestId"] for told in by_id["refusals"]] == [one["details"]["requestId"]]
    assert [told["code"] for told in newest["refusals"]] == ["AUTH_TOKEN_MISMATCH"]


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        pytest.param({"scopes": (READ,)}, True, id="local-reader"),
        pytest.param({"scopes": (READ,), "remote": True, "key": key_of(2)}, False, id="reader"),
        pytest.param({"scopes": (ADMIN,), "remote": True, "key": key_of(3)}, True, id="admin"),
    ],
)
async def test_a_remote_reader_reads_no_address_and_no_path_of_ours(tmp_path, words, whole):
    async with a_gateway(tmp_path) as gateway:
        if "key" in words:
            await paired(gateway, words["key"], scopes=words["scopes"])
        await refused(gateway, remote=True, token=WRONG)
        async with admitted(gateway, **words) as reader:
            (told,) = (await reader.result("gateway.refusals.list"))["refusals"]

    assert ("command" in told, "sentence" in told, "peer" in told["saw"]) == (whole,) * 3
    assert told["code"] == "AUTH_TOKEN_MISMATCH"


async def test_who_proved_a_device_token_reads_of_its_own_device_alone(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, key_of(2), scopes=(READ,))
        await refused(gateway, remote=True, key=key_of(1), token=WRONG)
        await refused(gateway, remote=True, key=key_of(2), token=WRONG)
        words: dict[str, Any] = {"key": key_of(2), "device_token": token, "scopes": (READ,)}
        async with admitted(gateway, remote=True, **words) as device:
            found = (await device.result("gateway.refusals.list"))["refusals"]

    assert [one["deviceId"] for one in found] == [key_of(2).device_id]


async def test_a_lockout_is_listed_and_lifted(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(9)) as operator:
        locked = await lock_out(gateway)
        (one,) = (await operator.result("gateway.lockouts.list"))["lockouts"]

        cleared = await operator.result("gateway.lockouts.clear", {"key": "forwarded-by-loopback"})
        after = await refused(gateway, remote=True, token=WRONG)

    assert locked["details"]["code"] == "AUTH_RATE_LIMITED"
    assert one["key"] == "shared-secret forwarded-by-loopback"
    assert 0 < one["remainingMs"] <= 300_000
    assert cleared == {"cleared": [one["key"]]}
    assert after["details"]["code"] == "AUTH_TOKEN_MISMATCH"


async def test_the_refusal_of_who_is_locked_out_names_the_command_to_the_operator_alone(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        locked = await lock_out(gateway)
        told = (await operator.result("gateway.refusals.list", {"limit": 1}))["refusals"][0]
        name = told["command"].partition("gateway lockouts clear ")[2]
        cleared = await operator.result("gateway.lockouts.clear", {"key": name})

    assert "lockouts" not in str(locked)
    assert len(cleared["cleared"]) == 1


async def test_all_lockouts_are_lifted_at_once_and_a_stranger_means_none(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        await lock_out(gateway)

        none = await operator.result("gateway.lockouts.clear", {"key": "198.51.100.1"})
        every = await operator.result("gateway.lockouts.clear", {"all": True})
        left = await operator.result("gateway.lockouts.list")

    assert none == {"cleared": []}
    assert every == {"cleared": ["shared-secret forwarded-by-loopback"]}
    assert left == {"lockouts": []}


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="neither"),
        pytest.param({"all": False}, id="not-all"),
        pytest.param({"all": True, "key": "x"}, id="both"),
        pytest.param({"key": ""}, id="empty"),
        pytest.param({"everything": True}, id="unknown"),
    ],
)
async def test_what_to_lift_must_be_said(tmp_path, params):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as operator:
        answer = await operator.call("gateway.lockouts.clear", params)

    assert answer["error"]["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("scopes", [(READ,), (PAIRING,), ()])
async def test_only_an_admin_lifts_a_lockout(tmp_path, scopes):
    async with a_gateway(tmp_path) as gateway:
        await lock_out(gateway)
        async with admitted(gateway, scopes=scopes) as session:
            answer = await session.call("gateway.lockouts.clear", {"all": True})

        assert "missing scope: operator.admin" in answer["error"]["message"]
        assert len(gateway.runtime.throttle) == 1
