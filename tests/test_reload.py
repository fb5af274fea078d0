"""A changed configuration of a running gateway: applied, reported, or refused with one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from attrs import evolve

from gateway.policy.credentials import AuthMode, SharedSecrets
from gateway.reload import changed_keys
from stores.config.model import Config, GatewayConfig
from tests.serving import TOKEN, Serving, open_gateway, write_config
from tests.wire import key_of, open_wire

pytestmark = pytest.mark.slow  # a change is looked for twice a second

READ = ("operator.read",)


async def wait_for(true: Callable[[], object], *, within_s: float = 1.5) -> None:
    """Wait until something is so; the file is looked at from outside."""
    with trio.fail_after(within_s):
        while not true():  # noqa: ASYNC110  # looked at from outside, where no event is set
            await trio.sleep(0.01)


def config_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about the configuration."""
    return [record.getMessage() for record in caplog.records if record.name == "gateway.config"]


def gateway_section(state_dir: Path) -> dict[str, object]:
    """Return the section that is in the file."""
    section: dict[str, object] = json.loads((state_dir / "openclaw.json").read_text())["gateway"]
    return section


async def test_a_new_token_ends_the_sessions_of_the_old_one_and_no_others(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        async with open_wire(gateway.port) as first:
            hello = await first.connect(key=key_of(1), token=TOKEN)
            device_token = hello["payload"]["auth"]["deviceToken"]
        async with open_wire(gateway.port) as shared, open_wire(gateway.port) as device:
            assert (await shared.connect(token=TOKEN, scopes=READ))["ok"]
            assert (await device.connect(key=key_of(1), device_token=device_token))["ok"]

            changed = {"mode": "token", "token": "another-token-for-tests"}
            write_config(gateway.state_dir, {"auth": changed})

            with trio.fail_after(1.5):
                assert await shared.closed() == (4001, "gateway auth changed")
            assert await device.result("health")
        async with open_wire(gateway.port) as late:
            assert not (await late.connect(token=TOKEN, scopes=READ))["ok"]
        async with open_wire(gateway.port) as new:
            assert (await new.connect(token="another-token-for-tests", scopes=READ))["ok"]


async def test_a_token_file_is_watched_too(tmp_path: Path):
    secret = tmp_path / "token"
    secret.write_text("first-token-in-a-file\n")
    secret.chmod(0o600)
    auth = {"mode": "token", "tokenFile": str(secret)}

    async with open_gateway(tmp_path / "s", {"auth": auth}) as gateway:
        secret.write_text("second-token-in-a-file\n")

        await wait_for(lambda: gateway.runtime.settings.secrets.secret == "second-token-in-a-file")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("{\n  gateway: }", "openclaw.json:2", id="syntax"),
        pytest.param('{gateway: {mode: "local", prot: 1}}', "gateway.prot", id="unknown-key"),
        pytest.param("{}", "says nothing about the gateway", id="emptied"),
        pytest.param("", "openclaw.json", id="zero-bytes"),
        pytest.param(None, "is gone", id="removed"),
        pytest.param(
            '{gateway: {mode: "local", auth: {token: "${MISSING}"}}}', "MISSING", id="no-variable"
        ),
        pytest.param('{gateway: {mode: "local"}}', "holds no token", id="secret-lost"),
    ],
)
async def test_an_unusable_file_changes_nothing_but_one_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None, named: str
):
    caplog.set_level(logging.INFO, logger="gateway")
    # Losing the file must be noticed where the secret does not hang on it, too.
    known = {} if named == "holds no token" else {"OPENCLAW_GATEWAY_TOKEN": TOKEN}
    async with (
        open_gateway(tmp_path / "s", env=known) as gateway,
        open_wire(gateway.port) as wire,
    ):
        assert (await wire.connect(token=TOKEN, scopes=READ))["ok"]
        file = gateway.state_dir / "openclaw.json"
        before = gateway.runtime.settings
        if text is None:
            file.unlink()
        else:
            file.write_text(text)

        await wait_for(lambda: gateway.runtime.config_problem)
        await trio.sleep(1.5)

        (line,) = config_lines(caplog)
        assert "config reload skipped (invalid config)" in line
        assert named in line
        assert named in str(gateway.runtime.config_problem)
        assert gateway.runtime.settings is before
        assert await wire.result("health")

        write_config(gateway.state_dir)
        await wait_for(lambda: gateway.runtime.config_problem is None)


async def test_what_needs_a_restart_is_named_until_it_is_taken_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with open_gateway(tmp_path / "s") as gateway:
        write_config(gateway.state_dir, {"port": 12345})
        await wait_for(lambda: gateway.runtime.restart_required == ("gateway.port",))
        write_config(gateway.state_dir)
        await wait_for(lambda: gateway.runtime.restart_required == ())

    lines = [line for line in config_lines(caplog) if "a restart is needed" in line]
    assert lines == ["a restart is needed for gateway.port"]


async def test_a_changed_auth_mode_waits_for_the_restart(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        write_config(gateway.state_dir, {"auth": {"mode": "none"}})
        await wait_for(lambda: "gateway.auth.mode" in gateway.runtime.restart_required)

        assert gateway.runtime.settings.secrets == SharedSecrets(AuthMode.TOKEN, TOKEN)


async def test_limits_apply_at_once(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        throttle = gateway.runtime.throttle
        auth = {"mode": "token", "token": TOKEN, "rateLimit": {"maxAttempts": 3}}
        write_config(gateway.state_dir, {"auth": auth, "pairing": {"maxPending": 7}})

        await wait_for(lambda: gateway.runtime.throttle.max_attempts == 3)

        assert gateway.runtime.throttle is throttle
        assert gateway.runtime.store.limits.max_pending == 7
        assert gateway.runtime.restart_required == ()


async def reload_by_request(gateway: Serving) -> None:
    """Ask for a reload as SIGHUP does."""
    gateway.runtime.reload_wanted.set()
    await wait_for(lambda: not gateway.runtime.reload_wanted.is_set())


async def test_a_reload_can_be_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="gateway")
    async with open_gateway(tmp_path / "s") as gateway:
        before = gateway.runtime.loaded
        await reload_by_request(gateway)
        await wait_for(lambda: gateway.runtime.loaded is not before)

    assert "reload asked for" in config_lines(caplog)


async def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        file = gateway.state_dir / "openclaw.json"
        whole = file.read_text()
        for cut in range(1, 20):
            file.write_text(whole[: -cut % len(whole)])
            await trio.sleep(0.06)
        write_config(gateway.state_dir, {"pairing": {"maxPending": 9}})
        await wait_for(lambda: gateway.runtime.store.limits.max_pending == 9)

        assert gateway.runtime.config_problem is None


def test_changed_keys_are_named_as_in_the_file():
    new = Config(gateway=evolve(GatewayConfig(), port=1, trusted_proxies=()))

    assert dict(changed_keys(Config(), new)) == {"gateway.port": "restart"}
