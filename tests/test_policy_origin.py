import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.origin import (
    Authority,
    Origin,
    OriginVerdict,
    host_is_ours,
    is_loopback_host,
    is_machine_name,
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


def an_authority(text: str) -> Authority:
    authority = parse_host(text)
    assert authority is not None
    return authority


def an_origin(text: str) -> Origin:
    origin = parse_origin(text)
    assert origin is not None
    return origin


# --- reading Host ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "port", "ip"),
    [
        ("gw.example.com", "gw.example.com", None, None),
        ("GW.Example.COM:443", "gw.example.com", 443, None),
        ("gw.example.com.", "gw.example.com.", None, None),
        ("my_service:80", "my_service", 80, None),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None, None),
        ("127.0.0.1:18789", "127.0.0.1", 18789, "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1.", None, "127.0.0.1"),
        ("[::1]:18789", "::1", 18789, "::1"),
        ("[0:0::1]", "::1", None, "::1"),
        ("[::FFFF:127.0.0.1]", "::ffff:7f00:1", None, "127.0.0.1"),
        ("::1", "::1", None, "::1"),
        ("::1:8080", "::1", 8080, "::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example", None, None),
    ],
)
def test_a_host_is_read_as_name_port_and_address(text, name, port, ip):
    authority = an_authority(text)

    # str() of an IPv4-mapped literal differs between Python versions.
    assert authority.name in {name, "::ffff:127.0.0.1"}
    assert authority.port == port
    assert (None if authority.ip is None else str(authority.ip)) == ip


UNREADABLE_HOSTS = [
    "",
    " gw.example",
    "gw.example ",
    "gw.example\n",
    "gw.example\x00",
    "gw..example",
    ".example",
    ".",
    "gw.example..",
    "-gw.example",
    "gw-.example",
    "a" * 64 + ".example",
    ".".join(["a" * 49] * 6),
    "gw.example:",
    "gw.example:0",
    "gw.example:65536",
    "gw.example:+80",
    "gw.example:٨٠",
    "gw.example:80:80",
    "user@gw.example",
    "user:word@gw.example",
    "gw.example/path",
    "gw.example?x",
    "gw.example#x",
    "gw.example,evil.example",
    "gw%2eexample",
    "bücher.example",
    "\u212aube.example",
    "*",
    "*.example",
    "127.1",
    "2130706433",
    "1.2.3.4.5",
    "127.0.0.01",
    "256.0.0.1",
    "[127.0.0.1]",
    "[gw.example]",
    "[]",
    "[::1",
    "::1]",
    "[::1]x",
    "[::1]:",
    "[::1%25lo]",
    "[::1]:80:80",
    "2001:db8::1",
    "::1:99999",
]


@pytest.mark.parametrize("text", [None, *UNREADABLE_HOSTS])
def test_a_host_that_needs_guessing_is_not_read(text):
    assert parse_host(text) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "NULL",
        "*",
        "gw.example",
        "//gw.example",
        "http:gw.example",
        "http:/gw.example",
        "http://",
        "://gw.example",
        "1http://gw.example",
        " http://gw.example",
        "http://gw.example/",
        "http://gw.example http://evil.example",
        *(f"http://{host}" for host in UNREADABLE_HOSTS),
    ],
)
def test_an_origin_that_needs_guessing_is_not_read(text):
    assert parse_origin(text) is None


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("http://gw.example", 80),
        ("HTTPS://GW.Example", 443),
        ("https://gw.example:8443", 8443),
        ("chrome-extension://abcdefgh", None),
        ("tauri://localhost", None),
    ],
)
def test_an_origin_has_the_default_port_of_its_scheme(text, port):
    assert an_origin(text).port == port


@given(st.text())
@example("[" * 1000)
@example("a." * 10_000)
def test_reading_is_total(text):
    parse_host(text)
    parse_origin(text)
    parse_origin(f"http://{text}")


# --- what a host means -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("a.localhost", True),
        ("127.0.1.1", True),
        ("[::1]", True),
        ("[::ffff:127.9.9.9]", True),
        ("localhost.evil.example", False),
        ("alocalhost", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("[::2]", False),
        ("[::127.0.0.1]", False),
    ],
)
def test_loopback_hosts(text, loopback):
    assert is_loopback_host(an_authority(text)) == loopback


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("box", True),
        ("BOX.:80", True),
        ("box.local", True),
        ("box.local.", True),
        ("rack.example", True),
        ("box.example", False),
        ("local", False),
        ("xbox", False),
        ("192.0.2.1", False),
    ],
)
def test_machine_names_are_taken_bare_or_under_local(text, ours):
    names = ["Box", "rack.example.", "192.0.2.1"]

    assert is_machine_name(an_authority(text), names) == ours


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://gw.example:8080", "gw.example:8080", True),
        ("https://gw.example:8080", "gw.example:8080", True),
        ("https://gw.example", "gw.example", True),
        ("https://gw.example", "gw.example:443", True),
        ("https://gw.example:443", "gw.example", True),
        ("http://gw.example", "gw.example:80", True),
        ("http://[0:0::1]:80", "[::1]", True),
        ("https://gw.example", "gw.example:80", False),
        ("http://gw.example:443", "gw.example", False),
        ("http://gw.example:8080", "gw.example", False),
        ("http://gw.example:8080", "gw.example:8081", False),
        ("http://gw.example", "gw.example.", False),
        ("http://gw.example.", "gw.example.", True),
        ("http://a.gw.example", "gw.example", False),
        ("http://localhost", "127.0.0.1", False),
        ("tauri://gw.example", "gw.example", False),
        ("ws://gw.example:80", "gw.example:80", False),
    ],
)
def test_a_page_is_from_here_when_host_and_port_agree(origin, host, same):
    assert is_same_host(an_origin(origin), an_authority(host)) == same


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        pytest.param("localhost:1", True, id="loopback-name"),
        pytest.param("127.0.1.1", True, id="loopback-address"),
        pytest.param("192.168.0.80:18789", True, id="ip-literal"),
        pytest.param("[2001:db8::1]", True, id="ipv6-literal"),
        pytest.param("box", True, id="machine"),
        pytest.param("box.local:18789", True, id="machine-local"),
        pytest.param("public.example:9", True, id="public-origin"),
        pytest.param("PUBLIC.example.", True, id="public-origin-dot-and-case"),
        pytest.param("listed.example", True, id="allowed-origin"),
        pytest.param("evil.example", False, id="rebinding"),
        pytest.param("public.example.evil.example", False, id="suffix"),
        pytest.param("evil-public.example", False, id="prefix"),
        pytest.param("foo.ts.net", False, id="tailnet-name"),
        pytest.param("127.1", False, id="short-address"),
        pytest.param("user@localhost", False, id="userinfo"),
        pytest.param("", False, id="empty"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_a_host_is_ours_only_if_it_cannot_be_rebound_or_is_configured(host, ours):
    assert ours == host_is_ours(
        host,
        machine_names=["box"],
        public_origin="https://public.example",
        allowed_origins=[" https://Listed.example:8443 ", "*", "garbage"],
    )


# --- the verdict -------------------------------------------------------------------------------


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
