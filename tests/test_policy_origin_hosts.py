"""Reading Host and Origin, and what a host means: loopback, this machine, the same, ours."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.origin import (
    Authority,
    Origin,
    host_is_ours,
    is_loopback_host,
    is_machine_name,
    is_same_host,
    parse_host,
    parse_origin,
)


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
