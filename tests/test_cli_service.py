"""`openclaw gateway install` and its kin, as words and answers; systemd itself is in the scenarios."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from cli.place import Place
from cli.service.install import write_unit
from cli.service.service import service_here
from stores.errors import UserFacingError
from stores.port_owner import start_time_of
from tests.machine import Machine
from tests.scenarios.programs import free_port, running_gateway


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    home = tmp_path / "home"
    program = tmp_path / "bin" / "openclaw"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "argv", [str(program)])
    home.mkdir()
    machine = Machine(home / ".openclaw", capsys)
    machine.configure(free_port())
    return machine


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("--port", "18790"), "openclaw config set gateway.port N`"),
        (("--token", "S3cret"), "openclaw config set gateway.auth.token --from-file FILE`"),
        (("--run-as", "me"), "--system"),
    ],
    ids=["port", "secret", "account-of-a-user-unit"],
)
def test_what_no_unit_may_pin_is_refused(machine: Machine, words: tuple[str, ...], remedy: str):
    ran = machine.run("gateway", "install", *words)

    assert ran.code == 2
    assert remedy in ran.err
    assert "S3cret" not in ran.out + ran.err


@pytest.mark.parametrize("system", [True, False], ids=["system", "user"])
def test_printing_a_unit_works_anywhere_and_writes_nothing(machine: Machine, system: bool):
    words = ("--system",) if system else ()

    ran = machine.run("gateway", "install", "--print", *words)

    assert ran.code == 0
    assert f'ExecStart="{sys.argv[0]}" gateway run --last-known-good' in ran.out
    assert ("User=openclaw" in ran.out) is system
    assert "T0KEN" not in ran.out
    assert sorted(os.listdir(machine.state_dir.parent)) == [".openclaw"]


def test_a_unit_with_a_line_smuggled_in_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_STATE_DIR", "/s\nExecStartPre=/bin/evil")

    ran = machine.run("gateway", "install", "--print")

    assert ran.code == 1
    assert ran.out == ""
    assert "no unit may hold" in ran.err


def test_a_program_that_is_not_installed_cannot_be_a_service(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["-c"])

    ran = machine.run("gateway", "install", "--print")

    assert ran.code == 1
    assert "not started as an installed `openclaw`" in ran.err


def test_a_failure_is_an_envelope_with_its_kind(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cli.service.report.is_running_systemd", lambda: False)

    ran = machine.run("gateway", "start", "--json")

    assert ran.code == 1
    assert ran.json["ok"] is False
    assert ran.json["action"] == "start"
    assert ran.json["error"]["remedy"]["command"] == f"{sys.argv[0]} gateway run"
    assert ran.json["hintItems"][0]["kind"] == "not-systemd"
    assert ran.json["exitCode"] == 1


def test_a_unit_is_written_once_and_privately(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    service = service_here(Place(os.environ))

    first = write_unit(service, force=False)
    second = write_unit(service, force=False)
    third = write_unit(service, force=True)

    assert (first, second, third) == ((True, None), (False, None), (True, None))
    assert service.path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(service.path.parent) == ["openclaw-gateway.service"]


def test_a_unit_is_never_written_through_a_link(machine: Machine, tmp_path: Path):
    service = service_here(Place(os.environ))
    service.path.parent.mkdir(parents=True)
    target = tmp_path / "precious"
    target.write_text("mine")
    service.path.symlink_to(target)

    with pytest.raises(UserFacingError, match="symbolic link"):
        write_unit(service, force=True)

    assert target.read_text() == "mine"


def test_a_unit_that_cannot_be_written_says_where(machine: Machine):
    service = service_here(Place(os.environ))
    service.path.parent.parent.mkdir(parents=True)
    service.path.parent.write_text("a file in the way")

    with pytest.raises(UserFacingError, match="cannot be written") as error:
        write_unit(service, force=False)

    assert f"ls -ld {service.path.parent}" in str(error.value)


def test_the_units_folder_of_a_shell_counts_only_if_the_manager_knows_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))

    assert service_here(Place(os.environ)).path.is_relative_to(machine.state_dir.parent / ".config")


@pytest.mark.slow
def test_stopping_ends_a_gateway_in_the_foreground(tmp_path: Path):
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        stopped = gateway.openclaw("gateway", "stop", "--json")
        code = gateway.process.wait(10)
        again = gateway.openclaw("gateway", "stop", "--json")

    assert (stopped.code, code, again.code) == (0, 0, 0)
    assert (stopped.json["result"], again.json["result"]) == ("stopped", "not-loaded")
    assert f"pid {gateway.process.pid}" in stopped.json["message"]


def test_a_gateway_of_another_user_is_not_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr("cli.service.work.os.kill", refuse)
    note = {"pid": os.getpid(), "startTime": start_time_of(os.getpid())}
    (machine.state_dir / "gateway.lock").write_text(json.dumps(note))

    ran = machine.run("gateway", "stop")

    assert ran.code == 1
    assert f"`sudo kill {os.getpid()}`" in ran.err
