"""Health, status, presence and heartbeat over the wire."""

from __future__ import annotations

import pytest

from gateway.policy.remedy import CommandWords
from stores.fingerprint import secret_fingerprint
from stores.scopes import ADMIN, READ
from tests.serving import TOKEN
from tests.sessions import a_gateway, admitted
from tests.wire import key_of

PROBLEM = "/secret/path/openclaw.json:3: gateway.port: expected int"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"scopes": ()}, id="without-scopes"),
        pytest.param({"scopes": (READ,)}, id="reader"),
        pytest.param({"key": key_of(1), "role": "node", "scopes": ()}, id="node"),
    ],
)
async def test_health_answers_everybody_connected(tmp_path, wanted):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, **wanted) as wire:
        health = await wire.result("health", {"probe": True, "unknown": 1})

        assert health["ok"] is True
        assert health["ts"] > 0
        assert health["problems"] == []
        assert (health["channels"], health["channelOrder"], health["agents"]) == ({}, [], [])
        assert health["sessions"] == {"path": "", "count": 0, "recent": []}


@pytest.mark.parametrize("scopes", [(READ,), (ADMIN,)])
async def test_only_an_admin_reads_where_files_are(tmp_path, scopes):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        gateway.runtime.config_problem = PROBLEM

        health, status = await wire.result("health"), await wire.result("status")

        told = PROBLEM if scopes == (ADMIN,) else "see the gateway's log"
        (problem,) = health["problems"]
        assert problem["problem"].removeprefix("config on disk invalid: ") == told
        assert status["gateway"]["configProblem"] == told
        assert ("/secret" in str(health)) is (scopes == (ADMIN,))


async def test_who_may_only_read_learns_nothing_of_the_secret_or_the_process(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(READ,)) as wire:
        status = (await wire.result("status"))["gateway"]

        assert status["auth"] == {"mode": "token", "secretFingerprint": None}
        hidden = ("configPath", "configDigest", "configRemedy", "process")
        assert [status[key] for key in hidden] == [None] * 4


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("scopes", [(READ,), (ADMIN,)])
async def test_who_may_know_the_machine_is_told_how_commands_are_typed_there(
    tmp_path, scopes, remote
):
    async with a_gateway(tmp_path) as gateway:
        gateway.runtime.words = CommandWords(local="docker exec box openclaw", in_container=True)
        async with admitted(gateway, key=key_of(1), scopes=scopes):
            pass  # paired from now on
        async with admitted(gateway, key=key_of(1), scopes=scopes, remote=remote) as wire:
            told = (await wire.result("status"))["gateway"]["typedAs"]

    if remote and scopes == (READ,):
        assert told == {"command": "openclaw", "where": "gateway-host"}
    else:
        assert told == {"command": "docker exec box openclaw", "where": "container"}


async def test_a_broken_store_file_shows_in_health(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        paired = gateway.state_dir / "devices" / "paired.json"
        paired.parent.mkdir(exist_ok=True, mode=0o700)
        paired.write_text('{"deadbeef": {"deviceId": "deadbeef"}}')
        paired.chmod(0o600)
        await gateway.door.keeper.look()

        problems = (await wire.result("health"))["problems"]

        assert len(problems) == 1
        assert "paired.json" in problems[0]["where"]
        assert problems[0]["remedy"]
        assert wire.hello is not None
        assert "problems" not in wire.hello["snapshot"]["health"]


async def test_status_counts_what_the_gateway_holds(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1)) as wire,
        admitted(gateway, key=key_of(2), role="node", scopes=()),
    ):
        status = await wire.result("status")

        assert status["gateway"] | {"uptimeMs": 0} == {
            "uptimeMs": 0,
            "connections": 2,
            "pairedDevices": 2,
            "pendingRequests": 0,
            "restartRequired": [],
            "configProblem": None,
            "connectedNodes": 1,
            "configRemedy": None,
            "configPath": str(gateway.state_dir / "openclaw.json"),
            "configDigest": gateway.runtime.loaded.digest,
            "storeProblems": 0,
            "auth": {"mode": "token", "secretFingerprint": secret_fingerprint(TOKEN)},
            "process": {
                "pid": gateway.runtime.pid,
                "uid": gateway.runtime.own_uid,
                "port": gateway.runtime.port,
                "startedAtMs": gateway.runtime.started_at_ms,
                "stateDir": str(gateway.state_dir),
            },
            "tls": {"enabled": False},
            "typedAs": {
                "command": f"OPENCLAW_STATE_DIR={gateway.state_dir} "
                f"OPENCLAW_GATEWAY_PORT={gateway.port} openclaw",
                "where": "gateway-host",
            },
        }
        assert status["sessions"]["byAgent"] == []
        assert status["heartbeat"] == {"defaultAgentId": "main", "agents": []}


async def test_presence_lists_the_gateway_first_and_no_command(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1)) as wire,
        admitted(gateway, key=key_of(2), mode="backend", client_id="gateway-client"),
    ):
        own, *others = await wire.result("system-presence")

        assert (own["mode"], own["reason"]) == ("gateway", "self")
        assert [entry["deviceId"] for entry in others] == [key_of(2).device_id]
        assert others[0]["reason"] == "connect"
        assert others[0]["roles"] == ["operator"]
        assert "ip" not in others[0]


async def test_presence_tells_the_address_of_who_is_remote(tmp_path):
    section: dict[str, object] = {"trustedProxies": ["127.0.0.1"]}
    async with a_gateway(tmp_path, section) as gateway, admitted(gateway) as wire:
        async with admitted(gateway, remote=True, mode="backend", client_id="gateway-client"):
            entry = (await wire.result("system-presence"))[1]
            assert (entry["ip"], entry["reason"]) == ("203.0.113.9", "connect")

        while (entry := (await wire.result("system-presence"))[1])["reason"] == "connect":
            await wire.event("presence")
        assert entry["reason"] == "disconnect"


async def test_there_is_no_agent_whose_heart_could_beat(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        response = await wire.call("last-heartbeat", {"ignored": True})

        assert response["ok"] is True
        assert response["payload"] is None
