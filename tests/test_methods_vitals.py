"""Who is connected and how the gateway does, over the wire: numbers, and who may see the rest."""

from __future__ import annotations

import pytest

from stores.scopes import ADMIN, PAIRING, READ
from tests.sessions import a_gateway, admitted
from tests.wire import key_of

LIST, VITALS = "gateway.connections.list", "gateway.vitals"


@pytest.mark.parametrize("method", [LIST, VITALS])
async def test_it_asks_for_read_and_takes_nothing(tmp_path, method):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(READ,)) as reader,
        admitted(gateway, scopes=(PAIRING,)) as other,
    ):
        assert await reader.result(method)
        wrong = (await reader.call(method, {"x": 1}))["error"]
        refused = (await other.call(method))["error"]

    assert wrong["message"].startswith(f"invalid {method} params")
    assert refused["message"].startswith("missing scope: operator.read")


async def test_every_session_is_listed_the_oldest_first(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), scopes=(ADMIN,)) as first,
        admitted(gateway, key=key_of(2), role="node", scopes=()) as _,
    ):
        await first.result("health")
        told = (await first.result(LIST))["connections"]

    mine, node = told
    assert [one["role"] for one in told] == ["operator", "node"]
    assert [one["own"] for one in told] == [True, False]
    assert mine["deviceId"] == key_of(1).device_id
    assert mine["scopes"] == [ADMIN]
    assert mine["locality"] == {"local": True, "why": "loopback"}
    assert mine["traffic"]["requests"] == 1
    assert mine["traffic"]["receivedBytes"] > 400  # its handshake at the least
    assert mine["traffic"]["sentBytes"] > 400
    assert node["traffic"]["droppedEvents"] == 0


async def test_what_its_head_said_is_for_admins(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(ADMIN,)) as admin,
        admitted(gateway, scopes=(READ,)) as reader,
    ):
        full = (await admin.result(LIST))["connections"]
        brief = (await reader.result(LIST))["connections"]

    assert {one["saw"]["peer"] for one in full} == {"127.0.0.1"}
    assert all("saw" not in one for one in brief)


async def test_why_a_connection_is_not_local_is_told(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(ADMIN,)) as admin,
        admitted(gateway, remote=True, scopes=(READ,)),
    ):
        told = (await admin.result(LIST))["connections"]

    (far,) = [one for one in told if not one["own"]]
    assert far["locality"] == {"local": False, "why": "untrusted-proxy"}
    assert far["saw"]["forwardedFor"]


async def test_the_counters_count(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(ADMIN,)) as wire:
        before = await wire.result(VITALS)
        await wire.result("health")
        after = await wire.result(VITALS)

    assert before["ready"] is True
    assert (before["failing"], before["problems"], before["restartRequired"]) == ([], [], [])
    assert before["connections"] == {"operator": 1, "node": 0}
    assert after["requests"] - before["requests"] == 2
    assert before["configValid"] is True
    assert set(before["eventLoop"]) == {"lagMs", "maxLagMs"}


@pytest.mark.parametrize("scopes", [(READ,), (ADMIN,)])
async def test_what_fails_is_named_and_where_it_is_only_to_admins(tmp_path, scopes):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        gateway.runtime.config_problem = "line 3: expected int"
        told = await wire.result(VITALS)

    assert (told["ready"], told["failing"], told["configValid"]) == (False, ["config"], False)
    assert [one["problem"] for one in told["problems"]] == (
        ["line 3: expected int"] if scopes == (ADMIN,) else []
    )
