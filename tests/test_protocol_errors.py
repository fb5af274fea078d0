"""The `error` object and its codes."""

import json
from pathlib import Path

import pytest

from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape, invalid_params

VECTORS = Path(__file__).parent / "vectors"


def test_what_is_not_set_is_left_out():
    assert ErrorShape(ErrorCode.UNAVAILABLE, "later").to_wire() == {
        "code": "UNAVAILABLE",
        "message": "later",
    }


def test_everything_set_is_sent_under_its_closed_name():
    error = ErrorShape(
        ErrorCode.UNAVAILABLE, "later", {"method": "config.patch"}, retryable=True, retry_after_ms=0
    )

    assert error.to_wire() == {
        "code": "UNAVAILABLE",
        "message": "later",
        "details": {"method": "config.patch"},
        "retryable": True,
        "retryAfterMs": 0,
    }


def test_no_advice_to_retry_is_said_aloud():
    assert ErrorShape(ErrorCode.UNAVAILABLE, "no", retryable=False).to_wire()["retryable"] is False


def test_the_shape_is_the_published_one():
    published = json.loads((VECTORS / "schema/fields-2026.9.6.json").read_bytes())
    known = {name.removesuffix("?") for name in published["types"]["ErrorShape"]}

    error = ErrorShape(ErrorCode.FORBIDDEN, "m", {}, retryable=True, retry_after_ms=1)

    assert set(error.to_wire()) == known


def test_parameter_faults_name_their_method():
    assert invalid_params("connect", "must be object") == ErrorShape(
        ErrorCode.INVALID_REQUEST, "invalid connect params: must be object"
    )


@pytest.mark.parametrize("version", ["2026.2.19", "2026.9.6"])
def test_every_code_a_published_gateway_answered_is_known(version):
    cases = json.loads((VECTORS / f"handshake-cases-{version}.summary.json").read_bytes())
    errors = [case["error"] for case in cases if case["error"]]

    for error in errors:
        assert error["code"] in set(ErrorCode)
        detail = error.get("details", {}).get("code")
        assert detail is None or detail in set(DetailCode)
