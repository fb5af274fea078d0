"""Which secret and which port count when several are given: the same order on both sides, told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenarios.clients import READ, knock
from tests.scenarios.programs import free_port, openclaw, running_gateway

pytestmark = pytest.mark.slow

CONFIGURED, EXPORTED = "the-token-of-the-file", "the-token-of-the-environment"
TOKEN, PASSWORD = "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"


def configure(state_dir: Path, **gateway: object) -> Path:
    """Write a configuration and return the state directory."""
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": gateway}))
    return state_dir


def test_the_configuration_goes_before_the_environment_and_what_loses_is_named(
    tmp_path: Path,
) -> None:
    port = free_port()
    state_dir = configure(tmp_path / "s", auth={"token": CONFIGURED}, port=port)
    env = {TOKEN: EXPORTED, "OPENCLAW_GATEWAY_PORT": "18790"}

    with running_gateway(state_dir, port=port, pinned=False, env=env) as gateway:
        right = knock(port, token=CONFIGURED, scopes=READ)
        wrong = knock(port, token=EXPORTED, scopes=READ)
        command = openclaw(state_dir, "health", env=env)

        assert right.admitted
        assert wrong.details["code"] == "AUTH_TOKEN_MISMATCH"
        assert command.code == 0, command
        said = gateway.said()
        file = state_dir / "openclaw.json"
        for name, key in ((TOKEN, "auth.token"), ("OPENCLAW_GATEWAY_PORT", "port")):
            assert f"env {name} is set but not used: gateway.{key} in {file} goes before it" in said
        assert f"auth mode token, from gateway.auth.token in {file}" in said
        assert EXPORTED not in said


@pytest.mark.parametrize(
    ("variable", "mode"), [(TOKEN, "token"), (PASSWORD, "password")], ids=["token", "password"]
)
def test_the_environment_counts_where_the_configuration_says_nothing(
    tmp_path: Path, variable: str, mode: str
) -> None:
    state_dir = configure(tmp_path / "s", mode="local")
    before = (state_dir / "openclaw.json").read_bytes()
    env = {variable: EXPORTED}

    with running_gateway(state_dir, env=env) as gateway:
        command = gateway.openclaw("health", env=env)
        without = gateway.openclaw("health", "--token", "another", "--json", env=env)

        assert command.code == 0, command
        assert without.json["gateway"]["credentialSource"] == "--token"
        assert f"auth mode {mode}, from env {variable}" in gateway.said()
        assert (state_dir / "openclaw.json").read_bytes() == before


def test_a_gateway_named_in_the_environment_gets_the_secret_named_beside_it_alone(
    tmp_path: Path,
) -> None:
    there = configure(tmp_path / "there" / "s", auth={"token": EXPORTED})
    here = configure(tmp_path / "here" / "s", auth={"token": CONFIGURED})

    with running_gateway(there) as gateway:
        named = {"OPENCLAW_GATEWAY_URL": gateway.url}
        silent = openclaw(here, "health", "--json", env=named)
        wrong = openclaw(here, "health", "--json", env=named | {TOKEN: "another"})
        right = openclaw(here, "health", env=named | {TOKEN: EXPORTED})

    assert right.code == 0, right
    assert wrong.code == 1, wrong
    assert wrong.json["gateway"]["urlSource"] == "env OPENCLAW_GATEWAY_URL"
    assert wrong.json["gateway"]["credentialSource"] == f"env {TOKEN}"
    assert silent.code == 1, silent
    assert TOKEN in silent.json["error"]["message"]
    assert CONFIGURED not in wrong.out + wrong.err + silent.out + silent.err
