"""Real programs as a user starts them: the gateway, the command line, nginx; ended by pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, frozen

ROOT = Path(__file__).resolve().parents[2]
OPENCLAW = [sys.executable, "-c", "from cli.main import main; main()"]
READY_WITHIN_S = 20.0


def free_port() -> int:
    """Return a port that was free a moment ago on IPv4 and IPv6 loopback."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(state_dir: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a program that lives in ``state_dir`` and nowhere else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENCLAW_")}
    home = state_dir.parent
    return kept | {
        "HOME": str(home),
        "OPENCLAW_STATE_DIR": str(state_dir),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    } | extra


@frozen
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, parsed."""
        return json.loads(self.out)


def openclaw(
    state_dir: Path, *words: str, timeout_s: float = 30.0, **env: str
) -> Finished:
    """Run one ``openclaw`` command to its end."""
    done = subprocess.run(
        [*OPENCLAW, *words],
        env=environment(state_dir, **env),
        cwd=state_dir.parent,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@define(eq=False)
class Gateway:
    """A gateway process."""

    process: subprocess.Popen[bytes]
    port: int
    state_dir: Path
    stderr: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The shared token in its configuration."""
        from stores.config.load import load_config
        from stores.paths import resolve_paths

        env = environment(self.state_dir)
        token = load_config(resolve_paths(env), env).config.gateway.auth.token
        assert token is not None
        return token

    def said(self) -> str:
        """What it wrote on standard error so far."""
        return self.stderr.read_text()

    def openclaw(self, *words: str, **env: str) -> Finished:
        """Run a command of the gateway's own machine and user."""
        return openclaw(self.state_dir, *words, OPENCLAW_GATEWAY_PORT=str(self.port), **env)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = 15.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within_s)


@contextmanager
def running_gateway(
    state_dir: Path, *words: str, port: int | None = None, **env: str
) -> Iterator[Gateway]:
    """Run ``openclaw gateway run`` until the body ends; ready means that it answers HTTP."""
    state_dir.parent.mkdir(parents=True, exist_ok=True)
    number = free_port() if port is None else port
    stderr = state_dir.parent / f"gateway-{number}.stderr"
    with stderr.open("ab") as sink:
        process = subprocess.Popen(
            [*OPENCLAW, "gateway", "run", "--port", str(number), *words],
            env=environment(state_dir, **env),
            cwd=state_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    gateway = Gateway(process, number, state_dir, stderr)
    try:
        wait_for_http(gateway)
        yield gateway
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_http(gateway: Gateway) -> None:
    """Wait until a gateway answers, or fail with what it said."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        code = gateway.process.poll()
        assert code is None, f"the gateway ended with {code}:\n{gateway.said()}"
        try:
            with urllib.request.urlopen(  # noqa: S310  # http to loopback
                f"http://127.0.0.1:{gateway.port}/healthz", timeout=1
            ):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise AssertionError(f"the gateway never answered:\n{gateway.said()}")


@contextmanager
def running_nginx(folder: Path, gateway_port: int, *lines: str) -> Iterator[int]:
    """Run a real nginx in front of a gateway; ``lines`` go into its location. Yields its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    location = "\n".join(f"      {line}" for line in lines)
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{gateway_port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
{location}
    }}
  }}
}}
"""
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_port(port, process, folder / "error.log")
        yield port
    finally:
        process.terminate()
        process.wait(10)


FORWARDS = (
    "proxy_set_header Host $host:$server_port;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")

