"""Listening sockets: the addresses of a bind mode, and errors that name who is in the way."""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
import subprocess
import sys
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from gateway import binding
from gateway.binding import addresses_of, kernel_has_ipv6, open_sockets
from stores.config.model import Bind
from stores.errors import ConfigError, UserFacingError


@pytest.mark.parametrize(
    ("bind", "custom", "six", "addresses"),
    [
        pytest.param(Bind.LOOPBACK, None, True, ["127.0.0.1", "::1"], id="loopback"),
        pytest.param(Bind.LOOPBACK, None, False, ["127.0.0.1"], id="loopback-without-ipv6"),
        pytest.param(Bind.AUTO, None, False, ["127.0.0.1"], id="auto-is-loopback"),
        pytest.param(Bind.LAN, None, True, ["0.0.0.0", "::"], id="lan"),
        pytest.param(Bind.LAN, None, False, ["0.0.0.0"], id="lan-without-ipv6"),
        pytest.param(Bind.CUSTOM, "10.1.2.3", True, ["10.1.2.3", "127.0.0.1"], id="custom"),
        pytest.param(Bind.CUSTOM, "127.0.0.1", True, ["127.0.0.1"], id="custom-loopback"),
        pytest.param(
            Bind.CUSTOM, "127.0.0.2", True, ["127.0.0.2", "127.0.0.1"], id="another-loopback"
        ),
        pytest.param(Bind.CUSTOM, "::1", True, ["::1", "127.0.0.1"], id="custom-ipv6-loopback"),
        pytest.param(Bind.CUSTOM, "::", True, ["::", "127.0.0.1"], id="custom-ipv6-everything"),
        pytest.param(Bind.CUSTOM, "0.0.0.0", True, ["0.0.0.0"], id="custom-everything"),
        pytest.param(Bind.CUSTOM, "fd00::1", True, ["fd00::1", "127.0.0.1"], id="custom-ipv6"),
    ],
)
def test_a_bind_mode_means_exactly_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
    bind: Bind,
    custom: str | None,
    six: bool,
    addresses: list[str],
):
    monkeypatch.setattr(binding, "kernel_has_ipv6", lambda: six)

    assert addresses_of(bind, ip_address(custom) if custom else None) == addresses


def test_custom_without_an_address_is_refused():
    with pytest.raises(ConfigError, match=r"gateway\.customBindHost is not set"):
        addresses_of(Bind.CUSTOM, None)


@pytest.mark.skipif(
    any(name.startswith("tailscale") for _, name in socket.if_nameindex()), reason="has tailscale"
)
def test_tailnet_without_its_interface_is_refused():
    with pytest.raises(ConfigError, match="no interface named tailscale"):
        addresses_of(Bind.TAILNET, None)


def test_tailnet_means_the_address_of_its_interface(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "tailscale0")])
    answer = bytes(20) + bytes([100, 64, 0, 7]) + bytes(232)
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: answer)

    assert addresses_of(Bind.TAILNET, None) == ["100.64.0.7", "127.0.0.1"]


@pytest.mark.parametrize(
    ("table", "has"),
    [
        pytest.param("0" * 31 + "1 01 80 10 80       lo\n", True, id="loopback-address"),
        pytest.param("fe80" + "0" * 28 + " 02 40 20 80     eth0\n", False, id="only-another"),
        pytest.param(None, False, id="no-table"),
    ],
)
def test_ipv6_is_there_if_the_loopback_interface_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str | None, has: bool
):
    file = tmp_path / "if_inet6"
    if table is not None:
        file.write_text(table)
    monkeypatch.setattr(binding, "Path", lambda _: file)

    assert kernel_has_ipv6() is has


def test_port_0_is_one_free_port_on_every_address():
    addresses = ["127.0.0.1", "127.0.0.2", *(["::1"] if kernel_has_ipv6() else [])]
    sockets, port = open_sockets(addresses, 0)
    try:
        assert {one.getsockname()[1] for one in sockets} == {port}
        assert [one.getsockname()[0] for one in sockets] == addresses
    finally:
        for one in sockets:
            one.close()


def test_a_port_in_use_names_its_holder_and_leaves_nothing_listening():
    user = pwd.getpwuid(os.getuid()).pw_name
    with socket.create_server(("127.0.0.2", 0)) as holder:
        port = holder.getsockname()[1]

        with pytest.raises(UserFacingError) as refused:
            open_sockets(["127.0.0.1", "127.0.0.2"], port)

        assert f"port {port} on 127.0.0.2 is held by process {os.getpid()} of user {user}" in str(
            refused.value
        )
        assert not isinstance(refused.value, ConfigError)  # exit code 1, not 78
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_holder_nobody_can_see_is_another_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binding, "port_owner", lambda _: None)
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        pytest.raises(UserFacingError, match="held by another process"),
    ):
        open_sockets(["127.0.0.1"], holder.getsockname()[1])


def test_a_free_port_that_is_taken_elsewhere_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    listen, failures = binding._listen, [True, True]

    def unlucky(address: str, port: int) -> socket.socket:
        if port and failures:
            failures.pop()
            raise OSError(98, "Address already in use")
        return listen(address, port)

    monkeypatch.setattr(binding, "_listen", unlucky)
    sockets, _ = open_sockets(["127.0.0.1", "127.0.0.2"], 0)

    assert len(sockets) == 2
    for one in sockets:
        one.close()


def test_an_address_of_another_machine_is_refused_in_words():
    with pytest.raises(UserFacingError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        open_sockets(["192.0.2.1"], 0)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="drops root to have something to be denied")
def test_a_privileged_port_is_refused_in_words():
    code = (
        "import os; from gateway.binding import open_sockets; from stores.errors import *\n"
        "os.setgroups([]); os.setuid(65534)\n"
        "try: open_sockets(['127.0.0.1'], 81)\n"
        "except UserFacingError as e: print(e)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert "cannot listen on 127.0.0.1 port 81: Permission denied" in ran
    assert "above 1023" in ran


@pytest.mark.skipif(not kernel_has_ipv6(), reason="no IPv6 here")
def test_ipv6_and_ipv4_share_a_port_number():
    sockets, _ = open_sockets(["0.0.0.0", "::"], 0)

    assert len(sockets) == 2
    assert IPv6Address(sockets[1].getsockname()[0]).is_unspecified
    for one in sockets:
        one.close()
