"""The image as the Dockerfile builds it: what is in it, what is not, and that it starts by itself."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.version import VERSION
from tests.scenarios.container_image import Container, Image, started
from tests.scenarios.namespaces import container_network
from tests.scenarios.programs import eventually

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces", "registry")]
STATE = "/var/lib/openclaw"


@pytest.fixture
def volume(image: Image, tmp_path: Path) -> Path:
    """Return a new named volume."""
    return image.new_volume(tmp_path / "volume")


@pytest.fixture
def container(image: Image, volume: Path, tmp_path: Path) -> Iterator[Container]:
    """Run the image as `docker run -v VOLUME:/var/lib/openclaw` does."""
    with (
        container_network() as (_, box),
        started(image, tmp_path / "said", network=box, mounts={volume: STATE}) as one,
    ):
        eventually(one.listens)
        yield one


def test_the_image_holds_the_program_and_no_tools_to_change_it(image: Image) -> None:
    environment = image.root / "opt/openclaw"
    (packages,) = environment.glob("lib/python3.*/site-packages")

    assert (packages / f"openclaw_gateway-{VERSION}.dist-info").is_dir()
    assert not (packages / "pip").exists()
    assert not (image.root / "src").exists()
    assert not (image.root / "wheels").exists()


def test_nothing_in_the_image_belongs_to_whoever_runs_it_but_the_state_directory(
    image: Image,
) -> None:
    uid, _ = image.user
    environment = image.root / "opt/openclaw"
    loose = [
        file
        for file in environment.rglob("*")
        if not file.is_symlink() and (file.stat().st_uid == uid or file.stat().st_mode & 0o022)
    ]
    state = (image.root / STATE.lstrip("/")).stat()

    assert loose == []
    assert stat.S_IMODE(state.st_mode) == 0o700
    assert (state.st_uid, state.st_gid) == image.user


def test_the_state_directory_is_empty_in_the_image(image: Image) -> None:
    assert os.listdir(image.root / STATE.lstrip("/")) == []


def test_a_fresh_container_says_where_its_token_is_and_what_to_type(
    container: Container, volume: Path
) -> None:
    eventually(lambda: "devices approve CODE" in container.said_by_now())
    said = container.said()

    (token,) = re.findall(r"[0-9a-f]{48}", (volume / "openclaw.json").read_text())
    assert f"it is gateway.auth.token in {STATE}/openclaw.json" in said
    assert "docker exec 3f9c0a7be214 openclaw devices approve CODE" in said
    assert "listening on 0.0.0.0:18789" in said
    assert "without approval by the rule" not in said
    assert token not in said


def test_the_gateway_is_process_1_without_rights(container: Container) -> None:
    words = container.execute("cat", "/proc/1/cmdline").out.split("\0")
    status = container.execute("cat", "/proc/1/status").out

    assert words[1:4] == ["/opt/openclaw/bin/openclaw", "gateway", "run"]
    assert "Uid:\t1000\t1000\t1000\t1000" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_the_health_check_says_well_while_it_is(container: Container) -> None:
    check = image_check(container)

    assert container.execute(*check).code == 0


def test_the_health_check_sees_a_loop_that_hangs(container: Container) -> None:
    import signal

    check = image_check(container)
    container.tell(signal.SIGSTOP)

    done = container.execute(*check, "--timeout", "300")

    container.tell(signal.SIGCONT)
    assert done.code == 1
    assert "does not answer" in done.err


def image_check(container: Container) -> list[str]:
    return container.image.stage.health_check


def test_the_health_check_asks_the_port_that_the_gateway_listens_on(
    image: Image, volume: Path, tmp_path: Path
) -> None:
    words = ("gateway", "run", "--bind", "lan", "--port", "20001")
    with (
        container_network() as (_, box),
        started(image, tmp_path / "said", *words, network=box, mounts={volume: STATE}) as one,
    ):
        eventually(one.listens)

        done = one.execute(*image.stage.health_check)

        assert (done.code, done.err) == (0, "")
        assert "20001" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "list"),
        ("devices", "list", "--offline"),
        ("health",),
        ("gateway", "call", "status"),
        ("config", "validate"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("root", [False, True], ids=["as-its-user", "as-root"])
def test_commands_work_inside(container: Container, words: tuple[str, ...], *, root: bool) -> None:
    done = container.execute("openclaw", *words, root=root)

    assert done.code == 0, done


def test_what_root_does_inside_leaves_nothing_that_the_gateway_cannot_read(
    container: Container, volume: Path, image: Image
) -> None:
    container.execute("openclaw", "devices", "list", root=True)
    container.execute("openclaw", "config", "set", "logging.level", "debug", root=True)

    foreign = [file for file in volume.rglob("*") if file.stat().st_uid != image.user[0]]
    assert foreign == []


def test_what_is_kept_is_in_the_volume_and_nowhere_else(
    container: Container, image: Image, volume: Path, tmp_path: Path
) -> None:
    paired = container.execute("openclaw", "devices", "list", "--json").out
    written = container.execute("touch", "/opt/openclaw/x", root=True)
    container.stop()

    with (
        container_network() as (_, box),
        started(image, tmp_path / "again", network=box, mounts={volume: STATE}, name="anew") as new,
    ):
        eventually(new.listens)
        found = new.execute("openclaw", "devices", "list", "--json").out

    assert "Read-only" in written.err
    assert [one["deviceId"] for one in json.loads(found)["paired"]] == [
        one["deviceId"] for one in json.loads(paired)["paired"]
    ]
    assert "a token was made" not in new.said()
