"""Connections by their addresses: resolved and judged in one line, and what hostile ones send."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import strategies as st

from gateway.policy.address import (
    ClientAddress,
    ForwardingHeaders,
    Locality,
    judge_locality,
    parse_networks,
    resolve_client,
)

LOOPBACK = ip_address("127.0.0.1")
REMOTE = ip_address("203.0.113.9")
OWN_UID = 1000
PORT = 18789

TRUSTED = ("10.0.0.0/24", "127.0.0.1")

FORWARDING_NAMES = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Anything",
    "X-Forwarded",
    "x_forwarded_for",
    "Forwarded",
    "X-Real-IP",
    "X-Real-Port",
    "Via",
    "CF-Connecting-IP",
    "CF-Ray",
    "CDN-Loop",
    "Tailscale-User-Login",
    "tailscale-headers-info",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "X-Envoy-External-Address",
    "Fly-Client-IP",
    "Fastly-Client-IP",
    "X-Azure-ClientIP",
]

ADDRESSES = st.ip_addresses()
HOSTILE = st.one_of(st.text(), st.sampled_from(["127.0.0.1", "::1", "10.0.0.2", "unknown", ","]))
LINES = st.lists(st.tuples(st.sampled_from(FORWARDING_NAMES), HOSTILE), max_size=5)
NETWORKS = st.lists(
    st.sampled_from(["127.0.0.0/8", "::1", "10.0.0.0/8", "2001:db8::/32"]).map(ip_network),
    max_size=3,
)


def headers(*lines: str) -> ForwardingHeaders:
    """Return what the proxies said, from header lines as they are written."""
    pairs = [line.split(": ", 1) for line in lines]
    return ForwardingHeaders.from_headers((name, value) for name, value in pairs)


def an_address(peer: str = "127.0.0.1", *lines: str, trusted: Sequence[str] = ()) -> ClientAddress:
    """Return where a connection from ``peer`` with these header lines comes from."""
    return resolve_client(ip_address(peer), headers(*lines), parse_networks(trusted))


def judge(
    address: ClientAddress,
    host: str | None = f"127.0.0.1:{PORT}",
    origin: str | None = None,
    **facts: Any,
) -> Locality:
    """Return the locality of a connection to ``box`` whose owner nobody can tell."""
    known = {"machine_names": {"box"}, "peer_uid": None, "uid_known": False, "own_uid": OWN_UID}
    return judge_locality(address, host=host, origin=origin, **(known | facts))
