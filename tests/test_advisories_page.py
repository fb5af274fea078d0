"""The page about advisories against the tests: each that it names exists, each advisory has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.imports import ROOT

PAGE = ROOT / "docs" / "explanation" / "advisories.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
ADVISORY = re.compile(r"(?:CVE-\d{4}-\d+|GHSA(?:-[0-9a-z]{4}){3})")


def rows() -> list[str]:
    """Return the rows of the page's tables, without their heads."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith(("| Advisory |", "| Risk |"))]


def names_in(file: Path) -> set[str]:
    """Return the names of the tests in a file."""
    return {
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_the_page_names_exists():
    named = [match for row in rows() for match in NAMED.findall(row)]

    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).is_file() or name not in names_in(ROOT / "tests" / file)
    ]

    assert len(named) > 40
    assert missing == []


def test_every_row_is_held_by_a_test_or_says_why_not():
    unheld = [row for row in rows() if not NAMED.search(row) and "not applicable yet:" not in row]

    assert unheld == []


def test_every_advisory_of_a_test_is_on_the_page():
    text = (ROOT / "tests" / "test_advisories_connecting.py").read_text()

    assert set(ADVISORY.findall(text)) - set(ADVISORY.findall(PAGE.read_text())) == set()
