"""The gateway as process 1: it obeys signals from the first moment, leaves no zombies, ends as told."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.scenarios.container_image import Container, Image, started
from tests.scenarios.namespaces import Namespace, container_network
from tests.scenarios.programs import eventually

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces", "registry")]
STATE = "/var/lib/openclaw"


@pytest.fixture
def network() -> Iterator[Namespace]:
    """Return the network of a container."""
    with container_network() as (_, box):
        yield box


@pytest.fixture
def volume(image: Image, tmp_path: Path) -> Path:
    """Return a new named volume."""
    return image.new_volume(tmp_path / "volume")


@contextmanager
def run(
    image: Image, volume: Path, network: Namespace, *words: str, name: str = "3f9c0a7be214"
) -> Iterator[Container]:
    said = volume.with_name(f"said-{name}")
    with started(image, said, *words, network=network, mounts={volume: STATE}, name=name) as one:
        yield one


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_in_order_with_0(
    image: Image, volume: Path, network: Namespace, number: signal.Signals
) -> None:
    with run(image, volume, network) as one:
        eventually(one.listens)
        one.tell(number)

        assert one.process.wait(10) == 0
        assert f"stopping ({number.name})" in one.said()
        assert one.said().rstrip().endswith("stopped")


def test_a_stop_while_it_starts_is_obeyed_and_not_dropped(
    image: Image, volume: Path, network: Namespace
) -> None:
    lock = volume / "config.lock"
    lock.touch()
    os.chown(lock, *image.user)
    with lock.open() as held, run(image, volume, network) as one:
        fcntl.flock(held, fcntl.LOCK_EX)  # it waits for this, for it has to write down a token
        note = volume / "gateway.lock"
        eventually(lambda: note.exists() and note.read_bytes())

        assert one.stop(within_s=8) == 0
        assert not note.read_bytes(), "it let go of its lock"


def test_a_hangup_reloads_and_does_not_end_it(
    image: Image, volume: Path, network: Namespace
) -> None:
    with run(image, volume, network) as one:
        eventually(one.listens)
        file = volume / "openclaw.json"
        (token,) = re.findall(r"[0-9a-f]{48}", file.read_text())
        auth = {"token": token}
        text = {"gateway": {"mode": "local", "auth": auth, "handshakeTimeoutMs": 14_000}}
        file.write_text(json.dumps(text))
        one.tell(signal.SIGHUP)

        eventually(lambda: "handshakeTimeoutMs" in one.said_by_now())
        assert one.stop() == 0


def test_what_an_engine_runs_beside_it_leaves_no_zombies(
    image: Image, volume: Path, network: Namespace
) -> None:
    with run(image, volume, network) as one:
        eventually(one.listens)
        for _ in range(3):  # each is orphaned, and becomes a child of process 1
            one.execute("sh", "-c", "sleep 0.2 & sleep 0.2 &")
        eventually(partial(_none_sleeps, one))

        assert one.zombies() == []
        assert one.execute(*image.stage.health_check).code == 0


def _none_sleeps(container: Container) -> bool:
    running = container.execute("ps", "-eo", "stat=,args=").out.splitlines()
    return not [line for line in running if "sleep 0.2" in line]


def test_a_configuration_that_is_wrong_is_78_with_the_line_and_the_way_out(
    image: Image, volume: Path, network: Namespace
) -> None:
    (volume / "openclaw.json").write_text('{"gateway": {"prot": 1}}')
    os.chown(volume / "openclaw.json", *image.user)

    with run(image, volume, network) as one:
        assert one.process.wait(10) == 78
        assert "gateway.prot" in one.said()
        assert "gateway.port" in one.said()


def test_what_keeps_it_from_starting_can_be_looked_at_and_cured_without_it(
    image: Image, volume: Path, network: Namespace
) -> None:
    (volume / "openclaw.json").write_text('{"gateway": {"prot": 1}}')
    os.chown(volume / "openclaw.json", *image.user)

    with run(image, volume, network, "config", "validate", name="look") as look:
        assert look.process.wait(10) == 1
        assert "gateway.prot" in look.said()
    with run(image, volume, network, "config", "unset", "gateway.prot", name="cure") as cure:
        assert cure.process.wait(10) == 0, cure.said()
    with run(image, volume, network) as one:
        eventually(one.listens)


@pytest.mark.parametrize(
    ("uid", "mode"),
    [(0, 0o755), (4321, 0o700)],
    ids=["made-by-the-engine", "of-another-user"],
)
def test_a_folder_of_the_host_that_it_may_not_write_is_78_with_what_to_type_there(
    image: Image, tmp_path: Path, network: Namespace, uid: int, mode: int
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, uid, uid)
    folder.chmod(mode)

    with run(image, folder, network) as one:
        assert one.process.wait(10) == 78
        assert f"{STATE} belongs to uid {uid}, " in one.said()
        assert "runs as uid 1000" in one.said()
        assert "`sudo chown -R 1000:1000 FOLDER`" in one.said()


def test_a_second_container_on_the_volume_is_78_and_names_the_first(
    image: Image, volume: Path, network: Namespace
) -> None:
    with container_network() as (_, elsewhere), run(image, volume, network) as first:
        eventually(first.listens)
        with run(image, volume, elsewhere, name="second") as second:
            assert second.process.wait(10) == 78
            assert "already running" in second.said()
            assert "of host 3f9c0a7be214" in second.said()
        assert first.process.poll() is None


def test_one_that_was_killed_leaves_the_volume_usable(
    image: Image, volume: Path, network: Namespace
) -> None:
    with run(image, volume, network) as one:
        eventually(one.listens)
        one.tell(signal.SIGKILL)
        one.process.wait(10)
    with run(image, volume, network) as again:
        eventually(again.listens)

        assert again.stop() == 0
