"""Reading addresses: one hop, the networks that are trusted, and who is in them."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.address import is_within, normalise_ip, parse_networks

# --- reading addresses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", id="ipv4"),
        pytest.param(" 203.0.113.9\t", "203.0.113.9", id="padded"),
        pytest.param("203.0.113.9:4444", "203.0.113.9", id="ipv4-port"),
        pytest.param("2001:db8::1", "2001:db8::1", id="ipv6"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", id="ipv6-not-canonical"),
        pytest.param("[2001:db8::1]", "2001:db8::1", id="brackets"),
        pytest.param("[2001:db8::1]:443", "2001:db8::1", id="brackets-port"),
        pytest.param("fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param("[fe80::1%eth0]:443", "fe80::1", id="brackets-zone-port"),
        pytest.param("::ffff:203.0.113.9", "203.0.113.9", id="mapped"),
        pytest.param("::ffff:7f00:1", "127.0.0.1", id="mapped-in-hex"),
        pytest.param("[::ffff:127.0.0.1]:80", "127.0.0.1", id="mapped-brackets-port"),
    ],
)
def test_one_hop_is_read_however_the_proxy_wrote_it(text, expected):
    assert normalise_ip(text) == ip_address(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "unknown",
        "_hidden",
        "localhost",
        "203.0.113.9:",
        "203.0.113.9:port",
        "203.0.113.9:123456",
        "203.0.113.9%eth0",
        "203.0.113",
        "203.0.113.09",
        "0x7f.0.0.1",
        "2130706433",
        "203.0.113.9/32",
        "[203.0.113.9]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[[2001:db8::1]]",
        "[2001:db8::1]443",
        "fe80::1%",
        "fe80::1%a%b",
        '"[2001:db8::1]:443"',
        "203.0.113.9, 203.0.113.10",
        "٢٠٣.٠.١١٣.٩",
        "1" * 20_000,
    ],
)
def test_what_is_no_address_is_none(text):
    assert normalise_ip(text) is None


@given(st.text())
def test_reading_a_hop_never_raises_and_never_leaves_a_disguise(text):
    address = normalise_ip(text)

    if isinstance(address, IPv6Address):
        assert address.ipv4_mapped is None
        assert address.scope_id is None


@given(st.ip_addresses())
def test_every_address_survives_being_written_with_brackets_and_port(address):
    written = f"[{address}]:443" if address.version == 6 else f"{address}:443"

    assert normalise_ip(written) == normalise_ip(str(address)) is not None


# --- trusted networks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        pytest.param("10.0.0.5", "10.0.0.5/32", id="ipv4"),
        pytest.param("10.0.0.0/8", "10.0.0.0/8", id="ipv4-cidr"),
        pytest.param("172.18.0.1/16", "172.18.0.0/16", id="host-bits"),
        pytest.param(" 10.0.0.5 ", "10.0.0.5/32", id="padded"),
        pytest.param("2001:db8::1", "2001:db8::1/128", id="ipv6"),
        pytest.param("2001:db8::/32", "2001:db8::/32", id="ipv6-cidr"),
        pytest.param("FD00::/16", "fd00::/16", id="ipv6-widest"),
        pytest.param("::ffff:10.0.0.5", "10.0.0.5/32", id="mapped"),
        pytest.param("::ffff:10.0.0.0/104", "10.0.0.0/8", id="mapped-cidr"),
    ],
)
def test_a_trusted_entry_is_an_address_or_a_network(entry, network):
    assert parse_networks([entry]) == (ip_network(network),)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        pytest.param("", "neither", id="empty"),
        pytest.param("loopback", "neither", id="word"),
        pytest.param("10.0.0.0/33", "neither", id="prefix-too-long"),
        pytest.param("10.0.0.0/", "neither", id="no-prefix"),
        pytest.param("10.0.0.0/255.0.0.0", "neither", id="netmask"),
        pytest.param("10.0.0.5:80", "neither", id="port"),
        pytest.param("[::1]", "neither", id="brackets"),
        pytest.param("fe80::1%eth0", "neither", id="zone"),
        pytest.param("10.0.0.1,10.0.0.2", "neither", id="list-in-one"),
        pytest.param("*", "neither", id="star"),
        pytest.param("0.0.0.0/0", "wider than /8", id="everyone"),
        pytest.param("::/0", "wider than /16", id="everyone-ipv6"),
        pytest.param("128.0.0.0/7", "wider than /8", id="too-wide"),
        pytest.param("2000::/15", "wider than /16", id="too-wide-ipv6"),
        pytest.param("::ffff:0.0.0.0/96", "wider than /8", id="everyone-mapped"),
    ],
)
def test_a_trusted_entry_that_trusts_nobody_or_everybody_is_refused(entry, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_networks(["10.0.0.1", entry])

    assert repr(entry) in str(caught.value)


@given(st.lists(st.text(max_size=30)))
def test_unreadable_entries_raise_nothing_but_value_errors(entries):
    try:
        networks = parse_networks(entries)
    except ValueError:
        return
    assert len(networks) == len(entries)


def test_an_address_of_the_other_family_is_in_no_network():
    assert not is_within(IPv4Address("0.0.0.1"), parse_networks(["::1"]))
