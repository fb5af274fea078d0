"""Reading requests, writing responses and events."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.frames import (
    MAX_DEPTH,
    NOT_JSON,
    EventBody,
    InvalidFrame,
    NotJson,
    Request,
    StateVersion,
    event,
    parse_request,
    request,
    response_error,
    response_ok,
    text_message,
)

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
VERSIONS = st.none() | st.builds(StateVersion, st.integers(0, 9), st.integers(0, 9))


def nested(depth: int) -> str:
    """Return the text of a request with ``depth`` levels of objects and arrays, its own included."""
    return (
        '{"type":"req","id":"1","method":"m","params":'
        + "[" * (depth - 1)
        + "]" * (depth - 1)
        + "}"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"req","id":"1","method":"health","params":{"probe":true}}',
        ' {"params": {"probe": true}, "method": "health", "id": "1", "type": "req"} ',
        b'{"type":"req","id":"1","method":"health","params":{"probe":true}}',
        bytearray(b'{"type":"req","id":"1","method":"health","params":{"probe":true}}'),
        '{"type":"req","id":"1","method":"health","params":{"probe":true},"traceparent":"00-a"}',
        '{"type":"req","id":"1","method":"health","params":{"probe":true},"expectedProfileId":"p"}',
    ],
    ids=["usual", "other-order", "bytes", "bytearray", "traceparent", "expected-profile"],
)
def test_a_request_is_read(text):
    assert parse_request(text) == Request("1", "health", {"probe": True})


@pytest.mark.parametrize("rest", ["", ',"params":null', ',"traceparent":""'])
def test_missing_and_null_params_are_the_same(rest):
    text = f'{{"type":"req","id":"1","method":"status"{rest}}}'

    assert parse_request(text) == Request("1", "status", None)


def test_parameters_are_not_shown():
    assert "secret" not in repr(Request("1", "connect", {"auth": {"token": "secret"}}))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{nope", id="garbage"),
        pytest.param(b"\xff\xfe{}", id="not-utf-8"),
        pytest.param("\ufeff{}", id="byte-order-mark"),
        pytest.param('{"type":NaN}', id="nan"),
        pytest.param('{"type":1e999}', id="infinite"),
        pytest.param('{"type":' + "9" * 400 + "}", id="huge-integer"),
        pytest.param('{"type":"\\ud800"}', id="escaped-lone-surrogate"),
        pytest.param('{"type":"\ud800"}', id="lone-surrogate"),
        pytest.param("[" * 1_000_000, id="deep-and-open"),
        pytest.param("[" * 2_000 + "]" * 2_000, id="deeper-than-the-parser"),
        pytest.param('{"a":1}{"a":1}', id="two-values"),
    ],
)
def test_what_is_no_json_is_told_apart(text):
    assert parse_request(text) is NOT_JSON


@pytest.mark.parametrize(
    ("text", "request_id", "why"),
    [
        pytest.param("[]", "invalid", "must be object", id="array"),
        pytest.param("null", "invalid", "must be object", id="null"),
        pytest.param(
            '{"type":"event","event":"x"}',
            "invalid",
            "must have required property 'id'; must have required property 'method'; "
            "at /type: must be equal to constant; at root: unexpected property 'event'",
            id="event",
        ),
        pytest.param(
            '{"type":"req","id":"","method":"m","params":{}}',
            "invalid",
            "at /id: must NOT have fewer than 1 characters",
            id="empty-id",
        ),
        pytest.param(
            '{"type":"req","id":7,"method":"m","params":{}}',
            "invalid",
            "at /id: must be string",
            id="number-id",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"","params":{}}',
            "1",
            "at /method: must NOT have fewer than 1 characters",
            id="empty-method",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"m","params":{},"x":1}',
            "1",
            "at root: unexpected property 'x'",
            id="extra",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"m","extra":{}}',
            "1",
            "at root: unexpected property 'extra'",
            id="extra-for-params",
        ),
        pytest.param(
            '{"type":"res","id":"1","method":"m","params":{}}',
            "1",
            "at /type: must be equal to constant",
            id="response",
        ),
        pytest.param(
            '{"type":["req"],"id":"1","method":"m"}',
            "1",
            "at /type: must be equal to constant",
            id="type-in-a-list",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"m","traceparent":"' + "x" * 129 + '"}',
            "1",
            "at /traceparent: must NOT have more than 128 characters",
            id="long-trace",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"m","expectedProfileId":""}',
            "1",
            "at /expectedProfileId: must NOT have fewer than 1 characters",
            id="empty-profile",
        ),
    ],
)
def test_an_invalid_frame_says_why_and_whom_to_answer(text, request_id, why):
    assert parse_request(text) == InvalidFrame(request_id, why)


def test_an_invalid_frame_is_answered_as_published_gateways_do():
    error = InvalidFrame("1", "must be object").to_error()

    assert error == ErrorShape(ErrorCode.INVALID_REQUEST, "invalid request frame: must be object")


def test_of_equal_keys_the_last_one_counts():
    text = '{"type":"req","id":"1","id":"2","method":"a","method":"b","params":1,"params":2}'

    assert parse_request(text) == Request("2", "b", 2)


def test_the_deepest_request_can_be_written_again():
    parsed = parse_request(nested(MAX_DEPTH))

    assert isinstance(parsed, Request)
    assert response_ok("1", {"echo": {"params": parsed.params}}).startswith('{"type":"res"')


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 300, 1_000])
def test_a_deeper_request_is_refused(depth):
    assert parse_request(nested(depth)) == InvalidFrame("1", "nested deeper than 128 levels")


def test_deep_objects_count_as_deep():
    text = '{"type":"req","id":"1","method":"m","params":' + '{"a":' * 200 + "1" + "}" * 201

    assert parse_request(text) == InvalidFrame("1", "nested deeper than 128 levels")


def test_a_wide_request_is_not_a_deep_one():
    text = '{"type":"req","id":"1","method":"m","params":[' + "[]," * 500 + '"{{{["]}'

    assert isinstance(parse_request(text), Request)


def test_a_deep_value_that_is_no_object_has_no_id():
    assert parse_request("[" * 200 + "]" * 200) == InvalidFrame(
        "invalid", "nested deeper than 128 levels"
    )


@given(st.text() | st.binary())
def test_any_message_is_judged(message):
    assert isinstance(parse_request(message), Request | InvalidFrame | NotJson)


@given(JSON)
def test_any_json_is_judged_in_words_that_can_be_sent(value):
    parsed = parse_request(orjson.dumps(value))

    assert isinstance(parsed, InvalidFrame)
    assert json.loads(response_error(parsed.id, parsed.to_error()))["id"] == parsed.id


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("req") | JSON,
            "id": TEXT | JSON,
            "method": TEXT | JSON,
            "params": JSON,
            "traceparent": TEXT | JSON,
            "expectedProfileId": TEXT | JSON,
        },
    )
)
def test_any_near_request_is_judged(value):
    parsed = parse_request(orjson.dumps(value))

    if isinstance(parsed, Request):
        assert (parsed.id, parsed.method) == (value["id"], value["method"])
        assert parsed.params == value.get("params")
    else:
        assert isinstance(parsed, InvalidFrame)


@given(TEXT.filter(bool), TEXT.filter(bool), JSON)
def test_what_is_sent_is_what_is_read(request_id, method, params):
    assert parse_request(request(request_id, method, params)) == Request(request_id, method, params)


def test_a_request_without_parameters_sends_none():
    assert json.loads(request("1", "status")) == {"type": "req", "id": "1", "method": "status"}


@given(TEXT, JSON)
def test_a_success_has_exactly_the_closed_properties(request_id, payload):
    assert json.loads(response_ok(request_id, payload)) == {
        "type": "res",
        "id": request_id,
        "ok": True,
        "payload": payload,
    }


def test_an_answer_of_nothing_is_null():
    assert response_ok("1", None) == '{"type":"res","id":"1","ok":true,"payload":null}'


def test_a_payload_that_is_no_json_is_a_bug_of_ours():
    with pytest.raises(TypeError):
        response_ok("1", {"path": "\udc80"})


def test_a_refusal_has_exactly_the_closed_properties():
    error = ErrorShape(ErrorCode.NOT_PAIRED, "pairing required", {"requestId": "AAAA-BBBB"})

    assert json.loads(response_error("7", error)) == {
        "type": "res",
        "id": "7",
        "ok": False,
        "error": {
            "code": "NOT_PAIRED",
            "message": "pairing required",
            "details": {"requestId": "AAAA-BBBB"},
        },
    }


def test_an_event_for_one_connection_has_no_number():
    text = event("connect.challenge", {"nonce": "n", "ts": 1})

    assert json.loads(text) == {
        "type": "event",
        "event": "connect.challenge",
        "payload": {"nonce": "n", "ts": 1},
    }


def test_an_event_carries_its_number_and_the_state_version():
    text = event("presence", {}, seq=3, state_version=StateVersion(presence=5, health=8))

    assert json.loads(text) == {
        "type": "event",
        "event": "presence",
        "payload": {},
        "stateVersion": {"presence": 5, "health": 8},
        "seq": 3,
    }


@given(TEXT, JSON, VERSIONS, st.integers(min_value=0, max_value=2**53))
def test_a_spliced_number_gives_the_text_of_a_full_encoding(name, payload, version, seq):
    body = EventBody(name, payload, version)

    assert body.name == name
    assert body.numbered(seq) == event(name, payload, seq=seq, state_version=version)
    assert body.message(seq) == text_message(body.numbered(seq).encode())
    assert body.unnumbered() == event(name, payload, state_version=version)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_text_message_is_the_frame_that_the_library_would_write(size: int):
    text = "ä" * (size // 2) + "x" * (size % 2)

    frame = bytes(FrameProtocol(client=False, extensions=[]).send_data(text))

    assert text_message(text.encode()) == frame
