"""Words of published command lines: taken, done where that is sensible, and else told of."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from cli.late_group import LateGroup
from cli.main import root
from cli.published_options import Span
from tests.machine import Machine
from tests.scenarios.programs import free_port, openclaw, running_gateway


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def machine(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    # asking a service manager takes longer than all the rest
    monkeypatch.setattr("cli.service.report.is_running_systemd", lambda: False)
    machine = Machine(tmp_path / ".openclaw", capsys)
    machine.configure(port)
    return machine


@pytest.mark.parametrize(
    ("words", "code", "noted"),
    [
        pytest.param("gateway stop --force", 0, ["--force"], id="stop-force"),
        pytest.param("gateway restart --force", 3, ["--force"], id="restart-force"),
        pytest.param("gateway restart --safe --wait 10s", 3, ["--safe"], id="restart-safe"),
        pytest.param("health --verbose", 3, ["--verbose"], id="health-verbose"),
        pytest.param("status --usage", 0, ["--usage"], id="usage"),
        pytest.param("status --debug", 0, [], id="debug"),
        pytest.param("daemon status", 0, [], id="daemon"),
        pytest.param("daemon stop --force", 0, ["--force"], id="daemon-stop"),
    ],
)
def test_published_words_are_no_usage_errors(
    machine: Machine, words: str, code: int, noted: list[str]
):
    ran = machine.run(*words.split())

    assert ran.code == code, ran.err
    notes = [line for line in ran.err.splitlines() if line.startswith("note: --")]
    assert [line.split()[1] for line in notes] == noted
    assert all("has no effect: " in line for line in notes)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param("--no-color", "", id="no-colour"),
        pytest.param("--token S3cret", "--token has no effect", id="token"),
        pytest.param("--port 1", "--port has no effect", id="port"),
    ],
)
def test_the_log_is_read_from_its_files_whatever_is_shown(machine: Machine, words: str, says: str):
    logs = machine.state_dir / "logs"
    logs.mkdir()
    logs.joinpath("gateway-2026-03-02.jsonl").write_text('{"message": "hello", "level": "warn"}\n')

    ran = machine.run("logs", *words.split())

    assert (ran.code, ran.out) == (0, "? [?] warn: hello\n")
    assert says in ran.err
    assert bool(says) is bool(ran.err)
    assert "S3cret" not in ran.err


@pytest.mark.parametrize("command", ["gateway status", "gateway probe"])
def test_a_port_names_a_gateway_of_this_machine(
    machine: Machine, command: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "wss://gateway.example")
    other = free_port()

    told = machine.run(*command.split(), "--port", str(other), "--json").json

    found = told.get("gateway", told)
    assert found.get("probeUrl", found["url"]) == f"ws://127.0.0.1:{other}"
    assert found["urlSource"] == "local loopback, port from --port"


def test_a_port_beside_a_url_is_a_contradiction(machine: Machine):
    ran = machine.run("gateway", "status", "--port", "1", "--url", "ws://127.0.0.1:2")

    assert ran.code == 2
    assert "--port and --url" in ran.err


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        pytest.param("node run --host gateway.example", "`openclaw nodes list`", id="node"),
        pytest.param("node --help", "`openclaw nodes list`", id="node-help"),
        pytest.param("gateway discover --json", "`openclaw gateway probe --url", id="discover"),
    ],
)
def test_what_is_not_done_here_names_what_is(machine: Machine, words: str, instead: str):
    ran = machine.run(*words.split())

    assert ran.code == 2
    assert instead in ran.err
    assert "Did you mean" not in ran.err
    if "--json" in words:
        assert ran.json["error"]["type"] == "usage"


def test_published_names_are_in_no_list():
    context = click.Context(root)
    gateway = root.get_command(context, "gateway")

    assert {"daemon", "node"}.isdisjoint(root.list_commands(context))
    assert isinstance(gateway, LateGroup)
    assert "discover" not in gateway.list_commands(click.Context(gateway))


def test_every_old_name_of_a_verb_is_that_verb():
    context = click.Context(root)
    gateway, daemon = (root.get_command(context, name) for name in ("gateway", "daemon"))

    assert isinstance(gateway, LateGroup)
    assert isinstance(daemon, LateGroup)
    assert len(daemon.table) == 6
    for name in daemon.table:
        assert daemon.get_command(context, name) is gateway.get_command(context, name)


@pytest.mark.parametrize(
    ("text", "span_ms"),
    [("10s", 10_000), ("2min", 120_000), ("1500", 1_500), ("0", 3_600_000), ("9d", 3_600_000)],
)
def test_a_span(text: str, span_ms: int):
    assert Span().convert(text, None, None) == span_ms


def test_what_is_no_span_is_a_usage_error(machine: Machine):
    ran = machine.run("gateway", "restart", "--wait", "soon")

    assert ran.code == 2
    assert "30s" in ran.err


@pytest.mark.slow
def test_a_port_is_asked_beside_a_gateway_that_runs_elsewhere(tmp_path: Path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with running_gateway(ours) as here, running_gateway(theirs) as there:
        named = openclaw(ours, "gateway", "status", "--port", str(there.port), "--json").json
        own = openclaw(ours, "gateway", "status", "--port", str(here.port), "--json").json
        nobody = openclaw(ours, "gateway", "status", "--port", str(free_port()), "--json").json
        log = openclaw(ours, "logs", "--port", str(there.port))
        own_log = openclaw(ours, "logs", "--port", str(here.port))

    assert named["gateway"]["url"] == there.url
    assert (
        f"your gateway of another state directory, {theirs}" in named["verdicts"]["process"]["saw"]
    )
    assert own["verdicts"]["process"]["ok"] is True
    assert "nothing listens on port" in nobody["verdicts"]["process"]["saw"]
    assert log.code == 2
    assert f"OPENCLAW_STATE_DIR={theirs} openclaw logs" in log.err
    assert (own_log.code, own_log.err) == (0, "")


@pytest.mark.slow
def test_a_restart_waits_as_long_as_it_is_told(tmp_path: Path):
    with running_gateway(tmp_path / ".openclaw") as gateway:
        done = gateway.openclaw("gateway", "restart", "--wait", "30s", "--json")
        hurried = gateway.openclaw("gateway", "restart", "--wait", "1ms")

    assert (done.code, done.json["result"]) == (0, "restarted")
    assert hurried.code == 1
    assert "did not come back in time" in hurried.err


def test_a_unit_named_by_the_environment_is_the_one_looked_at(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_SYSTEMD_UNIT", "foo.service")

    service = machine.run("gateway", "status", "--json").json["service"]

    assert service["name"] == "foo.service"


@pytest.mark.parametrize(("command", "code"), [("gateway status", 0), ("gateway stop", 1)])
def test_a_name_that_no_unit_can_have_is_told_of(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, command: str, code: int
):
    monkeypatch.setenv("OPENCLAW_SYSTEMD_UNIT", "../foo.service")

    ran = machine.run(*command.split())

    assert ran.code == code
    assert "'../foo.service' is no name of a service" in ran.err


@pytest.mark.parametrize("command", ["health", "gateway reload", "gateway call status"])
def test_where_nothing_listens_that_is_the_exit_code_whatever_is_missing_too(
    machine: Machine, port: int, command: str
):
    (machine.state_dir / "openclaw.json").write_text(f"{{gateway: {{port: {port}}}}}")

    ran = machine.run(*command.split(), "--json")

    assert ran.code == ran.json["exitCode"] == 3
    assert f"nothing listens on port {port} of this machine" in ran.json["error"]["message"]
    assert ran.json["error"]["kind"] == "refused"
