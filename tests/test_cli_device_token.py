"""`openclaw devices rotate` and `revoke`: a token replaced or ended, and none of them shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores.identity import TokenCache, open_identity
from tests.machine import Machine, now_ms
from tests.peers import FakeGateway, listening

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


def test_no_rotation_shows_a_token(machine: Machine):
    device_id = machine.pair("tablet")

    plain = machine.run("devices", "rotate", "tablet", "--yes", "--offline")
    first = machine.store.read().paired[device_id].tokens["operator"].token
    as_json = machine.run(
        "devices", "rotate", "--device", device_id, "--role", "operator", "--scope",
        "operator.read", "--yes", "--offline", "--json",
    )  # fmt: skip
    token = machine.store.read().paired[device_id].tokens["operator"]

    assert as_json.json.keys() == {"deviceId", "role", "scopes", "rotatedAtMs", "tokenDelivery"}
    assert as_json.json["tokenDelivery"] == "withheld-cross-device"
    assert token.scopes == ("operator.read",)
    for ran in (plain, as_json):
        assert first not in ran.out + ran.err
        assert token.token not in ran.out + ran.err


def test_the_token_of_this_machine_itself_goes_where_its_commands_look(machine: Machine):
    own = open_identity(machine.state_dir / "identity", now_ms=now_ms())
    machine.pair(key=own.key)

    ran = machine.run("devices", "rotate", own.device_id, "--yes", "--offline")
    token = machine.store.read().paired[own.device_id].tokens["operator"].token
    kept = TokenCache(machine.state_dir / "identity", own.device_id).get("operator")

    assert kept is not None
    assert kept.token == token
    assert token not in ran.out + ran.err


def test_the_token_a_gateway_gives_back_is_kept_and_not_shown(machine: Machine):
    own = open_identity(machine.state_dir / "identity", now_ms=now_ms())
    answer = {"deviceId": own.device_id, "role": "operator", "scopes": [], "rotatedAtMs": 1}
    answer |= {"tokenDelivery": "in-band", "token": "S3CRET-OF-OURS"}
    ours = {"deviceId": own.device_id, "tokens": [{"role": "operator"}]}
    listed = {"pending": [], "paired": [ours]}
    gateway = FakeGateway(answers={"device.pair.list": listed, "device.token.rotate": answer})

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "rotate", own.device_id[:8], "--no-scopes", "--yes", "--json")

    kept = TokenCache(machine.state_dir / "identity", own.device_id).get("operator")
    assert kept is not None
    assert kept.token == "S3CRET-OF-OURS"
    assert "S3CRET" not in ran.out + ran.err
    params = {"deviceId": own.device_id, "role": "operator", "scopes": []}
    assert gateway.requests[-1] == ("device.token.rotate", params)


def test_the_token_of_another_device_is_kept_nowhere(machine: Machine):
    open_identity(machine.state_dir / "identity", now_ms=now_ms())
    answer = {"deviceId": ID, "role": "operator", "scopes": [], "token": "S3CRET-OF-ANOTHER"}
    gateway = FakeGateway(answers={"device.pair.list": LISTED, "device.token.rotate": answer})

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "rotate", ID, "--yes")

    assert ran.code == 0
    assert "S3CRET" not in ran.out + ran.err
    kept = machine.state_dir / "identity" / "device-auth.json"
    assert not kept.exists() or "S3CRET" not in kept.read_text()


def test_a_rotation_widens_nothing(machine: Machine):
    device_id = machine.pair(scopes=("operator.read",))

    words = ("--scope", "admin", "--yes", "--offline")
    ran = machine.run("devices", "rotate", device_id, *words)

    assert ran.code == 1
    assert "was not approved for operator.admin" in ran.err


def test_a_token_that_was_revoked_is_dead(machine: Machine):
    device_id = machine.pair("tablet")

    ran = machine.run("devices", "revoke", "tablet", "--yes", "--offline", "--json")

    assert ran.json.keys() == {"deviceId", "role", "revokedAtMs"}
    assert machine.store.read().paired[device_id].live_token("operator") is None


def test_of_two_roles_one_must_be_named(machine: Machine):
    with listening(FakeGateway(answers={"device.pair.list": LISTED})) as port:
        machine.configure(port)
        ran = machine.run("devices", "revoke", "desk", "--yes")

    assert ran.code == 2
    assert "operator, node" in ran.err
    assert "--role" in ran.err
