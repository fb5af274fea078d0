"""Real programs as a user starts them: the gateway, the command line, nginx; ended by pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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


def environment(state_dir: Path) -> dict[str, str]:
    """Return the environment of a program that lives in ``state_dir`` and nowhere else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENCLAW_")}
    return kept | {
        "HOME": str(state_dir.parent),
        "OPENCLAW_STATE_DIR": str(state_dir),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }


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
    state_dir: Path,
    *words: str,
    timeout_s: float = 30.0,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
    umask: int = -1,
) -> Finished:
    """Run one ``openclaw`` command to its end; ``inside`` as for `running_gateway`.

    Args:
        port: Where this machine's gateway is, if not at the usual port.
    """
    named = {} if port is None else {"OPENCLAW_GATEWAY_PORT": str(port)}
    done = subprocess.run(
        [*inside, *OPENCLAW, *words],
        env=environment(state_dir) | named | dict(env or {}),
        cwd=state_dir.parent,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
        umask=umask,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@define(eq=False)
class Gateway:
    """A gateway process."""

    process: subprocess.Popen[bytes]
    port: int
    state_dir: Path
    stderr: Path
    said_before: int = 0

    @property
    def devices(self) -> Path:
        """The folder of its device store."""
        return self.state_dir / "devices"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The shared secret in its configuration: a token, or a password."""
        from stores.config.load import load_config
        from stores.paths import resolve_paths

        env = environment(self.state_dir)
        auth = load_config(resolve_paths(env), env).config.gateway.auth
        secret = auth.token or auth.password
        assert secret is not None
        return secret

    def _settle(self) -> None:
        """Wait until nothing more is written: the gateway's log is written by a thread of its own."""
        seen: list[int] | None = None
        while self.process.poll() is None:
            files = (self.stderr, *(self.state_dir / "logs").glob("gateway-*.jsonl"))
            sizes = [file.stat().st_size for file in files]
            if sizes == seen:
                return
            seen = sizes
            time.sleep(0.05)

    def said(self) -> str:
        """What it wrote on standard error so far; not what an earlier one on its port wrote."""
        self._settle()
        return self.said_by_now()

    def said_by_now(self) -> str:
        """The same, whatever is on its way: for who looks again and again."""
        return self.stderr.read_bytes()[self.said_before :].decode()

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log file."""
        self._settle()
        return [
            json.loads(line)
            for file in sorted((self.state_dir / "logs").glob("gateway-*.jsonl"))
            for line in file.read_text().splitlines()
        ]

    def kept(self, name: str) -> dict[str, Any]:
        """What a file of its device store holds; empty while there is none."""
        file = self.devices / name
        found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
        return found

    def audit(self, event: str) -> list[dict[str, Any]]:
        """The lines of the audit trail about one kind of event."""
        file = self.devices / "audit.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def openclaw(self, *words: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run a command of the gateway's own machine and user."""
        return openclaw(self.state_dir, *words, port=self.port, env=env)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = 15.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(within_s)


@contextmanager
def running_gateway(
    state_dir: Path,
    *words: str,
    port: int | None = None,
    command: tuple[str, ...] = ("gateway", "run"),
    inside: tuple[str, ...] = (),
    umask: int = -1,
    pinned: bool = True,
    env: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """Run ``openclaw gateway run`` until the body ends; ready means that it says so.

    Args:
        pinned: Whether its port is an option; else its configuration says the same one.
        inside: Words in front of the command that take it elsewhere, such as a namespace.
    """
    state_dir.parent.mkdir(parents=True, exist_ok=True)
    number = free_port() if port is None else port
    stderr = state_dir.parent / f"gateway-{number}.stderr"
    with stderr.open("ab") as sink:
        said_before = sink.tell()
        process = subprocess.Popen(
            [*inside, *OPENCLAW, *command, *(["--port", str(number)] if pinned else []), *words],
            env=environment(state_dir) | dict(env or {}),
            cwd=state_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            umask=umask,
        )
    gateway = Gateway(process, number, state_dir, stderr, said_before)
    try:
        wait_until_it_listens(gateway)
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


def wait_until_it_listens(gateway: Gateway) -> None:
    """Wait until a gateway says that it listens, or fail with what it said."""

    def listens() -> bool:
        code = gateway.process.poll()
        assert code is None, f"the gateway ended with {code}:\n{gateway.said_by_now()}"
        return "listening on" in gateway.said_by_now()

    eventually(listens, within_s=READY_WITHIN_S)


def eventually(true: Callable[[], object], *, within_s: float = 10.0) -> float:
    """Look again and again until something is true; return how long that took, s."""
    started = time.monotonic()
    while not true():
        took_s = time.monotonic() - started
        assert took_s < within_s, f"{getattr(true, '__name__', true)}: not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - started


@contextmanager
def running_nginx(
    folder: Path, gateway_port: int, *lines: str, user: str | None = None, server: str = ""
) -> Iterator[int]:
    """Run a real nginx in front of a gateway; ``lines`` go into its location. Yields its port.

    Args:
        user: Whom its workers run as, if not as whoever runs the test; needs root.
        server: More lines for its server, such as a certificate; a ``listen`` replaces its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    location = "\n".join(f"      {line}" for line in lines)
    own = f"user {user}; master_process on;" if user else "master_process off;"
    scheme = " ssl" if "ssl_certificate" in server else ""
    (folder / "nginx.conf").write_text(
        f"""daemon off; {own} pid {folder}/nginx.pid; error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{scheme};
    {server}
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
    words = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running(*words, port=port):
        yield port


@contextmanager
def running(
    *words: str, port: int, inside: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that listens on a port of loopback until the body ends.

    Args:
        inside: As for `running_gateway`; whoever gives it waits for the port.
    """
    process = subprocess.Popen(
        [*inside, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        if not inside:
            wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


FORWARDS = (
    "proxy_set_header Host $host:$server_port;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens on a port of loopback, or fail when the program ended."""

    def listens() -> bool:
        assert process.poll() is None, process.communicate()[1]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    eventually(listens)
