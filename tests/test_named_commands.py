"""Every command that a message of the program names is one there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.failures import remedy_of
from stores.errors import UserFacingError
from tests.test_docs import ROOT, command_tree, misfit

NAMED = re.compile(r"`openclaw ([^`]+)`")
SOURCES = sorted(
    file for folder in ("cli", "gateway", "stores") for file in (ROOT / folder).rglob("*.py")
)


def texts_of(source: Path) -> Iterator[str]:
    """Yield the strings of a module; what is filled in stands as X."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "X" for one in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_command_in_backticks_parses():
    root = command_tree()
    named = {
        line
        for source in SOURCES
        for text in texts_of(source)
        # the beginning of one that goes on in another string is no command
        for line in NAMED.findall(text)
        if line.count("'") % 2 == 0
    }

    wrong = [f"{line} ({why})" for line in sorted(named) if (why := misfit(root, line))]

    assert len(named) > 20
    assert wrong == []


@pytest.mark.parametrize(
    ("remedy", "command"),
    [
        pytest.param(
            "set `gateway.port` with `openclaw config set gateway.port 1`",
            "openclaw config set gateway.port 1",
            id="after-a-key",
        ),
        pytest.param(
            "use `sudo -u '#7' openclaw devices list` or `X=1 openclaw health`",
            "sudo -u '#7' openclaw devices list",
            id="as-another-user",
        ),
        pytest.param("look at `ls -l`, correct `gateway.port`", None, id="none"),
    ],
)
def test_only_what_begins_with_openclaw_is_the_command_of_a_remedy(
    remedy: str, command: str | None
):
    told = remedy_of(UserFacingError("off", remedy=remedy))

    assert told is not None
    assert told.get("command") == command
