"""Messages name a command that can be pasted: by the program's name only where that leads to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli.output import note
from cli.typed import typable

TOLD = "start it with `openclaw gateway run`, see openclaw and `openclaw`"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in a folder of its own, started by its path; nothing of its name is found."""
    found = tmp_path / "venv" / "bin" / "openclaw"
    found.parent.mkdir(parents=True)
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(found)])
    monkeypatch.setenv("PATH", str(tmp_path))
    return found


def test_a_program_that_no_shell_finds_is_named_by_its_path(
    program: Path, capsys: pytest.CaptureFixture[str]
):
    note(TOLD)

    said = capsys.readouterr().err
    assert said == f"start it with `{program} gateway run`, see openclaw and `openclaw`\n"


def test_a_program_that_is_found_is_named_by_its_name(
    program: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", f"/nowhere:{program.parent}")

    assert typable(TOLD) == TOLD


def test_another_program_of_that_name_is_not_meant(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "openclaw"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert f"`{program} gateway run`" in typable(TOLD)


def test_a_link_to_the_program_is_the_program(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "openclaw").symlink_to(program)

    assert typable(TOLD) == TOLD


@pytest.mark.parametrize(
    ("before", "told"),
    [
        pytest.param("sudo -u ada openclaw logs", "sudo -u ada {} logs", id="another-user"),
        pytest.param("A='b c' D=e openclaw logs", "A='b c' D=e {} logs", id="variables"),
        pytest.param("sudo openclaw logs", "sudo {} logs", id="root"),
    ],
)
def test_what_stands_before_the_name_stays(program: Path, before: str, told: str):
    assert typable(f"use `{before}`") == f"use `{told.format(program)}`"


@pytest.mark.parametrize("started_as", ["-c", "/nowhere/openclaw", ""])
def test_a_program_that_was_started_in_another_way_keeps_its_name(
    program: Path, monkeypatch: pytest.MonkeyPatch, started_as: str
):
    monkeypatch.setattr(sys, "argv", [started_as])

    assert typable(TOLD) == TOLD


def test_a_path_that_a_shell_would_split_is_quoted(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "a b"
    folder.mkdir()
    spaced = program.rename(folder / "openclaw")
    monkeypatch.setattr(sys, "argv", [str(spaced)])

    assert f"`'{spaced}' gateway run`" in typable(TOLD)
