"""Who is one caller: the buckets that share a budget, and who is exempt."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.address import ForwardingHeaders, parse_networks, resolve_client
from gateway.policy.throttle import Throttle, address_group, bucket_for
from tests.throttles import fail

TRUSTED = ("10.0.0.0/24", "127.0.0.1")


def bucket(peer, xff=None, *, trusted=(), device=None, local=False, has_origin=False):
    networks = parse_networks(trusted)
    lines = [] if xff is None else [("X-Forwarded-For", xff)]
    address = resolve_client(ip_address(peer), ForwardingHeaders.from_headers(lines), networks)
    return bucket_for(
        address,
        kind="token",
        trusted=networks,
        paired_device_id=device,
        local=local,
        has_origin=has_origin,
    )


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({"peer": "127.0.0.1", "local": True}, None, id="local-exempt"),
        pytest.param(
            {"peer": "127.0.0.1", "local": True, "has_origin": True},
            "token local-pages",
            id="local-page-limited",
        ),
        pytest.param(
            {"peer": "127.0.0.1", "local": False},
            "token address:127.0.0.1",
            id="loopback-of-another-uid-limited",
        ),
        pytest.param({"peer": "203.0.113.9"}, "token address:203.0.113.9", id="ipv4"),
        pytest.param({"peer": "::ffff:203.0.113.9"}, "token address:203.0.113.9", id="mapped"),
        pytest.param(
            {"peer": "2001:db8:1:2:3::4"}, "token address:2001:db8:1:2::/64", id="ipv6-site"
        ),
        pytest.param(
            {"peer": "203.0.113.9", "device": "d1"}, "token device:d1", id="paired-device"
        ),
        pytest.param(
            {"peer": "127.0.0.1", "xff": "x", "device": "d1"},
            "token device:d1",
            id="paired-device-behind-a-proxy",
        ),
        pytest.param(
            {"peer": "127.0.0.1", "local": True, "device": "d1"}, None, id="local-paired-exempt"
        ),
        pytest.param(
            {"peer": "127.0.0.1", "local": True, "device": "d1", "has_origin": True},
            "token device:d1",
            id="local-paired-page",
        ),
        pytest.param(
            {"peer": "127.0.0.1", "xff": "203.0.113.9"},
            "token forwarded-by-loopback",
            id="untrusted-loopback-proxy",
        ),
        pytest.param(
            {"peer": "127.0.0.9", "xff": "198.51.100.7"},
            "token forwarded-by-loopback",
            id="whichever-loopback-address-and-header",
        ),
        pytest.param(
            {"peer": "127.0.0.1", "xff": "garbage", "trusted": TRUSTED},
            "token forwarded-by-loopback",
            id="trusted-loopback-proxy-names-nobody",
        ),
        pytest.param(
            {"peer": "127.0.0.1", "xff": "203.0.113.9", "trusted": TRUSTED},
            "token address:203.0.113.9",
            id="trusted-loopback-proxy",
        ),
        pytest.param(
            {"peer": "203.0.113.9", "xff": "198.51.100.7"},
            "token address:203.0.113.9",
            id="untrusted-proxy-is-the-caller",
        ),
        pytest.param(
            {"peer": "10.0.0.1", "xff": "2001:db8::1", "trusted": TRUSTED},
            "token address:2001:db8::/64",
            id="behind-trusted-proxy",
        ),
        pytest.param(
            {"peer": "10.0.0.1", "xff": "unknown", "trusted": TRUSTED},
            "token unattributed-by-trusted-proxy",
            id="trusted-proxy-names-nobody",
        ),
        pytest.param(
            {"peer": "10.0.0.1", "trusted": TRUSTED},
            "token unattributed-by-trusted-proxy",
            id="trusted-peer-forwards-nothing",
        ),
        pytest.param(
            {"peer": "10.0.0.1", "xff": "10.0.0.7", "trusted": TRUSTED},
            "token address:10.0.0.7",
            id="client-inside-a-trusted-network",
        ),
    ],
)
def test_who_shares_a_budget_with_whom(facts, expected):
    assert bucket(**facts) == expected


def test_a_paired_device_keeps_its_budget_when_its_address_is_locked():
    throttle = Throttle()

    fail(throttle, 10, key=bucket("203.0.113.9"))

    assert throttle.reserve(bucket("203.0.113.9", device="d1"), 0.0) is None


@given(
    peer=st.ip_addresses(),
    xff=st.none() | st.text(),
    device=st.none() | st.just("d1"),
    has_origin=st.booleans(),
)
def test_only_local_connections_without_a_page_are_exempt(peer, xff, device, has_origin):
    assert bucket(peer, xff, device=device, has_origin=has_origin, trusted=TRUSTED) is not None
    assert bucket(peer, xff, device=device, local=True, has_origin=True) is not None


@given(peer=st.ip_addresses(v=4, network="10.0.0.0/24"), xff=st.none() | st.text())
def test_the_address_of_a_trusted_proxy_is_never_a_bucket(peer, xff):
    trusted = (f"{peer}",)

    # A chain may name the proxy itself; then it was the proxy that called.
    key = bucket(peer, xff, trusted=trusted)
    assert key != f"token address:{peer}" or (xff is not None and str(peer) in xff)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::", "2001:db8::/64"),
        ("2001:db8:0:1::", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_site_is_one_caller(text, group):
    assert address_group(ip_address(text)) == group
