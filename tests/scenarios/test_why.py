"""A refusal asked again: with the gateway up, stopped, stuck, or refusing whoever asks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.scenarios.clients import FROM_AFAR, knock, stranger
from tests.scenarios.programs import eventually, openclaw, running_gateway
from tests.scenarios.timing import timed

pytestmark = pytest.mark.slow


def test_a_refusal_is_told_again_at_once_by_its_request_in_any_spelling(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        refused = knock(gateway.port, **stranger(gateway.token))
        last = gateway.openclaw("gateway", "why")
        spelt = gateway.openclaw("gateway", "why", refused.request_id.lower().replace("-", " "))
        entry = gateway.openclaw("gateway", "why", refused.request_id, "--json").json["refusal"]
        token = gateway.token

        assert last.code == spelt.code == 0, last.err + spelt.err
        said = gateway.said()

    assert refused.close is not None
    assert refused.close[1] in last.out
    assert f"devices approve {refused.request_id}" in last.out
    assert entry["saw"]["locality"]["why"] == "untrusted-proxy"
    assert entry["sentence"] in said
    assert f"run: {entry['command']}" in said
    assert f"conn={entry['connId']}" in said
    assert token not in last.out + str(entry)


@pytest.mark.parametrize("state", ["up", "stuck", "stopped", "refusing"])
def test_it_is_told_whatever_the_gateway_does(tmp_path: Path, state: str) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    with running_gateway(state_dir) as gateway:
        refused = knock(gateway.port, **stranger("a-wrong-token"))
        assert refused.close is not None
        if state == "stopped":
            gateway.end()
        if state == "stuck":
            file = state_dir / "logs" / "refusals.jsonl"
            eventually(lambda: file.exists() and file.read_text().endswith("\n"))
            gateway.tell(signal.SIGSTOP)
        env = {"OPENCLAW_GATEWAY_TOKEN": "x"} if state == "refusing" else {}
        told, took_s = timed(gateway, "gateway", "why", env=env)

        assert took_s < 3
        assert told.code == 0, told.err
        assert refused.close[1] in told.out
        assert "Traceback" not in told.err


def test_refusals_outlive_a_restart(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    with running_gateway(state_dir) as gateway:
        first = knock(gateway.port, **stranger(gateway.token))
    with running_gateway(state_dir) as gateway:
        knock(gateway.port, **stranger("a-wrong-token"))
        listed = gateway.openclaw("gateway", "why", "--all", "--json").json["refusals"]

    assert [one["code"] for one in listed] == ["AUTH_TOKEN_MISMATCH", "PAIRING_REQUIRED"]
    assert listed[1]["requestId"] == first.request_id
    file = state_dir / "logs" / "refusals.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_unknown_id_offers_those_that_are_known(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        refused = knock(gateway.port, **stranger(gateway.token))
        told = gateway.openclaw("gateway", "why", "ZZZZ-ZZZZ")

    assert told.code == 1
    assert refused.request_id in told.err


def test_a_lockout_is_seen_explained_and_lifted_by_the_commands_it_names(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        guess = {"token": "a-wrong-token", "headers": FROM_AFAR}
        codes = [knock(gateway.port, **guess).details["code"] for _ in range(11)]
        why = gateway.openclaw("gateway", "why", "--json").json["refusal"]
        words = why["command"].partition("openclaw gateway ")[2].split()
        listed = gateway.openclaw("gateway", "lockouts", "list", "--json").json["lockouts"]
        lifted = gateway.openclaw("gateway", *words)
        after = knock(gateway.port, **guess).details["code"]
        empty = gateway.openclaw("gateway", "lockouts", "list")
        again = gateway.openclaw("gateway", *words)

    assert codes == ["AUTH_TOKEN_MISMATCH"] * 10 + ["AUTH_RATE_LIMITED"]
    assert words[:2] == ["lockouts", "clear"]
    assert len(listed) == 1
    assert lifted.code == 0, lifted.err
    assert after == "AUTH_TOKEN_MISMATCH"
    assert empty.out == "Nobody is locked out.\n"
    assert again.code == 1


def test_a_storm_costs_one_entry_and_hardly_a_write(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        file = gateway.state_dir / "logs" / "refusals.jsonl"
        storm, inodes = stranger("a-wrong-token"), set[int]()
        for _ in range(60):
            knock(gateway.port, **storm)
            if file.exists():
                inodes.add(file.stat().st_ino)
    told = openclaw(gateway.state_dir, "gateway", "why", "--all", "--json").json["refusals"]

    assert {one["code"] for one in told} == {"AUTH_TOKEN_MISMATCH", "AUTH_RATE_LIMITED"}
    assert sum(one["count"] for one in told) == 60
    assert len(told) == 2
    assert len(inodes) <= 4
