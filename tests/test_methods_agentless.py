"""What published pages call: real answers where the thing is here, empty shapes or a no where not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.methods.agentless import AGENTLESS, MAX_KEY, NO_AGENT
from gateway.methods.table import ADVERTISED_METHODS, METHODS
from stores.scopes import ADMIN, READ, WRITE
from tests.sessions import a_gateway, admitted
from tests.wire import key_of

CALLS = Path(__file__).parent / "vectors" / "ui-calls"
VERSIONS = ("2026.2.19", "2026.9.6")

#: What pages call and is about an agent, and what they take for "none of it".
EMPTY: dict[str, dict[str, Any]] = {
    "agent.identity.get": {"agentId": "main", "name": "Assistant", "avatar": "A"},
    "agents.list": {
        "defaultId": "main",
        "mainKey": "main",
        "scope": "per-sender",
        "agents": [{"id": "main", "name": "main"}],
    },
    "channels.status": {
        "channelOrder": [],
        "channelLabels": {},
        "channelDetailLabels": {},
        "channelMeta": [],
        "channelSystemImages": {},
        "channels": {},
        "channelAccounts": {},
        "channelDefaultAccountId": {},
    },
    "chat.history": {"sessionKey": "agent:main:main", "messages": [], "thinkingLevel": "off"},
    "cron.list": {
        "jobs": [],
        "total": 0,
        "offset": 0,
        "limit": 50,
        "hasMore": False,
        "nextOffset": None,
    },
    "cron.status": {"enabled": False, "storePath": "", "jobs": 0, "nextWakeAtMs": None},
    "exec.approvals.get": {
        "path": "",
        "exists": False,
        "hash": "",
        "file": {"version": 1, "defaults": {}, "agents": {}},
    },
    "models.list": {"models": []},
    "sessions.list": {
        "path": "",
        "count": 0,
        "totalCount": 0,
        "limitApplied": 100,
        "nextOffset": None,
        "hasMore": False,
        "owners": [],
        "sessions": [],
        "defaults": {"modelProvider": None, "model": None, "contextTokens": None},
    },
    "sessions.subscribe": {"subscribed": True},
    "skills.status": {"workspaceDir": "", "managedSkillsDir": "", "skills": []},
    "talk.config": {"config": {}},
    "usage.status": {"providers": []},
    "voicewake.get": {"triggers": []},
}

#: What is of here, and answers for itself; what pages need of it is read below.
REAL = {
    "config.get": "hash",
    "config.schema": "schema",
    "device.pair.list": "paired",
    "health": "ok",
    "last-heartbeat": None,
    "logs.tail": "lines",
    "node.list": "nodes",
    "status": "gateway",
    "system-presence": None,
}

#: When an answer was made, where the shape says so.
STAMPS = ("ts", "updatedAt")


def calls_of(version: str) -> Iterator[tuple[str, Any]]:
    """Yield what a published page called, with its own parameters."""
    for one in json.loads((CALLS / f"control-ui-{version}.json").read_text())["methods"]:
        if one["method"] != "connect":
            yield one["method"], one["exampleParams"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_call_of_a_published_page_has_its_answer(tmp_path: Path, version: str):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        for method, params in calls_of(version):
            response = await wire.call(method, params)

            if method in EMPTY:
                told = response["payload"]
                assert {key: told[key] for key in told if key not in STAMPS} == EMPTY[method]
            elif method in REAL:
                assert response["ok"], method
                assert REAL[method] is None or REAL[method] in response["payload"], method
            else:
                error = {"code": "INVALID_REQUEST", "message": f"unknown method: {method}"}
                assert response["error"] == error
        assert (await wire.call("health"))["ok"]  # and nothing of it ended the session


def test_the_older_page_meets_no_unknown_method():
    assert {method for method, _ in calls_of("2026.2.19")} <= EMPTY.keys() | REAL.keys()


def test_empty_shapes_are_served_and_not_advertised():
    assert AGENTLESS.keys() == EMPTY.keys() | {"agent", "chat.send", "send"}
    assert AGENTLESS.keys() <= METHODS.keys()
    assert not AGENTLESS.keys() & set(ADVERTISED_METHODS)


@pytest.mark.parametrize("method", sorted(EMPTY))
async def test_an_empty_shape_needs_no_parameters(tmp_path: Path, method: str):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        told = await wire.result(method)

    expected = EMPTY[method]
    if method == "chat.history":
        expected = expected | {"sessionKey": ""}
    assert {key: told[key] for key in told if key not in STAMPS} == expected


@pytest.mark.parametrize("method", ["agent", "chat.send", "send"])
async def test_what_only_an_agent_could_do_is_refused_with_the_reason(tmp_path: Path, method: str):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(WRITE,)) as wire:
        error = (await wire.call(method, {"message": "hello"}))["error"]

    assert error["code"] == "UNAVAILABLE"
    assert error["message"] == NO_AGENT
    assert error["details"] == {"reason": "no-agent"}


@pytest.mark.parametrize(
    ("method", "scopes", "missing"),
    [
        pytest.param("agents.list", (), READ, id="nothing-held"),
        pytest.param("agents.list", ("operator.pairing",), READ, id="pairing-reads-nothing"),
        pytest.param("chat.send", (READ,), WRITE, id="a-reader-sends-nothing"),
        pytest.param("exec.approvals.get", (WRITE,), ADMIN, id="approvals-are-for-admins"),
    ],
)
async def test_what_is_empty_asks_for_its_scope_all_the_same(
    tmp_path: Path, method: str, scopes: tuple[str, ...], missing: str
):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        error = (await wire.call(method, {}))["error"]

    assert error["message"] == f"missing scope: {missing}"


async def test_a_session_key_comes_back_cut(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        told = await wire.result("chat.history", {"sessionKey": "x" * 999})

    assert told["sessionKey"] == "x" * MAX_KEY
