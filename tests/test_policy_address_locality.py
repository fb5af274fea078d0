"""Which connections are local: peer, forwarding, host, origin and the owner of the socket."""

from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.address import (
    ForwardingHeaders,
    Locality,
    LocalityReason,
    may_be_local,
    resolve_client,
)
from tests.addresses import (
    ADDRESSES,
    LINES,
    LOOPBACK,
    NETWORKS,
    OWN_UID,
    PORT,
    REMOTE,
    an_address,
    judge,
)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        f"127.0.0.1:{PORT}",
        f"127.0.1.1:{PORT}",
        "127.255.255.254",
        "127.0.0.1.",
        "localhost",
        f"LocalHost:{PORT}",
        f"localhost.:{PORT}",
        "ui.localhost",
        f"[::1]:{PORT}",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        f"::1:{PORT}",
        "::1",
        f"box:{PORT}",
        "BOX.",
        f"box.local:{PORT}",
        "Box.Local.",
    ],
)
def test_a_host_that_means_this_machine_keeps_locality(host):
    assert judge(an_address(), host) == Locality(True, LocalityReason.LOOPBACK, uid_confirmed=False)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        "gw.example.com",
        "foo.ts.net",
        "192.168.0.80",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]",
        "128.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost.example.com",
        "notlocalhost",
        "localhost..",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:18789:1",
        "user@localhost",
        "localhost/",
        "localhost, evil.example",
        "127.0.0.1, evil.example",
        "127.0.0.1.evil.example",
        "[127.0.0.1]",
        "[::1",
        "::2",
        "[::1%lo]",
        "box.evil.example",
        "box.local.evil.example",
        "box.local.local",
        ".local",
        "local",
        "localhost\n",
        "löcalhost",
        "ⅼocalhost",
    ],
)
def test_any_other_host_takes_locality_away(host):
    assert judge(an_address(), host).why is LocalityReason.HOST


def test_without_a_host_name_of_our_own_none_matches():
    assert judge(an_address(), "box", machine_names=()).why is LocalityReason.HOST
    assert judge(an_address(), ".local", machine_names=("",)).why is LocalityReason.HOST


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        pytest.param(f"127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}", id="same"),
        pytest.param(f"127.0.0.1:{PORT}", f"https://127.0.0.1:{PORT}", id="scheme-apart"),
        pytest.param("localhost", "http://localhost", id="default-port"),
        pytest.param("localhost:443", "https://localhost", id="default-port-written"),
        pytest.param(f"[::1]:{PORT}", f"http://[::1]:{PORT}", id="ipv6"),
        pytest.param(f"box:{PORT}", f"HTTP://BOX:{PORT}", id="case"),
    ],
)
def test_a_page_served_from_this_host_keeps_locality(host, origin):
    assert judge(an_address(), host, origin).local


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        f"http://evil.example:{PORT}",
        f"http://localhost:{PORT}",
        "http://127.0.0.1:3000",
        "http://127.0.0.1",
        f"http://127.0.0.1:{PORT}/",
        f"http://127.0.0.1.:{PORT}",
        f"http://x@127.0.0.1:{PORT}",
        f"chrome-extension://127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}",
        "*",
    ],
)
def test_a_foreign_origin_takes_locality_away(origin):
    assert judge(an_address(), f"127.0.0.1:{PORT}", origin).why is LocalityReason.ORIGIN


def test_dns_rebinding_is_stopped_by_the_host_although_origin_and_host_agree():
    verdict = judge(an_address(), "evil.example", "http://evil.example")

    assert verdict.why is LocalityReason.HOST


