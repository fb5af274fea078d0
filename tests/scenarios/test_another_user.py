"""A command of a user who may not look into the state directory: told whose it is, and what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.programs import ROOT, environment, openclaw, running_gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("another-user"),
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
    again = f"sudo -u root OPENCLAW_STATE_DIR={state_dir} openclaw {' '.join(words)}"
    assert f"Run it as that user: `{again}`" in ran.err
    assert "mistake in openclaw" not in ran.err
    assert len(set(ran.err.splitlines())) == len(ran.err.splitlines())  # nothing is said twice


def test_who_may_not_look_is_not_told_that_nothing_runs(state_dir: Path) -> None:
    home = state_dir.parent / "nobody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    env = {"HOME": str(home), "OPENCLAW_STATE_DIR": str(state_dir)}

    ran = openclaw(state_dir, "gateway", "stop", "--json", inside=AS_NOBODY, env=env)

    assert ran.code == 1
    told = ran.json["error"]
    assert told["message"].startswith(f"cannot tell whether a gateway runs on {state_dir}")
    again = f"sudo -u root OPENCLAW_STATE_DIR={state_dir} openclaw gateway stop"
    assert told["remedy"]["command"] == again


def test_who_has_no_home_is_told_to_name_a_folder_and_not_to_become_root(tmp_path: Path) -> None:
    env = {"HOME": "/nonexistent", "OPENCLAW_STATE_DIR": ""}
    for words in (("gateway", "run"), ("health", "--token", "T")):
        ran = openclaw(tmp_path / "s", *words, inside=AS_NOBODY, env=env)

        assert ran.code in (1, 78)
        assert "cannot make the folder /nonexistent: / is not yours to write to" in ran.err
        assert "`OPENCLAW_STATE_DIR`" in ran.err
        assert "sudo" not in ran.err


def test_a_gateway_of_the_owner_is_not_taken_for_one_of_other_files(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        env = {"OPENCLAW_GATEWAY_PORT": str(gateway.port)}
        ran = openclaw(state_dir, "devices", "list", "--offline", inside=AS_NOBODY, env=env)

    assert ran.code == 1
    assert "works on other files" not in ran.err
    assert (
        f"`sudo -u root OPENCLAW_STATE_DIR={state_dir} openclaw devices list --offline`" in ran.err
    )


_LOOK = "from stores.serving import gateway_on; print(gateway_on({port}).pid)"
_RUNS = "import sys; print(flush=True); sys.stdin.read()"


def test_of_several_gateways_of_another_user_none_is_picked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as running:
        for _ in range(2):
            words = [sys.executable, "-c", _RUNS, "gateway"]
            one = running.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            assert one.stdout is not None
            one.stdout.readline()
        look = _LOOK.format(port=listener.getsockname()[1])
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", look],
            capture_output=True,
            text=True,
            check=False,
            env=environment(Path("/nowhere")),
            cwd=ROOT,
        )

    assert done.stdout == "None\n", done.stderr
