"""The measured processes: started on loopback with a state directory of their own, ended by pid."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parent.parent

#: Any value serves: the gateways live for seconds, on loopback, on state made for them.
TOKEN = "the-shared-token-of-a-benchmark-gateway"

#: A server that does not answer within this is a failure of the run.
START_WITHIN_S = 10.0
END_WITHIN_S = 10.0

_CONFIG: dict[str, dict[str, object]] = {
    "gateway": {"mode": "local", "auth": {"mode": "token", "token": TOKEN}}
}


@frozen
class Server:
    """A process that serves on ``port`` of 127.0.0.1; ``ready_s`` is exec to first answer."""

    pid: int
    port: int
    ready_s: float

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads, user and system, since it began."""
        # How clock_getcpuclockid(3) makes the clock of another process on Linux; in ns, where
        # /proc/PID/stat counts ticks of 10 ms.
        return time.clock_gettime((~self.pid << 3) | 2)

    def private_bytes(self) -> int:
        """Return the memory that only it uses."""
        return sum(_memory(self.pid, name) for name in ("Private_Clean", "Private_Dirty"))

    def resident_bytes(self) -> int:
        """Return its resident memory, shared libraries included."""
        return _memory(self.pid, "Rss")


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def environment(state_dir: Path) -> dict[str, str]:
    """Return the environment of a program that uses ``state_dir`` and nothing of the caller's."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("OPENCLAW_")}
    return kept | {"OPENCLAW_STATE_DIR": str(state_dir), "HOME": str(state_dir)}


def program(*words: str) -> list[str]:
    """Return the words that start ``openclaw`` with this very interpreter."""
    return [sys.executable, "-m", "cli.main", *words]


@contextmanager
def gateway(state_dir: Path, section: Mapping[str, object] | None = None) -> Iterator[Server]:
    """Run a real gateway on ``state_dir`` while the body runs; ``section`` adds to its settings."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = state_dir / "openclaw.json"
    file.write_text(json.dumps({"gateway": _CONFIG["gateway"] | dict(section or {})}))
    file.chmod(0o600)
    port = free_port()
    words = program("gateway", "run", "--port", str(port))
    with _running(words, environment(state_dir), port, _answers_http) as server:
        yield server


@contextmanager
def floor(answers: Path) -> Iterator[Server]:
    """Run the floor, which answers with the payloads in ``answers``, while the body runs."""
    port = free_port()
    words = [sys.executable, "-m", "benchmarks.floor", str(port), str(answers)]
    with _running(words, environment(answers.parent), port, _accepts) as server:
        yield server


@contextmanager
def _running(
    words: Sequence[str], env: dict[str, str], port: int, answers: Callable[[int], bool]
) -> Iterator[Server]:
    complaints = Path(env["HOME"]) / "stderr.txt"
    with (
        complaints.open("wb") as stderr,
        subprocess.Popen(
            words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stderr=stderr
        ) as process,
    ):
        begun_s = time.perf_counter()
        try:
            while not answers(port):
                waited_s = time.perf_counter() - begun_s
                if process.poll() is not None or waited_s > START_WITHIN_S:
                    said = complaints.read_text(errors="replace")
                    raise RuntimeError(f"{' '.join(words)} does not serve: {said[-1000:]}")
                time.sleep(0.002)
            yield Server(process.pid, port, time.perf_counter() - begun_s)
        finally:
            process.terminate()
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=START_WITHIN_S).close()
    except OSError:
        return False
    return True


def _answers_http(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_WITHIN_S) as http:
            http.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return http.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def wall_s(words: Sequence[str], env: dict[str, str]) -> float:
    """Return how long a program runs from exec to exit.

    Raises:
        CalledProcessError: it failed.
    """
    begun_s = time.perf_counter()
    subprocess.run(
        words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return time.perf_counter() - begun_s


def medians(measures: Sequence[Callable[[], float]], *, rounds: int) -> list[float]:
    """Return each measure's median; the measures take turns, so that all meet the same noise."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]
