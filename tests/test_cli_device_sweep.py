"""`openclaw devices prune` and `clear`: many devices forgotten at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import device_sweep
from stores.identity import open_identity
from tests.machine import Machine, now_ms
from tests.peers import FakeGateway, closed_port, listening

DAY_MS = 86_400_000
ID, OTHER = "ab" * 32, "cd" * 32
LISTED = {
    "pending": [],
    "paired": [
        {"deviceId": ID, "displayName": "tablet", "tokens": [{"role": "operator"}]},
        {"deviceId": OTHER, "label": "desk", "tokens": [{"role": "operator"}, {"role": "node"}]},
    ],
}


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    return Machine(tmp_path / "state", capsys)


def test_a_clear_needs_its_yes_and_says_what_it_would_take(machine: Machine):
    machine.pair()
    machine.knock()

    ran = machine.run("devices", "clear", "--offline")

    assert ran.code == 2
    assert "1 paired device and 1 request" in ran.err
    assert "openclaw devices clear --offline --yes" in ran.err
    assert len(machine.store.read().paired) == 1


def test_a_clear_of_requests_keeps_the_devices(machine: Machine):
    device_id, item = machine.pair(), machine.knock()

    ran = machine.run("devices", "clear", "--pending", "--yes", "--offline", "--json")
    left = machine.store.read()
    all_of_it = machine.run("devices", "clear", "--yes", "--offline")

    assert ran.json == {"removedDevices": [], "rejectedPending": [item.request_id]}
    assert left.paired.keys() == {device_id}
    assert all_of_it.out == "Cleared 1 paired device\n"
    assert machine.store.read().paired == {}


def test_over_the_gateway_this_machine_goes_last(machine: Machine):
    own = open_identity(machine.state_dir / "identity", now_ms=now_ms())
    devices = [{"deviceId": own.device_id}, {"deviceId": ID}]
    waits = {"requestId": "AB23-CD45", "deviceId": OTHER}
    gateway = FakeGateway(
        answers={
            "device.pair.list": {"pending": [waits], "paired": devices},
            "device.pair.reject": {},
            "device.pair.remove": {},
        }
    )

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "clear", "--yes", "--json")

    expected = {"removedDevices": [ID, own.device_id], "rejectedPending": ["AB23-CD45"]}
    assert ran.json == expected
    assert [params for method, params in gateway.requests if method == "device.pair.remove"] == [
        {"deviceId": ID},
        {"deviceId": own.device_id},
    ]


def test_a_sweep_that_stops_says_how_far_it_got(machine: Machine):
    error = {"code": "FORBIDDEN", "message": "missing scope: operator.admin"}
    answers = {"device.pair.list": LISTED, "device.pair.remove": error}

    with listening(FakeGateway(answers=answers)) as port:
        machine.configure(port)
        ran = machine.run("devices", "clear", "--yes")

    assert ran.code == 1
    assert "0 devices of 2 had been removed" in ran.err


def test_old_devices_are_shown_before_they_go(machine: Machine):
    old, new = machine.pair("old", ago_ms=100 * DAY_MS), machine.pair("new")

    shown = machine.run("devices", "prune", "--older-than", "90d", "--dry-run", "--offline")
    kept = machine.store.read().paired.keys()
    ran = machine.run("devices", "prune", "--older-than", "90d", "--yes", "--offline", "--json")

    assert "old" in shown.err
    assert "new" not in shown.err
    assert "1 device not seen for 90d; nothing was changed" in shown.out
    assert kept == {old, new}
    assert ran.json == {"removedDevices": [old], "rejectedPending": []}
    assert machine.store.read().paired.keys() == {new}


def test_over_the_gateway_who_is_connected_is_not_old(machine: Machine):
    at_ms = now_ms() - 100 * DAY_MS
    here = {"deviceId": ID, "approvedAtMs": at_ms, "connected": True}
    away = {"deviceId": OTHER, "approvedAtMs": at_ms, "connected": False}
    seen = {"deviceId": "ef" * 32, "approvedAtMs": at_ms, "lastSeenAtMs": now_ms()}
    listed = {"pending": [], "paired": [here, away, seen]}
    gateway = FakeGateway(answers={"device.pair.list": listed, "device.pair.remove": {}})

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "prune", "--older-than", "90 d", "--yes", "--json")

    assert ran.json["removedDevices"] == [OTHER]


@pytest.mark.parametrize("span", ["", "90", "d", "soon", "-3d", "0d", "90y"])
def test_a_span_that_is_none_prunes_nothing(machine: Machine, span: str):
    ran = machine.run("devices", "prune", f"--older-than={span}", "--yes", "--offline")

    assert ran.code == 2
    assert "90d" in ran.err


def test_many_over_the_gateway_are_told_how_it_goes_and_what_is_one_step(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(device_sweep, "MANY", 2)
    devices = [{"deviceId": f"{number:02}" * 32} for number in range(3)]
    gateway = FakeGateway(
        answers={"device.pair.list": {"pending": [], "paired": devices}, "device.pair.remove": {}}
    )

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "clear", "--yes")

    assert ran.out == "Cleared 3 paired devices\n"
    assert "`openclaw devices clear --yes --offline` is one step" in ran.err
    assert "2 of 3 removed" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "devices clear --pending --yes",
        "devices prune --older-than 90d --dry-run",
        "devices rotate abcdef0123456789 --role operator --no-scopes --yes",
        "devices rotate abcdef0123456789 --scope operator.read --scope operator.write --yes",
    ],
)
def test_a_way_without_the_gateway_is_the_whole_command_that_was_typed(
    machine: Machine, words: str
):
    """What narrows a command must not get lost: without --pending, `clear` forgets everything."""
    machine.configure(closed_port())

    ran = machine.run(*words.split(), "--timeout", "3000")

    assert ran.code == 3
    assert f"`openclaw {words} --offline`" in ran.err


def test_what_to_type_next_is_for_the_same_gateway(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    item = machine.knock()
    monkeypatch.delenv("OPENCLAW_STATE_DIR")
    monkeypatch.setenv("HOME", str(machine.state_dir.parent))
    machine.state_dir.rename(machine.state_dir.with_name(".openclaw-box"))
    gateway = FakeGateway({"device.pair.list": {"pending": [{"requestId": "A"}], "paired": []}})

    here = machine.run("--profile", "box", "devices", "list", "--offline")
    with listening(gateway) as port:
        url = f"ws://127.0.0.1:{port}/x"
        there = machine.run("devices", "list", "--url", url, "--token", "t")

    assert f"Let one in: openclaw --profile box devices approve {item.request_id}\n" in here.out
    assert f"Let one in: openclaw devices approve A --url {url}\n" in there.out


def test_a_way_without_the_gateway_keeps_the_profile(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    machine.configure(closed_port())
    monkeypatch.delenv("OPENCLAW_STATE_DIR")
    monkeypatch.setenv("HOME", str(machine.state_dir.parent))
    machine.state_dir.rename(machine.state_dir.with_name(".openclaw-box"))

    ran = machine.run("--profile", "box", "devices", "clear", "--pending", "--yes")

    assert "`openclaw --profile box devices clear --pending --yes --offline`" in ran.err
