"""A device nobody knows knocks, is told what to type, and is in once an operator typed it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.scenarios.clients import READ, knock, new_key, stranger
from tests.scenarios.programs import FORWARDS, Gateway, eventually, running_gateway, running_nginx

pytestmark = pytest.mark.slow

ROADS = [pytest.param((), id="websocket"), pytest.param(("--offline",), id="files")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for all tests of this file; every test brings devices of its own."""
    home = tmp_path_factory.mktemp("home")
    with running_gateway(home / ".openclaw") as gateway:
        yield gateway


@pytest.mark.real("nginx")
def test_a_stranger_is_told_id_and_command_in_every_place(gateway: Gateway, tmp_path: Path) -> None:
    key = new_key()

    with running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy:
        refused = knock(proxy, key=key, token=gateway.token, scopes=READ)

    request_id = refused.request_id
    command = f"openclaw devices approve {request_id}"
    assert refused.error["code"] == "NOT_PAIRED"
    assert refused.error["message"] == f"pairing required: run {command} (requestId: {request_id})"
    assert refused.close == (1008, refused.error["message"])
    assert refused.details["reason"] == "not-paired"
    assert refused.details["authenticated"] is True
    assert refused.details["remedy"]["command"] == command
    assert refused.details["remedy"]["where"] == "gateway-host"
    assert gateway.kept("pending.json")[request_id]["deviceId"] == key.device_id
    lines = [line["message"] for line in gateway.logged() if request_id in line["message"]]
    (line,) = [line for line in lines if line.startswith("closed before connect conn=")]
    assert "remote=127.0.0.1 fwd=127.0.0.1 origin=n/a host=127.0.0.1:" in line
    assert f"code=1008 reason={refused.error['message']}" in line
    lives = f"OPENCLAW_STATE_DIR={gateway.state_dir} OPENCLAW_GATEWAY_PORT={gateway.port}"
    assert line.endswith(f"run: {lives} {command}")
    assert line in gateway.said()


SPELLINGS = [
    pytest.param(str, id="as-shown"),
    pytest.param(str.lower, id="lower-case"),
    pytest.param(lambda code: code.replace("-", ""), id="without-dash"),
    pytest.param(lambda code: f"  {code.lower().replace('-', '')} ", id="with-spaces"),
]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("spelt", SPELLINGS)
def test_an_id_in_any_spelling_lets_the_device_in_at_its_next_try(
    gateway: Gateway, road: tuple[str, ...], spelt
) -> None:
    device = stranger(gateway.token)
    refused = knock(gateway.port, **device)

    approved = gateway.openclaw("devices", "approve", spelt(refused.request_id), *road)
    admitted = knock(gateway.port, **device)

    assert approved.code == 0, approved
    assert refused.request_id in approved.out
    assert admitted.auth["scopes"] == list(READ)


@pytest.mark.parametrize("road", ROADS)
def test_a_device_id_does_instead_of_the_request_id(
    gateway: Gateway, road: tuple[str, ...]
) -> None:
    device = stranger(gateway.token)
    knock(gateway.port, **device)

    approved = gateway.openclaw("devices", "approve", device["key"].device_id, *road)

    assert approved.code == 0, approved
    assert knock(gateway.port, **device).admitted


def test_an_approval_in_the_files_is_noticed_within_a_second(gateway: Gateway) -> None:
    device = stranger(gateway.token)
    request_id = knock(gateway.port, **device).request_id

    assert gateway.openclaw("devices", "approve", request_id, "--offline").code == 0
    # Nobody knocks meanwhile: the gateway notices by itself.
    eventually(lambda: f"pairing request {request_id}: approved" in gateway.said())
    (line,) = (one for one in gateway.logged() if f"{request_id}: approved" in one["message"])
    approved_s = (gateway.devices / "paired.json").stat().st_mtime

    # By both programs' own clocks: what this one needs to look does not count.
    assert datetime.fromisoformat(line["time"]).timestamp() - approved_s < 1.5


@pytest.mark.parametrize("road", ROADS)
def test_a_rejected_device_stays_out_and_may_ask_again(
    gateway: Gateway, road: tuple[str, ...]
) -> None:
    device = stranger(gateway.token)
    request_id = knock(gateway.port, **device).request_id

    rejected = gateway.openclaw("devices", "reject", request_id.lower(), *road)

    assert rejected.code == 0, rejected
    assert request_id not in gateway.kept("pending.json")
    assert knock(gateway.port, **device).request_id == request_id
    assert request_id in [line["requestId"] for line in gateway.audit("device.rejected")]


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("road", ROADS)
def test_nothing_is_decided_about_a_device_nobody_named(
    gateway: Gateway, verb: str, road: tuple[str, ...]
) -> None:
    device = stranger(gateway.token)
    request_id = knock(gateway.port, **device).request_id

    listed = gateway.openclaw("devices", verb, *road)

    assert listed.code == 1
    assert request_id in listed.out
    alone = len(gateway.kept("pending.json")) == 1
    assert f"openclaw devices {verb} {request_id if alone else 'CODE'}" in listed.err
    assert alone or request_id not in listed.err
    assert request_id in gateway.kept("pending.json")


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("road", ROADS)
def test_an_unknown_id_decides_nothing(gateway: Gateway, verb: str, road: tuple[str, ...]) -> None:
    done = gateway.openclaw("devices", verb, "2222-2222", "--json", *road)

    assert done.code == 1
    assert done.json["error"]["type"] == "request"
    assert done.json["exitCode"] == 1
    assert "openclaw devices list" in done.err


def test_the_same_wish_has_the_same_id_and_a_wider_one_another(gateway: Gateway) -> None:
    device = stranger(gateway.token)

    first = knock(gateway.port, **device).request_id
    again = knock(gateway.port, **device).request_id
    wider = knock(
        gateway.port, **device | {"scopes": ("operator.read", "operator.write")}
    ).request_id

    assert again == first
    assert wider != first
    own = {
        request_id
        for request_id, item in gateway.kept("pending.json").items()
        if item["deviceId"] == device["key"].device_id
    }
    assert own == {wider}
    assert gateway.openclaw("devices", "approve", first).code == 1


def test_an_id_outlives_the_request_it_names(tmp_path: Path) -> None:
    state_dir = tmp_path / ".openclaw"
    state_dir.mkdir(mode=0o700)
    (state_dir / "openclaw.json").write_text("{gateway: {pairing: {requestTtlMs: 1000}}}")

    with running_gateway(state_dir) as gateway:
        device = stranger(gateway.token)
        request_id = knock(gateway.port, **device).request_id
        began = time.monotonic()
        eventually(lambda: request_id not in gateway.kept("pending.json"), within_s=5)
        too_late = gateway.openclaw("devices", "approve", request_id)
        again = knock(gateway.port, **device).request_id

    assert time.monotonic() - began > 0.9
    assert too_late.code == 1
    assert again == request_id
    assert [line["requestId"] for line in gateway.audit("device.expired")] == [request_id]
