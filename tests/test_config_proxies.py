"""What a list of trusted proxies is warned of, and what passes in silence."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from stores.config.proxies import proxy_warnings
from stores.config.validate import validate


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        pytest.param("192.168.178.0/24", "192.168.178.0/24 is a client network", id="home"),
        pytest.param("10.0.0.0/8", "is a client network", id="rfc1918"),
        pytest.param("192.168.1.0/28", "is a client network", id="just-too-wide"),
        pytest.param("100.64.0.0/10", "is a client network", id="tailnet"),
        pytest.param("169.254.0.0/16", "is a client network", id="link-local"),
        pytest.param("fd00::/64", "is a client network", id="ula"),
        pytest.param("172.18.0.0/16", "docker-proxy", id="bridge"),
        pytest.param("172.17.0.0/24", "this setting has no effect", id="bridge-part"),
        pytest.param("10.88.0.0/16", "--auto-approve published-port", id="podman"),
        pytest.param("8.0.0.0/8", "wider than any network of proxies", id="half-the-internet"),
        pytest.param("2000::/16", "wider than any network of proxies", id="wide-ipv6"),
    ],
)
def test_a_network_that_holds_more_than_proxies_is_warned_of(entry: str, says: str):
    _, findings = validate({"gateway": {"trustedProxies": ["127.0.0.1", entry]}})

    (warning,) = findings.warnings
    assert warning.startswith(f"gateway.trustedProxies: {entry} ")
    assert says in warning


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.0.0.0/8", id="all-loopback"),
        pytest.param("::1", id="ipv6-loopback"),
        pytest.param("192.168.178.4", id="one-address"),
        pytest.param("172.18.0.1", id="one-bridge-address"),
        pytest.param("192.168.1.0/29", id="eight-addresses"),
        pytest.param("fd00::8/125", id="eight-ipv6-addresses"),
        pytest.param("104.16.0.0/13", id="delivery-network"),
        pytest.param("2400:cb00::/32", id="delivery-network-ipv6"),
    ],
)
def test_a_list_of_proxies_is_not_warned_of(entry: str):
    assert list(proxy_warnings([ip_network(entry)])) == []
