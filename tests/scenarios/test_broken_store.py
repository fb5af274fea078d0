"""A store file that holds rubbish: known devices keep working, the rubbish is kept, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import eventually, running_gateway

pytestmark = pytest.mark.slow

RUBBISH = [
    pytest.param(b'{"abc": {"deviceId"', id="cut-short"),
    pytest.param(b"", id="empty"),
    pytest.param(b"[]", id="array"),
    pytest.param(b"\xff\xfe garbage \x00", id="not-utf-8"),
]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state."""
    return tmp_path / "home" / ".openclaw"


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_under_a_running_gateway_nothing_stops_and_nothing_is_lost(
    state_dir: Path, rubbish: bytes
) -> None:
    with running_gateway(state_dir) as gateway:
        known, newcomer = stranger(gateway.token), stranger(gateway.token)
        request_id = knock(gateway.port, **known).request_id
        assert gateway.openclaw("devices", "approve", request_id).code == 0
        paired = gateway.devices / "paired.json"

        paired.write_bytes(rubbish)
        eventually(lambda: str(paired) in knock_health(gateway))
        still_in = knock(gateway.port, **known).admitted
        listed = gateway.openclaw("devices", "list", "--json")
        aside = gateway.openclaw("devices", "list", "--offline", "--json")
        untouched = paired.read_bytes()
        newcomer_id = knock(gateway.port, **newcomer).request_id
        approved = gateway.openclaw("devices", "approve", newcomer_id)

    assert still_in
    ids = {item["deviceId"] for item in listed.json["paired"]}
    assert known["key"].device_id in ids
    assert aside.code == 0
    assert {item["deviceId"] for item in aside.json["paired"]} == ids
    assert str(paired) in aside.err
    assert untouched == rubbish
    assert approved.code == 0, approved
    assert {known["key"].device_id, newcomer["key"].device_id} <= json.loads(
        paired.read_bytes()
    ).keys()
    (kept,) = gateway.devices.glob("paired.json.corrupt-*")
    assert kept.read_bytes() == rubbish
    assert kept.stat().st_mode & 0o777 == 0o600


def knock_health(gateway) -> str:
    """Return the problems that a gateway tells its owner."""
    done = gateway.openclaw("gateway", "call", "health", "--json")
    assert done.code == 0, done
    return str(done.json["problems"])


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_gateway_that_starts_on_it_lets_known_devices_in(state_dir: Path, rubbish: bytes) -> None:
    with running_gateway(state_dir) as gateway:
        known = stranger(gateway.token)
        assert (
            gateway.openclaw("devices", "approve", knock(gateway.port, **known).request_id).code
            == 0
        )
    paired = gateway.devices / "paired.json"
    paired.write_bytes(rubbish)

    with running_gateway(state_dir) as gateway:
        admitted = knock(gateway.port, **known).admitted
        said = gateway.said()

    assert admitted
    assert str(paired) in said


@pytest.mark.parametrize("road", [(), ("--offline",)], ids=["websocket", "files"])
def test_with_nothing_known_rubbish_is_not_overwritten(
    state_dir: Path, road: tuple[str, ...]
) -> None:
    with running_gateway(state_dir) as gateway:
        device = stranger(gateway.token)
        request_id = knock(gateway.port, **device).request_id
    paired = gateway.devices / "paired.json"
    paired.write_bytes(b"not json")
    paired.with_name("paired.json.bak").unlink(missing_ok=True)

    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("devices", "approve", request_id, *road)

    assert done.code == 1, done
    assert str(paired) in done.err
    assert paired.read_bytes() == b"not json"


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_in_the_pending_file_keeps_nobody_out(state_dir: Path, rubbish: bytes) -> None:
    with running_gateway(state_dir) as gateway:
        known, newcomer = stranger(gateway.token), stranger(gateway.token)
        assert (
            gateway.openclaw("devices", "approve", knock(gateway.port, **known).request_id).code
            == 0
        )
        gateway.devices.joinpath("pending.json").write_bytes(rubbish)

        still_in = knock(gateway.port, **known).admitted
        request_id = knock(gateway.port, **newcomer).request_id
        approved = gateway.openclaw("devices", "approve", request_id)
        let_in = knock(gateway.port, **newcomer).admitted

    assert still_in
    assert approved.code == 0, approved
    assert let_in
