"""`openclaw gateway reload` and `restart`: what they print, and whom they may signal."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from cli.gateway_control import NotReloadedError, _tell_reloaded
from stores.port_owner import start_time_of
from tests.machine import Machine
from tests.scenarios.programs import free_port


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "s"))
    found = Machine(tmp_path / "s", capsys)
    found.configure(free_port())
    return found


def note(machine: Machine, pid: int, **more: object) -> None:
    """Leave the note of a gateway that runs with that pid."""
    said = {"pid": pid, "startTime": start_time_of(pid)} | more
    (machine.state_dir / "gateway.lock").write_text(json.dumps(said))


def test_what_was_applied_and_what_waits_is_printed(capsys: pytest.CaptureFixture[str]):
    outcome = {"ok": True, "applied": ["a.b", "a.c"], "restartRequired": ["gateway.port"]}

    _tell_reloaded(outcome, as_json=False)

    out, err = capsys.readouterr()
    assert out == "Applied: a.b, a.c\nNeeds a restart: gateway.port\n"
    assert "`openclaw gateway restart`" in err


def test_why_nothing_was_taken_in_is_an_error_with_its_remedy():
    with pytest.raises(NotReloadedError, match="not reloaded: f:3: off") as error:
        _tell_reloaded({"ok": False, "problem": "f:3: off", "remedy": "do it"}, as_json=False)

    assert error.value.remedy == "do it"


def test_a_gateway_that_does_not_answer_is_asked_by_a_signal(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("cli.gateway_control.os.kill", lambda *one: sent.append(one))
    note(machine, os.getpid())

    ran = machine.run("gateway", "reload")

    assert (ran.code, sent) == (0, [(os.getpid(), signal.SIGHUP)])
    assert "by SIGHUP" in ran.out


@pytest.mark.parametrize("error", [PermissionError, ProcessLookupError])
def test_what_is_not_ours_is_not_signalled(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
):
    def refuse(*_: int) -> None:
        raise error

    monkeypatch.setattr("cli.gateway_control.os.kill", refuse)
    note(machine, os.getpid())

    ran = machine.run("gateway", "reload")

    assert ran.code == 3
    assert "nothing listens at" in ran.err


def test_a_pid_that_was_used_again_is_not_signalled(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("cli.gateway_control.os.kill", lambda *one: sent.append(one))
    note(machine, os.getpid(), startTime="another")

    assert machine.run("gateway", "reload").code == 3
    assert sent == []


def test_another_gateway_is_never_signalled(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("cli.gateway_control.os.kill", lambda *one: sent.append(one))
    note(machine, os.getpid())
    url = f"ws://127.0.0.1:{free_port()}"

    for words in (("--url", url),):
        assert machine.run("gateway", "reload", *words).code != 0
    (machine.state_dir / "openclaw.json").write_text("{")
    assert machine.run("gateway", "reload", "--url", url).code == 1

    assert sent == []


def test_a_reload_that_nobody_answers_says_so_once(machine: Machine):
    ran = machine.run("gateway", "reload", "--json")

    assert ran.code == ran.json["exitCode"] == 3
    assert ran.json["error"]["type"] == "transport"
    assert ran.json["error"]["kind"] == "refused"
    assert ran.err.count("nothing listens at") == 1
    assert "`openclaw gateway run`" in ran.err


def test_a_broken_file_and_no_gateway_is_not_reloaded(machine: Machine):
    (machine.state_dir / "openclaw.json").write_text("{")

    ran = machine.run("gateway", "reload")

    assert ran.code == 1
    assert "no gateway of this user runs" in ran.err


def test_without_a_gateway_a_restart_says_how_to_start_one(machine: Machine):
    ran = machine.run("gateway", "restart")

    assert ran.code == 3
    assert "`openclaw gateway run`" in ran.err
