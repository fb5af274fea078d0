"""`openclaw status`: the whole on one screen, with the gateway up, down or never there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.programs import eventually, free_port, openclaw, running_gateway

pytestmark = pytest.mark.slow


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


def test_a_store_that_is_broken_does_not_end_it(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.devices.mkdir(exist_ok=True, mode=0o700)
        paired = gateway.devices / "paired.json"
        paired.write_text('{"deadbeef": {"deviceId": "deadbeef"}}')
        paired.chmod(0o600)
        eventually(lambda: "store" in gateway.openclaw("gateway", "status").out)
        done = gateway.openclaw("status", "--json")

    assert done.code == 0
    assert done.json["overview"]["store"]["ok"] is False
    assert "openclaw devices verify" in done.json["overview"]["store"]["remedy"]


def test_the_overview_has_everything_on_one_screen(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        assert gateway.openclaw("devices", "list").code == 0
        gateway.openclaw("health", "--token", "wrong")
        eventually((state_dir / "logs" / "refusals.jsonl").exists)
        said = gateway.openclaw("status")
        done = gateway.openclaw("status", "--json")

    assert said.code == done.code == 0
    heads = [line[:10].strip() for line in said.out.splitlines()]
    for head in ("Gateway", "Config", "Devices", "Nodes", "Refused", "Store", "Service"):
        assert head in heads, said.out
    assert "lets this command in (admin-capable)" in said.out
    assert done.json["overview"]["devices"]["paired"] == 1
    assert done.json["lastRefusal"]["code"] == "AUTH_TOKEN_MISMATCH"
    assert len(said.out.splitlines()) < 24


def test_the_overview_works_with_the_gateway_down_and_names_who_waits(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        assert gateway.openclaw("devices", "list").code == 0
    said = openclaw(state_dir, "status", port=gateway.port)

    assert said.code == 0
    assert "not running" in said.out
    assert "1 paired, 0 pending" in said.out


def test_an_overview_of_nothing_writes_nothing(state_dir: Path) -> None:
    done = openclaw(state_dir, "status", "--json", port=free_port())

    assert done.code == 0
    assert not state_dir.exists()
    assert done.json["overview"]["devices"] == {
        "ok": None,
        "text": "0 paired, 0 pending",
        "remedy": None,
        "paired": 0,
        "pending": 0,
    }
