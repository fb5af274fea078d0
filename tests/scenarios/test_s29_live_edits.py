"""S29: whatever happens to the file of a live gateway, it stays up, says so, and can be led back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import knock
from tests.scenarios.programs import (
    Gateway,
    eventually,
    free_port,
    openclaw,
    running_gateway,
)

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-the-scenario-s29"
#: The second that is promised is counted where the gateway is the only one that runs; a whole
#: program beside others is late with them.
WITHIN_S = 5.0


def written(state_dir: Path, **gateway: object) -> Path:
    """Write a configuration and return the file."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    section = {"mode": "local", "auth": {"mode": "token", "token": TOKEN}, **gateway}
    file = state_dir / "openclaw.json"
    file.write_text(json.dumps({"gateway": section}, indent=2))
    file.chmod(0o600)
    return file


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway whose port is an option, so that the file says nothing of it."""
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with running_gateway(state_dir) as running:
        yield running


def admits(gateway: Gateway, token: str) -> bool:
    """Tell whether a gateway lets a local client with that token in."""
    return knock(gateway.port, token=token, scopes=("operator.read",)).admitted


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param('{\n  gateway: {mode: "local",,},\n}', "openclaw.json:2", id="syntax"),
        pytest.param(
            '{\n  gateway: {\n    mode: "local",\n    auht: {},\n  },\n}',
            "openclaw.json:4: gateway.auht",
            id="unknown-key",
        ),
        pytest.param("{}", "openclaw.json says nothing any more", id="emptied"),
        pytest.param("", "openclaw.json", id="zero-bytes"),
        pytest.param(None, "openclaw.json is gone", id="removed"),
        pytest.param(
            '{gateway: {mode: "local", auth: {mode: "token",\n token: "${MISSING}"}}}',
            "openclaw.json:2: gateway.auth.token",
            id="missing-variable",
        ),
    ],
)
def test_a_live_gateway_survives_any_edit_with_its_token_and_names_the_line(
    gateway: Gateway, text: str | None, named: str
) -> None:
    file = gateway.state_dir / "openclaw.json"
    before = file.read_text()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)

    eventually(lambda: "config reload skipped" in gateway.said(), within_s=WITHIN_S)
    line = next(line for line in gateway.said().splitlines() if "reload skipped" in line)
    assert named in line
    assert gateway.process.poll() is None
    assert admits(gateway, TOKEN)
    problem = status(gateway)["configProblem"]
    assert named in problem

    back = gateway.openclaw("config", "rollback", "good", "--yes")
    assert back.code == 0, back.err
    assert file.read_text() == before
    eventually(lambda: status(gateway)["configProblem"] is None)
    assert admits(gateway, TOKEN)


def status(gateway: Gateway) -> dict[str, Any]:
    """Return what an admin is told of the gateway."""
    answered = knock(gateway.port, "status", token=TOKEN, scopes=("operator.admin",))
    told: dict[str, Any] = answered.answers[0]["payload"]["gateway"]
    return told


def test_a_changed_port_is_reported_and_a_restart_in_place_applies_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    old, new = free_port(), free_port()
    written(state_dir, port=old)
    with running_gateway(state_dir, port=old, pinned=False) as gateway:
        set_port = openclaw(state_dir, "config", "set", "gateway.port", str(new))
        assert "Needs a restart of the running gateway" in set_port.out
        assert "`openclaw gateway restart`" in set_port.out
        eventually(lambda: "a restart is needed for gateway.port" in gateway.said())

        told = openclaw(state_dir, "gateway", "reload", "--json")
        assert told.json["restartRequired"] == ["gateway.port"], told.err

        restarted = openclaw(state_dir, "gateway", "restart")

        assert restarted.code == 0, restarted.err
        assert f"port {new}" in restarted.out
        assert gateway.process.poll() is None
        assert str(gateway.process.pid) in restarted.out
        assert knock(new, token=TOKEN, scopes=("operator.read",)).admitted
        with pytest.raises(OSError):
            knock(old, token=TOKEN, scopes=("operator.read",))


def test_a_reload_says_why_nothing_was_taken_in_and_hangup_needs_no_secret(
    gateway: Gateway,
) -> None:
    file = gateway.state_dir / "openclaw.json"
    good = file.read_text()
    file.write_text(good.replace('"mode": "local",', ""))
    skipped = gateway.openclaw("gateway", "reload")
    file.write_text("{gateway: }")
    unreadable = gateway.openclaw("gateway", "reload")
    for one in (gateway.state_dir / "config-history").glob("last-known-good*"):
        one.unlink()
    by_signal = gateway.openclaw("gateway", "reload")
    file.write_text(json.dumps({"gateway": {"mode": "local"}}))
    without_token = gateway.openclaw("gateway", "reload", "--json")
    file.write_text(good)
    eventually(lambda: status(gateway)["configProblem"] is None)
    applied = gateway.openclaw("gateway", "reload")

    assert skipped.code == 1
    assert "gateway.mode is gone" in skipped.err
    assert "`openclaw config rollback good --yes`" in skipped.err
    assert unreadable.code == 1, unreadable.err
    assert "not reloaded: " in unreadable.err
    assert by_signal.code == 0, by_signal.err
    assert f"pid {gateway.process.pid}" in by_signal.out
    assert "SIGHUP" in by_signal.out
    assert "gateway.auth.token is gone" in without_token.json["error"]["message"]
    assert (applied.code, applied.out) == (0, "Reloaded; nothing changed for the gateway.\n")


def test_a_reload_without_a_gateway_says_so(tmp_path: Path) -> None:
    done = openclaw(tmp_path / "home", "gateway", "reload", port=free_port())

    assert done.code != 0
    assert "`openclaw gateway run`" in done.err


def test_a_broken_file_at_the_start_ends_with_78_or_runs_on_the_last_known_good(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    file = written(state_dir)
    with running_gateway(state_dir) as gateway:
        eventually((state_dir / "config-history" / "last-known-good.json").exists)
        assert gateway.end() == 0
    file.write_text('{\n  gateway: {mode: "local", prot: 1},\n}')

    refused = openclaw(state_dir, "gateway", "run")
    assert refused.code == 78
    assert f"{file}:2: gateway.prot: unknown key" in refused.err
    assert "`openclaw config validate`" in refused.err
    assert "`openclaw config rollback good --yes`" in refused.err

    with running_gateway(state_dir, "--last-known-good") as gateway:
        said = gateway.said()
        assert "error: running on the last-known-good configuration" in said
        assert "openclaw.json:2: gateway.prot" in said
        assert admits(gateway, TOKEN)
        assert "gateway.prot" in status(gateway)["configProblem"]
        written(state_dir)
        eventually(lambda: status(gateway)["configProblem"] is None)
