"""Opening the listening sockets: exactly the addresses asked for, or an error that names why."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from stores.config.model import Bind
from stores.errors import ConfigError, UserFacingError
from stores.port_owner import port_owner

_BACKLOG = 1024
_SIOCGIFADDR = 0x8915
_ANY_PORT_TRIES = 8


def kernel_has_ipv6() -> bool:
    """Tell whether the loopback interface has its IPv6 address."""
    try:
        return any(
            line.startswith("0" * 31 + "1 ")
            for line in Path("/proc/net/if_inet6").read_text().splitlines()
        )
    except OSError:
        return False


def addresses_of(bind: Bind, custom: IPv4Address | IPv6Address | None) -> list[str]:
    """Return the addresses of a bind mode; never more than its name says.

    Raises:
        ConfigError: custom without an address, or tailnet without its interface.
    """
    six = kernel_has_ipv6()
    if bind is Bind.LAN:
        return ["0.0.0.0", *(["::"] if six else [])]  # lan means every interface
    if bind is Bind.CUSTOM:
        if custom is None:
            raise ConfigError(
                "gateway.bind is custom, but gateway.customBindHost is not set",
                remedy="name the address to listen on with "
                "`openclaw config set gateway.customBindHost ADDRESS`",
            )
        # the machine's own commands dial 127.0.0.1 whatever the bind; `::` does not cover it
        covered = str(custom) in ("0.0.0.0", "127.0.0.1")
        return [str(custom)] if covered else [str(custom), "127.0.0.1"]
    if bind is Bind.TAILNET:
        return [_tailnet_address(), "127.0.0.1"]
    return ["127.0.0.1", *(["::1"] if six else [])]


def _tailnet_address() -> str:
    for _, name in socket.if_nameindex():
        if name.startswith("tailscale"):
            with contextlib.suppress(OSError), socket.socket() as probe:
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                return socket.inet_ntoa(answer[20:24])
    raise ConfigError(
        "gateway.bind is tailnet, but no interface named tailscale* has an address",
        remedy="start Tailscale, or listen on this machine alone with "
        "`openclaw config set gateway.bind loopback`",
    )


def open_sockets(addresses: list[str], port: int) -> tuple[list[socket.socket], int]:
    """Return one listening socket an address, all on one port, and that port.

    Args:
        port: 0 means any port that is free on all of them.

    Raises:
        UserFacingError: an address cannot be listened on; who holds the port is named.
    """
    for attempt in range(_ANY_PORT_TRIES):
        opened: list[socket.socket] = []
        chosen = port
        try:
            for address in addresses:
                opened.append(_listen(address, chosen))
                chosen = opened[0].getsockname()[1]
            return opened, chosen
        except OSError as error:
            for one in opened:
                one.close()
            if port == 0 and error.errno == errno.EADDRINUSE and attempt < _ANY_PORT_TRIES - 1:
                continue
            raise _not_bound(addresses[len(opened)], chosen, error) from error
    raise AssertionError("the loop returns or raises")


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _not_bound(address: str, port: int, error: OSError) -> UserFacingError:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port)
        holder = "another process" if owner is None else owner.in_words()
        return UserFacingError(
            f"port {port} on {address} is held by {holder}, which is not a gateway of this state "
            "directory",
            remedy="stop that process, or choose another port with `openclaw gateway run --port N`",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = "choose a port above 1023 with `openclaw config set gateway.port PORT`"
    else:
        remedy = (
            "see the addresses of this machine with `ip address`, and name one with `openclaw "
            "config set gateway.customBindHost ADDRESS`, or listen on this machine alone with "
            "`openclaw config set gateway.bind loopback`"
        )
    return UserFacingError(
        f"cannot listen on {address} port {port}: {error.strerror}", remedy=remedy
    )
