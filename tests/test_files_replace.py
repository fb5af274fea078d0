"""Replacing a file, with everything that can go wrong; `test_files` has the rest of that module."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from stores.errors import StoreError
from stores.files import append_line, locked, read_file, replace_file, stage_file, sweep_staged
from stores.sync import timed_syncs
from tests.imports import ROOT
from tests.test_files import NOBODY, any_umask, as_root, folder_of_nobody, mode_of

__all__ = ["any_umask", "folder_of_nobody"]  # fixtures


def test_a_file_is_private_under_any_umask(tmp_path, any_umask):
    replace_file(tmp_path / "a", b"x")
    append_line(tmp_path / "b", b"x\n")
    with locked(tmp_path / "c"):
        pass

    assert [mode_of(tmp_path / name) for name in "abc"] == [0o600] * 3


def test_a_file_that_was_open_to_others_is_private_after_a_write(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"x\n")
        (tmp_path / name).chmod(0o644)

    replace_file(tmp_path / "a", b"y")
    append_line(tmp_path / "b", b"y\n")

    assert [mode_of(tmp_path / name) for name in "ab"] == [0o600] * 2


@pytest.mark.parametrize("durable", [True, False])
def test_a_replace_leaves_nothing_beside_the_file(tmp_path, durable):
    replace_file(tmp_path / "a", b"1", durable=durable)
    replace_file(tmp_path / "a", b"2", durable=durable)

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"2"


def test_what_is_staged_is_not_visible_before_it_is_committed(tmp_path):
    path = tmp_path / "a"
    replace_file(path, b"old")

    staged = stage_file(path, b"new")
    before = path.read_bytes()
    staged.commit()
    staged.discard()

    assert before == b"old"
    assert path.read_bytes() == b"new"


def test_what_is_discarded_leaves_no_trace(tmp_path):
    stage_file(tmp_path / "a", b"new").discard()

    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    stage_file(tmp_path / "a", b"left behind")
    kept = stage_file(tmp_path / "b", b"of another file")
    replace_file(tmp_path / "a", b"1")

    sweep_staged(tmp_path / "a")

    assert {path.name for path in tmp_path.iterdir()} == {"a", kept.temporary.name}


def refuse(*_: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("call", ["fsync", "write", "rename", "fstat"])
def test_a_disk_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, call):
    path = tmp_path / "a"
    replace_file(path, b"old")
    monkeypatch.setattr(os, call, refuse)

    with pytest.raises(StoreError, match="cannot write"):
        replace_file(path, b"new")

    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["a"]


def fails_for_folders(number: int):
    really = os.fsync

    def fsync(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(number, os.strerror(number))
        really(handle)

    return fsync


def test_a_file_system_that_cannot_sync_folders_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fails_for_folders(22))

    replace_file(tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_folder_that_fails_to_sync_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fails_for_folders(5))

    with pytest.raises(StoreError, match="cannot write"):
        replace_file(tmp_path / "a", b"new")


def test_a_mount_that_knows_no_modes_is_no_error(tmp_path, monkeypatch):
    def chmod(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", chmod)

    replace_file(tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_folder_in_the_way_is_an_error(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)

    with pytest.raises(StoreError, match="cannot write"):
        replace_file(tmp_path / "a", b"x")

    assert [found.name for found in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="cannot write"):
        replace_file(tmp_path / "no" / "a", b"x")
    with pytest.raises(StoreError, match="cannot write"):
        append_line(tmp_path / "no" / "a", b"x\n")


WRITE_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from stores.errors import StoreError
from stores.files import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    replace_file(Path(sys.argv[1]), b"x" * 10_000)
except StoreError as error:
    print(error.problem)
"""


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    path = tmp_path / "a"
    replace_file(path, b"old")

    done = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"cannot write {path}: File too large\n"
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["a"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root with CAP_SYS_ADMIN mounts a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_file(tiny_disk):
    path = tiny_disk / "a"
    replace_file(path, b"old")

    with pytest.raises(StoreError, match="No space left on device"):
        replace_file(path, b"x" * 100_000)

    assert path.read_bytes() == b"old"
    assert [found.name for found in tiny_disk.iterdir()] == ["a"]


def test_no_reader_ever_sees_a_part(tmp_path):
    path, done, seen = tmp_path / "a", threading.Event(), set[bytes]()
    replace_file(path, b"0" * 100_000)

    def look() -> None:
        while not done.is_set():
            found = read_file(path)
            assert found is not None
            seen.add(found[0][:1] + found[0][-1:] + str(len(found[0])).encode())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(60):
        replace_file(path, str(number % 10).encode() * 100_000, durable=False)
    done.set()
    reader.join()

    assert seen <= {f"{n}{n}100000".encode() for n in range(10)}


@as_root
def test_root_keeps_the_owner_of_a_file(folder_of_nobody, tmp_path):
    mine = tmp_path / "mine"
    mine.write_bytes(b"")
    os.chown(mine, 1234, 4321)

    replace_file(mine, b"new")
    replace_file(folder_of_nobody / "a", b"new")
    append_line(folder_of_nobody / "b", b"new\n")
    for _ in range(2):
        with locked(folder_of_nobody / "c"):
            pass

    assert (mine.stat().st_uid, mine.stat().st_gid) == (1234, 4321)
    assert {path.stat().st_uid for path in folder_of_nobody.iterdir()} == {NOBODY}


@as_root
def test_root_can_be_led_to_no_file_of_the_system(folder_of_nobody, tmp_path):
    target = tmp_path / "shadow"
    target.write_bytes(b"root's own")
    (folder_of_nobody / "store.lock").symlink_to(target)

    with pytest.raises(StoreError), locked(folder_of_nobody / "store.lock"):
        pass

    assert target.read_bytes() == b"root's own"
    assert target.stat().st_uid == 0


@as_root
def test_a_user_without_the_right_is_told_and_changes_nothing(folder_of_nobody):
    path = folder_of_nobody / "a"
    replace_file(path, b"old")
    os.chown(path, 0, 0)
    os.chown(folder_of_nobody, 0, 0)
    folder_of_nobody.chmod(0o755)

    def try_everything() -> Iterator[str]:
        for act in (
            read_file,
            lambda path: replace_file(path, b"x"),
            lambda path: append_line(path, b"x"),
            lambda path: locked(path.with_name("lock")).__enter__(),
        ):
            try:
                act(path)
            except StoreError as error:
                yield error.problem

    with locked(folder_of_nobody / "other"):  # what is imported late is imported while we are root
        pass
    problems = in_child_as_nobody(try_everything)

    assert [problem.split()[:2] for problem in problems] == [
        ["cannot", verb] for verb in ("read", "write", "write", "lock")
    ]
    assert all("Permission denied" in problem for problem in problems)
    assert path.read_bytes() == b"old"


def in_child_as_nobody(lines: Callable[[], Iterable[str]]) -> list[str]:
    """Return the lines that a forked child says who gave up being root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writing, "\n".join(lines()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as said:
        text = said.read()
    os.waitpid(child, 0)
    return text.splitlines()


def test_each_sync_is_timed_where_somebody_asks_and_only_there(tmp_path):
    with timed_syncs() as took_s:
        replace_file(tmp_path / "a", b"x")
        in_between = list(took_s)
        replace_file(tmp_path / "b", b"x", durable=False)
    replace_file(tmp_path / "c", b"x")

    assert took_s == in_between
    assert len(took_s) == 2  # the file, and its folder
    assert all(one >= 0 for one in took_s)
