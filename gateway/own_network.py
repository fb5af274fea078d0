"""What the kernel says of our own network namespace: our addresses, and the way out of it.

Read from /proc, which is a page or two: no packet is sent and nothing is waited for. Elsewhere
than on Linux nothing is known, so no rule that asks for it applies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

IPAddress = IPv4Address | IPv6Address

PROC_NET = Path("/proc/net")

#: A route that is up and leads through a gateway. Source: linux/route.h.
_UP_AND_GATEWAY = 0x0003
_NOWHERE = "0" * 32


def is_default_gateway(peer: IPAddress) -> bool:
    """Tell whether a peer is where our own network namespace sends what it knows no way for.

    In a container that is the host, or what the engine puts in its place: the peer of every
    connection through a published port. Asked anew each time, because a container can be joined
    to another network while it runs; two small files are read.
    """
    return peer in default_gateways()


def default_gateways(proc_net: Path = PROC_NET) -> frozenset[IPAddress]:
    """Return the next hops of our default routes, of both address families."""
    found: set[IPAddress] = set(_gateways_v4(_lines(proc_net / "route")[1:]))
    return frozenset(found.union(_gateways_v6(_lines(proc_net / "ipv6_route"))))


def own_addresses(proc_net: Path = PROC_NET) -> frozenset[IPAddress]:
    """Return the addresses of our own interfaces, loopback's among them."""
    found: set[IPAddress] = set()
    address = ""
    for line in _lines(proc_net / "fib_trie"):
        # An address stands on a line of its own, and below it what the kernel does with it.
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[-1]
        elif words == ["/32", "host", "LOCAL"]:
            found.add(IPv4Address(address))
    for line in _lines(proc_net / "if_inet6"):
        found.add(IPv6Address(bytes.fromhex(line.split()[0])))
    return frozenset(found)


def _gateways_v4(lines: list[str]) -> Iterator[IPv4Address]:
    for line in lines:
        fields = line.split()
        if len(fields) < 8 or (fields[1], fields[7]) != ("00000000", "00000000"):
            continue
        if int(fields[3], 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY:
            # eight hex digits in the byte order of this machine
            yield IPv4Address(struct.pack("=L", int(fields[2], 16)))


def _gateways_v6(lines: list[str]) -> Iterator[IPv6Address]:
    for line in lines:
        fields = line.split()
        if len(fields) < 9 or (fields[0], fields[1]) != (_NOWHERE, "00"):
            continue
        if int(fields[8], 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY:
            yield IPv6Address(bytes.fromhex(fields[4]))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").splitlines()
    except OSError:
        return []
