"""Ask the kernel which user owns the other end of a loopback connection.

Linux answers over netlink (`sock_diag`, unprivileged); one exact lookup takes some 20 microseconds.
Source: sock_diag(7); `struct inet_diag_req_v2` and `inet_diag_msg` of linux/inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

IPAddress = IPv4Address | IPv6Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1

# nlmsghdr; then inet_diag_req_v2: family, protocol, extensions, pad, states, inet_diag_sockid.
_HEADER = struct.Struct("=IHHII")
_REQUEST_START = struct.Struct("=BBBxI")
# inet_diag_sockid: ports and addresses in network order, interface and cookie in host order.
_PORTS = struct.Struct("!HH")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_ANY_INTERFACE = 0
_NO_COOKIE = 0xFFFFFFFF
# inet_diag_msg: family, state, timer, retransmits, ports, source, destination, interface and
# cookie, expires, receive queue, send queue, uid, inode.
_ANSWER = struct.Struct("=Bxxx4s16s16s12x12xII")
_ALL_STATES = 0xFFFFFFFF
_ANSWER_LIMIT_BYTES = 4096


def peer_uid(peer: tuple[str, int], local: tuple[str, int]) -> int | None:
    """Return the uid that owns the socket bound to ``peer`` and connected to ``local``.

    Args:
        peer: Address and port of the remote end, as `getpeername` gives them.
        local: Address and port of our end.

    Returns:
        None when the kernel does not tell: no Linux, another network namespace, no such socket any
        more, or one whose process has closed it (its uid would read 0, which is root's).
        `kernel_tells` separates "cannot tell here" from "that socket belongs to nobody".
    """
    if sys.platform != "linux":
        return None
    try:
        question = _question(_plain(peer[0]), peer[1], _plain(local[0]), local[1])
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
            # The kernel answers inside `sendto`, so there is never anything to wait for.
            netlink.setblocking(False)
            netlink.sendto(question, (0, 0))
            answer = netlink.recv(_ANSWER_LIMIT_BYTES)
        return _owner(answer, _plain(peer[0]), peer[1], _plain(local[0]), local[1])
    except (OSError, ValueError, struct.error):
        return None


def kernel_tells() -> bool:
    """Tell whether `peer_uid` works here, by asking about a loopback connection of our own.

    Worth asking only after `peer_uid` gave None: true then means that the peer's socket is gone or
    not in this network namespace, and its owner must count as unknown. Takes less than 0.1 ms.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0), backlog=1) as server,
            socket.create_connection(server.getsockname(), timeout=0.1) as client,
        ):
            return peer_uid(client.getsockname(), server.getsockname()) is not None
    except OSError:
        return False


def _question(peer: IPAddress, peer_port: int, local: IPAddress, local_port: int) -> bytes:
    # IPv4 is looked up as IPv4 even if one end is a dual-stack socket: the kernel files those
    # connections under the IPv4 addresses.
    family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
    body = (
        _REQUEST_START.pack(family, socket.IPPROTO_TCP, 0, _ALL_STATES)
        + _PORTS.pack(peer_port, local_port)
        + peer.packed.ljust(16, b"\0")
        + local.packed.ljust(16, b"\0")
        + _INTERFACE_AND_COOKIE.pack(_ANY_INTERFACE, _NO_COOKIE, _NO_COOKIE)
    )
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body


def _owner(
    answer: bytes, peer: IPAddress, peer_port: int, local: IPAddress, local_port: int
) -> int | None:
    kind = _HEADER.unpack_from(answer)[1]
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    family, ports, source, destination, uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # When no connection matches, the kernel falls back to a listener on the same port: somebody
    # else's socket, and connected to nothing. An inode of 0: no process holds the socket any more.
    same = (
        ports == _PORTS.pack(peer_port, local_port)
        and _address(family, source) == peer
        and _address(family, destination) == local
    )
    return int(uid) if same and inode != 0 else None


def _address(family: int, packed: bytes) -> IPAddress:
    if family == socket.AF_INET:
        return IPv4Address(packed[:4])
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


def _plain(text: str) -> IPAddress:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
