"""A command of a user who may not look into the state directory: told whose it is, and what to do."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.programs import ROOT, openclaw

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
    pytest.mark.skipif(
        not all(folder.stat().st_mode & 0o001 for folder in (ROOT, *ROOT.parents)),
        reason="another user cannot enter this checkout",
    ),
]

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Return a state directory of root in a folder that everybody may enter."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    home.chmod(0o755)
    (home / ".openclaw").mkdir(mode=0o700)
    yield home / ".openclaw"
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("gateway", "run"), 78, id="run"),
        pytest.param(("devices", "list"), 1, id="list"),
        pytest.param(("devices", "list", "--offline"), 1, id="offline"),
        pytest.param(("config", "get"), 1, id="config"),
        pytest.param(("health",), 1, id="health"),
    ],
)
def test_a_state_directory_of_another_user_is_told_with_the_way_in(
    state_dir: Path, words: tuple[str, ...], code: int
) -> None:
    ran = openclaw(state_dir, *words, inside=AS_NOBODY)

    assert ran.code == code, ran.err
    assert f"cannot read {state_dir}" in ran.err
    assert f"Permission denied ({state_dir} belongs to user root; you are nobody)" in ran.err
    assert "Run it as that user: `sudo -u root openclaw …`" in ran.err
    assert "mistake in openclaw" not in ran.err
