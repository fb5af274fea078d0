"""What the service manager is told: datagrams to a socket that the test holds."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gateway.notify import STATUS_CHARACTERS, Supervisor, supervisor_of
from tests.scenarios.programs import eventually, openclaw, running_gateway


class Ear:
    """The manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        """Return what came since the last time."""
        told: list[dict[str, str]] = []
        while True:
            try:
                data = self.socket.recv(65_536)
            except BlockingIOError:
                return told
            told.append(dict(line.split("=", 1) for line in data.decode().splitlines()))


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    found = Ear(f"{tmp_path}/notify")
    yield found
    found.socket.close()


@pytest.fixture(params=["path", "abstract"])
def any_ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    abstract = request.param == "abstract"
    found = Ear(f"@test-{secrets.token_hex(8)}" if abstract else f"{tmp_path}/notify")
    yield found
    found.socket.close()


def test_each_state_is_one_datagram(any_ear: Ear):
    supervisor = supervisor_of({"NOTIFY_SOCKET": any_ear.address})
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    supervisor.ready("listening on 127.0.0.1:1")
    supervisor.reloading()
    supervisor.stopping()

    ready, reloading, stopping = any_ear.heard()
    assert ready == {"READY": "1", "STATUS": "listening on 127.0.0.1:1"}
    assert reloading["RELOADING"] == "1"
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= before_us + 60_000_000
    assert stopping["STOPPING"] == "1"


def test_a_status_is_one_line_of_a_bounded_length(ear: Ear):
    Supervisor(ear.address).failed("first\nREADY=1\n" + "x" * 10_000)

    (told,) = ear.heard()
    assert told.keys() == {"STATUS"}
    assert told["STATUS"].startswith("first READY=1 xxx")
    assert len(told["STATUS"]) == STATUS_CHARACTERS


@pytest.mark.parametrize("address", ["", "vsock:1:2", "relative"])
def test_an_address_of_another_kind_is_nobody(address: str):
    assert supervisor_of({"NOTIFY_SOCKET": address}) == Supervisor()


def test_a_manager_that_is_gone_changes_nothing(tmp_path: Path):
    Supervisor(f"{tmp_path}/gone").ready("well")


@pytest.mark.parametrize(
    ("env", "watchdog_s"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"WATCHDOG_USEC": "3000000"}, 3.0, id="armed"),
        pytest.param({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None, id="of-another"),
        pytest.param(
            {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0, id="ours"
        ),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="nonsense"),
    ],
)
def test_the_watchdog_is_fed_only_where_it_waits_for_this_process(env, watchdog_s: float | None):
    assert supervisor_of({"NOTIFY_SOCKET": "/n"} | env).watchdog_s == watchdog_s


async def test_the_loop_feeds_the_watchdog_three_times_within_its_patience(
    ear: Ear, autojump_clock: trio.testing.MockClock
):
    with trio.move_on_after(29.9):
        await Supervisor(ear.address, 30.0).feed_watchdog()

    assert ear.heard() == [{"WATCHDOG": "1"}] * 3


async def test_a_loop_that_hangs_feeds_nothing(ear: Ear, mock_clock: trio.testing.MockClock):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Supervisor(ear.address, 30.0).feed_watchdog)
        await trio.testing.wait_all_tasks_blocked()
        ear.heard()
        mock_clock.jump(1_000)  # the time passes while this task keeps the loop to itself
        told_while_hung = ear.heard()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert told_while_hung == []
    assert ear.heard() == [{"WATCHDOG": "1"}]


async def test_without_a_watchdog_nothing_is_fed(autojump_clock: trio.testing.MockClock):
    with trio.fail_after(1):
        await Supervisor("/n").feed_watchdog()


@pytest.mark.slow
def test_a_gateway_tells_its_whole_life(ear: Ear, tmp_path: Path):
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "300000"}
    told: list[dict[str, str]] = []

    def heard(word: str) -> bool:
        told.extend(ear.heard())
        return any(word in one for one in told)

    with running_gateway(tmp_path / "home" / ".openclaw", env=env) as gateway:
        eventually(lambda: heard("READY") and heard("WATCHDOG"))
        status = next(one for one in told if "READY" in one)["STATUS"]
        told.clear()
        gateway.tell(signal.SIGHUP)
        eventually(lambda: heard("RELOADING") and heard("READY"))
        order = [key for one in told for key in one if key in ("RELOADING", "READY")]
        told.clear()
        again = gateway.openclaw("gateway", "restart")
        eventually(lambda: heard("READY"))
        restart = [key for one in told for key in one if key in ("RELOADING", "READY", "STOPPING")]
        told.clear()
        gateway.end()
        assert heard("STOPPING")

    assert f"listening on 127.0.0.1:{gateway.port}" in status
    assert order == ["RELOADING", "READY"]
    assert again.code == 0
    assert restart == ["RELOADING", "READY"]


@pytest.mark.slow
def test_a_gateway_that_does_not_start_tells_why(ear: Ear, tmp_path: Path):
    state = tmp_path / "home" / ".openclaw"
    state.mkdir(parents=True)
    (state / "openclaw.json").write_text("{gateway: {prot: 1}}")

    done = openclaw(state, "gateway", "run", env={"NOTIFY_SOCKET": ear.address})

    (told,) = ear.heard()
    assert done.code == 78
    assert "openclaw.json:1" in told["STATUS"]
    assert "`openclaw config validate`" in told["STATUS"]
