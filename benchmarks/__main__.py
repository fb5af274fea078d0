"""Measure, and print one table: `python -m benchmarks [--quick] [--check]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import evolve

from benchmarks.costs import cost_rows
from benchmarks.crowd import crowd_rows
from benchmarks.devices import device_rows
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.footprint import memory_rows, start_rows
from benchmarks.page import page_rows
from benchmarks.routing import routing_rows
from benchmarks.table import Row, table_of

MEASURES: dict[str, Callable[[Effort, Path], Iterator[Row]]] = {
    "cost": cost_rows,
    "memory": memory_rows,
    "start": start_rows,
    "crowd": crowd_rows,
    "devices": device_rows,
    "routing": routing_rows,
    "page": page_rows,
}


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works; prove nothing")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--only", choices=MEASURES, help="measure one part")
    parser.add_argument(
        "--endure", type=int, metavar="N", help="look at memory over N requests (routing)"
    )
    words = parser.parse_args()
    effort = QUICK if words.quick else FULL
    if words.endure:
        effort = evolve(effort, endured=words.endure)
    begun_s = time.perf_counter()
    chosen = [MEASURES[words.only]] if words.only else list(MEASURES.values())
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="openclaw-bench-") as scratch:
        for measure in chosen:
            for row in measure(effort, Path(scratch)):
                rows.append(row)
                print(f"{row.name} …", file=sys.stderr, flush=True)
    print(table_of(rows))
    print(
        f"\nPython {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs, {time.perf_counter() - begun_s:.0f} s"
    )
    missed = any(row.kept is False for row in rows)
    return 1 if missed and words.check else 0


if __name__ == "__main__":
    sys.exit(main())
