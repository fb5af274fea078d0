"""The gateway's identity, news for the presence list, and a heart that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.methods.events import MAX_LIST, MAX_TEXT
from stores.identity import open_identity
from stores.scopes import READ, WRITE
from tests.sessions import a_gateway, admitted
from tests.wire import key_of


async def test_the_gateway_says_who_it_is(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        told = await wire.result("gateway.identity.get", {})
        kept = open_identity(gateway.runtime.paths.identity_dir, now_ms=1)

    assert told == {"deviceId": kept.device_id, "publicKey": kept.key.public_key}


async def test_an_identity_that_cannot_be_read_is_no_answer(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        folder = gateway.runtime.paths.identity_dir
        folder.mkdir(exist_ok=True)
        (folder / "device.json").write_text("{")
        error = (await wire.call("gateway.identity.get", {}))["error"]

    assert error["code"] == "UNAVAILABLE"
    assert str(tmp_path) not in error["message"]


async def test_news_of_a_machine_stands_in_the_presence_list_and_is_told(tmp_path: Path):
    news = {"text": " Box: up ", "host": "box", "tags": ["a", 1], "lastInputSeconds": 5, "odd": 1}
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        assert await wire.result("system-event", news) == {"ok": True}
        listed = await wire.result("system-presence")
        heard = (await wire.event("presence"))["payload"]["presence"]

    (entry,) = [one for one in listed if one.get("host") == "box"]
    assert entry.pop("ts") > 0
    assert entry == {"text": "Box: up", "host": "box", "tags": ["a"], "lastInputSeconds": 5}
    assert "box" in [one.get("host") for one in heard]


async def test_news_of_a_machine_is_bounded_and_replaces_nobody(tmp_path: Path):
    device_id = key_of(1).device_id
    news = {"text": "x" * 999, "deviceId": device_id, "roles": ["r"] * 99, "lastInputSeconds": -1}
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), mode="ui", client_id="openclaw-tui") as wire,
    ):
        await wire.result("system-event", news)
        listed = await wire.result("system-presence")

    mine = [one for one in listed if one.get("deviceId") == device_id]
    assert sorted(one.get("reason", "") for one in mine) == ["", "connect"]
    (entry,) = [one for one in mine if "reason" not in one]
    assert (len(entry["text"]), len(entry["roles"])) == (MAX_TEXT, MAX_LIST)
    assert "lastInputSeconds" not in entry


@pytest.mark.parametrize("params", [None, {}, {"text": " "}, {"text": 3}])
async def test_news_without_a_text_is_refused(tmp_path: Path, params: Any):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        error = (await wire.call("system-event", params))["error"]

    assert (error["code"], error["message"]) == ("INVALID_REQUEST", "text required")


async def test_a_heart_that_is_not_there_can_be_switched_off_alone(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        off = await wire.result("set-heartbeats", {"enabled": False})
        on = (await wire.call("set-heartbeats", {"enabled": True}))["error"]
        odd = (await wire.call("set-heartbeats", {"enabled": 1}))["error"]

    assert off == {"ok": True, "enabled": False}
    assert (on["code"], "no agent" in on["message"]) == ("UNAVAILABLE", True)
    assert odd["message"] == "invalid set-heartbeats params: enabled (boolean) required"


@pytest.mark.parametrize("method", ["system-event", "set-heartbeats"])
async def test_only_an_admin_changes_what_others_see(tmp_path: Path, method: str):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), scopes=(READ, WRITE)) as wire,
    ):
        error = (await wire.call(method, {"text": "x", "enabled": False}))["error"]

    assert error["message"] == "missing scope: operator.admin"
