"""The gateway as a process: start-up refusals, signals, files, and what it costs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.app import DRAIN_S, SAME_SIGNAL_WITHIN_S
from gateway.instance import AlreadyRunningError
from gateway.main import run
from gateway.options import RunOptions
from stores.errors import ConfigError, StoreError, UsageError, UserFacingError
from tests.imports import ROOT
from tests.serving import TOKEN, write_config
from tests.wire import open_wire

PROGRAM = (
    "import os, sys; os.umask(int(sys.argv[2], 8))\n"
    "from gateway.main import run; from gateway.options import RunOptions\n"
    "sys.exit(run(RunOptions(port=int(sys.argv[1]))))\n"
)


class Process:
    """A gateway that runs as a process of its own."""

    def __init__(self, state_dir: Path, port: int, umask: str) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")
        }
        environment |= {"OPENCLAW_STATE_DIR": str(state_dir), "PYTHONPATH": str(ROOT)}
        self.state_dir, self.port = state_dir, port
        self.began_s = time.monotonic()
        self.stderr = state_dir.with_name("stderr")
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(port), umask], env=environment, stderr=stderr
            )

    def wait_until_ready(self) -> float:
        """Wait for the first answer and return how long it took, s."""
        while True:
            assert self.process.poll() is None, self.stderr.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
            except OSError:
                assert time.monotonic() - self.began_s < 20
                time.sleep(0.01)
            else:
                return time.monotonic() - self.began_s

    def wait_for_line(self, text: str) -> str:
        """Wait until a line on stderr holds ``text`` and return it."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for line in self.stderr.read_text().splitlines():
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"{text!r} not in\n{self.stderr.read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def status(self, key: str) -> int:
        """Return a number from the kernel's status of the process, KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
        assert found
        return int(found[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Return what starts a gateway that ends with the test."""
    processes: list[Process] = []

    def start(
        *, config: dict[str, object] | None = None, umask: str = "022", port: int = 0
    ) -> Process:
        state_dir = tmp_path / "state"
        if config is not None:
            write_config(state_dir, config)
        processes.append(Process(state_dir, port or free_port(), umask))
        return processes[-1]

    yield start
    for each in processes:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state directory of a gateway that is asked to run in this process."""
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("config", "options", "kind", "problem"),
    [
        pytest.param({"mode": "remote"}, {}, ConfigError, "gateway.mode is remote", id="remote"),
        pytest.param({"prot": 1}, {}, ConfigError, "gateway.prot", id="unknown-key"),
        pytest.param(
            {"auth": {"mode": "none"}, "bind": "lan"}, {}, ConfigError, "let in", id="open-lan"
        ),
        pytest.param(
            {"auth": {"mode": "password"}}, {}, ConfigError, "password is not set", id="no-password"
        ),
        pytest.param({"bind": "custom"}, {}, ConfigError, "customBindHost", id="custom"),
        pytest.param(
            {
                "auth": {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}},
            },
            {},
            ConfigError,
            "trustedProxies is empty",
            id="trusted-proxy",
        ),
        pytest.param({}, {"bind": "moon"}, UsageError, "--bind takes one of", id="bind-option"),
        pytest.param({}, {"auth": "moon"}, UsageError, "--auth takes one of", id="auth-option"),
    ],
)
def test_what_must_not_start_says_why_and_leaves_nothing_listening(
    state_dir: Path,
    config: dict[str, object],
    options: dict[str, Any],
    kind: type[Exception],
    problem: str,
):
    write_config(state_dir, config)
    port = free_port()

    with pytest.raises(kind, match=problem):
        run(RunOptions(port=port, **options))

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_in_use_is_no_configuration_error_and_frees_the_lock(state_dir: Path):
    write_config(state_dir)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        for _ in range(2):
            with pytest.raises(UserFacingError, match=f"process {os.getpid()}") as refused:
                run(RunOptions(port=holder.getsockname()[1]))

            assert not isinstance(refused.value, ConfigError | StoreError)


def test_a_state_directory_that_is_a_file_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "state").touch()
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))

    with pytest.raises(UserFacingError, match=re.escape(str(tmp_path / "state"))):
        run(RunOptions(port=free_port()))


def test_a_start_that_fails_late_leaves_nothing_listening(state_dir: Path):
    write_config(state_dir)
    (state_dir / "logs").touch()
    port = free_port()

    with pytest.raises(StoreError):
        run(RunOptions(port=port))

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_a_token_that_was_made_is_announced_by_place_never_by_value(
    started: Callable[..., Process],
):
    gateway = started()
    gateway.wait_until_ready()
    file = gateway.state_dir / "openclaw.json"
    token = re.search(r"[0-9a-f]{48}", file.read_text())
    line = gateway.wait_for_line("a token was made for you")

    assert str(file) in line
    assert token
    assert gateway.stop() == 0
    written = [gateway.stderr, *(gateway.state_dir / "logs").iterdir()]
    assert all(token[0] not in each.read_text() for each in written)
    cmdline = Path("/proc/self/cmdline").read_text()
    assert token[0] not in cmdline


@pytest.mark.slow
@pytest.mark.parametrize("umask", ["000", "077"])
def test_every_file_is_private_whatever_the_umask(started: Callable[..., Process], umask: str):
    gateway = started(umask=umask)
    gateway.wait_until_ready()
    made = [gateway.state_dir, *gateway.state_dir.rglob("*")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in made}
    gateway.stop()

    assert len(modes) > 3
    assert {
        path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)
    } == (set())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_peace(started: Callable[..., Process], number: int):
    gateway = started(config={})
    gateway.wait_until_ready()

    assert gateway.stop(number) == 0

    assert "stopped" in gateway.stderr.read_text()
    assert (gateway.state_dir / "gateway.lock").read_bytes() == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port))


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(started: Callable[..., Process]):
    gateway = started(config={})
    gateway.wait_until_ready()
    lines = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    lines += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as peer:
        peer.sendall(lines)
        while b"connect.challenge" not in peer.recv(65_536, socket.MSG_PEEK):
            pass
        params = {
            "minProtocol": 3,
            "maxProtocol": 4,
            "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
            "auth": {"token": TOKEN},
        }
        frame = {"type": "req", "id": "1", "method": "connect", "params": params}
        text = json.dumps(frame).encode()
        peer.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
        while b"hello-ok" not in peer.recv(65_536, socket.MSG_PEEK):
            pass
        gateway.process.send_signal(signal.SIGTERM)  # the peer never answers the close
        gateway.wait_for_line("stopping (SIGTERM)")
        time.sleep(SAME_SIGNAL_WITHIN_S + 0.1)  # within it, a second one is the first told again
        began_s = time.monotonic()

        assert gateway.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - began_s < DRAIN_S / 2
    gateway.wait_for_line("second signal: ending at once")


@pytest.mark.slow
def test_sighup_reloads(started: Callable[..., Process]):
    gateway = started(config={})
    gateway.wait_until_ready()

    gateway.process.send_signal(signal.SIGHUP)

    gateway.wait_for_line("reload asked for")
    assert gateway.stop() == 0


@pytest.mark.slow
def test_a_second_gateway_is_refused_and_names_the_first(
    started: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
):
    gateway = started(config={})
    gateway.wait_until_ready()
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(gateway.state_dir))
    began_s = time.monotonic()

    with pytest.raises(AlreadyRunningError) as refused:
        run(RunOptions(port=free_port()))

    assert time.monotonic() - began_s < 2
    for fact in (f"pid {gateway.process.pid}", f"port {gateway.port}", "since 20"):
        assert fact in refused.value.problem


@pytest.mark.slow
def test_a_killed_gateway_is_in_nobodys_way(started: Callable[..., Process]):
    first = started(config={})
    first.wait_until_ready()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL

    second = started(port=first.port)

    second.wait_until_ready()
    assert second.stop() == 0


@pytest.mark.slow
def test_an_idle_gateway_is_small(started: Callable[..., Process]):
    gateway = started(config={})
    gateway.wait_until_ready()

    assert gateway.status("VmRSS") < 60 * 1024


@pytest.mark.slow
def test_an_idle_session_costs_little(started: Callable[..., Process]):
    gateway = started(config={})
    gateway.wait_until_ready()
    sessions = 300
    grown = []

    async def hold(nursery: trio.Nursery, count: int) -> None:
        for _ in range(count):
            wire = await nursery.start(_open_session, gateway.port)
            assert wire

    async def measure() -> None:
        async with trio.open_nursery() as nursery:
            await hold(nursery, 20)  # what the first ones load is nobody's cost
            before = gateway.status("VmRSS")
            await hold(nursery, sessions)
            grown.append(gateway.status("VmRSS") - before)
            nursery.cancel_scope.cancel()

    trio.run(measure)

    assert grown[0] / sessions < 40


async def _open_session(
    port: int, *, task_status: trio.TaskStatus[bool] = trio.TASK_STATUS_IGNORED
) -> None:
    """Hold one admitted session open."""
    async with open_wire(port) as wire:
        answer = await wire.connect(token=TOKEN, scopes=("operator.read",))
        task_status.started(answer["ok"])
        await trio.sleep_forever()


@pytest.mark.slow
def test_warnings_are_told_at_the_start(started: Callable[..., Process]):
    gateway = started(config={"bind": "auto", "auth": {"mode": "none"}})
    gateway.wait_until_ready()

    gateway.wait_for_line("gateway.bind: auto means loopback here")
    gateway.wait_for_line("auth mode=none explicitly configured")
    gateway.wait_for_line(f"Control UI: http://127.0.0.1:{gateway.port}/")
    assert gateway.stop() == 0
