"""The programs of `devices watch --run`: one at a time, not for ever, and not for what was decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import watch_runs
from cli.watch_runs import Run, Runs
from tests.scenarios.programs import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def on_terminal(capfd: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Capture by descriptor: programs write to one."""
    return capfd


def run_for(code: str) -> Run:
    return Run(code, f"{code}\n", {"CODE": code})


def writing(file: Path) -> list[str]:
    return ["sh", "-c", f'read -r line; echo "$line $CODE" >>{file}']


def test_those_that_wait_are_run_in_their_order(
    tmp_path: Path, on_terminal: pytest.CaptureFixture[str]
):
    file = tmp_path / "told"
    runs = Runs(writing(file))
    for code in "ABC":
        runs.add(run_for(code))

    def all_told() -> bool:
        runs.turn({"A", "B", "C"})
        return file.exists() and file.read_text() == "A A\nB B\nC C\n"

    eventually(all_told)
    runs.end()
    assert on_terminal.readouterr().err == ""


def test_none_is_run_for_what_was_decided_while_it_waited(
    tmp_path: Path, on_terminal: pytest.CaptureFixture[str]
):
    file = tmp_path / "told"
    runs = Runs(writing(file))
    for code in "ABC":
        runs.add(run_for(code))

    def c_is_told() -> bool:
        runs.turn({"C"})
        return file.exists() and file.read_text().endswith("\n")

    eventually(c_is_told)
    runs.end()
    assert file.read_text() == "C C\n"
    assert on_terminal.readouterr().err == ""


def test_one_that_takes_too_long_is_ended_with_all_it_started_and_the_next_has_its_turn(
    tmp_path: Path,
    on_terminal: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(watch_runs, "WITHIN_S", 0.3)
    file = tmp_path / "pids"
    runs = Runs(["sh", "-c", f"sleep 300 & echo $! >>{file}; wait"])
    runs.add(run_for("A"))
    runs.add(run_for("B"))

    def both_ran() -> bool:
        runs.turn({"A", "B"})
        return file.exists() and file.read_text().count("\n") == 2

    eventually(both_ran)
    runs.end()
    programs = [Path(f"/proc/{pid}/exe") for pid in file.read_text().split()]
    eventually(lambda: not any(program.exists() for program in programs))
    assert "sh did not end within 0 s; still watching" in on_terminal.readouterr().err


def test_without_a_program_nothing_waits():
    runs = Runs(())
    runs.add(run_for("A"))

    runs.turn({"A"})
    runs.end()
