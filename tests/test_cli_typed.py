"""Messages name a command that can be pasted: by the program's name only where that leads to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.explain import lines_of
from cli.failures import envelope
from cli.output import note
from cli.place import Place
from cli.typed import AsSaid, as_typed, keep_profile, program_words, told_here, typable
from stores.errors import UserFacingError

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


@pytest.fixture
def of_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The running command is for the profile work; its program is found by its name."""
    monkeypatch.setattr(sys, "argv", ["-c"])
    keep_profile(Place({"HOME": "/home/ada"}, profile="work"))
    yield
    keep_profile(None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "openclaw devices list", "openclaw --profile work devices list", id="a-command"
        ),
        pytest.param(
            "sudo -u ada openclaw logs", "sudo -u ada openclaw --profile work logs", id="same-files"
        ),
        pytest.param(
            "OPENCLAW_CONFIG_PATH=/c openclaw health",
            "OPENCLAW_CONFIG_PATH=/c openclaw --profile work health",
            id="another-configuration",
        ),
    ],
)
def test_a_command_is_for_the_profile_in_force(of_work: None, before: str, after: str):
    assert typable(f"use `{before}`") == f"use `{after}`"
    assert as_typed(before) == after


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("`openclaw --profile home gateway run`", id="named"),
        pytest.param("`openclaw --dev gateway run`", id="dev"),
        pytest.param("`openclaw --no-color --profile=home gateway run`", id="behind-another"),
        pytest.param("`OPENCLAW_STATE_DIR=/s openclaw health`", id="other-files"),
        pytest.param("`sudo -iu bob openclaw gateway status`", id="another-user"),
        pytest.param("on the gateway's machine: `openclaw logs`", id="another-machine"),
        pytest.param("see `openclaw devices prune --help`", id="help"),
        pytest.param("`docker exec CONTAINER openclaw health`", id="container"),
    ],
)
def test_a_command_for_something_else_stays(of_work: None, text: str):
    assert typable(text) == text


def test_a_command_for_another_machine_has_no_path_of_this_one(program: Path):
    told = "on its own machine: `openclaw gateway restart`, or here: `openclaw gateway probe`"

    assert typable(told) == told.replace("`openclaw gateway probe", f"`{program} gateway probe")


@pytest.mark.parametrize(
    ("here", "words"),
    [
        pytest.param(Place({"HOME": "/h"}), "openclaw", id="none"),
        pytest.param(Place({"HOME": "/h"}, dev=True), "openclaw --dev", id="dev"),
        pytest.param(Place({"HOME": "/h"}, profile="w"), "openclaw --profile w", id="flag"),
        pytest.param(
            Place({"HOME": "/h", "OPENCLAW_PROFILE": "w"}), "openclaw --profile w", id="environment"
        ),
    ],
)
def test_the_profile_is_spelt_whoever_named_it(of_work: None, here: Place, words: str):
    keep_profile(here)

    assert program_words() == words


def test_json_has_its_commands_as_they_are_typed(of_work: None):
    said: dict[str, Any] = {
        "saw": "`openclaw health`",
        "findings": [{"remedy": "try `openclaw health`"}],
        "remedy": {"sentence": "do `openclaw logs`", "command": "openclaw logs"},
    }

    told = told_here(said)

    assert told["saw"] == "`openclaw health`"
    assert told["findings"][0]["remedy"] == "try `openclaw --profile work health`"
    assert told["remedy"]["sentence"] == "do `openclaw --profile work logs`"
    assert told["remedy"]["command"] == "openclaw --profile work logs"


@pytest.mark.usefixtures("of_work")
def test_what_a_gateway_elsewhere_advises_stays_as_it_said_it():
    advice = "go back with `openclaw config rollback good --yes`"
    error = UserFacingError("not reloaded", remedy=AsSaid(advice))

    remedy = envelope(error, 1)["error"]["remedy"]

    assert list(lines_of(error))[-1] == f"G{advice[1:]}"
    assert remedy["sentence"] == advice
    assert remedy["command"] == "openclaw config rollback good --yes"


@pytest.mark.usefixtures("of_work")
def test_a_remedy_in_json_names_the_profile():
    error = UserFacingError("no", remedy="run `openclaw devices clear --yes`")

    remedy = envelope(error, 1)["error"]["remedy"]

    assert remedy["command"] == "openclaw --profile work devices clear --yes"
    assert remedy["sentence"] == f"run `{remedy['command']}`"
