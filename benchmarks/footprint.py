"""What the gateway takes by being there: memory, and time to start."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import orjson

from benchmarks.client import Client
from benchmarks.costs import KNOWN, pair
from benchmarks.effort import Effort
from benchmarks.processes import Server, environment, floor, gateway, medians, program, wall_s
from benchmarks.table import Row

KIB, MIB = 1024, 1024 * 1024

SESSION_TARGET_KIB = 40
RESIDENT_TARGET_MIB = 60
READY_TARGET_S = 0.5
OFFLINE_TARGET = 12


def memory_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield the memory of an idle session and of an idle gateway."""
    allow_files(effort.sessions + 100)
    answers = scratch / "answers.json"
    answers.write_bytes(orjson.dumps({"connect": None}))
    with gateway(scratch / "memory") as ours, floor(answers) as bare:
        pair(ours)
        yield Row("resident when idle", ours.resident_bytes() / MIB, "MiB", RESIDENT_TARGET_MIB)
        found, least = (weight_of_session(server, effort.sessions) for server in (ours, bare))
        yield Row("memory per idle session", found / KIB, "KiB", SESSION_TARGET_KIB)
        yield Row("memory per idle session of the floor", least / KIB, "KiB")


def weight_of_session(server: Server, count: int) -> float:
    """Return the bytes that each of ``count`` idle sessions adds to what is the server's alone."""
    with ExitStack() as opened:

        def open_sessions(more: int) -> None:
            for _ in range(more):
                client = Client(server.port)
                opened.callback(client.drop)
                client.connect(KNOWN)

        open_sessions(20)  # the first ones pay for what all share
        before_bytes = server.private_bytes()
        open_sessions(count)
        return (server.private_bytes() - before_bytes) / count


def allow_files(count: int) -> None:
    """Let this process, and those it starts, hold that many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def start_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield how fast the gateway is ready and how fast an offline command is done."""
    taken_s = [_ready_s(scratch / "start") for _ in range(effort.starts + 1)]
    yield Row("ready after exec", statistics.median(taken_s[1:]), "s", READY_TARGET_S)
    env = environment(scratch / "start")
    command = partial(wall_s, program("devices", "list", "--offline"), env)
    bare = partial(wall_s, [sys.executable, "-c", "pass"], env)
    command()
    found_s, least_s = medians([command, bare], rounds=effort.starts)
    name = "devices list --offline"
    yield Row(name, found_s * 1000, "ms", OFFLINE_TARGET, least_s * 1000)


def _ready_s(state_dir: Path) -> float:
    with gateway(state_dir) as server:
        return server.ready_s
