"""S2, S11, S12: which file counts, which modes there are, and keys that do not exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, new_key
from tests.scenarios.programs import eventually, free_port, openclaw, running_gateway
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("by", ["option", "environment"])
def test_s2_a_named_file_is_the_one_that_counts(tmp_path: Path, by: str) -> None:
    state_dir, named = tmp_path / "home" / ".openclaw", tmp_path / "named.json"
    written(state_dir)
    state_dir.joinpath("openclaw.json").rename(named)
    words = ("--config", str(named)) if by == "option" else ()
    env = {} if by == "option" else {"OPENCLAW_CONFIG_PATH": str(named)}

    with running_gateway(state_dir, *words, env=env) as gateway:
        hello = knock(gateway.port, token=TOKEN, scopes=("operator.admin",)).hello
        note = json.loads((state_dir / "gateway.lock").read_bytes())

    assert hello["snapshot"]["configPath"] == str(named)
    assert note["configPath"] == str(named)
    assert not (state_dir / "openclaw.json").exists()


def test_s2_config_file_prints_the_file_that_the_environment_names(tmp_path: Path) -> None:
    named = tmp_path / "named.json"
    done = openclaw(tmp_path / "home", "config", "file", env={"OPENCLAW_CONFIG_PATH": str(named)})

    assert (done.code, done.out.strip()) == (0, str(named))


@pytest.mark.parametrize("mode", ["none", "token", "password"])
@pytest.mark.parametrize("by", ["option", "file"])
def test_s11_option_and_file_take_the_same_modes(tmp_path: Path, mode: str, by: str) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    secret = {} if mode == "none" else {mode: TOKEN}
    auth = secret | ({"mode": mode} if by == "file" else {})
    written(state_dir, auth=auth)
    words = ("--auth", mode) if by == "option" else ()

    with running_gateway(state_dir, *words) as gateway:
        words_of_client = {"key": new_key()} if mode == "none" else {mode: TOKEN}
        assert knock(gateway.port, scopes=("operator.read",), **words_of_client).admitted


def test_s11_nobody_is_let_in_unasked_from_another_machine(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir, auth={"mode": "none"}, bind="lan")

    done = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))

    assert done.code == 78
    assert "gateway.bind is lan and gateway.auth.mode is none" in done.err


@pytest.mark.parametrize("key", ["allowInsecureAuth", "tokn"])
def test_s12_an_unknown_key_is_named_with_its_line_and_changes_nothing(
    tmp_path: Path, key: str
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    file = written(state_dir)
    before = file.read_bytes()
    refused = openclaw(state_dir, "config", "set", f"gateway.auth.{key}", "true")
    assert refused.code == 1
    assert f"gateway.auth.{key}" in refused.err
    assert file.read_bytes() == before

    wrong = before.replace(b'"auth": {', f'"auth": {{\n      "{key}": true,'.encode())
    file.write_bytes(wrong)
    start = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))
    assert start.code == 78
    assert f"openclaw.json:5: gateway.auth.{key}: " in start.err

    file.write_bytes(before)
    with running_gateway(state_dir) as gateway:
        file.write_bytes(wrong)
        eventually(lambda: f"openclaw.json:5: gateway.auth.{key}" in gateway.said(), within_s=5)
        answered = knock(gateway.port, "health", token=TOKEN, scopes=("operator.admin",))
        (problem,) = answered.answers[0]["payload"]["problems"]
        assert problem["problem"].startswith("config on disk invalid: ")
        assert f"openclaw.json:5: gateway.auth.{key}" in problem["problem"]
