"""One gateway a state directory: refusal, stale notes, other containers, mounts without locks."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway import instance
from gateway.instance import AlreadyRunningError, read_note, take_instance_lock
from stores.errors import StoreError
from stores.port_owner import start_time_of
from tests.imports import ROOT

HOLD = (
    "import sys; from pathlib import Path; from gateway.instance import take_instance_lock\n"
    "lock = take_instance_lock(Path(sys.argv[1]))\n"
    "lock.describe({'port': 18789, 'startedAt': '2026-01-01T00:00:00Z'})\n"
    "print('held', flush=True); sys.stdin.read()\n"
)


def hold(path: Path, *prefix: str) -> subprocess.Popen[str]:
    """Start a process that holds the lock."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.lock"


@pytest.mark.slow
def test_a_second_gateway_is_refused_at_once_and_told_of_the_first(path: Path):
    process = hold(path)
    began = time.monotonic()
    try:
        with pytest.raises(AlreadyRunningError) as refused:
            take_instance_lock(path)
    finally:
        finish(process)

    assert time.monotonic() - began < 2
    for fact in (f"pid {process.pid}", "port 18789", "since 2026-01-01T00:00:00Z", "user "):
        assert fact in refused.value.problem
    assert "--profile" in str(refused.value.remedy)


@pytest.mark.slow
def test_the_lock_of_a_killed_gateway_is_free_and_its_note_is_forgotten(path: Path):
    process = hold(path)
    finish(process)
    assert read_note(path)["pid"] == process.pid

    lock = take_instance_lock(path)

    assert read_note(path)["pid"] == os.getpid()
    assert "port" not in read_note(path)
    lock.release()


def test_a_note_with_the_pid_of_a_living_process_refuses_nobody(path: Path):
    path.parent.mkdir()
    path.write_text(json.dumps({"pid": os.getppid(), "startTime": start_time_of(os.getppid())}))

    take_instance_lock(path).release()


def test_the_lock_file_is_private_and_empty_when_let_go(path: Path):
    path.parent.mkdir()
    path.touch(mode=0o644)

    lock = take_instance_lock(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lock.release()

    assert path.read_bytes() == b""
    take_instance_lock(path).release()


@pytest.mark.slow
@pytest.mark.real("namespaces")
def test_a_gateway_in_another_container_holds_the_lock_too(path: Path):
    process = hold(path, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    try:
        with pytest.raises(AlreadyRunningError) as refused:
            take_instance_lock(path)
    finally:
        finish(process)

    assert f"of host {socket.gethostname()}" in refused.value.problem


@pytest.mark.parametrize("kind", ["symlink", "directory", "pipe", "folder-is-a-file"])
def test_what_is_no_lock_file_is_a_clear_error(path: Path, kind: str):
    path.parent.mkdir()
    if kind == "symlink":
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.parent.rmdir()
        path.parent.touch()

    with pytest.raises(StoreError) as refused:
        take_instance_lock(path)

    assert str(path.parent) in refused.value.problem
    assert not path.with_name("elsewhere").exists()


@pytest.mark.parametrize("text", ["", "[]", "no json", '{"pid": "x"}'])
def test_a_note_nobody_can_read_is_no_note(path: Path, text: str):
    path.parent.mkdir()
    path.write_text(text)

    assert read_note(path).get("pid") in (None, "x")
    take_instance_lock(path).release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file to somebody else")
def test_root_leaves_the_lock_file_to_the_owner_of_the_directory(path: Path):
    path.parent.mkdir()
    os.chown(path.parent, 12345, 12345)

    take_instance_lock(path).release()

    assert path.stat().st_uid == 12345


@pytest.fixture(params=["not-there", "pretended"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Act like a mount on which locks cannot be taken, or exclude nobody."""

    def flock(_handle: int, _operation: int) -> None:
        if request.param == "not-there":
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_stands_for_the_lock(path: Path, caplog: pytest.LogCaptureFixture):
    lock = take_instance_lock(path)
    assert lock.marker is not None
    assert stat.S_IMODE(lock.marker.stat().st_mode) == 0o600

    with pytest.raises(AlreadyRunningError) as refused:
        take_instance_lock(path)
    assert f"pid {os.getpid()}" in refused.value.problem
    assert str(lock.marker) in str(refused.value.remedy)

    lock.release()
    assert not lock.marker.exists()
    take_instance_lock(path).release()
    assert "file locks have no effect" in caplog.text


def here(**changed: Any) -> dict[str, Any]:
    return instance._holder() | changed


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(
    ("note", "stale"),
    [
        pytest.param({"startTime": 1}, True, id="pid-used-again"),
        pytest.param({"pid": 2**22 + 7, "startTime": 5}, True, id="dead"),
        pytest.param({"pidSpace": "pid:[1]"}, True, id="container-started-again"),
        pytest.param({"pidSpace": "pid:[1]", "host": "other"}, False, id="other-container"),
        pytest.param({"pid": None}, False, id="being-made"),
    ],
)
def test_a_marker_is_taken_over_only_from_who_is_surely_gone(
    path: Path, note: dict[str, Any], stale: bool
):
    path.parent.mkdir()
    marker = path.with_name("gateway.lock.held")
    marker.write_text(json.dumps(here(**note)))

    if stale:
        take_instance_lock(path).release()
    else:
        with pytest.raises(AlreadyRunningError):
            take_instance_lock(path)
        assert marker.exists()


@pytest.mark.usefixtures("no_locks")
def test_a_marker_left_without_a_note_is_taken_over_after_a_while(path: Path):
    path.parent.mkdir()
    marker = path.with_name("gateway.lock.held")
    marker.touch()
    os.utime(marker, (1, 1))

    take_instance_lock(path).release()


def test_a_network_file_system_that_says_access_denied_means_held(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    def flock(_handle: int, _operation: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", flock)

    with pytest.raises(AlreadyRunningError):
        take_instance_lock(path)


def test_a_user_without_a_name_is_told_by_number(path: Path):
    error = instance._already_running(path, {"uid": 2**31 - 9, "pid": 1})

    assert f"user {2**31 - 9}" in error.problem
