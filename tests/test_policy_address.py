from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.address import (
    ClientAddress,
    ForwardingHeaders,
    Locality,
    LocalityReason,
    is_within,
    judge_locality,
    may_be_local,
    normalise_ip,
    parse_networks,
    resolve_client,
)

LOOPBACK = ip_address("127.0.0.1")
REMOTE = ip_address("203.0.113.9")
OWN_UID = 1000
PORT = 18789


def headers(*lines: str) -> ForwardingHeaders:
    pairs = [line.split(": ", 1) for line in lines]
    return ForwardingHeaders.from_headers((name, value) for name, value in pairs)


def an_address(peer="127.0.0.1", *lines: str, trusted=()) -> ClientAddress:
    return resolve_client(ip_address(peer), headers(*lines), parse_networks(trusted))


def judge(address: ClientAddress, host=f"127.0.0.1:{PORT}", origin=None, **facts) -> Locality:
    known = {"machine_names": {"box"}, "peer_uid": None, "uid_known": False, "own_uid": OWN_UID}
    return judge_locality(address, host=host, origin=origin, **(known | facts))


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

TRUSTED = ("10.0.0.0/24", "127.0.0.1")


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


ADDRESSES = st.ip_addresses()
HOSTILE = st.one_of(st.text(), st.sampled_from(["127.0.0.1", "::1", "10.0.0.2", "unknown", ","]))
LINES = st.lists(st.tuples(st.sampled_from(FORWARDING_NAMES), HOSTILE), max_size=5)
NETWORKS = st.lists(
    st.sampled_from(["127.0.0.0/8", "::1", "10.0.0.0/8", "2001:db8::/32"]).map(ip_network),
    max_size=3,
)


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


# --- what published gateways did ---------------------------------------------------------------

PUBLISHED_CASES = {
    "direct": [],
    "one hop": ["X-Forwarded-For: 203.0.113.9"],
    "chain": ["X-Forwarded-For: 198.51.100.7, 10.0.0.5"],
    "spoofed": ["X-Forwarded-For: 127.0.0.1, 203.0.113.77"],
    "only loopback": ["X-Forwarded-For: 127.0.0.1"],
    "garbage": ["X-Forwarded-For: garbage"],
    "port": ["X-Forwarded-For: 203.0.113.9:4444"],
    "ipv6": ["X-Forwarded-For: [2001:db8::1]:443"],
    "real ip": ["X-Real-IP: 203.0.113.50"],
    "forwarded": ["Forwarded: for=203.0.113.51"],
    "proto": ["X-Forwarded-Proto: https"],
    "host": ["X-Forwarded-Host: x.example"],
    "foreign host": ["X-Forwarded-For: 127.0.0.1"],
}
LOCAL, REFUSED, PEER = "local", "403", "127.0.0.1"
# (version, is 127.0.0.1 trusted) -> case -> "local", "403", or the client address recorded;
# None: remote, and no address was recorded.
PUBLISHED: dict[tuple[str, bool], dict[str, str | None]] = {
    ("2026.2.19", False): {
        case: LOCAL if case in {"direct", "forwarded", "proto"} else None
        for case in PUBLISHED_CASES
    },
    ("2026.2.19", True): {
        "direct": None,
        "one hop": "203.0.113.9",
        "chain": "198.51.100.7",
        "spoofed": LOCAL,
        "only loopback": LOCAL,
        "garbage": "garbage",
        "port": "203.0.113.9",
        "ipv6": "2001:db8::1",
        "real ip": "203.0.113.50",
        "forwarded": None,
        "proto": None,
        "host": None,
        "foreign host": None,
    },
    ("2026.9.6", False): {case: LOCAL if case == "direct" else REFUSED for case in PUBLISHED_CASES},
    ("2026.9.6", True): {
        "direct": LOCAL,
        "one hop": "203.0.113.9",
        "chain": "10.0.0.5",
        "spoofed": "203.0.113.77",
        "port": "203.0.113.9",
        "ipv6": "2001:db8::1",
        **dict.fromkeys(
            ["only loopback", "garbage", "real ip", "forwarded", "proto", "host", "foreign host"],
            REFUSED,
        ),
    },
}
NO_BARE_403 = "a forwarded connection is remote and gets a refusal it can read, never a bare 403"
READS_FROM_THE_RIGHT = "the left-most hop is whatever the client claims"
DEVIATIONS = {
    ("2026.2.19", False, "forwarded"): "a forwarded connection is never local",
    ("2026.2.19", False, "proto"): "a forwarded connection is never local",
    ("2026.2.19", True, "direct"): "trusting loopback does not make a direct connection remote",
    ("2026.2.19", True, "chain"): READS_FROM_THE_RIGHT,
    ("2026.2.19", True, "spoofed"): READS_FROM_THE_RIGHT,
    ("2026.2.19", True, "only loopback"): "a forwarded connection is never local",
    ("2026.2.19", True, "garbage"): "what is no address is nobody's address",
    ("2026.2.19", True, "real ip"): "X-Real-IP counts only with gateway.allowRealIpFallback",
    **{
        (version, trusted, case): NO_BARE_403
        for (version, trusted), outcomes in PUBLISHED.items()
        for case, outcome in outcomes.items()
        if outcome == REFUSED
    },
}


@pytest.mark.parametrize(
    ("version", "trusted", "case"),
    [
        pytest.param(version, trusted, case, id=f"{version}-{'un' * (not trusted)}trusted-{case}")
        for version, trusted in PUBLISHED
        for case in PUBLISHED_CASES
    ],
)
def test_published_gateways_agree_except_where_there_is_a_reason(version, trusted, case):
    published = PUBLISHED[version, trusted][case]
    host = "gw.example.com" if case == "foreign host" else f"127.0.0.1:{PORT}"
    trusts = ["127.0.0.1"] if trusted else []

    address = an_address(PEER, *PUBLISHED_CASES[case], trusted=trusts)
    local = judge(address, host).local
    # An address of None was not recorded; ours is then the peer's.
    ours = LOCAL if local else str(address.client)

    assert (ours == (published or PEER)) == ((version, trusted, case) not in DEVIATIONS)


# --- locality ----------------------------------------------------------------------------------


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


def test_an_address_of_the_other_family_is_in_no_network():
    assert not is_within(IPv4Address("0.0.0.1"), parse_networks(["::1"]))
