"""What the head of a request tells about a connection before it says a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.door import begin_visit
from tests.serving import open_gateway


@pytest.mark.parametrize(
    ("peer", "headers", "remote", "client"),
    [
        pytest.param("10.0.0.1", (), "10.0.0.1", "10.0.0.1", id="direct"),
        pytest.param(
            "10.9.9.9",
            ((b"x-forwarded-for", b"203.0.113.9"),),
            "10.9.9.9",
            "203.0.113.9",
            id="trusted-proxy",
        ),
        pytest.param(
            "10.0.0.1",
            ((b"x-forwarded-for", b"203.0.113.9"),),
            "10.0.0.1",
            "10.0.0.1",
            id="untrusted-proxy",
        ),
        pytest.param("fe80::1%eth0", (), "fe80::1", "fe80::1", id="zone"),
        pytest.param("::ffff:10.0.0.1", (), "10.0.0.1", "10.0.0.1", id="mapped"),
    ],
)
async def test_the_log_names_the_socket_and_who_is_behind_it(
    tmp_path: Path,
    peer: str,
    headers: tuple[tuple[bytes, bytes], ...],
    remote: str,
    client: str,
):
    async with open_gateway(tmp_path / "s", {"trustedProxies": ["10.9.9.9"]}) as gateway:
        visit = begin_visit(gateway.door, "c1", (peer, 1), ("127.0.0.1", 2), headers)

    visitor = visit.visitor()
    assert (visitor.remote, visitor.client) == (remote, client)


async def test_a_header_sent_twice_is_read_as_a_whole(tmp_path: Path):
    headers = ((b"origin", b"http://a"), (b"origin", b"http://b"), (b"user-agent", b"\xe9"))

    async with open_gateway(tmp_path / "s") as gateway:
        visit = begin_visit(gateway.door, "c1", ("10.0.0.1", 1), ("127.0.0.1", 2), headers)

    assert visit.origin == "http://a, http://b"
    assert visit.user_agent == "é"
    assert visit.host is None
