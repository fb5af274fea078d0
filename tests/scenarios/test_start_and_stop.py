"""A gateway starts once a state directory, says why it does not, and goes the way it is told to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import trio

from gateway.app import DRAIN_S, SAME_SIGNAL_WITHIN_S
from tests.scenarios.clients import knock, mute_guest, new_key
from tests.scenarios.programs import (
    Finished,
    eventually,
    free_port,
    openclaw,
    running,
    running_gateway,
)
from tests.scenarios.timing import timed_openclaw
from tests.wire import open_wire

pytestmark = pytest.mark.slow


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state; its folder exists."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


def refused_run(state_dir: Path, *words: str) -> tuple[Finished, float]:
    """Run a gateway that is to refuse; return what it did and how long it took, s."""
    done, took_s = timed_openclaw(state_dir, "gateway", "run", *words, env={}, timeout_s=10)
    assert "Traceback" not in done.err
    return done, took_s


@pytest.mark.parametrize("port", ["same", "another"])
def test_a_second_gateway_on_the_same_state_names_the_first(state_dir: Path, port: str) -> None:
    with running_gateway(state_dir) as gateway:
        number = gateway.port if port == "same" else free_port()

        done, took_s = refused_run(state_dir, "--port", str(number))
        still_well = gateway.openclaw("health")
        named = openclaw(state_dir, "gateway", "status")  # without the port, as it is offered

    assert done.code == 78
    assert took_s < 2.0
    assert f"pid {gateway.process.pid}" in done.err
    assert f"port {gateway.port}" in done.err
    assert re.search(r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", done.err)
    assert still_well.code == 0
    assert "`openclaw gateway status`" in done.err
    assert "`openclaw gateway restart`" in done.err
    assert "`openclaw health`" not in done.err, "it looks at the port of the file alone"
    assert f"listening on port {gateway.port}" in named.out


def test_a_foreign_program_on_the_port_is_named_as_foreign(state_dir: Path) -> None:
    port = free_port()
    with running(
        sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", port=port
    ) as foreign:
        done, took_s = refused_run(state_dir, "--port", str(port))

    assert done.code == 1
    assert took_s < 2.0
    assert f"port {port} on 127.0.0.1 is held by process {foreign.pid}" in done.err
    assert "http.server" in done.err
    assert "not a gateway of this state directory" in done.err


def test_a_gateway_of_other_state_on_the_port_is_foreign_too(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        other = state_dir.with_name(".openclaw-other")
        done, _ = refused_run(other, "--port", str(gateway.port))

    assert done.code == 1
    assert f"process {gateway.process.pid}" in done.err


def test_the_lock_of_a_killed_gateway_holds_nobody_up(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        assert gateway.end(signal.SIGKILL) == -signal.SIGKILL
    left = json.loads(state_dir.joinpath("gateway.lock").read_bytes())

    with running_gateway(state_dir, port=gateway.port) as again:
        done = again.openclaw("health")

    assert left["pid"] == gateway.process.pid
    assert done.code == 0


def test_a_lock_that_names_a_pid_used_again_holds_nobody_up(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    note = {"pid": os.getpid(), "port": 1, "startedAt": "2026-01-01T00:00:00Z", "startTime": 1}
    state_dir.joinpath("gateway.lock").write_text(json.dumps(note))

    with running_gateway(state_dir) as gateway:
        assert gateway.openclaw("health").code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
async def test_a_signal_tells_every_session_and_ends_with_0(
    state_dir: Path, number: signal.Signals
) -> None:
    with running_gateway(state_dir) as gateway, trio.fail_after(20):
        async with open_wire(gateway.port) as first, open_wire(gateway.port) as second:
            for wire in (first, second):
                assert (await wire.connect(key=new_key(), token=gateway.token))["ok"]
            gateway.tell(number)
            told = [await wire.event("shutdown") for wire in (first, second)]
            closes = [await wire.closed() for wire in (first, second)]
        code = await trio.to_thread.run_sync(gateway.process.wait)

    assert code == 0
    assert [frame["payload"]["reason"] for frame in told] == ["gateway stopping"] * 2
    assert closes == [(1012, "service restart")] * 2
    assert state_dir.joinpath("gateway.lock").read_bytes() == b""
    assert "Traceback" not in gateway.said()


def test_a_second_signal_ends_it_at_once(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway, mute_guest(gateway.port, gateway.token):
        gateway.tell(signal.SIGTERM)
        eventually(lambda: "stopping (SIGTERM)" in gateway.said())
        assert gateway.process.poll() is None
        time.sleep(SAME_SIGNAL_WITHIN_S + 0.1)  # within it, a second one is the first told again
        started = time.monotonic()
        code = gateway.end(signal.SIGTERM)
        took_s = time.monotonic() - started

    assert code == 128 + signal.SIGTERM
    assert took_s < DRAIN_S / 2
    assert "second signal" in gateway.said()


def test_a_guest_that_never_says_goodbye_does_not_keep_it(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway, mute_guest(gateway.port, gateway.token):
        started = time.monotonic()
        code = gateway.end(signal.SIGTERM)
        took_s = time.monotonic() - started

    assert code == 0
    assert took_s < DRAIN_S + 4


def test_a_hang_up_reloads_and_never_kills(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text('{gateway: {auth: {token: "the-first-token"}}}')
    with running_gateway(state_dir) as gateway:
        device = {"key": new_key()}
        assert knock(gateway.port, **device, token="the-first-token").admitted

        file.write_text('{gateway: {auth: {token: "the-second-token"}}}')
        gateway.tell(signal.SIGHUP)
        eventually(lambda: "config reloaded: gateway.auth.token" in gateway.said())
        second = knock(gateway.port, **device, token="the-second-token")
        first = knock(gateway.port, **device, token="the-first-token")
        gateway.tell(signal.SIGHUP)
        eventually(lambda: gateway.said().count("reload asked for") == 2)

    assert second.admitted
    assert first.details["code"] == "AUTH_TOKEN_MISMATCH"
    assert gateway.process.returncode == 0
    assert "the-second-token" not in gateway.said()


def test_a_hang_up_with_a_broken_file_changes_nothing(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        token = gateway.token
        state_dir.joinpath("openclaw.json").write_text("{\n  gateway: { prot: 1 }\n}")
        gateway.tell(signal.SIGHUP)
        eventually(lambda: "config reload skipped (invalid config): " in gateway.said())
        admitted = knock(gateway.port, key=new_key(), token=token).admitted

    assert admitted
    assert "openclaw.json:2" in gateway.said()


def test_it_stops_while_a_stranger_is_half_way_through_the_door(state_dir: Path) -> None:
    with (
        running_gateway(state_dir) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port)) as half,
    ):
        half.sendall(b"GET / HTTP/1.1\r\nHost:")
        started = time.monotonic()
        code = gateway.end(signal.SIGTERM)
        took_s = time.monotonic() - started

    assert code == 0
    assert took_s < DRAIN_S + 4
