"""Whose a state directory is, and who may change what is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stores.errors import LockTimeoutError, StoreError
from stores.owner import (
    flocked,
    kind_of_mount,
    modes_mean_nothing,
    refuse_open_folder,
    sudo_user,
    take_ownership,
    user_name,
    will_become,
)
from tests.imports import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
other_users = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("setpriv") is None
    or not all(folder.stat().st_mode & 0o001 for folder in (ROOT, *ROOT.parents)),
    reason="needs root, setpriv, and a checkout that another user can enter",
)
SOMEBODY = 54_321

#: Becoming cannot be undone, so it happens in a process of its own: what it did is printed.
BECOME = """
import os, sys
from pathlib import Path
from stores.errors import StoreError
from stores.owner import refuse_open_folder, take_ownership
try:
    owner = take_ownership(Path(sys.argv[1]))
    refuse_open_folder(Path(sys.argv[1]))
except StoreError as error:
    print("refused:", error)
else:
    print(owner.uid, owner.became, owner.reached, os.getresuid(), os.getresgid(), os.getgroups())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


def become(folder: Path, *, uid: int = 0) -> str:
    """Take ownership of a folder in another process and return what that says."""
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    ran = subprocess.run(
        [*words, sys.executable, "-c", BECOME, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_ones_own_folder_changes_nothing(folder: Path):
    owner = take_ownership(folder)

    assert owner is not None
    assert (owner.uid, owner.became, owner.reached) == (os.geteuid(), False, folder)
    assert owner.name == user_name(os.geteuid())


def test_without_a_folder_there_is_no_owner(tmp_path: Path):
    assert take_ownership(tmp_path / "nothing") is None
    assert not will_become(tmp_path / "nothing")


@as_root
@pytest.mark.slow
def test_root_becomes_the_owner_for_good_and_keeps_no_group(folder: Path):
    os.chown(folder, SOMEBODY, SOMEBODY)

    assert will_become(folder)
    ids = f"({SOMEBODY}, {SOMEBODY}, {SOMEBODY})"
    assert become(folder).endswith(f" {ids} {ids} [{SOMEBODY}]")


@as_root
@pytest.mark.slow
def test_a_folder_below_one_that_is_shut_is_reached_all_the_same(tmp_path: Path):
    shut = tmp_path / "shut"
    (shut / "state").mkdir(parents=True)
    shut.chmod(0o700)
    (shut / "state").chmod(0o700)
    os.chown(shut / "state", SOMEBODY, SOMEBODY)

    assert become(shut / "state").startswith(f"{SOMEBODY} True /proc/self/cwd ")


@as_root
@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777], ids=oct)
def test_root_touches_nothing_in_a_folder_that_others_may_write_to(folder: Path, mode: int):
    os.chown(folder, SOMEBODY, SOMEBODY)
    folder.chmod(mode)

    said = become(folder)

    assert said.startswith(f"refused: {folder} is open to others (mode {mode:04o}")
    assert f"`chmod 700 {folder}`" in said


@as_root
def test_root_is_led_nowhere_by_a_link(folder: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(folder)

    assert not will_become(link)
    with pytest.raises(StoreError, match="symbolic link") as refused:
        take_ownership(link)
    assert f"`OPENCLAW_STATE_DIR={folder} openclaw devices list`" in str(refused.value)


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """Return a folder that every user may enter."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def owned(folder: Path, uid: int, *, mode: int = 0o700) -> Path:
    """Make a folder of somebody."""
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, uid, SOMEBODY)
    return folder


@pytest.mark.slow
@other_users
@pytest.mark.parametrize("maker", [SOMEBODY, 0], ids=["own", "of-root"])
def test_only_ones_own_link_is_followed(anybodys: Path, maker: int):
    folder, link = owned(anybodys / "state", SOMEBODY), anybodys / "link"
    link.symlink_to(folder)
    os.lchown(link, maker, maker)

    said = become(link, uid=SOMEBODY)

    if maker == SOMEBODY:
        assert said.startswith(f"{SOMEBODY} False {link} ")
    else:
        assert said.startswith(f"refused: {link} is a symbolic link")


@pytest.mark.slow
@other_users
@pytest.mark.parametrize(
    ("uid", "mode", "refused"),
    [
        pytest.param(0, 0o2775, False, id="shared-by-root"),
        pytest.param(0, 0o2777, True, id="open-to-the-world"),
        pytest.param(SOMEBODY, 0o770, True, id="own-and-open"),
        pytest.param(99, 0o770, True, id="of-a-third"),
    ],
)
def test_a_volume_that_root_shares_with_a_group_is_used(
    anybodys: Path, uid: int, mode: int, *, refused: bool
):
    folder = owned(anybodys / "state", uid, mode=mode)
    folder.chmod(mode)

    assert become(folder, uid=SOMEBODY).startswith("refused:") is refused


@pytest.mark.parametrize("mode", [0o720, 0o702], ids=["group", "world"])
def test_nothing_is_changed_where_others_may_write(folder: Path, mode: int):
    folder.chmod(mode)

    with pytest.raises(StoreError, match="open to others"):
        refuse_open_folder(folder)

    folder.chmod(0o755)  # they may look, and change nothing
    refuse_open_folder(folder)


def test_a_folder_that_is_not_there_is_open_to_nobody(tmp_path: Path):
    refuse_open_folder(tmp_path / "nothing")


def test_modes_mean_something_here(folder: Path):
    assert not modes_mean_nothing(folder)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/", "ext4", id="root"),
        pytest.param("/home/u", "ext4", id="below-root"),
        pytest.param("/mnt/c", "9p", id="the-mount"),
        pytest.param("/mnt/c/Users/u", "9p", id="below-the-mount"),
        pytest.param("/mnt/cc", "ext4", id="beside-the-mount"),
        pytest.param("/my data/x", "fakeowner", id="a-space"),
        pytest.param("/twice", "tmpfs", id="mounted-over"),
    ],
)
def test_the_innermost_mount_is_what_a_path_is_on(path: str, kind: str):
    mounts = [
        "1 0 8:1 / / rw - ext4 /dev/a rw",
        "2 1 0:5 / /mnt/c rw,noatime shared:1 - 9p drvfs rw",
        "3 1 0:6 / /my\\040data rw - fakeowner x rw",
        "4 1 0:7 / /twice rw - 9p x rw",
        "5 1 0:8 / /twice rw - tmpfs x rw",
        "nonsense",
    ]

    assert kind_of_mount(path, mounts) == kind


def test_a_user_without_a_name_is_told_by_number():
    assert user_name(SOMEBODY) == f"uid {SOMEBODY}"
    assert sudo_user(SOMEBODY) == f"'#{SOMEBODY}'"
    assert sudo_user(0) == "root"


def test_a_lock_that_somebody_holds_is_waited_for_and_given_up(folder: Path):
    lock = folder / "store.lock"

    with flocked(lock, timeout_s=1):
        with pytest.raises(LockTimeoutError), flocked(lock, timeout_s=0):
            pass
        assert lock.stat().st_mode & 0o777 == 0o600
    with flocked(lock, timeout_s=0):
        pass


def test_a_lock_that_is_a_link_is_none(folder: Path):
    (folder / "store.lock").symlink_to(folder / "other")

    with (
        pytest.raises(StoreError, match="cannot lock"),
        flocked(folder / "store.lock", timeout_s=0),
    ):
        pass
    assert not (folder / "other").exists()
