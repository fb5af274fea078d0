"""Parsers of what strangers send: total, the same answer twice, and done in no time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listener import MAX_HEAD_BYTES, split_head
from gateway.policy.address import ForwardingHeaders, resolve_client
from gateway.policy.origin import host_is_ours, judge_origin, parse_host, parse_origin
from gateway.protocol.connect import claims_worker, parse_connect_params
from gateway.protocol.frames import InvalidFrame, NotJson, Request, parse_request
from gateway.protocol.schema import InvalidParamsError
from gateway.protocol.signature import ProofFailure, ProofOk, judge_device_proof
from stores import keys
from tests.wire import connect_params, key_of

SIZE = 65_536
#: Far more than any of them needs, and far less than somebody else notices.
WITHIN_S = 0.25

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("::1/128"))
NAMES = frozenset({"gatewaybox"})
NONCE = "5f0c3a6e-0000-4000-8000-9b6a1f3d2c11"
NOW_MS = 1_795_169_037_959

#: Any text that JSON can carry, with what hurts more likely than chance would have it.
NASTY = ["", "\x00", "\x1b[2J", "\ud800", "\u202e", "a" * 5_000, "null", "127.0.0.1", "[::1]:18789"]
NASTY += ["http://[", "http://a@b", "xn--", "::ffff:127.0.0.1", "1.2.3.4.", "0x7f.1", "\u212a"]
TEXTS = st.one_of(st.text(max_size=80), st.sampled_from(NASTY))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=25,
)


def refused_or_read(value: object) -> object:
    """Parse connect parameters; their one documented error is an answer too."""
    try:
        return parse_connect_params(value)
    except InvalidParamsError as error:
        return str(error)


def judged_origin(origin: str | None, host: str | None) -> object:
    return judge_origin(
        origin,
        host,
        client_id="openclaw-control-ui",
        client_mode="webchat",
        allowed_origins=("https://gw.example.com", "*", origin or ""),
        public_origin=host,
        machine_names=NAMES,
        peer_is_loopback=True,
    )


def resolved(lines: list[tuple[str, str]]) -> object:
    """Find out who is behind a trusted peer that sends these header lines."""
    headers = ForwardingHeaders.from_headers(lines)
    address = resolve_client(ip_address("10.0.0.1"), headers, TRUSTED, allow_real_ip=True)
    assert address.forwarded is headers.present
    assert address.quoted is None or (address.quoted.isprintable() and len(address.quoted) <= 256)
    return address


def proven(value: object) -> object:
    """Judge the device proof of whatever parameters can be read."""
    try:
        params = parse_connect_params(value)
    except InvalidParamsError:
        return None
    if params.device is None:
        return None
    return judge_device_proof(
        params, nonce_sent=NONCE, protocol=4, local=True, now_ms=NOW_MS, keys=keys
    )


LINES = st.tuples(st.sampled_from([b"Upgrade", b"Connection", b"Origin"]), st.binary(max_size=30))
HEADS = st.lists(LINES.map(b": ".join), max_size=8).map(
    lambda lines: b"\r\n".join([b"GET / HTTP/1.1", *lines])
)


@given(st.binary(max_size=400) | HEADS)
def test_a_head_is_split_or_is_none(data: bytes):
    head = split_head(data)

    assert head == split_head(data)
    if head is not None:
        assert isinstance(head.wants_websocket, bool)
        assert all(name == name.lower() for name, _ in head.headers)


@given(st.one_of(st.binary(max_size=300), TEXTS, JSON.map(json.dumps)))
def test_a_message_is_a_request_or_says_what_it_is_not(message: str | bytes):
    judged = parse_request(message)

    assert isinstance(judged, Request | InvalidFrame | NotJson)
    assert judged == parse_request(message)
    if isinstance(judged, InvalidFrame):
        assert judged.why.isprintable()


def a_connect() -> dict[str, Any]:
    """Return what a client of good faith sends, signed."""
    return connect_params(
        NONCE, key=key_of(7), token="t", scopes=("operator.read",), signed_at=NOW_MS
    )


@st.composite
def spoilt_connects(draw: st.DrawFn) -> object:
    """Return a right ``connect`` with a few values, at any depth, replaced or added."""
    params = a_connect()
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from([params, params["client"], params["device"], params["auth"]]))
        if isinstance(holder, dict):
            names = st.sampled_from(sorted(holder)) | TEXTS if holder else TEXTS
            holder[draw(names)] = draw(JSON)
    return params


@given(JSON | spoilt_connects())
def test_connect_parameters_are_read_or_refused_in_printable_words(value: object):
    first = refused_or_read(value)

    assert repr(first) == repr(refused_or_read(value))  # repr: nan differs from itself
    assert isinstance(claims_worker(value), bool)
    if isinstance(first, str):
        assert first.isprintable()
        assert len(first) < 4_000


@given(spoilt_connects())
def test_a_proof_holds_or_fails_for_a_reason(value: object):
    verdict = proven(value)

    assert verdict is None or isinstance(verdict, ProofOk | ProofFailure)
    assert verdict == proven(value)


def test_an_unspoilt_proof_holds():
    assert isinstance(proven(a_connect()), ProofOk)


HEADERS = st.sampled_from(["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "CF-Ray"]) | TEXTS


@given(st.lists(st.tuples(HEADERS, TEXTS), max_size=8))
def test_forwarding_headers_name_a_client_or_nobody(lines: list[tuple[str, str]]):
    assert resolved(lines) == resolved(lines)


@given(st.none() | TEXTS, st.none() | TEXTS)
def test_origin_and_host_have_a_verdict(origin: str | None, host: str | None):
    assert parse_host(host) == parse_host(host)
    assert parse_origin(origin) == parse_origin(origin)
    assert judged_origin(origin, host) == judged_origin(origin, host)
    assert isinstance(
        host_is_ours(host, machine_names=NAMES, public_origin=origin, allowed_origins=()), bool
    )


def filled(unit: str) -> str:
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


UNITS = ["a", "1", ":", ".", "a.", "1.", "-", "[", "[]", ",", ", ", "::", "127.0.0.1,", "@", " "]
UNITS += ["\t", "\\", '"', "/", "http://", "a:1,", "10.0.0.1, ", "x--", "\u212a", "%00", "a-"]

PARSERS: list[Any] = [
    pytest.param(parse_host, id="host"),
    pytest.param(lambda text: parse_host("[" + text), id="bracketed-host"),
    pytest.param(lambda text: parse_origin("http://" + text), id="origin"),
    pytest.param(lambda text: judged_origin("http://" + text, text), id="judge-origin"),
    pytest.param(lambda text: resolved([("X-Forwarded-For", text)]), id="forwarded-for"),
    pytest.param(lambda text: resolved([("X-Forwarded-For", text[:9])] * 7_000), id="many-lines"),
    pytest.param(lambda text: resolved([("Forwarded", text), ("X-Real-IP", text)]), id="forwarded"),
    pytest.param(parse_request, id="message"),
    pytest.param(lambda text: parse_request('{"a":' + text), id="object"),
    pytest.param(lambda text: split_head(text.encode()), id="head"),
    pytest.param(
        lambda text: split_head(b"GET / HTTP/1.1\r\n" + text.encode() * 2), id="header-line"
    ),
    pytest.param(
        lambda text: split_head(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * (MAX_HEAD_BYTES // 5)),
        id="header-lines",
    ),
    pytest.param(lambda text: refused_or_read({"role": text, text: text}), id="connect"),
    pytest.param(lambda text: refused_or_read(a_connect() | {"scopes": list(text)}), id="scopes"),
    pytest.param(lambda text: proven(a_connect() | {"scopes": [text]}), id="proof-of-scopes"),
    pytest.param(
        lambda text: proven(with_device(publicKey=text, signature=text)), id="proof-of-keys"
    ),
]


def with_device(**changes: object) -> dict[str, Any]:
    params = a_connect()
    params["device"] |= changes
    return params


@pytest.mark.slow
@pytest.mark.parametrize("parse", PARSERS)
def test_64_kib_are_read_in_no_time_whatever_they_are(parse: Callable[[str], object]):
    for text in map(filled, UNITS):
        began = time.process_time()
        parse(text)
        assert time.process_time() - began < WITHIN_S, text[:8]
