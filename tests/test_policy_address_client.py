"""Who the client is: what proxies said, and how much of it is believed."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.address import (
    ForwardingHeaders,
    Locality,
    LocalityReason,
    parse_networks,
    resolve_client,
)
from tests.addresses import (
    ADDRESSES,
    FORWARDING_NAMES,
    HOSTILE,
    LINES,
    LOOPBACK,
    NETWORKS,
    REMOTE,
    TRUSTED,
    an_address,
    headers,
    judge,
)

# --- forwarding headers ----------------------------------------------------------------------


def test_every_line_of_every_forwarding_header_is_kept_in_order():
    found = ForwardingHeaders.from_headers(
        [
            (b"Host", b"gw.example"),
            (b"X-Forwarded-For", b"203.0.113.1"),
            ("x-forwarded-for", "203.0.113.2, 203.0.113.3"),
            (b"FORWARDED", b"for=203.0.113.4"),
            (b"X-Real-IP", b"203.0.113.5"),
            (b"X-Forwarded-Proto", b"https"),
            (b"x-forwarded-proto", b"https"),
            (b"Via", b"1.1 proxy"),
            (b"User-Agent", b"x"),
        ]
    )

    assert found == ForwardingHeaders(
        forwarded_for=("203.0.113.1", "203.0.113.2, 203.0.113.3"),
        forwarded=("for=203.0.113.4",),
        real_ip=("203.0.113.5",),
        other=("x-forwarded-proto", "via"),
    )


@pytest.mark.parametrize("value", ["127.0.0.1", "::1", "", "garbage", "\xff"])
@pytest.mark.parametrize("name", FORWARDING_NAMES)
def test_any_forwarding_header_takes_locality_away_trusted_or_not(name, value):
    found = ForwardingHeaders.from_headers([(name.encode(), value.encode("latin-1"))])

    untrusted = judge(resolve_client(LOOPBACK, found, ()))
    trusted = judge(resolve_client(LOOPBACK, found, parse_networks(["127.0.0.1"])))

    assert untrusted == Locality(False, LocalityReason.UNTRUSTED_PROXY, uid_confirmed=False)
    assert trusted == Locality(False, LocalityReason.FORWARDED, uid_confirmed=False)


@pytest.mark.parametrize("name", ["Host", "Origin", "User-Agent", "X-Request-Id", "Violet", ""])
def test_other_headers_forward_nothing(name):
    assert not ForwardingHeaders.from_headers([(name, "127.0.0.1")]).present


@pytest.mark.parametrize(
    ("lines", "quoted"),
    [
        pytest.param([], None, id="none"),
        pytest.param(["Via: 1.1 proxy"], None, id="only-names"),
        pytest.param(["X-Forwarded-For: a", "X-Forwarded-For: b, c"], "a, b, c", id="joined"),
        pytest.param(["Forwarded: for=x", "X-Forwarded-For: a"], "a", id="xff-first"),
        pytest.param(["Forwarded: for=x", "X-Real-IP: a"], "for=x", id="then-forwarded"),
        pytest.param(["X-Real-IP: a"], "a", id="then-real-ip"),
        pytest.param(["X-Forwarded-For: a\x1b[2J\r\nb\xe9"], r"a\x1b[2J\r\nb\xe9", id="escaped"),
        pytest.param(["X-Forwarded-For: " + "a" * 300], "a" * 253 + "...", id="cut"),
        pytest.param(["X-Forwarded-For: " + "a" * 256], "a" * 256, id="fits"),
    ],
)
def test_what_the_proxy_said_is_quoted_safely(lines, quoted):
    assert an_address("127.0.0.1", *lines).quoted == quoted


@given(st.lists(st.binary(max_size=400)))
def test_quoted_text_is_printable_and_bounded(values):
    found = ForwardingHeaders.from_headers((b"X-Forwarded-For", value) for value in values)

    quoted = found.quoted or ""
    assert quoted.isascii()
    assert quoted == "" or quoted.isprintable()
    assert len(quoted) <= 256


# --- who is the client -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "lines", "client", "marks"),
    [
        pytest.param("203.0.113.9", [], "203.0.113.9", "", id="direct-remote"),
        pytest.param("127.0.0.1", [], "127.0.0.1", "", id="direct-loopback-though-trusted"),
        pytest.param("::ffff:203.0.113.9", [], "203.0.113.9", "", id="dual-stack-socket"),
        pytest.param("10.0.0.1", [], "10.0.0.1", "", id="trusted-peer-without-headers"),
        pytest.param("10.0.0.1", ["203.0.113.9"], "203.0.113.9", "via", id="one-hop"),
        pytest.param(
            "::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9", "via", id="dual-stack-proxy"
        ),
        pytest.param(
            "10.0.0.1", ["198.51.100.7, 203.0.113.9"], "203.0.113.9", "via", id="right-most"
        ),
        pytest.param(
            "10.0.0.1", ["198.51.100.7", "203.0.113.9"], "203.0.113.9", "via", id="two-lines"
        ),
        pytest.param(
            "10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9", "via", id="trusted-hop-skipped"
        ),
        pytest.param(
            "10.0.0.1", ["203.0.113.9, 127.0.0.5"], "203.0.113.9", "via", id="loopback-skipped"
        ),
        pytest.param("10.0.0.1", ["203.0.113.9,, ,"], "203.0.113.9", "via", id="empty-elements"),
        pytest.param(
            "10.0.0.1", ["127.0.0.1, 203.0.113.9"], "203.0.113.9", "via", id="spoofed-loopback"
        ),
        pytest.param(
            "10.0.0.1", ["10.0.0.2, 203.0.113.9"], "203.0.113.9", "via", id="spoofed-trusted"
        ),
        pytest.param("10.0.0.1", ["10.0.0.7, 10.0.0.8"], "10.0.0.8", "via", id="all-trusted"),
        pytest.param(
            "127.0.0.1", ["10.0.0.7, ::1, 127.0.0.1"], "10.0.0.7", "via", id="all-trusted-loopback"
        ),
        pytest.param("127.0.0.1", ["127.0.0.1"], "127.0.0.1", "via lost", id="only-loopback"),
        pytest.param(
            "10.0.0.1", ["::ffff:127.0.0.1"], "10.0.0.1", "via lost", id="mapped-loopback"
        ),
        pytest.param("10.0.0.1", ["garbage"], "10.0.0.1", "via lost", id="garbage"),
        pytest.param("10.0.0.1", [""], "10.0.0.1", "via lost", id="empty"),
        pytest.param(
            "10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1", "via lost", id="garbage-ends-walk"
        ),
        pytest.param(
            "10.0.0.1",
            ["198.51.100.7, unknown, 10.0.0.2"],
            "10.0.0.1",
            "via lost",
            id="garbage-behind-trusted",
        ),
        pytest.param("203.0.113.9", ["198.51.100.7"], "203.0.113.9", "untrusted", id="untrusted"),
        pytest.param("127.0.0.2", ["198.51.100.7"], "127.0.0.2", "untrusted", id="other-loopback"),
    ],
)
def test_the_client_is_the_right_most_hop_nobody_vouches_for(peer, lines, client, marks):
    address = an_address(peer, *(f"X-Forwarded-For: {line}" for line in lines), trusted=TRUSTED)

    assert address.client == ip_address(client)
    assert address.via_trusted_proxy == ("via" in marks)
    assert address.unattributable == ("lost" in marks)
    assert address.untrusted_proxy == ("untrusted" in marks)
    assert address.attributed == (marks == "via")
    assert address.forwarded == bool(lines)


@pytest.mark.parametrize(
    ("lines", "allow", "client"),
    [
        pytest.param(["X-Real-IP: 203.0.113.9"], True, "203.0.113.9", id="allowed"),
        pytest.param(["X-Real-IP: 10.0.0.7"], True, "10.0.0.7", id="trusted-address"),
        pytest.param(["X-Real-IP: 203.0.113.9"], False, None, id="not-allowed"),
        pytest.param(["X-Real-IP: 127.0.0.1"], True, None, id="loopback"),
        pytest.param(["X-Real-IP: x"], True, None, id="garbage"),
        pytest.param(["X-Real-IP: 1.2.3.4, 203.0.113.9"], True, None, id="list"),
        pytest.param(["X-Real-IP: 1.2.3.4", "X-Real-IP: 203.0.113.9"], True, None, id="twice"),
        pytest.param(
            ["X-Forwarded-For: 198.51.100.7", "X-Real-IP: 203.0.113.9"],
            True,
            "198.51.100.7",
            id="only-a-fallback",
        ),
        pytest.param(
            ["X-Forwarded-For: unknown", "X-Real-IP: 203.0.113.9"],
            True,
            "203.0.113.9",
            id="chain-names-nobody",
        ),
        pytest.param(["Forwarded: for=203.0.113.9"], True, None, id="forwarded-is-never-read"),
        pytest.param(["CF-Connecting-IP: 203.0.113.9"], True, None, id="others-are-never-read"),
    ],
)
def test_x_real_ip_counts_only_where_it_is_allowed(lines, allow, client):
    address = resolve_client(
        ip_address("10.0.0.1"), headers(*lines), parse_networks(TRUSTED), allow_real_ip=allow
    )

    assert address.client == ip_address(client or "10.0.0.1")
    assert address.unattributable == (client is None)


def test_x_real_ip_of_an_untrusted_peer_is_ignored():
    address = resolve_client(REMOTE, headers("X-Real-IP: 1.2.3.4"), (), allow_real_ip=True)

    assert (address.client, address.untrusted_proxy) == (REMOTE, True)


def test_a_chain_longer_than_any_real_one_is_cut_at_its_far_end():
    chain = ", ".join(["203.0.113.9"] + ["10.0.0.2"] * 64)

    address = an_address("10.0.0.1", f"X-Forwarded-For: {chain}", trusted=TRUSTED)

    assert address.client == ip_address("10.0.0.2")


@given(peer=ADDRESSES, lines=LINES, trusted=NETWORKS, allow=st.booleans())
def test_resolving_is_total_and_its_marks_agree(peer, lines, trusted, allow):
    found = ForwardingHeaders.from_headers(lines)

    address = resolve_client(peer, found, trusted, allow_real_ip=allow)

    assert address.forwarded == bool(lines)
    assert address.forwarded == (address.via_trusted_proxy or address.untrusted_proxy)
    assert not (address.via_trusted_proxy and address.untrusted_proxy)
    assert not address.unattributable or address.via_trusted_proxy
    if not address.attributed:
        assert address.client == address.peer
    else:
        assert not address.client.is_loopback


@given(before=HOSTILE, real=st.ip_addresses(v=4, network="203.0.113.0/24"))
def test_nothing_a_client_writes_left_of_its_own_hop_changes_who_it_is(before, real):
    address = an_address("10.0.0.1", f"X-Forwarded-For: {before}, {real}", trusted=TRUSTED)

    assert address.client == real
