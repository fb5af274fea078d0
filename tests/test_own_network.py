"""What the kernel's tables say of our own network namespace."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.own_network import default_gateways, is_default_gateway, own_addresses

HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
#: 172.18.0.1 as the table of this machine's byte order shows it.
BRIDGE = "010012AC" if sys.byteorder == "little" else "AC120001"
NOWHERE = "0" * 32
FD_ONE = "fd000000000000000000000000000001"


def table_v4(destination: str = "00000000", flags: str = "0003", mask: str = "00000000") -> str:
    """Return a table with one route through the bridge."""
    return f"{HEAD}eth0 {destination} {BRIDGE} {flags} 0 0 0 {mask} 0 0 0\n"


def table_v6(destination: str = NOWHERE, prefix: str = "00", flags: str = "00000003") -> str:
    """Return a table with one route through fd00::1."""
    rest = f"00000400 00000003 00000000 {flags} eth0"
    return f"{destination} {prefix} {NOWHERE} 00 {FD_ONE} {rest}\n"


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        pytest.param({"route": table_v4()}, {"172.18.0.1"}, id="ipv4"),
        pytest.param({"ipv6_route": table_v6()}, {"fd00::1"}, id="ipv6"),
        pytest.param(
            {"route": table_v4(), "ipv6_route": table_v6()}, {"172.18.0.1", "fd00::1"}, id="both"
        ),
        pytest.param({"route": table_v4(destination="0000A8C0")}, set(), id="another-way"),
        pytest.param({"route": table_v4(mask="00000080")}, set(), id="half-of-everything"),
        pytest.param({"route": table_v4(flags="0001")}, set(), id="no-gateway"),
        pytest.param({"route": table_v4(flags="0002")}, set(), id="down"),
        pytest.param({"ipv6_route": table_v6(flags="00200200")}, set(), id="unreachable"),
        pytest.param({"ipv6_route": table_v6(prefix="07")}, set(), id="a-prefix"),
        pytest.param({"ipv6_route": table_v6(destination=FD_ONE)}, set(), id="a-network"),
        pytest.param({"route": HEAD, "ipv6_route": ""}, set(), id="empty"),
        pytest.param({"route": "x\nshort line\n", "ipv6_route": "short\n"}, set(), id="odd"),
        pytest.param({}, set(), id="no-tables"),
    ],
)
def test_the_default_gateways_are_those_of_routes_to_everywhere(
    tmp_path: Path, tables: dict[str, str], found: set[str]
):
    for name, text in tables.items():
        (tmp_path / name).write_text(text)

    assert default_gateways(tmp_path) == {ip_address(text) for text in found}


def test_loopback_is_never_the_way_out():
    assert not is_default_gateway(ip_address("127.0.0.1"))


def test_own_addresses_are_those_the_kernel_answers_for(tmp_path: Path):
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n"
        "        /32 link BROADCAST\n     |-- 127.0.0.0\n        /8 host LOCAL\n"
    )
    (tmp_path / "if_inet6").write_text(f"{FD_ONE} 04 40 00 82     eth0\n")

    assert own_addresses(tmp_path) == {ip_address("192.0.2.2"), ip_address("fd00::1")}


def test_this_machine_knows_its_loopback_address():
    assert ip_address("127.0.0.1") in own_addresses()


def test_without_the_tables_nothing_is_known(tmp_path: Path):
    assert own_addresses(tmp_path / "gone") == frozenset()
