"""The five ways in which no gateway answers are five messages, five kinds and one exit code."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.programs import (
    Finished,
    free_port,
    openclaw,
    running,
    running_gateway,
    running_nginx,
)
from tests.scenarios.timing import timed

pytestmark = pytest.mark.slow
FORWARDER = Path(__file__).with_name("forwarder.py")


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return the state directory of somebody who knows a token."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    state_dir.joinpath("openclaw.json").write_text('{gateway: {auth: {token: "the-token"}}}')
    return state_dir


def check(done: Finished, kind: str, *words: str) -> None:
    """Check that a command failed in one way, in words and in JSON."""
    assert done.code == 3, done
    told = done.json
    assert told["ok"] is False
    assert told["exitCode"] == 3
    assert told["error"]["type"] == "transport"
    assert told["error"]["kind"] == kind, told
    for word in words:
        assert word in told["error"]["message"]
    reason, *block = done.err.splitlines()
    assert reason == told["error"]["message"]
    assert [line.partition(":")[0] for line in block[:3]] == ["Gateway target", "Source", "Config"]
    assert told["gateway"]["url"] in block[0]
    assert "Traceback" not in done.err


def ask(state_dir: Path, port: int, *, scheme: str = "ws", timeout_ms: int = 5000) -> Finished:
    """Ask for the health of what listens on a port."""
    secret = state_dir.parent / "token"
    secret.write_text("the-token")
    url = ("--url", f"{scheme}://127.0.0.1:{port}", "--token-file", str(secret))
    return openclaw(state_dir, "health", "--json", "--timeout", str(timeout_ms), *url)


@contextmanager
def certificate(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Make a self-signed certificate and its key with openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-days", "2"),
            *("-out", str(files[0]), "-keyout", str(files[1])),
        ),
        check=True,
        capture_output=True,
    )
    yield files


def test_nothing_listens(state_dir: Path) -> None:
    port = free_port()

    check(ask(state_dir, port), "refused", f"127.0.0.1:{port}", "connection refused")


def test_nothing_listens_where_this_machines_gateway_should(state_dir: Path) -> None:
    port = free_port()

    done = openclaw(state_dir, "health", "--json", port=port)

    check(done, "refused")
    assert "Bind: loopback" in done.err
    assert done.json["error"]["remedy"]["command"] == "openclaw gateway run"


def test_another_programs_web_server(state_dir: Path) -> None:
    port = free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]

    with running(*server, "--directory", str(state_dir.parent), port=port):
        done = ask(state_dir, port)
        local = openclaw(state_dir, "health", "--json", port=port)

    check(done, "http", "HTTP 200", "SimpleHTTP")
    assert done.json["error"]["details"]["httpStatus"] == 200
    check(local, "http", "the port is held by process", "http.server")


@pytest.mark.real("nginx")
def test_a_proxy_in_front_of_nothing(state_dir: Path, tmp_path: Path) -> None:
    with running_nginx(tmp_path / "nginx", free_port()) as port:
        done = ask(state_dir, port)

    check(done, "http", "HTTP 502", "nginx")
    assert done.json["error"]["details"]["httpStatus"] == 502


@pytest.mark.real("nginx", "openssl")
def test_plain_words_to_a_proxy_that_wants_tls(state_dir: Path, tmp_path: Path) -> None:
    with certificate(tmp_path / "nginx") as (cert, key):
        lines = f"ssl_certificate {cert}; ssl_certificate_key {key};"
        with running_nginx(tmp_path / "nginx", free_port(), server=lines) as port:
            done = ask(state_dir, port)

    check(done, "tls", "speaks TLS", "wss://")


@pytest.mark.real("openssl")
def test_plain_words_to_a_tls_port_that_only_hangs_up(state_dir: Path, tmp_path: Path) -> None:
    port = free_port()
    with certificate(tmp_path / "tls") as (cert, key):
        server = ["openssl", "s_server", "-www", "-accept", f"127.0.0.1:{port}"]
        with running(*server, "-cert", str(cert), "-key", str(key), port=port):
            done = ask(state_dir, port)

    check(done, "tls", "speaks TLS", "wss://")


def test_tls_to_a_gateway_that_speaks_plain(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        done = ask(state_dir, gateway.port, scheme="wss")

    check(done, "tls", "ws://")


def test_a_proxy_that_cuts_the_line_after_the_upgrade(state_dir: Path) -> None:
    port = free_port()
    with running_gateway(state_dir) as gateway:
        words = [sys.executable, str(FORWARDER), str(port), f"127.0.0.1:{gateway.port}", "--cut"]
        with running(*words, port=port):
            done = ask(state_dir, port)

    check(done, "dropped", "dropped the connection")


@pytest.mark.parametrize("to", ["default", "url"])
def test_a_gateway_that_is_stuck(state_dir: Path, to: str) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.tell(signal.SIGSTOP)
        if to == "url":
            started = time.monotonic()
            done = ask(state_dir, gateway.port, timeout_ms=800)
            took_s = time.monotonic() - started
        else:
            done, took_s = timed(gateway, "health", "--json", "--timeout", "800")

    check(done, "timeout", "did not answer in time")
    # of this machine's own process it is known that waiting is in vain, also by its URL
    assert 0.3 <= took_s < 2.0
    assert f"kill -CONT {gateway.process.pid}" in done.err


def test_five_ways_are_five_messages(state_dir: Path) -> None:
    """What a person reads differs, not only what a program reads."""
    port, free = free_port(), free_port()
    web = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running_gateway(state_dir) as gateway, running(*web, port=port):
        cutter = free_port()
        words = [sys.executable, str(FORWARDER), str(cutter), f"127.0.0.1:{gateway.port}", "--cut"]
        with running(*words, port=cutter):
            said = [
                ask(state_dir, free).err,
                ask(state_dir, port).err,
                ask(state_dir, gateway.port, scheme="wss").err,
                ask(state_dir, cutter).err,
            ]
        gateway.tell(signal.SIGSTOP)
        said.append(ask(state_dir, gateway.port, timeout_ms=500).err)

    reasons = {re.sub(r":\d+", "", text.splitlines()[0]) for text in said}
    assert len(reasons) == 5, reasons