@pytest.mark.parametrize(
    ("peer_uid", "uid_known", "expected"),
    [
        pytest.param(OWN_UID, True, Locality(True, LocalityReason.LOOPBACK, True), id="ours"),
        pytest.param(0, True, Locality(True, LocalityReason.LOOPBACK, True), id="root"),
        pytest.param(33, True, Locality(False, LocalityReason.OTHER_UID, False), id="www-data"),
        pytest.param(None, True, Locality(False, LocalityReason.OTHER_UID, False), id="gone"),
        pytest.param(None, False, Locality(True, LocalityReason.LOOPBACK, False), id="cannot-tell"),
        pytest.param(
            OWN_UID, False, Locality(True, LocalityReason.LOOPBACK, False), id="not-from-the-kernel"
        ),
    ],
)
def test_the_owner_of_the_peer_socket_decides_where_the_kernel_knows_it(
    peer_uid, uid_known, expected
):
    assert judge(an_address(), peer_uid=peer_uid, uid_known=uid_known) == expected


@pytest.mark.parametrize(
    ("address", "host", "why"),
    [
        pytest.param(an_address("203.0.113.9"), "localhost", "not-loopback", id="remote"),
        pytest.param(an_address("192.168.0.5"), "localhost", "not-loopback", id="private-network"),
        pytest.param(an_address("172.18.0.1"), "127.0.0.1", "not-loopback", id="docker-bridge"),
        pytest.param(
            an_address("10.0.0.1", "Via: x"), "localhost", "untrusted-proxy", id="untrusted-remote"
        ),
        pytest.param(
            an_address("127.0.0.1", "Via: x", trusted=["127.0.0.1"]),
            "evil.example",
            "forwarded",
            id="forwarded-before-host",
        ),
        pytest.param(
            an_address("10.0.0.1", "X-Forwarded-For: 127.0.0.1", trusted=["10.0.0.1"]),
            "localhost",
            "forwarded",
            id="claims-loopback",
        ),
    ],
)
def test_the_first_obstacle_is_the_reason(address, host, why):
    assert judge(address, host, peer_uid=OWN_UID, uid_known=True).why == why


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("trusted", [(), ("127.0.0.1", "::1")])
def test_a_direct_loopback_peer_is_local_whatever_is_trusted(peer, trusted):
    address = an_address(peer, trusted=trusted)

    assert address.direct_loopback
    assert judge(address).local


ANY_HEADER = st.one_of(
    st.none(),
    st.text(),
    st.sampled_from(["localhost", f"127.0.0.1:{PORT}", "[::1]", f"http://127.0.0.1:{PORT}"]),
)


@given(
    peer=ADDRESSES,
    lines=LINES,
    trusted=NETWORKS,
    host=ANY_HEADER,
    origin=ANY_HEADER,
    peer_uid=st.sampled_from([None, 0, 33, OWN_UID]),
    uid_known=st.booleans(),
)
@example(
    peer=LOOPBACK,
    lines=[("Via", "")],
    trusted=[],
    host="localhost",
    origin=None,
    peer_uid=0,
    uid_known=True,
)
@example(
    peer=REMOTE, lines=[], trusted=[], host="localhost", origin=None, peer_uid=0, uid_known=True
)
def test_nothing_a_client_sends_gives_locality(
    peer, lines, trusted, host, origin, peer_uid, uid_known
):
    address = resolve_client(peer, ForwardingHeaders.from_headers(lines), trusted)

    verdict = judge(address, host, origin, peer_uid=peer_uid, uid_known=uid_known)

    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    assert not verdict.local or ((mapped or peer).is_loopback and not lines)
    assert verdict.local == (verdict.why is LocalityReason.LOOPBACK)
    assert not verdict.uid_confirmed or (verdict.local and uid_known and peer_uid in (0, OWN_UID))


@given(host=ANY_HEADER, origin=ANY_HEADER, peer=st.sampled_from([LOOPBACK, REMOTE]))
@example(host="localhost", origin=None, peer=LOOPBACK)
@example(host="localhost", origin="http://localhost", peer=LOOPBACK)
def test_the_kernel_is_asked_exactly_when_its_answer_matters(host, origin, peer):
    address = resolve_client(peer, ForwardingHeaders(), ())
    ours = judge(address, host, origin, peer_uid=OWN_UID, uid_known=True)
    foreign = judge(address, host, origin, peer_uid=33, uid_known=True)

    assert may_be_local(address, host, origin, {"box"}) == (ours != foreign)
