"""Every step of finding out who calls: the same answer as the gateway's own, with its reasons."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.address import LocalityReason, judge_locality, parse_networks, resolve_client
from gateway.policy.hops import (
    as_json,
    client_words,
    explain_address,
    hop_words,
    locality_words,
    peer_words,
    trusting,
)
from gateway.policy.walk import ForwardingHeaders, HopVerdict
from tests.addresses import ADDRESSES, HOSTILE, LINES, NETWORKS, headers

HOSTS = st.sampled_from([None, "", "127.0.0.1:1", "box", "evil.example", "\x1b[2J"])
ORIGINS = st.sampled_from([None, "null", "http://127.0.0.1:1", "http://evil.example"])


def explained(peer="10.0.0.1", *lines, trusted=("10.0.0.0/24",), **facts):
    """Return the explanation of a connection with these header lines."""
    return explain_address(ip_address(peer), headers(*lines), parse_networks(trusted), **facts)


@given(peer=ADDRESSES, lines=LINES, trusted=NETWORKS, allow=st.booleans(), host=HOSTS, page=ORIGINS)
def test_an_explanation_never_differs_from_what_the_gateway_decides(
    peer, lines, trusted, allow, host, page
):
    found = ForwardingHeaders.from_headers(lines)

    how = explain_address(
        peer, found, trusted, allow_real_ip=allow, host=host, origin=page, machine_names={"box"}
    )

    address = resolve_client(peer, found, trusted, allow_real_ip=allow)
    judged = judge_locality(
        address,
        host=host,
        origin=page,
        machine_names={"box"},
        peer_uid=None,
        uid_known=False,
        own_uid=0,
    )
    assert how.address == address
    assert (how.may_be_local, how.why) == (judged.local, judged.why)
    assert bool(how.walks) == address.via_trusted_proxy


@given(peer=ADDRESSES, lines=LINES, trusted=NETWORKS, allow=st.booleans())
def test_the_steps_alone_lead_to_the_client(peer, lines, trusted, allow):
    found = ForwardingHeaders.from_headers(lines)

    how = explain_address(peer, found, trusted, allow_real_ip=allow)

    named = None
    for walk in how.walks:
        by = {
            verdict: [h.address for h in walk.hops if h.verdict is verdict]
            for verdict in HopVerdict
        }
        named = None
        if not by[HopVerdict.NO_ADDRESS]:
            named = next(iter(by[HopVerdict.CLIENT] + by[HopVerdict.TRUSTED]), None)
        ends = {HopVerdict.CLIENT, HopVerdict.NO_ADDRESS}
        assert all(hop.verdict not in ends for hop in walk.hops[:-1])
        assert all(
            (hop.rule is not None) == (hop.verdict is HopVerdict.TRUSTED) for hop in walk.hops
        )
    assert how.address.client == (named or how.address.peer)


@given(peer=ADDRESSES, lines=LINES, trusted=NETWORKS, host=HOSTILE, page=HOSTILE)
def test_whatever_was_sent_is_safe_to_print(peer, lines, trusted, host, page):
    how = explain_address(
        peer, ForwardingHeaders.from_headers(lines), trusted, host=host, origin=page
    )

    said = [json.dumps(as_json(how)), peer_words(how), client_words(how), locality_words(how)]

    assert all(text.isascii() and text.isprintable() for text in said)


@pytest.mark.parametrize(
    ("value", "steps", "client"),
    [
        pytest.param(
            "198.51.100.7, 203.0.113.9, 127.0.0.1, 10.0.0.2",
            ["trusted", "loopback", "client"],
            "203.0.113.9",
            id="each-kind",
        ),
        pytest.param("203.0.113.9:4444", ["client"], "203.0.113.9", id="port"),
        pytest.param("[2001:db8::1]:443", ["client"], "2001:db8::1", id="brackets"),
        pytest.param("fe80::1%eth0", ["client"], "fe80::1", id="zone"),
        pytest.param("::ffff:203.0.113.9", ["client"], "203.0.113.9", id="mapped"),
        pytest.param("::ffff:10.0.0.2", ["trusted"], "10.0.0.2", id="mapped-trusted"),
        pytest.param("1.2.3.4, unknown, 10.0.0.2", ["trusted", "no-address"], None, id="garbage"),
        pytest.param("", [], None, id="empty"),
    ],
)
def test_each_hop_has_its_verdict(value, steps, client):
    how = explained("10.0.0.1", f"X-Forwarded-For: {value}")

    (walk,) = how.walks
    assert [str(hop.verdict) for hop in walk.hops] == steps
    assert str(how.address.client) == (client or "10.0.0.1")
    assert how.address.unattributable == (client is None)


def test_two_header_lines_are_one_chain_and_what_is_left_of_the_client_is_named():
    how = explained("10.0.0.1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2, 10.0.0.9")

    (walk,) = how.walks
    assert [hop.text.strip() for hop in walk.hops] == ["10.0.0.9", "2.2.2.2"]
    assert walk.left == ("1.1.1.1",)


def test_x_real_ip_is_a_second_walk_where_it_is_allowed_and_none_where_it_is_not():
    lines = ("X-Forwarded-For: unknown", "X-Real-IP: 203.0.113.9")

    allowed = explained("10.0.0.1", *lines, allow_real_ip=True)
    strict = explained("10.0.0.1", *lines)

    assert [walk.header for walk in allowed.walks] == ["X-Forwarded-For", "X-Real-IP"]
    assert str(allowed.address.client) == "203.0.113.9"
    assert [walk.header for walk in strict.walks] == ["X-Forwarded-For"]
    assert strict.address.unattributable


def test_the_headers_of_an_untrusted_peer_are_not_walked():
    how = explained("192.0.2.1", "X-Forwarded-For: 203.0.113.9")

    assert how.walks == ()
    assert "not in gateway.trustedProxies" in peer_words(how)
    assert how.why is LocalityReason.UNTRUSTED_PROXY


WORDS = [
    pytest.param(
        explained("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 10.0.0.2"),
        ["trusted by 10.0.0.0/24", "the walk goes on", "this is the client", "that is not trusted"],
        id="through",
    ),
    pytest.param(
        explained("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2"),
        ["every hop of X-Forwarded-For is trusted"],
        id="all-trusted",
    ),
    pytest.param(
        explained("10.0.0.1", "X-Forwarded-For: 127.0.0.1, x"),
        ["not an address: the walk ends", "its headers name nobody (x-forwarded-for)"],
        id="nobody",
    ),
    pytest.param(explained("10.0.0.1"), ["but it forwards nothing", "the peer itself"], id="bare"),
    pytest.param(
        explained("192.0.2.1"), ["it forwards nothing", "the peer 192.0.2.1 is not"], id="direct"
    ),
    pytest.param(explained("127.0.0.1", host="foo.ts.net"), ["the Host is foo.ts.net"], id="host"),
    pytest.param(explained("127.0.0.1", host=None), ["the Host is missing"], id="no-host"),
    pytest.param(
        explained("127.0.0.1", host="127.0.0.1", origin="http://evil.example"),
        ["the page comes from http://evil.example"],
        id="origin",
    ),
    pytest.param(
        explained("127.0.0.1", host="127.0.0.1"), ["belongs to the gateway's own user"], id="local"
    ),
    pytest.param(
        explained("127.0.0.1", host="a" * 300), ["the Host is " + "a" * 117 + "...:"], id="cut"
    ),
]


@pytest.mark.parametrize(("how", "wanted"), WORDS)
def test_every_step_says_its_reason(how, wanted):
    hops = [hop_words(hop) for walk in how.walks for hop in walk.hops]
    said = " | ".join([peer_words(how), client_words(how), locality_words(how), *hops])

    assert [text for text in wanted if text not in said] == []


@pytest.mark.parametrize(
    ("entries", "peer", "command"),
    [
        pytest.param([], "127.0.0.1", '["127.0.0.1"]', id="first"),
        pytest.param(
            ["10.0.0.1", "192.168.1.0/30"],
            "::1",
            '["10.0.0.1", "192.168.1.0/30", "::1"]',
            id="kept",
        ),
        pytest.param(["10.0.0.0/24"], "10.0.0.9", '["10.0.0.0/24"]', id="covered"),
    ],
)
def test_the_command_that_trusts_a_peer_keeps_what_is_trusted(entries, peer, command):
    found = trusting(parse_networks(entries), ip_address(peer))

    assert found == f"openclaw config set gateway.trustedProxies '{command}'"
