"""`gateway run --force`: the gateway of these very files ends first, once the new one can run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.programs import (
    Gateway,
    eventually,
    free_port,
    openclaw,
    running,
    running_gateway,
)

pytestmark = pytest.mark.slow

FORCE = ("gateway", "run", "--force")


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".openclaw"


@contextmanager
def on_the_port(port: int) -> Iterator[None]:
    """Let another program hold a port of loopback."""
    words = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with running(*words, port=port):
        yield


def healthy(gateway: Gateway) -> bool:
    return gateway.openclaw("health").code == 0


def test_the_gateway_of_these_files_ends_and_the_new_one_serves(state_dir: Path) -> None:
    with running_gateway(state_dir) as old:
        with running_gateway(state_dir, port=old.port, command=FORCE) as new:
            eventually(lambda: old.process.poll() is not None)

            assert old.process.returncode == 0
            assert healthy(new)
            noted = json.loads((state_dir / "gateway.lock").read_text())
            assert noted["pid"] == new.process.pid
        assert new.process.returncode == 0


def test_where_none_runs_it_just_starts(state_dir: Path) -> None:
    with running_gateway(state_dir, command=FORCE) as gateway:
        assert healthy(gateway)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param("{gateway: {prot: 1}}", "prot", id="unknown-key"),
        pytest.param('{gateway: {auth: {mode: "none"}, bind: "lan"}}', "none", id="unsafe"),
        pytest.param(
            "{gateway: {tls: {enabled: true, certPath: '/nowhere.pem', keyPath: '/nowhere.key'}}}",
            "nowhere",
            id="tls",
        ),
    ],
)
def test_what_could_not_run_ends_nobody(state_dir: Path, config: str, said: str) -> None:
    with running_gateway(state_dir) as old:
        other = state_dir.parent / "other.json"
        other.write_text(config)

        done = openclaw(state_dir, *FORCE, "--config", str(other), port=old.port)

        assert done.code == 78, done
        assert said in done.err
        assert healthy(old)


def test_another_program_on_the_port_is_named_and_nobody_ends(state_dir: Path) -> None:
    port = free_port()
    with running_gateway(state_dir) as old, on_the_port(port):
        done = openclaw(state_dir, *FORCE, "--port", str(port))

        assert done.code == 1, done
        assert "http.server" in done.err
        assert healthy(old)


def test_a_stopped_gateway_ends_too(state_dir: Path) -> None:
    with running_gateway(state_dir) as old:
        subprocess.run(["kill", "-STOP", str(old.process.pid)], check=True)
        with running_gateway(state_dir, port=old.port, command=FORCE) as new:
            assert old.process.wait(timeout=5) == 0
            assert healthy(new)
