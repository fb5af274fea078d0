from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stores.errors import CorruptStoreError, LockTimeoutError, StoreError
from stores.files import (
    Stamp,
    append_line,
    ensure_private_dir,
    lock_holder,
    locked,
    parse_object,
    read_file,
    replace_file,
    stamp,
)
from tests.imports import ROOT

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for another user")

HOLD = """
import sys
from pathlib import Path
from typing import Any
from stores.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture(params=[0o000, 0o077, 0o022], ids=["umask-000", "umask-077", "umask-022"])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def holding(lock: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(lock), *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


# Reading


def test_a_file_comes_with_the_stamp_of_its_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 200_000)

    found = read_file(path)

    assert found == (b"x" * 200_000, stamp(path))


def test_a_missing_file_is_none_and_has_no_stamp(tmp_path):
    assert read_file(tmp_path / "a") is None
    assert stamp(tmp_path / "a") is None


def test_the_stamp_moves_when_the_file_is_replaced(tmp_path):
    path = tmp_path / "a"
    first = replace_file(path, b"1")

    second = replace_file(path, b"2")

    assert first != second == stamp(path)


@pytest.mark.parametrize("look", [read_file, stamp], ids=["read", "stamp"])
def test_a_file_where_the_folder_should_be_is_an_error_and_not_a_missing_file(tmp_path, look):
    (tmp_path / "devices").write_text("")

    with pytest.raises(StoreError, match="cannot read"):
        look(tmp_path / "devices" / "paired.json")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is not a regular file"):
        read_file(tmp_path)


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(StoreError, match="is not a regular file"):
        read_file(tmp_path / "pipe")
    with pytest.raises(StoreError, match="is not a regular file"):
        append_line(tmp_path / "pipe", b"x\n")


def test_a_symbolic_link_in_place_of_a_file_is_refused_on_every_road(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"{}")
    link.symlink_to(target)

    for act in (
        read_file,
        lambda path: replace_file(path, b"x"),
        lambda path: append_line(path, b"x\n"),
    ):
        with pytest.raises(StoreError, match="is a symbolic link") as caught:
            act(link)
        assert "cp --remove-destination" in str(caught.value.remedy)
    with pytest.raises(StoreError), locked(link):
        pass
    assert target.read_bytes() == b"{}"


def test_a_file_that_may_not_be_read_is_an_error_and_not_an_empty_one(tmp_path):
    # /proc/self/mem is what even root cannot read from its beginning.
    with pytest.raises(StoreError, match="cannot read"):
        read_file(Path("/proc/self/mem"))


# Parsing


@pytest.mark.parametrize("text", ["", "{", "nope", "\x00\x00"], ids=repr)
def test_what_is_not_json_is_corrupt_and_named_with_a_way_out(tmp_path, text):
    path = tmp_path / "paired.json"

    with pytest.raises(CorruptStoreError, match="is not valid JSON") as caught:
        parse_object(path, text.encode())

    assert f"give up what it holds: `mv {path} {path}.broken`" in str(caught.value.remedy)


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "1"])
def test_what_is_not_an_object_is_corrupt(tmp_path, text):
    with pytest.raises(CorruptStoreError, match="where an object belongs"):
        parse_object(tmp_path / "paired.json", text.encode())


def test_an_object_is_returned(tmp_path):
    assert parse_object(tmp_path / "a", b'{"a": [1]}') == {"a": [1]}


# Folders


def test_a_folder_and_its_parents_are_private_under_any_umask(tmp_path, any_umask):
    ensure_private_dir(tmp_path / "state" / "devices")

    assert mode_of(tmp_path / "state") == 0o700
    assert mode_of(tmp_path / "state" / "devices") == 0o700


def test_a_folder_of_ours_that_others_may_enter_is_made_private(tmp_path):
    tmp_path.joinpath("devices").mkdir(mode=0o755)

    ensure_private_dir(tmp_path / "devices")

    assert mode_of(tmp_path / "devices") == 0o700


def test_a_folder_behind_a_symbolic_link_is_left_as_it_is(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    target.chmod(0o755)
    (tmp_path / "devices").symlink_to(target)

    ensure_private_dir(tmp_path / "devices")

    assert mode_of(target) == 0o755


def test_a_file_with_the_name_of_the_folder_is_refused(tmp_path):
    (tmp_path / "devices").write_text("mine")

    with pytest.raises(StoreError, match="is not a directory"):
        ensure_private_dir(tmp_path / "devices")


def test_a_folder_that_cannot_be_made_is_told():
    with pytest.raises(StoreError, match="cannot read"):
        ensure_private_dir(Path("/proc/nothing/devices"))


@as_root
def test_root_makes_folders_that_belong_to_the_owner_of_the_state(folder_of_nobody):
    ensure_private_dir(folder_of_nobody / "state" / "devices")

    made = folder_of_nobody / "state" / "devices"
    assert (made.stat().st_uid, made.stat().st_gid) == (NOBODY, NOBODY)
    assert made.parent.stat().st_uid == NOBODY


@as_root
def test_root_leaves_the_modes_of_somebody_elses_folder(folder_of_nobody):
    folder_of_nobody.chmod(0o755)

    ensure_private_dir(folder_of_nobody)

    assert mode_of(folder_of_nobody) == 0o755


# Appending


def test_lines_are_appended_in_order(tmp_path):
    append_line(tmp_path / "a", b"1\n")
    append_line(tmp_path / "a", b"2\n3\n")

    assert (tmp_path / "a").read_bytes() == b"1\n2\n3\n"


def test_a_line_that_was_left_unfinished_does_not_spoil_the_next(tmp_path):
    (tmp_path / "a").write_bytes(b'{"torn":')

    append_line(tmp_path / "a", b"{}\n")

    assert (tmp_path / "a").read_bytes() == b'{"torn":\n{}\n'


def test_appending_nothing_only_tries_whether_it_would_work(tmp_path):
    (tmp_path / "a").write_bytes(b"torn")

    append_line(tmp_path / "a", b"")
    append_line(tmp_path / "b", b"")

    assert (tmp_path / "a").read_bytes() == b"torn"
    assert (tmp_path / "b").read_bytes() == b""


# Locking


def test_a_lock_is_free_again_after_its_body(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "deep" / "lock", timeout_s=0):
            pass


def test_a_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / "lock"):
        raise RuntimeError

    with locked(tmp_path / "lock", timeout_s=0):
        pass


def test_two_threads_of_one_process_exclude_each_other(tmp_path):
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locked(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                (tmp_path / "x").write_bytes(b"")
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_a_lock_that_another_process_holds_names_it_without_its_secrets(tmp_path):
    lock = tmp_path / "lock"
    with holding(lock, "colour\x1b[31m", "--token=hush", "--token", "hush") as process:
        with pytest.raises(LockTimeoutError) as caught, locked(lock, timeout_s=0.05):
            pass

        assert f"process {process.pid} (" in caught.value.problem
        assert "within 0.05 s" in caught.value.problem
        assert caught.value.problem.isprintable()
        assert "hush" not in caught.value.problem
        assert caught.value.remedy


def test_a_lock_is_free_as_soon_as_its_holder_was_killed(tmp_path):
    with holding(tmp_path / "lock") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()

        with locked(tmp_path / "lock", timeout_s=1):
            pass


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "lock").mkdir()

    with pytest.raises(StoreError, match="cannot lock"), locked(tmp_path / "lock"):
        pass


def test_a_lock_that_nobody_holds_or_is_not_there_names_nobody(tmp_path):
    (tmp_path / "lock").write_bytes(b"")

    assert lock_holder(tmp_path / "lock") == "another process"
    assert lock_holder(tmp_path / "none") == "another process"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("1: FLOCK  ADVISORY  WRITE 0 fd:00:{} 0 EOF", "a process outside this container", id="pid-0"),
        pytest.param("1: FLOCK  ADVISORY  WRITE 4194304999 fd:00:{} 0 EOF", "process 4194304999", id="just-gone"),
        pytest.param("1: -> FLOCK  ADVISORY  WRITE 1 fd:00:{} 0 EOF", "another process", id="waiting"),
        pytest.param("short", "another process", id="short-line"),
    ],
)  # fmt: skip
def test_the_kernels_table_is_read_with_care(tmp_path, monkeypatch, line, words):
    lock = tmp_path / "lock"
    lock.write_bytes(b"")
    table = line.format(lock.stat().st_ino)
    monkeypatch.setattr(Path, "read_text", lambda _: table)

    assert lock_holder(lock) == words


def test_a_stamp_is_mtime_size_and_inode(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    status = path.stat()

    assert stamp(path) == Stamp(status.st_mtime_ns, 3, status.st_ino)


def test_no_limit_of_this_test_process_was_touched():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("ours", [True, False], ids=["own-folder", "folder-of-another"])
def test_a_folder_that_may_not_be_made_says_whose_its_place_is(
    tmp_path, monkeypatch: pytest.MonkeyPatch, *, ours: bool
):
    def refuse(path: Any, _mode: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid if ours else uid + 1)

    with pytest.raises(StoreError) as refused:
        ensure_private_dir(tmp_path / "new")

    told = str(refused.value)
    assert ("`OPENCLAW_STATE_DIR`" in told) is not ours
    assert (f"cannot make the folder {tmp_path / 'new'}" in told) is not ours
