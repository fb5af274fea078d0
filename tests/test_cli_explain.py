"""A failed command in words: what the gateway saw, why it refused, and the one command."""

from __future__ import annotations

from typing import Any

import pytest

from cli.explain import lines_of
from cli.failures import (
    About,
    CallError,
    Failure,
    GatewayRefusedError,
    GatewayUnreachableError,
    envelope,
)
from stores.errors import UserFacingError

SEEN = {
    "peer": "127.0.0.1",
    "client": "203.0.113.9",
    "forwardedFor": "203.0.113.9",
    "host": "gw.example",
    "origin": None,
    "locality": {"local": False, "why": "untrusted-proxy"},
}
REMEDY = {"sentence": "It is not approved yet.", "command": "openclaw devices approve 7KQM-2XHT"}
SNIPPETS = {"nginx": "location / {\n    proxy_http_version 1.1;\n}", "Caddy": "reverse_proxy \x1b"}


def refused(**details: Any) -> GatewayRefusedError:
    return GatewayRefusedError("no", code="NOT_PAIRED", details=details, admitted=False)


def by_http(refusal: Any, *, remedy: str | None = "the header is gone") -> GatewayUnreachableError:
    details = {"httpStatus": 426, "refusal": refusal}
    return GatewayUnreachableError(Failure.HTTP, "HTTP 426", remedy=remedy, details=details)


def test_a_refusal_is_a_block_of_what_was_seen_why_which_request_and_what_to_type():
    error = refused(saw=SEEN, remedy=REMEDY | {"where": "gateway-host"}, requestId="7KQM-2XHT")

    assert list(lines_of(error)) == [
        "no",
        (
            "Seen by the gateway: peer 127.0.0.1, client 203.0.113.9, forwarded for 203.0.113.9, "
            "host gw.example, not local (untrusted-proxy)"
        ),
        "Why: It is not approved yet.",
        "Request: 7KQM-2XHT",
        "Run on the gateway's machine: openclaw devices approve 7KQM-2XHT",
    ]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param("gateway-host", "on the gateway's machine", id="host"),
        pytest.param("container", "inside the gateway's container", id="container"),
        pytest.param("this-device", "here", id="here"),
        pytest.param("browser", "in the browser", id="browser"),
        pytest.param("somewhere", "on the gateway's machine", id="unknown"),
    ],
)
def test_where_the_command_is_typed_is_said(where: str, words: str):
    lines = list(lines_of(refused(remedy=REMEDY | {"where": where})))

    assert lines[-1] == f"Run {words}: {REMEDY['command']}"


def test_a_refusal_by_http_says_what_is_missing_and_the_lines_that_pass_it_on():
    saw = {"host": "gw.example", "origin": None, "forwardedFor": None}
    refusal = {"saw": saw, "remedy": {"sentence": "Pass it on.", "snippets": SNIPPETS}}

    assert list(lines_of(by_http(refusal))) == [
        "HTTP 426",
        "The header is gone",
        "Seen by the gateway: host gw.example",
        "Why: Pass it on.",
        "nginx:",
        "  location / {",
        "      proxy_http_version 1.1;",
        "  }",
        "Caddy:",
        "  reverse_proxy \\x1b",
    ]


def test_a_foreign_server_is_told_as_before():
    error = by_http(None, remedy="check the address")

    assert list(lines_of(error)) == ["HTTP 426", "Check the address"]


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({"remedy": 7, "saw": "x", "requestId": []}, id="scalars"),
        pytest.param({"remedy": {"sentence": 1, "command": [], "snippets": []}}, id="inside"),
        pytest.param({"saw": {"locality": 3, "peer": 0}}, id="seen"),
    ],
)
def test_details_of_another_shape_break_nothing(details: dict[str, Any]):
    over_websocket, *_ = lines_of(refused(**details))
    over_http, *_ = lines_of(by_http(details))

    assert (over_websocket, over_http) == ("no", "HTTP 426")


def test_what_a_gateway_says_cannot_steer_the_terminal():
    error = refused(
        saw={"host": "\x1b[2J"},
        remedy={"sentence": "a\nb", "command": "c\x07", "snippets": {"n\x1b": "x\x1b"}},
        requestId="\x1b[1A",
    )

    assert all(line.isprintable() for line in lines_of(error))


def test_an_endless_snippet_is_cut():
    remedy = {"sentence": "x.", "snippets": {"nginx": "a\n" * 5_000}}

    assert len(list(lines_of(refused(remedy=remedy)))) < 30


def test_the_target_stands_between_the_reason_and_the_command():
    about = About(url="ws://h:1", url_source="--url", config_path="/c", credential_source="--token")
    error = CallError(refused(remedy=REMEDY), about)

    lines = list(lines_of(error))

    assert lines[2:6] == [
        "Gateway target: ws://h:1",
        "Source: --url",
        "Config: /c",
        "Credential: --token",
    ]
    assert lines[-1].endswith(REMEDY["command"])


def test_programs_get_the_refusal_whole():
    refusal = {"saw": SEEN, "remedy": REMEDY}

    told = envelope(by_http(refusal), 3)

    assert told["error"]["details"]["refusal"] == refusal
    assert told["error"]["kind"] == "http"
    assert envelope(UserFacingError("x"), 1)["error"]["message"] == "x"
