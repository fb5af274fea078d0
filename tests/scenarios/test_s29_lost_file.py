"""S29: what commands say and do while the file of a live gateway lost what that works with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.programs import Gateway, eventually, free_port, openclaw, running_gateway
from tests.scenarios.test_s29_live_edits import TOKEN, WITHIN_S, admits, written

pytestmark = pytest.mark.slow

BACK = "openclaw config rollback good --yes"
LOST = [
    pytest.param("{}", "says nothing any more", id="emptied"),
    pytest.param(None, "is gone", id="removed"),
    pytest.param("token", "gateway.auth.token is gone from", id="token-lost"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway whose port stands in the file alone, as no device has asked it yet."""
    state_dir, port = tmp_path / "home" / ".openclaw", free_port()
    written(state_dir, port=port)
    with running_gateway(state_dir, port=port, pinned=False) as running:
        good = state_dir / "config-history" / "last-known-good.json"
        eventually(good.exists, within_s=WITHIN_S)
        yield running


def lose(gateway: Gateway, text: str | None) -> Path:
    """Lose the file, or what matters in it, and wait until the gateway has seen that."""
    file = gateway.state_dir / "openclaw.json"
    if text is None:
        file.unlink()
    elif text == "token":
        file.write_text(file.read_text().replace(f', "token": "{TOKEN}"', "").replace(TOKEN, ""))
    else:
        file.write_text(text)
    eventually(lambda: "config reload skipped" in gateway.said_by_now(), within_s=WITHIN_S)
    return file


@pytest.mark.parametrize(("text", "named"), LOST)
def test_commands_ask_the_gateway_as_before_and_offer_the_way_back_alone(
    gateway: Gateway, text: str | None, named: str
) -> None:
    lose(gateway, text)

    health = openclaw(gateway.state_dir, "health")
    said = openclaw(gateway.state_dir, "gateway", "status")
    status = openclaw(gateway.state_dir, "status")

    assert health.code == 0, health.err
    assert health.out.startswith("OK")
    for told in (health.err, said.out, " ".join(status.out.split())):
        assert named in told
        assert "takes that for an accident" in told
        assert f"`{BACK}`" in told
        assert "config set" not in told
        assert "openclaw gateway re" not in told, "a reload or restart does not lead back"
    assert "let in as operator" in said.out
    assert ": in force" not in status.out
    assert TOKEN not in health.err + said.out + status.out


@pytest.mark.parametrize(("text", "named"), LOST)
def test_a_status_tells_programs_of_the_accident_in_one_warning(
    gateway: Gateway, text: str | None, named: str
) -> None:
    lose(gateway, text)

    told = openclaw(gateway.state_dir, "gateway", "status", "--json").json

    (warning,) = told["warnings"]
    assert warning["kind"] == "config-lost"
    assert named in warning["problem"]
    assert BACK in warning["remedy"]
    assert told["config"]["cli"]["valid"] is False
    assert told["config"]["cli"]["exists"] is (text is not None)
    assert told["gateway"]["port"] == gateway.port


@pytest.mark.parametrize(("text", "named"), LOST)
def test_the_doctor_finds_the_accident_and_the_way_back(
    gateway: Gateway, text: str | None, named: str
) -> None:
    lose(gateway, text)

    found = openclaw(gateway.state_dir, "doctor", "--json").json["findings"]

    about = {one["id"]: one for one in found if one["id"].startswith(("config", "secret"))}
    assert list(about) == ["config-lost"]
    assert about["config-lost"]["severity"] == "error"
    assert about["config-lost"]["command"] == BACK
    assert named in about["config-lost"]["saw"]


def test_no_command_makes_the_accident_worse(gateway: Gateway) -> None:
    file = lose(gateway, "{}")
    state_dir = gateway.state_dir

    refused = [
        openclaw(state_dir, "config", "set", "gateway.port", str(gateway.port)),
        openclaw(state_dir, "config", "set", "gateway.bind", "loopback"),
        openclaw(state_dir, "doctor", "--generate-gateway-token", "--yes"),
    ]
    secret = openclaw(state_dir, "gateway", "auth-token")
    text = file.read_text()
    back = openclaw(state_dir, *BACK.split()[1:])

    for done in refused:
        assert done.code == 1
        assert f"`{BACK}`" in done.err
        assert "restart" not in done.err
    assert text == "{}"
    assert secret.code == 0, secret.err
    assert "last-known-good.json" in secret.out
    assert back.code == 0, back.err
    assert json.loads(file.read_text())["gateway"]["auth"]["token"] == TOKEN
    assert admits(gateway, TOKEN)


def test_where_the_port_is_an_option_the_lock_tells_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    words = {"OPENCLAW_GATEWAY_TOKEN": TOKEN}
    with running_gateway(state_dir, env=words) as gateway:
        done = openclaw(state_dir, "health")

    assert done.code == 1
    assert f"the gateway of {state_dir} runs on port {gateway.port}" in done.err
    assert f"`OPENCLAW_GATEWAY_PORT={gateway.port} openclaw health`" in done.err
    assert "nothing listens" not in done.err
    assert "gateway run" not in done.err
