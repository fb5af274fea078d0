"""What is wrong with a list of trusted proxies that is valid all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

IPNetwork = IPv4Network | IPv6Network

#: A private network of more addresses than this holds clients, not only proxies: a /29, an IPv6
#: /125. People run a handful of proxies side by side; they do not fill more than that.
MOST_PROXIES = 8

#: The widest public network that a delivery network publishes for its proxies is a /13.
WIDEST_PUBLIC_PREFIX = {4: 12, 6: 28}

# Shared by customers of one provider, and what overlay networks such as Tailscale hand out.
_SHARED = ip_network("100.64.0.0/10")
# Container engines take their bridges from here, unless they are told otherwise.
_BRIDGES = (ip_network("172.16.0.0/12"), ip_network("10.88.0.0/16"), ip_network("192.168.65.0/24"))


def is_client_network(network: IPNetwork) -> bool:
    """Tell whether a trusted network is one in which clients live, rather than only proxies."""
    if network.is_loopback or network.num_addresses <= MOST_PROXIES:
        return False
    return network.is_private or network.is_link_local or _is_inside(network, _SHARED)


def is_bridge(network: IPNetwork) -> bool:
    """Tell whether a client network looks like the bridge of a container engine."""
    return is_client_network(network) and any(_is_inside(network, one) for one in _BRIDGES)


def is_too_wide(network: IPNetwork) -> bool:
    """Tell whether a public network is wider than any that consists of proxies."""
    narrow_enough = network.prefixlen >= WIDEST_PUBLIC_PREFIX[network.version]
    return not (narrow_enough or network.is_private or network.is_loopback)


def proxy_warnings(trusted: Sequence[IPNetwork]) -> Iterator[str]:
    """Yield a sentence for each entry of ``gateway.trustedProxies`` that says too much."""
    for network in trusted:
        words = width_words(network)
        if words is not None:
            yield f"gateway.trustedProxies: {words}"


def width_words(network: IPNetwork) -> str | None:
    """Return why a trusted network is too wide, and what to do; None if it is narrow enough."""
    if is_bridge(network):
        return (
            f"{network} looks like the bridge network of a container engine: docker-proxy, which "
            "serves a published port, sends no X-Forwarded-For, so for a published port this "
            "setting has no effect (--auto-approve published-port is for that); of a proxy in a "
            "container, list only its own address"
        )
    if is_client_network(network):
        return (
            f"{network} is a client network: whoever is in it could claim to be anybody, and its "
            "own clients are taken for proxies; list only the proxies themselves"
        )
    if is_too_wide(network):
        return f"{network} is wider than any network of proxies; list only the proxies themselves"
    return None


def _is_inside(network: IPNetwork, other: IPNetwork) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]  # same version
