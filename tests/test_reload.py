"""A changed configuration of a running gateway: applied, reported, or refused with one line."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from gateway.options import RunOptions
from gateway.policy.credentials import AuthMode, SharedSecrets
from gateway.reload import Reloader
from stores.config.history import last_known_good
from stores.config.load import LoadedConfig
from tests.patience import wait_until, within
from tests.serving import TOKEN, Serving, open_gateway, write_config
from tests.wire import key_of, open_wire

pytestmark = pytest.mark.slow  # a change is looked for twice a second

READ = ("operator.read",)


async def wait_for(true: Callable[[], object], *, within_s: float = 1.5) -> None:
    """Wait until something is so; the file is looked at from outside."""
    await wait_until(true, within_s=within_s)


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

            async with within(1.5):
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
        pytest.param("{}", "says nothing any more", id="emptied"),
        pytest.param("", "openclaw.json", id="zero-bytes"),
        pytest.param(None, "is gone", id="removed"),
        pytest.param(
            '{gateway: {mode: "local", auth: {token: "${MISSING}"}}}', "MISSING", id="no-variable"
        ),
        pytest.param('{gateway: {mode: "local"}}', "auth.token is gone", id="secret-lost"),
    ],
)
async def test_an_unusable_file_changes_nothing_but_one_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None, named: str
):
    caplog.set_level(logging.INFO, logger="gateway")
    # Losing the file must be noticed where the secret does not hang on it, too.
    known = {} if named == "auth.token is gone" else {"OPENCLAW_GATEWAY_TOKEN": TOKEN}
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
        accident = "gone" in named or "says nothing" in named
        why = "looks like an accident" if accident else "invalid config"
        assert f"config reload skipped ({why})" in line
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


async def test_a_storm_of_saves_costs_a_few_loads_and_ends_on_the_last(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        loads = count_loads(gateway)
        for number in range(200):
            write_config(gateway.state_dir, {"pairing": {"maxPending": number + 1}})
            await trio.sleep(0.01)

        await wait_for(lambda: gateway.runtime.store.limits.max_pending == 200)

        assert len(loads) < 6


async def test_a_save_right_after_a_load_is_not_missed(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        for number in (5, 6, 7):
            write_config(gateway.state_dir, {"pairing": {"maxPending": number}})
            await wait_for(lambda n=number: gateway.runtime.store.limits.max_pending == n)  # type: ignore[misc]  # bound now


def count_loads(gateway: Serving) -> list[float]:
    """Note the time of every load from now on."""
    reloader = gateway.runtime.reloader
    assert isinstance(reloader, Reloader)
    times: list[float] = []
    load = reloader.load

    def counted() -> LoadedConfig:
        times.append(time.monotonic())
        return load()

    reloader.load = counted
    return times


async def test_what_the_gateway_runs_with_becomes_the_last_known_good(tmp_path: Path):
    def good() -> str:
        found = last_known_good(gateway.runtime.paths)
        return found.read() if found is not None else ""

    async with open_gateway(tmp_path / "s") as gateway:
        file = gateway.state_dir / "openclaw.json"
        await wait_for(lambda: good() == file.read_text())

        write_config(gateway.state_dir, {"pairing": {"maxPending": 9}})
        await wait_for(lambda: good() == file.read_text())
        after = good()
        file.write_text("{}")
        await wait_for(lambda: gateway.runtime.config_problem)

        assert '"maxPending": 9' in after == good()


async def test_a_last_known_good_that_cannot_be_noted_is_told_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "config-history").write_text("in the way")
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        assert (await wire.connect(token=TOKEN, scopes=READ))["ok"]
        await wait_for(lambda: config_lines(caplog))

    (line,) = config_lines(caplog)
    assert line.startswith("the last-known-good configuration was not noted: ")


@pytest.mark.parametrize(
    ("section", "named"),
    [
        pytest.param({"bind": "lan", "auth": {"mode": "none"}}, "gateway.bind is lan", id="open"),
        pytest.param(
            {
                "auth": {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}},
            },
            "gateway.trustedProxies is empty",
            id="no-proxies",
        ),
        pytest.param({"mode": "remote"}, "gateway.mode is remote", id="remote"),
    ],
)
async def test_what_a_gateway_would_not_start_with_is_not_taken_in(
    tmp_path: Path, section: dict[str, object], named: str
):
    env = {"OPENCLAW_GATEWAY_TOKEN": TOKEN}
    async with open_gateway(tmp_path / "s", env=env) as gateway:
        write_config(gateway.state_dir, section)

        await wait_for(lambda: gateway.runtime.config_problem)

        assert named in str(gateway.runtime.config_problem)
        assert gateway.runtime.restart_required == ()


async def test_a_toml_file_that_appears_is_found(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        text = f'[gateway]\nmode = "local"\n[gateway.auth]\nmode = "token"\ntoken = "{TOKEN}"\n'
        (gateway.state_dir / "openclaw.toml").write_text(text)

        await wait_for(lambda: gateway.runtime.loaded.path.suffix == ".toml")

        assert gateway.runtime.facts.config_path == str(gateway.state_dir / "openclaw.toml")


async def test_an_included_file_that_was_broken_is_watched_too(tmp_path: Path):
    async with open_gateway(tmp_path / "s") as gateway:
        file = gateway.state_dir / "openclaw.json"
        more = gateway.state_dir / "more.json5"
        more.write_text("{pairing: }")
        included = file.read_text().replace('"gateway": {', '"gateway": {"$include": "more.json5",')
        file.write_text(included)
        await wait_for(lambda: gateway.runtime.config_problem)
        assert "more.json5:1" in str(gateway.runtime.config_problem)

        more.write_text("{pairing: {maxPending: 9}}")

        await wait_for(lambda: gateway.runtime.store.limits.max_pending == 9)


async def test_what_was_missing_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("gateway.reload.TRY_AGAIN_S", 0.7)
    secret = tmp_path / "token"
    async with open_gateway(tmp_path / "s") as gateway:
        write_config(gateway.state_dir, {"auth": {"mode": "token", "tokenFile": str(secret)}})
        await wait_for(lambda: gateway.runtime.config_problem)
        await trio.sleep(1.5)
        told = [line for line in config_lines(caplog) if "skipped" in line]

        secret.write_text("the-token-of-the-file\n")
        secret.chmod(0o600)

        await wait_for(lambda: gateway.runtime.config_problem is None, within_s=2.5)
        assert gateway.runtime.settings.secrets.secret == "the-token-of-the-file"
        assert len(told) == 1


async def test_what_an_option_goes_before_is_not_said_to_have_taken_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with open_gateway(tmp_path / "s", options=RunOptions(token=TOKEN)) as gateway:
        changed = {"mode": "token", "token": "another-token-for-tests"}
        write_config(gateway.state_dir, {"auth": changed, "trustedProxies": ["192.0.2.7"]})

        await wait_for(lambda: len(config_lines(caplog)) > 1)

        assert config_lines(caplog) == [
            "config reloaded: gateway.trustedProxies",
            "gateway.auth.token was changed and does not count: --token goes before it",
        ]
        async with open_wire(gateway.port) as wire:
            assert (await wire.connect(token=TOKEN, scopes=READ))["ok"]
