"""Root, other users and other homes: the files keep their owner, and the wrong store is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    Finished,
    environment,
    free_port,
    openclaw,
    running_gateway,
)

UID = 54_321
AS_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("another-user"),
]

#: A program that says when something is loaded after root was given up: it may not be readable.
WATCHED = """
import os, sys
def watch(event, told):
    if event == "import" and os.geteuid() != 0:
        os.write(2, f"LOADED LATE {told[0]}\\n".encode())
sys.addaudithook(watch)
from cli.main import main
main()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Return the home of another user, where everybody may enter."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    os.chown(made, UID, UID)
    yield made
    shutil.rmtree(made)


def watched(state_dir: Path, *words: str, **env: str) -> Finished:
    """Run a command as root, and fail if it loads code when it is root no more."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *words],
        env=environment(state_dir) | env,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "LOADED LATE" not in done.stderr, done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


def with_two_devices(home: Path) -> tuple[Path, list[str], int]:
    """Let a gateway of the user meet two devices, and stop it; return where, who, and its port."""
    state_dir = home / ".openclaw"
    with running_gateway(state_dir, inside=AS_USER) as gateway:
        token = json.loads(
            "".join(
                line
                for line in (state_dir / "openclaw.json").read_text().splitlines()
                if not line.strip().startswith("//")
            )
        )["gateway"]["auth"]["token"]
        ids = [knock(gateway.port, **stranger(token)).request_id for _ in range(2)]
    return state_dir, ids, gateway.port


def owners(folder: Path) -> set[int]:
    """Return whose the files below a folder are."""
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_root_works_as_the_owner_and_every_file_stays_theirs(home: Path) -> None:
    state_dir, (first, second), port = with_two_devices(home)
    env = {"OPENCLAW_GATEWAY_PORT": str(port)}

    listed = watched(state_dir, "devices", "list", **env)
    approved = watched(state_dir, "devices", "approve", first, "--json", **env)
    device = approved.json["device"]["deviceId"]
    done = [
        watched(state_dir, "devices", *words, **env)
        for words in (
            ("reject", second, "--offline"),
            ("rename", device, "desk", "--offline"),
            ("show", "desk", "--json"),
            ("rotate", "desk", "--yes", "--offline"),
            ("block", "desk", "--yes", "--offline"),
            ("unblock", "desk", "--offline"),
            ("revoke", "desk", "--yes", "--offline"),
            ("verify",),
            ("prune", "--older-than", "90d", "--yes", "--offline"),
            ("clear", "--yes", "--offline"),
        )
    ]

    assert listed.code == 0, listed
    assert f"using the local state in {state_dir}/devices (of user uid {UID}, working" in listed.err
    assert [one.code for one in done] == [0] * len(done), done
    assert owners(state_dir) == {UID}
    trail = (state_dir / "devices" / "audit.jsonl").read_text().splitlines()
    assert json.loads(trail[-1])["by"] == {"kind": "cli", "uid": 0}


def test_a_running_gateway_of_the_owner_is_asked_by_root_as_the_owner(home: Path) -> None:
    state_dir = home / ".openclaw"
    with running_gateway(state_dir, inside=AS_USER) as gateway:
        env = {"OPENCLAW_GATEWAY_PORT": str(gateway.port)}
        listed = watched(state_dir, "devices", "list", "--json", **env)

    assert listed.json["source"] == "gateway"
    assert owners(state_dir) == {UID}


def test_a_link_in_the_folder_leads_root_nowhere(home: Path, tmp_path: Path) -> None:
    state_dir, (request_id, _), _ = with_two_devices(home)
    secret = tmp_path / "roots-own"
    secret.mkdir(mode=0o700)
    (secret / "kept").write_text("as it was")
    shutil.rmtree(state_dir / "devices")
    (state_dir / "devices").symlink_to(secret)

    done = watched(state_dir, "devices", "approve", request_id, "--offline")

    assert done.code == 1
    assert [path.name for path in secret.iterdir()] == ["kept"]
    assert secret.stat().st_mode & 0o777 == 0o700


def test_a_store_below_a_folder_of_root_alone_works_as_that_of_a_volume(home: Path) -> None:
    state_dir, (request_id, _), port = with_two_devices(home)
    os.chown(home, 0, 0)
    home.chmod(0o700)
    env = {"OPENCLAW_GATEWAY_PORT": str(port)}

    done = watched(state_dir, "devices", "approve", request_id, "--offline", **env)
    listed = watched(state_dir, "devices", "list", **env)

    assert done.code == 0, done
    assert listed.code == 0, listed
    assert "/proc/self" not in done.out + done.err + listed.out + listed.err
    assert owners(state_dir) == {UID}


def test_a_file_that_root_left_behind_is_told_with_the_way_to_give_it_back(home: Path) -> None:
    state_dir, _, _ = with_two_devices(home)
    lost = state_dir / "devices" / "pending.json"
    os.chown(lost, 0, 0)

    done = watched(state_dir, "devices", "list", "--offline")
    remedy = f"sudo chown -h {UID}:{UID} {lost}"
    os.chown(lost, UID, UID)

    assert done.code == 1
    assert f"`{remedy}`" in done.err
    assert watched(state_dir, "devices", "list", "--offline").code == 0


def test_an_open_state_directory_is_refused_with_the_command_that_closes_it(home: Path) -> None:
    state_dir, (request_id, _), _ = with_two_devices(home)
    state_dir.chmod(0o777)

    as_root = watched(state_dir, "devices", "list", "--offline")
    words = ("devices", "approve", request_id, "--offline")
    as_owner = openclaw(state_dir, *words, inside=AS_USER)
    looks = openclaw(state_dir, "devices", "list", "--offline", inside=AS_USER)

    for done in (as_root, as_owner):
        assert done.code == 1
        assert f"`chmod 700 {state_dir}`" in done.err
    assert looks.code == 0  # looking at one's own changes nothing


@pytest.mark.parametrize("road", [(), ("--offline",)], ids=["gateway-first", "files"])
@pytest.mark.parametrize("words", [("list",), ("approve", "ABCD-2345"), ("clear", "--yes")])
def test_another_home_is_not_the_store_of_the_gateway_that_runs(
    home: Path, tmp_path: Path, words: tuple[str, ...], road: tuple[str, ...]
) -> None:
    roots = tmp_path / "root"
    roots.mkdir()
    with running_gateway(home / ".openclaw", inside=AS_USER) as gateway:
        env = {"OPENCLAW_GATEWAY_PORT": str(gateway.port)}
        done = watched(roots / ".openclaw", "devices", *words, *road, **env)
        right = gateway.state_dir
        command = done.err.split("`OPENCLAW_STATE_DIR=")[1].split("`")[0].split()[0]
        again = watched(Path(command), "devices", "list", "--json", **env)

    assert done.code == 1
    assert f"looks at {roots / '.openclaw'}, but the gateway on port {gateway.port}" in done.err
    assert f"pid {gateway.process.pid}, user uid {UID}) works on {right}" in done.err
    assert f"`sudo -u '#{UID}' openclaw devices {' '.join(words)}`" in done.err
    assert not (roots / ".openclaw" / "devices").exists()
    assert again.json["source"] == "gateway"


def test_a_user_who_cannot_look_into_the_gateway_is_told_whose_it_is(home: Path) -> None:
    mine = home / "nobody"
    mine.mkdir(mode=0o700)
    os.chown(mine, 65_534, 65_534)
    with running_gateway(home / ".openclaw", inside=AS_USER) as gateway:
        done = openclaw(
            mine / ".openclaw", "devices", "list", "--offline", port=gateway.port, inside=AS_NOBODY
        )

    assert done.code == 1
    assert f"`sudo -u '#{UID}' openclaw devices list`" in done.err


def test_a_stopped_gateway_beside_one_that_runs_is_reached_by_its_own_port(
    home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "root" / ".openclaw"
    other.mkdir(parents=True, mode=0o700)
    with running_gateway(home / ".openclaw", inside=AS_USER) as gateway:
        refused = openclaw(other, "devices", "list", "--offline", port=gateway.port)
        done = openclaw(other, "devices", "list", "--offline", port=free_port())

    assert refused.code == 1
    assert "OPENCLAW_GATEWAY_PORT" in refused.err
    assert done.code == 0


def test_a_second_container_that_shares_the_volume_works_on_the_files(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    unshare = ("unshare", "--pid", "--fork", "--net", "--mount-proc")
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces here")
    with running_gateway(state_dir) as gateway:
        device = stranger(gateway.token)
        request_id = knock(gateway.port, **device).request_id
        done = openclaw(
            state_dir, "devices", "approve", request_id, port=gateway.port, inside=unshare
        )
        admitted = knock(gateway.port, **device).admitted

    assert done.code == 0, done
    assert f"using the local state in {gateway.devices}" in done.err
    assert admitted
