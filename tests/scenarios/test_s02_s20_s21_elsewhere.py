"""S2, S20, S21: the gateway has its secret, or its file, from where no command looks by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stores.running import read_running
from tests.scenarios.programs import Gateway, eventually, free_port, openclaw, running_gateway
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = pytest.mark.slow

VARIABLE = "OPENCLAW_GATEWAY_TOKEN"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


@pytest.fixture
def gateway(state_dir: Path) -> Iterator[Gateway]:
    """Run a gateway without a file, whose token is in its own environment alone."""
    with running_gateway(state_dir, env={VARIABLE: TOKEN}) as running:
        yield running


def test_a_file_that_never_was_is_not_gone(gateway: Gateway) -> None:
    said = gateway.openclaw("gateway", "status")

    assert "openclaw.json (missing)" in said.out
    assert "is gone" not in said.out
    assert "rollback" not in said.out


@pytest.mark.parametrize("wrong", [True, False], ids=["wrong-here", "none-here"])
def test_who_has_not_the_secret_is_told_where_the_gateway_has_it(
    gateway: Gateway, *, wrong: bool
) -> None:
    env = {VARIABLE: "not-that-one"} if wrong else {}

    health = gateway.openclaw("health", env=env)
    said = gateway.openclaw("gateway", "status", env=env)

    assert health.code == 1
    for told in (health.err, said.out):
        assert f"(pid {gateway.process.pid}) has its token from its own env {VARIABLE}" in told
        assert f"et {VARIABLE} here to the same" in told
        assert "`openclaw config set gateway.auth.token --from-file FILE`" in told
        assert "The right one is gateway.auth.token" not in told
        assert "auth-token --show" not in told
        assert "`unset" not in told
    assert TOKEN not in health.err + said.out


def test_what_is_offered_lets_every_command_in(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)

    by_file = gateway.openclaw("health", "--token-file", str(file))
    kept = gateway.openclaw("config", "set", "gateway.auth.token", "--from-file", str(file))
    eventually(lambda: "openclaw.json" in (secret_source(gateway) or ""))
    then = gateway.openclaw("gateway", "status")

    assert (by_file.code, kept.code) == (0, 0), by_file.err + kept.err
    assert "let in as operator" in then.out


def secret_source(gateway: Gateway) -> str | None:
    """Where the gateway says that its secret comes from; None while it writes that down."""
    found = read_running(gateway.state_dir)
    return None if found is None else found.secret_source


def test_the_doctor_tells_of_a_secret_that_no_command_finds(gateway: Gateway) -> None:
    found = gateway.openclaw("doctor", "--json").json["findings"]

    (told,) = (one for one in found if one["id"] == "secret-elsewhere")
    assert f"from env {VARIABLE}" in told["saw"]
    assert told["command"] == "openclaw config set gateway.auth.token --from-file FILE"


def test_unset_is_offered_where_another_secret_is_the_right_one(state_dir: Path) -> None:
    written(state_dir)
    remote = {"gateway": {"mode": "local", "auth": {"mode": "token", "token": "other-than-that"}}}
    with running_gateway(state_dir) as gateway:
        said = gateway.openclaw("gateway", "status", "--token", "not-that-one")
        (state_dir.parent / "mine.json").write_text(json.dumps(remote))
        mine = {"OPENCLAW_CONFIG_PATH": str(state_dir.parent / "mine.json")}
        health = gateway.openclaw("health", env=mine)

    assert "Leave it out: `openclaw gateway status`" in said.out
    assert f"`OPENCLAW_CONFIG_PATH={state_dir / 'openclaw.json'} openclaw health`" in health.err


@pytest.fixture
def named(state_dir: Path) -> Iterator[Gateway]:
    """Run a gateway with a file that was named, and a port that no file has."""
    file = state_dir.parent / "conf.json"
    file.write_text(json.dumps({"gateway": {"mode": "local", "auth": {"token": TOKEN}}}))
    with running_gateway(state_dir, "--config", str(file)) as running:
        good = state_dir / "config-history" / "last-known-good.json"
        eventually(good.exists)
        yield running


def test_a_gateway_with_another_file_is_asked_with_that_and_nothing_else_is_said(
    named: Gateway,
) -> None:
    state_dir = named.state_dir
    file = state_dir.parent / "conf.json"

    said = openclaw(state_dir, "gateway", "status", "--json").json
    status = openclaw(state_dir, "gateway", "status")
    health = named.openclaw("health")

    (warning,) = said["warnings"]
    assert warning["kind"] == "config-of-gateway"
    assert f"`OPENCLAW_CONFIG_PATH={file} OPENCLAW_STATE_DIR={state_dir} " in warning["remedy"]
    assert said["gateway"]["credentialSource"] == f"gateway.auth.token in {file}"
    assert said["config"]["cli"]["exists"] is False
    assert "let in as operator (admin-capable" in status.out
    assert f"by gateway.auth.token in {file}" in status.out
    for told in (status.out, health.err):
        assert "is gone" not in told
        assert "rollback" not in told
        assert "config set" not in told
        assert f"OPENCLAW_CONFIG_PATH={file}" in told
    assert health.code == 0, health.err
    assert not (state_dir / "openclaw.json").exists()


def test_what_is_offered_for_another_file_says_nothing_of_it_any_more(named: Gateway) -> None:
    file = named.state_dir.parent / "conf.json"

    said = named.openclaw("gateway", "status", "--json", env={"OPENCLAW_CONFIG_PATH": str(file)})

    assert said.json["warnings"] == []
    assert said.json["verdicts"]["authorisation"]["ok"] is True


@pytest.mark.parametrize("other", [False, True], ids=["no-file-has", "its-file-has-not"])
def test_a_port_is_named_and_not_written_into_the_wrong_file(
    named: Gateway, *, other: bool
) -> None:
    variable = f"OPENCLAW_GATEWAY_PORT={named.port}"
    if other:
        file = named.state_dir.parent / "conf.json"
        section = {"mode": "local", "port": free_port(), "auth": {"token": TOKEN}}
        file.write_text(json.dumps({"gateway": section}))
        # the port of the file goes before the variable of one
        variable = f"OPENCLAW_GATEWAY_URL=ws://127.0.0.1:{named.port}"
        eventually(lambda: variable in openclaw(named.state_dir, "health").err)

    done = openclaw(named.state_dir, "health")

    assert done.code == 3
    assert f"`{variable} openclaw health`" in done.err
    assert "config set" not in done.err
    asked = openclaw(named.state_dir, "health", env=dict([variable.split("=", 1)]))
    assert asked.code == 0, asked
