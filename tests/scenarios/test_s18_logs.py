"""The log is there when it is needed: gateway up, down or refusing us, and no line lost or doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    OPENCLAW,
    ROOT,
    environment,
    eventually,
    openclaw,
    running_gateway,
)

pytestmark = pytest.mark.slow

# Logs numbered lines into files so small that each holds a few, as a gateway that starts again
# and again would, and is killed in the middle of a line in between.
WRITER = """
import logging, os, sys
from pathlib import Path
from gateway.log import Redactor, log_file, open_log

folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
log = open_log(folder, Redactor().clean, level="info", console_level="silent", max_file_bytes=60_000)
for number in range(first, last):
    logging.getLogger("gateway.writer").info("number %d", number)
log.close()
with log_file(folder).open("a") as torn:
    torn.write('{"time": "2026-')
"""
LINES_EACH = 2_000
STARTS = 4


@frozen
class Following:
    """A command that follows the log."""

    process: subprocess.Popen[bytes]
    out: Path

    def lines(self) -> list[str]:
        """The whole lines it printed so far."""
        return self.out.read_text().split("\n")[:-1]


@contextmanager
def following(state_dir: Path, *words: str) -> Iterator[Following]:
    out = state_dir.parent / "followed"
    with out.open("wb") as sink:
        process = subprocess.Popen(
            [*OPENCLAW, "logs", "--follow", *words],
            env=environment(state_dir),
            cwd=state_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield Following(process, out)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / ".openclaw"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def test_who_follows_gets_each_line_once_through_rotations_restarts_and_kills(
    state_dir: Path,
) -> None:
    logs = state_dir / "logs"
    with following(state_dir, "--json", "--limit", "9999", "--interval", "20") as follower:
        for start in range(STARTS):
            bounds = (str(start * LINES_EACH), str((start + 1) * LINES_EACH))
            subprocess.run(
                [sys.executable, "-c", WRITER, str(logs), *bounds],
                env=environment(state_dir) | {"PYTHONPATH": str(ROOT)},
                check=True,
            )
            wanted = (start + 1) * LINES_EACH
            eventually(lambda wanted=wanted: len(follower.lines()) >= wanted)  # type: ignore[misc]  # bound on purpose
        got = [json.loads(line)["message"] for line in follower.lines()]

    assert got == [f"number {number}" for number in range(STARTS * LINES_EACH)]
    assert 2 <= len(list(logs.glob("gateway-*.jsonl"))) <= 11  # more were written


def test_it_follows_a_gateway_over_its_restart_and_ends_with_130(state_dir: Path) -> None:
    with following(state_dir, "--json") as follower:
        with running_gateway(state_dir):
            pass
        with running_gateway(state_dir) as gateway:
            pass
        eventually(lambda: len(follower.lines()) >= len(gateway.logged()))
        follower.process.send_signal(signal.SIGINT)
        code = follower.process.wait(10)

    assert code == 130
    lines = [json.loads(line) for line in follower.lines()]
    assert lines == [{"type": "log"} | each for each in gateway.logged()]
    assert sum("stopped" in line for line in follower.lines()) == 2


def test_the_log_is_shown_with_the_gateway_up_down_and_refusing_us(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        up = gateway.openclaw("logs")
        config = state_dir / "openclaw.json"
        config.write_text(config.read_text().replace(gateway.token, "another-token-than-before"))
        refused = gateway.openclaw("logs", env={"OPENCLAW_GATEWAY_TOKEN": "wrong"})
    down = openclaw(state_dir, "logs")
    config.write_text("{ this is no configuration")
    broken = openclaw(state_dir, "logs")

    assert [one.code for one in (up, refused, down, broken)] == [0] * 4
    assert "listening on" in up.out
    assert refused.out.startswith(up.out)
    assert down.out == broken.out
    assert "stopped" in down.out
    assert up.err + down.err + broken.err == ""


def test_no_line_of_another_state_directory_is_shown(tmp_path: Path) -> None:
    one, other = (tmp_path / name / ".openclaw" for name in ("one", "other"))
    with running_gateway(one) as first, running_gateway(other) as second:
        knock(first.port, **stranger("a-wrong-token", origin="https://first.example"))
        knock(second.port, **stranger("a-wrong-token", origin="https://second.example"))
        of_first = first.openclaw("logs", "--json")
        # named by its port, the other gateway's lines are not ours all the same
        by_port = openclaw(one, "logs", "--json", port=second.port)

    assert [json.loads(line) for line in of_first.out.splitlines()]
    assert by_port.out == of_first.out
    assert str(other) not in of_first.out
    assert f"127.0.0.1:{second.port}" not in of_first.out
