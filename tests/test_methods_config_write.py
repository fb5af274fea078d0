"""The configuration changed over the wire: guarded, whole, and without a secret in any answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.options import RunOptions
from gateway.policy.write_limit import MAX_WRITES
from stores.config.redact import REDACTED
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted
from tests.test_methods_config import TEXT, written
from tests.wire import ADMIN_SCOPES, Wire, key_of

METHODS = ("config.set", "config.apply", "config.patch")


@asynccontextmanager
async def opened(
    tmp_path: Path, *, scopes: tuple[str, ...] = ADMIN_SCOPES
) -> AsyncIterator[tuple[Serving, Wire]]:
    """Serve a gateway with a commented file, and hold a session with a device token."""
    written(tmp_path)
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), scopes=scopes) as wire,
    ):
        yield gateway, wire


async def base(wire: Wire) -> dict[str, str]:
    answer = await wire.result("config.get")
    return {"baseHash": answer["hash"]}


async def refusal(wire: Wire, method: str, params: dict[str, Any]) -> dict[str, Any]:
    response = await wire.call(method, params)
    assert not response["ok"], response
    error: dict[str, Any] = response["error"]
    return error


async def test_what_was_read_may_be_sent_back_changed(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        shown = await wire.result("config.get")
        raw = shown["raw"].replace('mode: "local",', 'mode: "local", port: 12345,')

        answer = await wire.result("config.set", {"raw": raw, "baseHash": shown["hash"]})

        text = (gateway.state_dir / "openclaw.json").read_text()
        assert f'token: "{TOKEN}"' in text
        assert "// keep" in text
        assert answer["ok"] is True
        assert answer["config"]["gateway"]["auth"]["token"] == REDACTED
        assert TOKEN not in json.dumps(answer)
        news = (await wire.event("config.changed"))["payload"]
        assert (news["path"], news["hash"]) == (answer["path"], answer["hash"])
        assert await base(wire) == {"baseHash": answer["hash"]}
        assert gateway.runtime.restart_required == ("gateway.port",)


async def test_a_patch_tells_what_changed_and_keeps_the_rest(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        patch = {"gateway": {"port": 12345, "controlUi": None}, "logging": {"level": "debug"}}

        answer = await wire.result(
            "config.patch", {"raw": json.dumps(patch), "note": "n", **await base(wire)}
        )

        assert sorted(answer["changedPaths"]) == [
            "gateway.controlUi.allowedOrigins",
            "gateway.port",
            "logging.level",
        ]
        assert answer["restartRequired"] == ["gateway.port"]
        assert "// keep" in (gateway.state_dir / "openclaw.json").read_text()


async def test_an_empty_patch_writes_nothing(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        answer = await wire.result("config.patch", {"raw": "{}", **await base(wire)})

        assert answer["changedPaths"] == []
        assert (gateway.state_dir / "openclaw.json").read_text() == TEXT


@pytest.mark.parametrize("method", METHODS)
async def test_a_change_is_decided_on_the_text_it_was_read_from(tmp_path, method):
    async with opened(tmp_path) as (gateway, wire):
        without = await refusal(wire, method, {"raw": "{}"})
        stale = await refusal(wire, method, {"raw": "{}", "baseHash": "zz"})

        hint = "re-run config.get and retry"
        assert without["message"] == f"config base hash required; {hint}"
        assert stale["message"] == f"config changed since last load; {hint}"
        assert (gateway.state_dir / "openclaw.json").read_text() == TEXT


@pytest.mark.parametrize(
    ("method", "raw", "message"),
    [
        pytest.param("config.set", "{nope", "SyntaxError: JSON5: ", id="set-syntax"),
        pytest.param("config.patch", "{nope", "SyntaxError: JSON5: ", id="patch-syntax"),
        pytest.param("config.patch", "[1]", "config.patch raw must be an object", id="array"),
        pytest.param(
            "config.patch", '{gateway: {bind: "moon"}}', "invalid config: gateway.bind: ", id="enum"
        ),
        pytest.param("config.apply", "{}", "invalid config: ", id="accident"),
        pytest.param(
            "config.patch", "{gateway: {auth: {token: null}}}", "invalid config: ", id="no-secret"
        ),
        pytest.param(
            "config.patch",
            '{gateway: {bind: "lan", auth: {mode: "none"}}}',
            "invalid config: gateway.bind is lan and gateway.auth.mode is none",
            id="open-to-all",
        ),
        pytest.param(
            "config.patch", '{gateway: {mode: "remote"}}', "invalid config: ", id="would-not-start"
        ),
        pytest.param(
            "config.patch",
            f'{{gateway: {{publicOrigin: "{REDACTED}"}}}}',
            "invalid config: gateway.publicOrigin: the mark",
            id="mark-of-nothing",
        ),
    ],
)
async def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    tmp_path, method, raw, message
):
    async with opened(tmp_path) as (gateway, wire):
        error = await refusal(wire, method, {"raw": raw, **await base(wire)})

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith(message)
        if message.startswith("invalid config"):
            assert error["details"]["issues"][0]["message"] in error["message"]
        assert TOKEN not in json.dumps(error)
        assert (gateway.state_dir / "openclaw.json").read_text() == TEXT
        assert gateway.runtime.config_problem is None


@pytest.mark.parametrize("method", METHODS)
async def test_too_many_writes_are_refused_in_the_published_shape(tmp_path, method):
    async with opened(tmp_path) as (_, wire):
        for number in range(MAX_WRITES):  # whichever they are: they count together
            one = METHODS[number % len(METHODS)]
            error = await refusal(wire, one, {"raw": "{}", "baseHash": "zz"})
            assert error["code"] == "INVALID_REQUEST"

        error = await refusal(wire, method, {"raw": "{}", "baseHash": "zz"})

        assert error["code"] == "UNAVAILABLE"
        assert error["message"] == f"rate limit exceeded for {method}; retry after 60s"
        assert error["retryable"] is True
        assert 50_000 < error["retryAfterMs"] <= 60_000
        assert error["details"] == {"method": method, "limit": "30 per 60s"}


@pytest.mark.parametrize("method", [*METHODS, "gateway.reload", "gateway.restart.request"])
async def test_only_an_admin_changes_anything(tmp_path, method):
    async with opened(tmp_path, scopes=("operator.read", "operator.write")) as (_, wire):
        error = await refusal(wire, method, {"raw": "{}"})

        assert error["message"].startswith("missing scope: operator.admin")


async def test_parameters_are_closed(tmp_path):
    async with opened(tmp_path) as (_, wire):
        error = await refusal(wire, "config.set", {"raw": "{}", "note": "n"})

        assert error["message"] == "invalid config.set params: at root: unexpected property 'note'"


async def test_a_broken_file_is_shown_as_it_is_and_can_be_repaired(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        file = gateway.state_dir / "openclaw.json"
        file.write_text('{gateway: {mode: "local", prot: 1}}')
        problem = (await wire.result("gateway.reload"))["problem"]

        shown = await wire.result("config.get")
        assert f"{file}:1: gateway.prot: unknown key" in problem
        assert (shown["valid"], shown["parsed"]["gateway"]["prot"]) == (False, 1)
        assert shown["issues"] == [{"path": "", "message": problem}]
        assert shown["config"]["gateway"]["auth"] == {"mode": "token", "token": REDACTED}

        await wire.result("config.set", {"raw": TEXT, "baseHash": shown["hash"]})
        assert (await wire.result("gateway.reload"))["ok"] is True
        assert (await wire.result("config.get"))["valid"] is True


async def test_a_page_gets_schema_and_hints(tmp_path):
    async with opened(tmp_path, scopes=("operator.read",)) as (_, wire):
        answer = await wire.result("config.schema", {})

        assert answer["schema"]["properties"]["gateway"]["properties"]["port"]
        assert answer["uiHints"]["gateway.auth.token"]["sensitive"] is True
        assert answer["uiHints"]["gateway.port"]["help"]
        assert answer["version"]
        assert answer["generatedAt"].endswith("Z")


async def test_a_key_that_an_option_goes_before_is_told_with_it(tmp_path):
    written(tmp_path)
    options = RunOptions(port=7, token=TOKEN)
    async with (
        a_gateway(tmp_path, options=options) as gateway,
        admitted(gateway, key=key_of(1), scopes=ADMIN_SCOPES) as wire,
    ):
        hints = (await wire.result("config.schema", {}))["uiHints"]
        patch = {"gateway": {"port": 12345, "bind": "lan", "auth": {"token": "another-one"}}}
        answer = await wire.result("config.patch", {"raw": json.dumps(patch), **await base(wire)})
        await wire.event("config.changed")

        assert hints["gateway.port"]["commandLine"] == "--port"
        assert "commandLine" not in hints["gateway.bind"]
        assert answer["restartRequired"] == ["gateway.bind"]
        assert answer["commandLine"] == {"gateway.port": "--port", "gateway.auth.token": "--token"}
        assert gateway.runtime.restart_required == ("gateway.bind",)
        assert await wire.result("health")  # its token is that of the option


async def test_a_toml_file_is_read_and_sent_back_as_toml(tmp_path):
    file = tmp_path / "state" / "openclaw.toml"
    file.parent.mkdir(mode=0o700)
    auth = f'[gateway.auth]\nmode = "token"\ntoken = "{TOKEN}" # keep\n'
    file.write_text(f'# mine\n[gateway]\nmode = "local"\n\n{auth}')
    (file.parent / "openclaw.json").write_text("{}")
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        shown = await wire.result("config.get")
        raw = shown["raw"].replace("[gateway]\n", "[gateway]\nport = 12345\n")

        await wire.result("config.set", {"raw": raw, "baseHash": shown["hash"]})

        assert TOKEN not in shown["raw"]
        assert file.read_text() == f'# mine\n[gateway]\nport = 12345\nmode = "local"\n\n{auth}'


async def test_reload_tells_what_was_applied_and_what_waits(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        file = gateway.state_dir / "openclaw.json"
        file.write_text(TEXT.replace('mode: "local",', 'port: 1, trustedProxies: ["10.0.0.1"],', 1))
        lost_mode = await wire.result("gateway.reload")
        text = 'mode: "local", port: 1, trustedProxies: ["10.0.0.1"],'
        file.write_text(TEXT.replace('mode: "local",', text, 1))

        taken = await wire.result("gateway.reload")

        assert "gateway.mode is gone" in lost_mode["problem"]
        assert "`openclaw config rollback good --yes`" in lost_mode["remedy"]
        assert (taken["ok"], taken["applied"]) == (True, ["gateway.trustedProxies"])
        assert taken["restartRequired"] == ["gateway.port"]


async def test_a_restart_says_goodbye_with_what_comes(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        answer = await wire.result("gateway.restart.request", {"reason": "test"})

        assert answer["ok"] is True
        shutdown = (await wire.event("shutdown"))["payload"]
        assert shutdown == {"reason": "gateway restarting", "restartExpectedMs": 1500}
        assert await wire.closed() == (1012, "service restart")
        assert gateway.runtime.restart_wanted


async def test_a_restart_that_would_fail_is_refused(tmp_path):
    async with opened(tmp_path) as (gateway, wire):
        (gateway.state_dir / "openclaw.json").write_text("{gateway: }")

        error = await refusal(wire, "gateway.restart.request", {})

        assert error["message"].startswith("not restarted: ")
        assert "openclaw.json:1" in error["message"]
        assert not gateway.runtime.stop.is_set()
