"""Commands while the gateway is in trouble: its file broken or gone, its process stopped, hung or away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.programs import Gateway, eventually, openclaw, running_gateway

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "home").mkdir()
    with running_gateway(tmp_path / "home" / ".openclaw") as found:
        yield found
        found.process.send_signal(signal.SIGCONT)


def stopped(gateway: Gateway) -> Gateway:
    gateway.tell(signal.SIGSTOP)
    eventually(lambda: "T (" in Path(f"/proc/{gateway.process.pid}/status").read_text())
    return gateway


def config_of(gateway: Gateway) -> Path:
    return gateway.state_dir / "openclaw.json"


def test_a_broken_file_keeps_nobody_from_asking_the_gateway_that_runs(gateway: Gateway) -> None:
    config_of(gateway).write_text("{gateway: {prot: 1}}")

    health = gateway.openclaw("health")
    called = gateway.openclaw("gateway", "call", "health", "--json")
    listed = gateway.openclaw("devices", "list", "--json")

    assert (health.code, called.code, listed.code) == (0, 0, 0), health.err + called.err
    assert (
        "gateway.prot: unknown key; this asks with what the running gateway took in" in health.err
    )
    assert called.json["ok"] is True
    assert listed.json["source"] == "gateway"


def test_what_a_reload_or_restart_would_come_to_is_told_by_the_gateway(gateway: Gateway) -> None:
    config_of(gateway).write_text("{gateway: {prot: 1}}")

    reloaded = gateway.openclaw("gateway", "reload")
    restarted = gateway.openclaw("gateway", "restart")

    assert (reloaded.code, restarted.code) == (1, 1)
    assert "not reloaded: " in reloaded.err
    assert "not restarted: " in restarted.err
    assert f"Source: loopback, port of the running gateway in {gateway.state_dir}" in restarted.err
    assert gateway.openclaw("health").code == 0


def test_a_file_that_is_gone_is_named_and_the_gateway_asked(gateway: Gateway) -> None:
    config_of(gateway).unlink()

    done = gateway.openclaw("health")

    assert done.code == 0, done.err
    assert f"warning: {config_of(gateway)} is gone" in done.err


def test_a_broken_file_and_no_gateway_is_a_failure(gateway: Gateway) -> None:
    gateway.end()
    config_of(gateway).write_text("{gateway: {prot: 1}}")

    done = gateway.openclaw("health", "--json")

    assert done.code == 1
    assert done.json["error"]["type"] == "config"


def test_a_stopped_process_is_named_with_what_lets_it_go_on(gateway: Gateway) -> None:
    pid = stopped(gateway).process.pid

    began_s = time.monotonic()
    health = gateway.openclaw("health", "--json")
    took_s = time.monotonic() - began_s
    reloaded = gateway.openclaw("gateway", "reload")
    restarted = gateway.openclaw("gateway", "restart")

    assert (health.code, health.json["error"]["kind"]) == (3, "timeout")
    assert f"(pid {pid}) is stopped by a signal" in health.json["error"]["message"]
    for done in (health, reloaded, restarted):
        assert f"`kill -CONT {pid}`" in done.err
    assert took_s < 5, "that it waits in vain is known"
    assert reloaded.code == 1
    assert "reloads nothing" in reloaded.err


def test_a_stopped_process_can_be_ended(gateway: Gateway) -> None:
    stopped(gateway)

    done = gateway.openclaw("gateway", "stop")

    assert done.code == 0, done.err
    assert gateway.process.wait(5) == 0


def test_without_a_gateway_and_a_secret_both_are_told(tmp_path: Path) -> None:
    done = openclaw(tmp_path / ".openclaw", "health", port=1)

    assert done.code == 3
    assert done.err.startswith("nothing listens on port 1 of this machine, and no credential for")
    assert "Start the gateway with `openclaw gateway run`, which makes a token" in done.err


def test_without_a_secret_for_the_gateway_that_listens_its_holder_is_named(
    gateway: Gateway, tmp_path: Path
) -> None:
    done = openclaw(tmp_path / "other", "health", port=gateway.port)

    assert done.code == 1
    assert f"; the port is held by process {gateway.process.pid} of user " in done.err
    assert "See whose gateway that is with `openclaw gateway status`" in done.err
