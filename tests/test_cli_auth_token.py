"""`openclaw gateway auth-token`: the source to everybody, the secret to a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from stores.fingerprint import secret_fingerprint
from stores.port_owner import start_time_of

TOKEN = "a-token-nobody-would-guess-4711"
PROGRAM = [sys.executable, "-m", "cli.main", "gateway", "auth-token"]


@pytest.fixture
def env(tmp_path):
    (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": {"auth": {"token": TOKEN}}}))
    return {"PATH": os.environ["PATH"], "OPENCLAW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}


def _run(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words], check=False, env=env, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["prose", "json"])
def test_it_names_the_source_and_not_the_secret(env, words):
    ended = _run(*words, env=env)

    assert ended.returncode == 0
    assert "openclaw.json" in ended.stdout
    assert "gateway.auth.token" in ended.stdout
    assert TOKEN not in ended.stdout + ended.stderr


def test_it_shows_nothing_to_a_pipe(env):
    ended = _run("--show", env=env)

    assert ended.returncode == 1
    assert "on a terminal only" in ended.stderr
    assert TOKEN not in ended.stdout + ended.stderr


def test_a_terminal_gets_the_secret_and_nothing_else(env):
    ours, theirs = pty.openpty()

    ended = subprocess.run(
        [*PROGRAM, "--show"], check=False, env=env, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    said = os.read(ours, 1000).decode()
    os.close(ours)

    assert ended.returncode == 0
    assert ended.stderr == b""
    assert said.replace("\r\n", "\n") == f"{TOKEN}\n"


def test_without_a_secret_it_says_how_one_is_made(env, tmp_path):
    (tmp_path / "openclaw.json").write_text("{}")

    ended = _run("--show", env=env)

    assert ended.returncode == 1
    assert "has no token or password" in ended.stderr
    assert "openclaw gateway run" in ended.stderr


def test_a_gateway_that_was_started_with_another_secret_is_named(env, tmp_path):
    own = {"pid": os.getpid(), "startTime": start_time_of(os.getpid())}
    theirs = {"secretFingerprint": "00000000", "secretSource": "--token-file /run/other"}
    (tmp_path / "gateway.lock").write_text(json.dumps(own | theirs))

    ended = _run(env=env)

    assert ended.returncode == 1
    assert f"pid {os.getpid()}" in ended.stderr
    assert "--token-file /run/other" in ended.stderr


def test_a_gateway_that_runs_with_the_same_secret_is_no_obstacle(env, tmp_path):
    own = {"pid": os.getpid(), "startTime": start_time_of(os.getpid())}
    same = {"secretFingerprint": secret_fingerprint(TOKEN), "secretSource": "anywhere"}
    (tmp_path / "gateway.lock").write_text(json.dumps(own | same))

    assert _run(env=env).returncode == 0


def test_two_wishes_at_once_are_refused(env):
    assert _run("--show", "--json", env=env).returncode == 2
