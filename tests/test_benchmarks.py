"""The benchmarks still run: what they find is for people to read, not for a test to judge."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.page import CHROMIUM
from benchmarks.table import Row, table_of
from tests.imports import ROOT


@pytest.mark.slow
def test_a_quick_run_prints_every_row_of_the_table():
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    names = [line.split("|")[1].strip() for line in ran.stdout.splitlines() if "|" in line]
    # The page is measured where there is a browser.
    assert len(names) == (23 if CHROMIUM.exists() else 20)
    assert "CPU per signed handshake" in names


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        pytest.param(Row("a", 13, "µs", 1.3, 10), True, id="ratio-kept"),
        pytest.param(Row("a", 14, "µs", 1.3, 10), False, id="ratio-missed"),
        pytest.param(Row("a", 40, "KiB", 40), True, id="value-kept"),
        pytest.param(Row("a", 41, "KiB", 40), False, id="value-missed"),
        pytest.param(Row("a", 41, "KiB"), None, id="nothing-promised"),
    ],
)
def test_a_target_is_a_ratio_where_there_is_a_floor(row: Row, kept: bool | None):
    assert row.kept is kept


def test_the_columns_of_the_table_are_aligned():
    lines = table_of([Row("short", 1, "s"), Row("a longer name", 2.5, "µs", 1.3, 2)]).splitlines()

    assert len({len(line) for line in lines}) == 1
