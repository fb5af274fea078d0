"""The verdict on a page's origin: refused, allowed, or allowed to pair silently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.origin import (
    OriginVerdict,
    is_same_host,
    judge_origin,
    parse_host,
    parse_origin,
)

P = 18789
OK = OriginVerdict(True, "ok", silent_ok=True)
FOREIGN = OriginVerdict(True, "ok", silent_ok=False)
INVALID = OriginVerdict(False, "origin missing or invalid", silent_ok=False)
NOT_ALLOWED = OriginVerdict(False, "origin not allowed", silent_ok=False)


def judge(origin, host=f"127.0.0.1:{P}", **facts) -> OriginVerdict:
    known = {
        "client_id": "openclaw-control-ui",
        "client_mode": "ui",
        "allowed_origins": (),
        "public_origin": None,
        "machine_names": {"box"},
        "peer_is_loopback": True,
    }
    return judge_origin(origin, host, **(known | facts))


@pytest.mark.parametrize(
    ("client_id", "client_mode", "verdict"),
    [
        ("openclaw-control-ui", "ui", INVALID),
        ("openclaw-control-ui", "cli", INVALID),
        ("webchat-ui", "x", INVALID),
        ("anything", "webchat", INVALID),
        ("cli", "cli", OK),
        ("gateway-client", "backend", OK),
        ("", "", OK),
    ],
)
def test_without_an_origin_only_browser_clients_are_refused(client_id, client_mode, verdict):
    assert judge(None, client_id=client_id, client_mode=client_mode) == verdict


def test_without_an_origin_the_host_does_not_matter():
    assert judge(None, "evil.example", client_id="cli", client_mode="cli") == OK


@pytest.mark.parametrize("client_id", ["openclaw-control-ui", "cli", "gateway-client"])
@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        ("null", INVALID),
        ("", INVALID),
        ("file://", INVALID),
        ("http://x@127.0.0.1:18789", INVALID),
        ("http://evil.example", NOT_ALLOWED),
        ("http://127.0.0.1.evil.example:18789", NOT_ALLOWED),
        ("chrome-extension://abc", NOT_ALLOWED),
        ("tauri://localhost", NOT_ALLOWED),
    ],
)
def test_an_origin_is_checked_whoever_the_client_says_it_is(client_id, origin, verdict):
    assert judge(origin, client_id=client_id, client_mode="cli") == verdict


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        pytest.param(f"http://127.0.0.1:{P}", f"127.0.0.1:{P}", id="loopback"),
        pytest.param(f"http://localhost:{P}", f"LOCALHOST:{P}", id="case"),
        pytest.param(f"http://[::1]:{P}", f"[::1]:{P}", id="ipv6"),
        pytest.param("https://192.168.0.80", "192.168.0.80", id="behind-tls-proxy"),
        pytest.param(f"http://box.local:{P}", f"box.local:{P}", id="machine"),
        pytest.param("https://public.example", "public.example", id="public"),
        pytest.param("http://listed.example:99", "listed.example:99", id="host-of-a-listed-origin"),
    ],
)
@pytest.mark.parametrize("peer_is_loopback", [True, False])
def test_a_page_served_by_us_is_allowed_and_may_pair_silently(origin, host, peer_is_loopback):
    verdict = judge(
        origin,
        host,
        peer_is_loopback=peer_is_loopback,
        public_origin="https://public.example",
        allowed_origins=["https://listed.example"],
    )

    assert verdict == OK


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        pytest.param("http://evil.example", "evil.example", id="plain"),
        pytest.param(f"http://evil.example:{P}", f"evil.example:{P}", id="port"),
        pytest.param("https://foo.ts.net", "foo.ts.net", id="tailnet"),
        pytest.param("http://127.0.0.1.nip.io", "127.0.0.1.nip.io", id="wildcard-dns"),
    ],
)
def test_dns_rebinding_is_refused_although_origin_and_host_agree(origin, host):
    assert judge(origin, host) == NOT_ALLOWED


@pytest.mark.parametrize(
    ("entry", "origin", "verdict"),
    [
        ("https://gw.example", "https://gw.example", FOREIGN),
        ("  HTTPS://GW.example ", "https://gw.Example", FOREIGN),
        ("https://gw.example:443", "https://gw.example", FOREIGN),
        ("https://gw.example/", "https://gw.example", FOREIGN),
        ("chrome-extension://abc", "chrome-extension://abc", FOREIGN),
        ("https://gw.example", "http://gw.example", NOT_ALLOWED),
        ("https://gw.example", "https://gw.example:8443", NOT_ALLOWED),
        ("https://gw.example:8443", "http://gw.example:8443", NOT_ALLOWED),
        ("https://gw.example", "https://gw.example.", NOT_ALLOWED),
        ("https://gw.example", "https://a.gw.example", NOT_ALLOWED),
        ("https://gw.example/path", "https://gw.example", NOT_ALLOWED),
        ("gw.example", "https://gw.example", NOT_ALLOWED),
        ("https://*.example", "https://gw.example", NOT_ALLOWED),
        ("*", "https://gw.example", NOT_ALLOWED),
        ("", "https://gw.example", NOT_ALLOWED),
        ("null", "null", INVALID),
        ("*", "null", INVALID),
    ],
)
def test_a_listed_origin_is_allowed_exactly_but_never_silently(entry, origin, verdict):
    assert judge(origin, allowed_origins=[entry]) == verdict


def test_a_listed_origin_is_allowed_under_any_host_a_proxy_may_send():
    assert (
        judge("https://gw.example", "upstream", allowed_origins=["https://gw.example"]) == FOREIGN
    )


def test_the_public_origin_counts_as_listed():
    assert judge("https://gw.example", public_origin="https://gw.example") == FOREIGN


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:3000", "http://localhost:18789", "https://app.localhost", "http://[::1]"],
)
def test_a_page_of_another_local_server_is_allowed_on_loopback_but_never_silently(origin):
    assert judge(origin) == FOREIGN
    assert judge(origin, peer_is_loopback=False) == NOT_ALLOWED
    assert judge(origin, "evil.example") == NOT_ALLOWED
    assert judge(origin, None) == NOT_ALLOWED


@pytest.mark.parametrize("origin", ["http://box:3000", "http://192.168.0.80:3000"])
def test_a_page_of_another_port_of_this_machine_is_not_a_loopback_page(origin):
    assert judge(origin) == NOT_ALLOWED


HEADER = st.one_of(
    st.none(),
    st.text(),
    st.sampled_from(["localhost", "box", "evil.example", "http://localhost", "http://box"]),
    st.sampled_from(["http://evil.example", "https://listed.example", "null", "127.0.0.1:80"]),
)


@given(
    origin=HEADER,
    host=HEADER,
    client_id=st.sampled_from(["cli", "openclaw-control-ui"]),
    entries=st.lists(st.one_of(st.text(), st.sampled_from(["*", "https://listed.example"]))),
    loopback=st.booleans(),
)
def test_the_verdict_is_total_and_silent_only_for_our_own_page(
    origin, host, client_id, entries, loopback
):
    verdict = judge(
        origin, host, client_id=client_id, allowed_origins=entries, peer_is_loopback=loopback
    )

    assert verdict.allowed == (verdict.reason == "ok")
    assert verdict.allowed or not verdict.silent_ok
    if verdict.silent_ok and origin is not None:
        page, authority = parse_origin(origin), parse_host(host)
        assert page is not None
        assert authority is not None
        assert is_same_host(page, authority)
