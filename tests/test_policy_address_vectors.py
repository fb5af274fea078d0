"""What published gateways made of forwarding headers, and why this one deviates where it does."""

import pytest

from tests.addresses import PORT, an_address, judge

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
