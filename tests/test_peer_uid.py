import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

import gateway.peer_uid
from gateway.peer_uid import kernel_tells, peer_uid

NETLINK_SOCK_DIAG = 4
NLMSG_ERROR = 2
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG).close()
except (AttributeError, OSError):
    pytest.skip("this kernel has no sock_diag", allow_module_level=True)

NOBODY_UID = 65534

# Drops to another user, connects, says so, and stays until its stdin closes.
# Everything is imported first: the other user may not be able to read this interpreter's files.
CONNECT_AS = """
import encodings.idna, os, socket, sys
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
connection = socket.create_connection((sys.argv[2], int(sys.argv[3])))
print("connected", flush=True)
sys.stdin.read()
"""


@contextmanager
def a_server(host: str, *, dual_stack: bool = False) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=dual_stack) as server:
        yield server


def ends(accepted: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    return accepted.getpeername()[:2], accepted.getsockname()[:2]


@pytest.mark.parametrize(
    ("bound", "dual_stack", "dialled"),
    [
        pytest.param("127.0.0.1", False, "127.0.0.1", id="ipv4"),
        pytest.param("127.0.0.5", False, "127.0.0.5", id="any-loopback-address"),
        pytest.param("::1", False, "::1", id="ipv6"),
        pytest.param("::", True, "127.0.0.1", id="ipv4-to-dual-stack"),
        pytest.param("::", True, "::1", id="ipv6-to-dual-stack"),
        pytest.param("127.0.0.1", False, "::ffff:127.0.0.1", id="mapped-client"),
        pytest.param("::", True, "::ffff:127.0.0.1", id="mapped-client-to-dual-stack"),
    ],
)
def test_our_own_connections_are_ours(bound, dual_stack, dialled):
    with (
        a_server(bound, dual_stack=dual_stack) as server,
        socket.create_connection((dialled, server.getsockname()[1])) as client,
        server.accept()[0] as accepted,
    ):
        peer, local = ends(accepted)

        assert peer_uid(peer, local) == os.getuid()
        assert peer_uid(*ends(client)) == os.getuid()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_another_users_connection_is_theirs(host):
    with a_server(host) as server:
        port = server.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CONNECT_AS, str(NOBODY_UID), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"connected\n"
            with server.accept()[0] as accepted:
                found = peer_uid(*ends(accepted))
            child.communicate()

    assert found == NOBODY_UID


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_question_needs_no_privilege():
    # The child asks about its own connection after it has given root up.
    script = (
        "import encodings.idna, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from gateway.peer_uid import kernel_tells\n"
        "os.setgid(65534); os.setuid(65534); print(kernel_tells())"
    )
    root = os.path.dirname(os.path.dirname(gateway.peer_uid.__file__))

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True\n"


def test_a_socket_its_process_has_closed_belongs_to_nobody():
    with a_server("127.0.0.1") as server:
        client = socket.create_connection(server.getsockname())
        with server.accept()[0] as accepted:
            peer, local = ends(accepted)
            client.close()

            assert peer_uid(peer, local) is None
        assert peer_uid(peer, local) is None


def test_a_listener_on_the_peers_port_is_not_the_peer():
    with a_server("127.0.0.1") as server, a_server("127.0.0.1") as other:
        assert peer_uid(other.getsockname(), server.getsockname()) is None


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        pytest.param(("127.0.0.1", 1), ("127.0.0.1", 2), id="no-such-connection"),
        pytest.param(("::1", 1), ("::1", 2), id="no-such-ipv6-connection"),
        pytest.param(("203.0.113.9", 1), ("127.0.0.1", 2), id="remote"),
        pytest.param(("fe80::1%lo", 1), ("fe80::2", 2), id="zone"),
        pytest.param(("127.0.0.1", 1), ("::1", 2), id="mixed-families"),
        pytest.param(("garbage", 1), ("127.0.0.1", 2), id="no-address"),
        pytest.param(("", 1), ("", 2), id="empty"),
        pytest.param(("127.0.0.1", 70_000), ("127.0.0.1", 2), id="port-too-big"),
        pytest.param(("127.0.0.1", -1), ("127.0.0.1", 2), id="port-negative"),
    ],
)
def test_what_cannot_be_found_is_none(peer, local):
    assert peer_uid(peer, local) is None


def test_other_systems_cannot_tell(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    assert peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
    assert not kernel_tells()


def test_without_a_loopback_interface_nothing_is_told(monkeypatch):
    def refuse(*args: object, **kwargs: object) -> socket.socket:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "create_server", refuse)

    assert not kernel_tells()


def test_a_kernel_without_sock_diag_cannot_tell(monkeypatch):
    def refuse(*args: object, **kwargs: object) -> socket.socket:
        raise OSError("protocol not supported")

    monkeypatch.setattr(socket, "socket", refuse)

    assert peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.parametrize(
    "answer", [pytest.param(b"", id="empty"), pytest.param(b"\0" * 15, id="cut-header")]
)
def test_a_cut_answer_tells_nothing(monkeypatch, answer):
    monkeypatch.setattr(socket.socket, "recv", lambda self, size: answer)

    assert peer_uid(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


def test_an_error_message_of_the_kernel_tells_nothing(monkeypatch):
    receive = socket.socket.recv

    def receive_as_error(netlink: socket.socket, size: int) -> bytes:
        answer = receive(netlink, size)
        return answer[:4] + struct.pack("=H", NLMSG_ERROR) + answer[6:]

    with (
        a_server("127.0.0.1") as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        monkeypatch.setattr(socket.socket, "recv", receive_as_error)

        assert peer_uid(client.getsockname(), server.getsockname()) is None


def test_asking_works_here():
    assert kernel_tells()


def test_an_address_may_come_with_its_zone():
    assert ip_address("::1") == gateway.peer_uid._plain("::1%lo")
