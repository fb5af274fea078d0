"""What the lock of a state directory tells of the gateway that wrote it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stores.fingerprint import secret_fingerprint
from stores.port_owner import start_time_of
from stores.running import Standing, read_running

OWN_SPACE = os.readlink("/proc/self/ns/pid")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def write(folder: Path, **note: Any) -> None:
    (folder / "gateway.lock").write_text(json.dumps(note))


def note_of(pid: int, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "startTime": start_time_of(pid), "pidSpace": OWN_SPACE} | more


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"pid": "1"}'], ids=str)
def test_a_lock_that_names_nobody_is_nobody(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "gateway.lock").write_text(text)

    assert read_running(tmp_path) is None


def test_a_process_that_is_there_runs_and_is_described(tmp_path: Path):
    told = {"port": 7, "bind": "lan", "version": "1", "configPath": "/c", "configDigest": "d"}
    told |= {"authMode": "token", "secretFingerprint": "f", "startedAtMs": 5, "uid": 9}
    write(tmp_path, **note_of(os.getpid(), tls={"fingerprint": "sha256:aa"}, **told))

    found = read_running(tmp_path)

    assert found is not None
    assert found.standing is Standing.RUNS
    assert found.alive
    assert (found.pid, found.port, found.bind, found.uid) == (os.getpid(), 7, "lan", 9)
    assert (found.config_path, found.config_digest) == ("/c", "d")
    assert (found.secret_fingerprint, found.tls_fingerprint) == ("f", "sha256:aa")


def test_what_a_note_says_wrongly_counts_as_not_said(tmp_path: Path):
    write(tmp_path, **note_of(os.getpid(), port="7", uid=True, configPath=5, tls=[]))

    found = read_running(tmp_path)

    assert found is not None
    assert (found.port, found.uid, found.config_path, found.tls_fingerprint) == (None,) * 4


def test_a_pid_that_is_used_again_is_not_the_gateway(tmp_path: Path):
    write(tmp_path, **note_of(os.getpid()) | {"startTime": 1})

    found = read_running(tmp_path)

    assert found is not None
    assert found.standing is Standing.ENDED
    assert not found.alive


def test_a_stopped_process_is_told_from_one_that_runs(
    tmp_path: Path, process: subprocess.Popen[bytes]
):
    write(tmp_path, **note_of(process.pid))
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)

    found = read_running(tmp_path)

    assert found is not None
    assert found.standing is Standing.STOPPED
    assert found.alive


def test_a_zombie_has_ended(tmp_path: Path, process: subprocess.Popen[bytes]):
    write(tmp_path, **note_of(process.pid))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    found = read_running(tmp_path)

    assert found is not None
    assert found.standing is Standing.ENDED


def test_a_pid_of_another_container_means_nothing_here(tmp_path: Path):
    write(tmp_path, **note_of(os.getpid()) | {"pidSpace": "pid:[1]", "host": "c0ffee"})

    found = read_running(tmp_path)

    assert found is not None
    assert (found.standing, found.host) == (Standing.ELSEWHERE, "c0ffee")


def test_the_fingerprint_of_a_secret_is_short_and_not_the_plain_hash():
    import hashlib

    found = secret_fingerprint("token")

    assert len(found) == 8
    assert found == secret_fingerprint("token") != secret_fingerprint("Token")
    assert found != hashlib.sha256(b"token").hexdigest()[:8]
