"""S19: where a gateway listens is what was asked for, and its own machine always gets in by loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from attrs import frozen

from gateway.binding import kernel_has_ipv6
from tests.scenarios.clients import READ, knock
from tests.scenarios.namespaces import Namespace, new_namespace
from tests.scenarios.programs import Finished, Gateway, openclaw, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]

PORT = 18789
LAN, TAILNET = "192.168.0.80", "100.64.0.5"
TOKEN = "the-token-of-this-machine"
LOCAL_COMMANDS = [
    pytest.param(("devices", "list"), id="list"),
    pytest.param(("health",), id="health"),
    pytest.param(("gateway", "health"), id="gateway-health"),
    pytest.param(("gateway", "call", "status"), id="call"),
    pytest.param(("gateway", "lockouts", "list"), id="lockouts"),
    pytest.param(("gateway", "status", "--require-rpc"), id="gateway-status"),
    pytest.param(("status",), id="status"),
    pytest.param(("logs",), id="logs"),
    pytest.param(("doctor", "proxy"), id="doctor-proxy"),
    pytest.param(("config", "get", "gateway.bind"), id="config"),
]


@pytest.fixture
def machine() -> Iterator[Namespace]:
    """Make a machine with an address on a LAN and one on a tailnet."""
    with new_namespace() as network:
        for link, peer, address in (
            ("lan0", "lan1", f"{LAN}/24"),
            ("tailscale0", "tail1", f"{TAILNET}/10"),
        ):
            network.run("ip", "link", "add", link, "type", "veth", "peer", "name", peer)
            network.run("ip", "address", "add", address, "dev", link)
            network.run("ip", "link", "set", link, "up")
        yield network


def written(folder: Path, **gateway: object) -> Path:
    """Write a configuration and return the state directory."""
    folder.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}, "port": PORT} | gateway
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return folder


@frozen
class Bound:
    """A gateway that listens somewhere, and the machine it is on."""

    gateway: Gateway
    machine: Namespace

    def openclaw(self, *words: str) -> Finished:
        """Run a command on that machine."""
        return openclaw(self.gateway.state_dir, *words, inside=self.machine.words)

    def answers_at(self, address: str) -> bool:
        """Tell whether a port is open at an address of that machine."""

        def dial() -> bool:
            try:
                socket.create_connection((address, PORT), 2).close()
            except OSError:
                return False
            return True

        return self.machine.call(dial)


@contextmanager
def bound(tmp_path: Path, machine: Namespace, **gateway: object) -> Iterator[Bound]:
    """Run a gateway on a machine of its own."""
    state_dir = written(tmp_path / "home" / ".openclaw", **gateway)
    with running_gateway(state_dir, port=PORT, pinned=False, inside=machine.words) as process:
        yield Bound(process, machine)


@pytest.mark.parametrize("words", LOCAL_COMMANDS)
def test_bind_lan_locks_no_command_of_the_machine_out(
    tmp_path: Path, machine: Namespace, words: tuple[str, ...]
) -> None:
    with bound(tmp_path, machine, bind="lan") as one:
        done = one.openclaw(*words, "--json")
        told = one.openclaw("health", "--token", "wrong", "--json")

    assert done.code == 0, done
    assert "SECURITY" not in done.out + done.err
    assert "local state" not in done.err
    assert told.json["gateway"]["url"] == f"ws://127.0.0.1:{PORT}"
    assert f"Gateway target: ws://127.0.0.1:{PORT}" in told.err
    assert "Bind: lan" in told.err


SIX = ["::1"] if kernel_has_ipv6() else []


@pytest.mark.parametrize(
    ("section", "open_at", "closed_at"),
    [
        pytest.param({"bind": "loopback"}, ["127.0.0.1", *SIX], [LAN, TAILNET], id="loopback"),
        pytest.param({"bind": "auto"}, ["127.0.0.1", *SIX], [LAN, TAILNET], id="auto"),
        pytest.param({"bind": "lan"}, ["127.0.0.1", *SIX, LAN, TAILNET], [], id="lan"),
        pytest.param({"bind": "tailnet"}, ["127.0.0.1", TAILNET], [LAN], id="tailnet"),
        pytest.param(
            {"bind": "custom", "customBindHost": LAN}, ["127.0.0.1", LAN], [TAILNET], id="custom"
        ),
        pytest.param(
            {"bind": "custom", "customBindHost": "127.0.0.2"},
            ["127.0.0.1", "127.0.0.2"],
            [LAN, TAILNET],
            id="another-loopback",
        ),
        pytest.param(
            {"bind": "custom", "customBindHost": "::"},
            ["127.0.0.1", *SIX],
            [LAN, TAILNET],
            id="custom-ipv6",
            marks=pytest.mark.skipif(not SIX, reason="the kernel has no IPv6"),
        ),
    ],
)
def test_a_bind_is_open_where_it_says_and_nowhere_else(
    tmp_path: Path,
    machine: Namespace,
    section: dict[str, object],
    open_at: list[str],
    closed_at: list[str],
) -> None:
    with bound(tmp_path, machine, **section) as one:
        reached = [address for address in (*open_at, *closed_at) if one.answers_at(address)]
        listed = one.openclaw("devices", "list", "--json")
        local = [
            machine.call(partial(knock, PORT, token=TOKEN, scopes=READ, address=address)).auth
            for address in open_at
            if address in ("127.0.0.1", "::1")
        ]

    assert reached == open_at
    assert listed.json["source"] == "gateway"
    assert [one["scopes"] for one in local] == [list(READ)] * len(local)


@pytest.mark.parametrize(
    ("section", "code", "named", "remedy"),
    [
        pytest.param(
            {"bind": "custom", "customBindHost": "192.168.0.81"},
            1,
            "cannot listen on 192.168.0.81 port 18789",
            "openclaw config set gateway.customBindHost ADDRESS",
            id="no-address-of-this-machine",
        ),
        pytest.param(
            {"bind": "custom"},
            78,
            "gateway.bind: custom needs an address",
            "openclaw config set gateway.customBindHost ADDRESS",
            id="custom-without-address",
        ),
        pytest.param(
            {"bind": "tailnet"},
            78,
            "no interface named tailscale* has an address",
            "openclaw config set gateway.bind loopback",
            id="tailnet-down",
        ),
    ],
)
def test_what_cannot_be_listened_on_is_an_error_at_the_start_and_never_another_address(
    tmp_path: Path,
    machine: Namespace,
    section: dict[str, object],
    code: int,
    named: str,
    remedy: str,
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", **section)
    machine.run("ip", "link", "delete", "tailscale0")

    ended = openclaw(state_dir, "gateway", "run", inside=machine.words)

    assert ended.code == code, ended
    assert named in ended.err
    assert remedy in ended.err
    assert "listening" not in ended.err


def test_one_address_of_several_that_is_taken_is_an_error_too(
    tmp_path: Path, machine: Namespace
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", bind="tailnet")

    def hold() -> socket.socket:
        return socket.create_server((TAILNET, PORT))

    with machine.call(hold):
        ended = openclaw(state_dir, "gateway", "run", inside=machine.words)

    assert ended.code == 1, ended
    assert f"port {PORT} on {TAILNET} is held by" in ended.err
    assert "listening" not in ended.err


@pytest.mark.skipif(not SIX, reason="the kernel has no IPv6")
def test_without_ipv6_in_the_kernel_loopback_is_ipv4_alone(
    tmp_path: Path, machine: Namespace
) -> None:
    machine.run("ip", "-6", "address", "delete", "::1/128", "dev", "lo")

    with bound(tmp_path, machine) as one:
        said = one.gateway.said()

    assert f"listening on 127.0.0.1:{PORT}\n" in said
    assert "[::1]" not in said
