"""The keys of published reports: there with nobody listening, and true of a gateway that runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine
from tests.scenarios.programs import free_port, openclaw, running_gateway

TOKEN = "T0KEN"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def machine(
    tmp_path: Path,
    port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/opt/openclaw/bin/openclaw"])
    # asking a service manager takes longer than all the rest
    monkeypatch.setattr("cli.service.report.is_running_systemd", lambda: False)
    machine = Machine(tmp_path / ".openclaw", capsys)
    machine.configure(port)
    return machine


def test_a_status_says_that_nothing_is_reachable(machine: Machine, port: int):
    told = machine.run("status", "--json").json

    gateway = told["gateway"]
    assert gateway["mode"] == "local"
    assert gateway["reachable"] is False
    assert gateway["misconfigured"] is False
    assert gateway["connectLatencyMs"] is None
    assert f"nothing listens at 127.0.0.1:{port}" in gateway["error"]
    assert told["gatewayService"]["installed"] is False
    assert told["gatewayService"]["managedByOpenClaw"] is False
    assert told["gatewayService"]["loaded"] is False
    assert told["os"]["platform"] == "linux"


def test_a_status_of_the_gateway_says_where_it_would_listen(machine: Machine, port: int):
    machine.configure(port, bind="lan", controlUi={"basePath": "/ui"})

    told = machine.run("gateway", "status", "--json").json

    url = f"ws://127.0.0.1:{port}"
    gateway = told["gateway"]
    assert (gateway["bindMode"], gateway["bindHost"]) == ("lan", "0.0.0.0")
    assert gateway["portSource"] == f"gateway.port in {machine.state_dir / 'openclaw.json'}"
    assert gateway["probeUrl"] == told["rpc"]["url"] == url
    assert gateway["controlUiLinks"] == {
        "httpUrl": f"http://127.0.0.1:{port}/ui/",
        "wsUrl": f"{url}/ui",
    }
    assert told["port"]["listeners"] == []
    assert told["service"]["runtime"]["status"] == "stopped"
    assert told["service"]["runtime"]["missingUnit"] is True
    assert told["service"]["label"] == "systemd"
    assert told["rpc"]["auth"] == {"role": None, "scopes": [], "capability": "unknown"}
    assert told["cli"]["entrypoint"] == sys.argv[0]
    assert told["extraServices"] == []


@pytest.mark.parametrize(
    ("keys", "host"),
    [
        pytest.param({}, "127.0.0.1", id="loopback"),
        pytest.param({"bind": "custom", "customBindHost": "192.0.2.7"}, "192.0.2.7", id="custom"),
        pytest.param({"bind": "tailnet"}, None, id="of-an-interface"),
    ],
)
def test_the_address_of_a_bind(machine: Machine, port: int, keys: dict[str, Any], host: str):
    machine.configure(port, **keys)

    gateway = machine.run("gateway", "status", "--json").json["gateway"]

    assert gateway["bindMode"] == keys.get("bind", "loopback")
    assert gateway["bindHost"] == host


def test_of_a_gateway_elsewhere_nothing_is_said_that_only_it_knows(machine: Machine):
    words = ("--url", f"ws://127.0.0.1:{free_port()}", "--token", "x", "--json")

    gateway = machine.run("gateway", "status", *words).json["gateway"]

    assert gateway["mode"] == "remote"
    assert (gateway["bindMode"], gateway["bindHost"], gateway["controlUiLinks"]) == (None,) * 3


def test_without_a_target_a_status_says_so(machine: Machine, port: int):
    machine.configure(port, mode="remote")

    gateway = machine.run("gateway", "status", "--json").json["gateway"]

    assert gateway["misconfigured"] is True
    assert "gateway.remote.url is not set" in gateway["error"]
    assert gateway["portSource"] is gateway["probeUrl"] is None


def test_a_unit_of_somebody_else_is_managed_by_them(machine: Machine):
    unit = machine.state_dir.parent / ".config" / "systemd" / "user" / "openclaw-gateway.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")

    service = machine.run("status", "--json").json["gatewayService"]

    assert service["installed"] is service["externallyManaged"] is True
    assert service["managedByOpenClaw"] is False
    assert service["runtime"]["status"] == "unknown"
    assert service["configAudit"]["ok"] is False


def test_a_probe_that_nobody_answers_has_its_target(machine: Machine, port: int):
    told = machine.run("gateway", "probe", "--json").json

    (target,) = told["targets"]
    assert target["id"] == target["kind"] == "localLoopback"
    assert target["url"] == f"ws://127.0.0.1:{port}"
    assert target["connect"]["ok"] is False
    assert told["primaryTargetId"] is None
    assert told["capability"] == "unknown"
    assert told["degraded"] is False
    assert told["durationMs"] >= 0
    assert told["timeoutMs"] == 3000


def test_a_unit_is_printed_as_json_where_json_is_asked_for(machine: Machine, tmp_path: Path):
    program = tmp_path / "openclaw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    sys.argv[0] = str(program)

    said = machine.run("gateway", "install", "--print").out
    told = machine.run("gateway", "install", "--print", "--json").json

    assert told == {"unit": said}


@pytest.mark.slow
def test_reports_on_a_gateway_that_runs(tmp_path: Path):
    state_dir = tmp_path / ".openclaw"
    with running_gateway(state_dir) as gateway:
        assert gateway.openclaw("devices", "list").code == 0
        status = gateway.openclaw("status", "--json").json
        of_gateway = gateway.openclaw("gateway", "status", "--json").json
        probe = gateway.openclaw("gateway", "probe", "--json").json
        named = gateway.openclaw("gateway", "probe", "--url", gateway.url, "--json").json
        token, pid = gateway.token, gateway.process.pid

    assert status["gateway"]["reachable"] is True
    assert status["gateway"]["connectLatencyMs"] >= 0
    assert status["gateway"]["error"] is None
    assert status["gateway"]["self"] == {"version": status["runtimeVersion"]}
    (listener,) = of_gateway["port"]["listeners"]
    assert listener["pid"] == pid
    assert of_gateway["rpc"]["auth"]["role"] == "operator"
    assert of_gateway["rpc"]["auth"]["capability"] == probe["capability"] == "admin_capable"
    assert probe["primaryTargetId"] == "localLoopback"
    assert probe["targets"][0]["connect"]["rpcOk"] is True
    assert named["targets"][0]["url"] == gateway.url
    assert token not in json.dumps([status, of_gateway, probe, named])


@pytest.mark.slow
def test_a_refused_device_is_at_a_gateway_that_is_reachable(tmp_path: Path):
    with running_gateway(tmp_path / ".openclaw") as gateway:
        told = gateway.openclaw("status", "--token", "wrong", "--json").json["gateway"]

    assert told["reachable"] is True
    assert "token mismatch" in told["error"]


@pytest.mark.slow
def test_a_restart_says_its_url(tmp_path: Path):
    state_dir = tmp_path / ".openclaw"
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("gateway", "restart", "--json")
        log = openclaw(state_dir, "logs", "--json")

    assert done.json["url"] == gateway.url
    lines = [json.loads(line) for line in log.out.splitlines()]
    assert lines
    assert {line["type"] for line in lines} == {"log"}
