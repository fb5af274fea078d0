from __future__ import annotations

from typing import Any

import pytest

from cli.client import Answer, Presented, call
from cli.failures import GatewayRefusedError
from gateway.version import VERSION
from tests.peers import IDENTITY, FakeGateway, listening, target_of

WELL = {"ok": True}


def test_a_call_proves_the_device_and_returns_the_answer():
    gateway = FakeGateway(answers={"health": WELL}, hello={"auth": {"deviceToken": "kept"}})

    with listening(gateway) as port:
        answer = ask(port, "health", {"probe": True}, presented=Presented(token="T"))

    assert gateway.problems == []
    assert answer.payload == WELL
    assert answer.auth == {"deviceToken": "kept"}
    assert gateway.requests == [("health", {"probe": True})]


def test_connect_says_who_it_is_and_always_asks_for_the_same_scopes():
    gateway = FakeGateway(answers={"health": WELL})

    with listening(gateway) as port:
        ask(port, "health", presented=Presented(password="P"))

    (sent,) = gateway.connects
    assert (sent.min_protocol, sent.max_protocol) == (3, 4)
    assert (sent.client.id, sent.client.mode, sent.client.version) == ("cli", "cli", VERSION)
    assert sent.scopes == ("operator.admin", "operator.approvals", "operator.pairing")
    assert sent.device is not None
    assert sent.device.id == IDENTITY.device_id
    assert (sent.auth.token, sent.auth.password) == (None, "P")


@pytest.mark.parametrize(
    "presented",
    [
        pytest.param(Presented(token="T"), id="shared-token"),
        pytest.param(Presented(device_token="D"), id="device-token"),
        pytest.param(Presented(password="P"), id="password-is-not-signed"),
        pytest.param(Presented(), id="nothing"),
    ],
)
def test_the_signature_covers_what_is_presented(presented: Presented):
    gateway = FakeGateway(answers={"health": WELL})

    with listening(gateway) as port:
        ask(port, "health", presented=presented)

    assert gateway.problems == []


def test_a_refused_connect_carries_the_gateways_error():
    error = {"code": "NOT_PAIRED", "message": "pairing required", "details": {"requestId": "AB"}}

    with (
        listening(FakeGateway(refusal=error)) as port,
        pytest.raises(GatewayRefusedError) as caught,
    ):
        ask(port, "health")

    assert caught.value.admitted is False
    assert caught.value.refuses_us
    assert (caught.value.code, caught.value.details) == ("NOT_PAIRED", {"requestId": "AB"})
    assert caught.value.problem == "pairing required"


def test_a_refused_request_names_the_upgrade_that_waits():
    upgrade = {"requestId": "AB23-CD45", "scopes": ["operator.pairing"]}
    error = {"code": "FORBIDDEN", "message": "missing scope: operator.pairing"}
    gateway = FakeGateway(
        answers={"device.pair.list": error}, hello={"auth": {"pendingUpgrade": upgrade}}
    )

    with listening(gateway) as port, pytest.raises(GatewayRefusedError) as caught:
        ask(port, "device.pair.list")

    assert caught.value.admitted
    assert caught.value.pending_upgrade == upgrade
    assert caught.value.refuses_us


def test_a_clear_no_to_the_request_does_not_refuse_us():
    error = {"code": "INVALID_REQUEST", "message": "unknown requestId"}
    gateway = FakeGateway(answers={"device.pair.approve": error})

    with listening(gateway) as port, pytest.raises(GatewayRefusedError) as caught:
        ask(port, "device.pair.approve", {"requestId": "ZZZZ-ZZZZ"})

    assert not caught.value.refuses_us


def test_an_error_without_a_shape_is_still_a_refusal():
    gateway = FakeGateway(refusal={"code": None, "message": "", "details": []})

    with listening(gateway) as port, pytest.raises(GatewayRefusedError) as caught:
        ask(port, "health")

    assert (caught.value.code, caught.value.details) == ("UNKNOWN", {})
    assert caught.value.problem == "the gateway gave no reason"


def test_a_secret_is_never_in_a_repr():
    assert "T0P" not in repr(Presented(token="T0P", password="T0P", device_token="T0P"))


def ask(
    port: int, method: str, params: Any = None, *, presented: Presented | None = None
) -> Answer:
    return call(target_of(port), presented or Presented(), IDENTITY, method, params, timeout_s=5)
