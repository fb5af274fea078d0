"""Every command has examples that parse, in its help and on the page that is made from the commands."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cli.examples import EXAMPLES, attach
from cli.reference import commands, main, path_of, render
from tests.test_docs import command_tree, misfit

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == render(), (
        "make it anew: python -m cli.reference docs/reference/cli.md (or `make docs`)"
    )


def test_the_page_is_written_to_the_file_named(tmp_path: Path):
    assert main([str(tmp_path / "cli.md")]) == 0

    assert (tmp_path / "cli.md").read_text() == render()


def test_every_command_has_an_example_in_its_help():
    without = [
        path_of(context)
        for command, context in commands()
        if "Examples:" not in command.get_help(context)
    ]

    assert without == [], "add it to cli/examples.py"


def test_every_example_is_of_a_command_there_is_and_parses():
    root = command_tree()
    there = {path_of(context) for _, context in commands()}
    lines = [line for examples in EXAMPLES.values() for line in examples]

    wrong = [
        f"{line} ({why})" for line in lines if (why := misfit(root, line.removeprefix("openclaw ")))
    ]

    assert set(EXAMPLES) - there == set()
    assert all(line.startswith("openclaw ") for line in lines)
    assert wrong == []


@pytest.mark.parametrize("path", sorted(path for path in EXAMPLES if path))
def test_an_example_is_about_its_own_command(path: str):
    assert any(line.startswith(f"openclaw {path}") for line in EXAMPLES[path])


def test_a_command_with_an_epilog_of_its_own_keeps_it():
    command = click.Command("doctor", epilog="mine")

    attach(command, "doctor")

    assert command.epilog == "mine"
