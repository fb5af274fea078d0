"""A request that expired, was superseded or decided before it was approved: told, never guessed."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    OPENCLAW,
    Gateway,
    environment,
    eventually,
    free_port,
    running_gateway,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state."""
    return tmp_path / "home" / ".openclaw"


def short_lived(state_dir: Path) -> int:
    """Let requests live for a second; return the port of the gateway."""
    port = free_port()
    state_dir.mkdir(parents=True, mode=0o700)
    gateway = {"port": port, "pairing": {"requestTtlMs": 1_000}}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": gateway}))
    return port


ROADS = pytest.mark.parametrize("road", [(), ("--offline",)], ids=["gateway-first", "files"])


@ROADS
def test_an_expired_request_is_told_and_what_waits_instead(
    state_dir: Path, road: tuple[str, ...]
) -> None:
    port = short_lived(state_dir)
    with running_gateway(state_dir, port=port) as gateway:
        device = stranger(gateway.token)
        old = knock(port, **device).request_id
        eventually(lambda: gateway.audit("device.expired"))

        expired = gateway.openclaw("devices", "approve", old, *road)
        new = knock(port, **device | {"scopes": ("operator.read", "operator.write")}).request_id
        again = gateway.openclaw("devices", "approve", old, "--json", *road)

    assert expired.code == 1
    assert f"equest {old} expired" in expired.err
    assert "et the device try again" in expired.err
    assert again.code == 1
    assert new != old
    assert f"openclaw devices approve {new}" in json.dumps(again.json)
    assert device["key"].device_id not in gateway.kept("paired.json")


@ROADS
def test_a_request_that_was_superseded_names_the_one_that_waits(
    state_dir: Path, road: tuple[str, ...]
) -> None:
    with running_gateway(state_dir) as gateway:
        device = stranger(gateway.token)
        old = knock(gateway.port, **device).request_id
        more = device | {"scopes": ("operator.read", "operator.admin")}
        new = knock(gateway.port, **more).request_id

        done = gateway.openclaw("devices", "approve", old, *road)
        listed = gateway.openclaw("devices", "list", "--json")

    assert done.code == 1
    assert f"superseded by {new}" in done.err
    assert f"openclaw devices approve {new}" in done.err
    assert [item["requestId"] for item in listed.json["pending"]] == [new]


def test_a_client_that_keeps_trying_keeps_its_code(state_dir: Path) -> None:
    port = short_lived(state_dir)
    with running_gateway(state_dir, port=port) as gateway:
        device = stranger(gateway.token)
        ids = set()
        started = time.monotonic()
        while time.monotonic() - started < 2.5:
            ids.add(knock(port, **device).request_id)
        approved = gateway.openclaw("devices", "approve", ids.pop())

    assert ids == set()
    assert approved.code == 0, approved
    assert len(gateway.audit("device.requested")) == 1


@ROADS
@pytest.mark.parametrize("words", [(), ("--latest",)], ids=["no-id", "latest"])
def test_without_an_id_nobody_is_let_in(
    state_dir: Path, road: tuple[str, ...], words: tuple[str, ...]
) -> None:
    with running_gateway(state_dir) as gateway:
        request_id = knock(gateway.port, **stranger(gateway.token)).request_id
        done = gateway.openclaw("devices", "approve", *words, *road)

    assert done.code == 1
    assert f"openclaw devices approve {request_id}" in done.err
    assert request_id in gateway.kept("pending.json")


def waiting_command(gateway: Gateway, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start ``approve --wait`` on a terminal; return it and the other end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*OPENCLAW, "devices", "approve", "--wait", *words],
        env=environment(gateway.state_dir) | {"OPENCLAW_GATEWAY_PORT": str(gateway.port)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, ours


def read_until(terminal: int, wanted: str, *, within_s: float = 10.0) -> str:
    """Return what a terminal shows, up to a text and whatever came with it."""
    shown = ""
    deadline = time.monotonic() + within_s
    while wanted not in shown:
        left_s = deadline - time.monotonic()
        assert left_s > 0, shown
        if select.select([terminal], [], [], left_s)[0]:
            shown += os.read(terminal, 65_536).decode()
    return shown


def test_waiting_shows_the_request_and_lets_it_in_when_told(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        device = stranger(gateway.token)
        process, terminal = waiting_command(gateway)
        read_until(terminal, "Waiting until a device asks")
        request_id = knock(gateway.port, **device).request_id
        shown = read_until(terminal, "[y/N]")
        os.write(terminal, b"y\n")
        said = read_until(terminal, "at its next try")
        code = process.wait(10)
        os.close(terminal)
        admitted = knock(gateway.port, **device).admitted

    assert re.search(rf"{request_id}\b", shown)
    assert "asks for    operator: read" in shown
    assert "has         nothing: a new device" in shown
    assert "untrusted-proxy" in shown
    assert f"({request_id})" in said
    assert (code, admitted) == (0, True)


def test_waiting_ends_with_ctrl_c_and_130(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        process, terminal = waiting_command(gateway)
        read_until(terminal, "Waiting until a device asks")
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        os.close(terminal)

    assert code == 130


def test_waiting_for_one_device_lets_in_that_one_alone(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        awaited, other = stranger(gateway.token), stranger(gateway.token)
        device_id = awaited["key"].device_id
        process, terminal = waiting_command(gateway, "--device", device_id, "--yes")
        read_until(terminal, "Waiting until device")
        knock(gateway.port, **other)
        knock(gateway.port, **awaited)
        read_until(terminal, f"Approved {device_id}")
        code = process.wait(10)
        os.close(terminal)
        let_in = (knock(gateway.port, **awaited).admitted, knock(gateway.port, **other).admitted)

    assert code == 0
    assert let_in == (True, False)
