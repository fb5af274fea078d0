"""Clients of both protocols, with every signature that was ever published, meet one gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.clients import READ, knock, new_key, stranger
from tests.scenarios.programs import Gateway, running_gateway

pytestmark = pytest.mark.slow

RANGES = [
    pytest.param((3, 3), 3, id="only-3"),
    pytest.param((4, 4), 4, id="only-4"),
    pytest.param((3, 4), 4, id="3-and-4"),
    pytest.param((2, 9), 4, id="2-to-9"),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for all tests of this file."""
    with running_gateway(tmp_path_factory.mktemp("home") / ".openclaw") as gateway:
        yield gateway


@pytest.mark.parametrize("version", [2, 3], ids=["v2", "v3"])
@pytest.mark.parametrize(("offered", "spoken"), RANGES)
def test_a_stranger_of_any_protocol_is_refused_approved_and_let_in(
    gateway: Gateway, offered: tuple[int, int], spoken: int, version: int
) -> None:
    device = stranger(gateway.token, protocols=offered, version=version)

    request_id = knock(gateway.port, **device).request_id
    approved = gateway.openclaw("devices", "approve", request_id)
    admitted = knock(gateway.port, "health", **device)

    assert approved.code == 0, approved
    assert admitted.hello["protocol"] == spoken
    assert admitted.answers[0]["ok"] is True


def test_a_local_client_of_protocol_3_may_sign_without_a_nonce(gateway: Gateway) -> None:
    local = {"key": new_key(), "token": gateway.token, "scopes": READ, "nonce": None}

    admitted = knock(gateway.port, "health", **local, protocols=(3, 3), version=1)

    assert admitted.hello["protocol"] == 3
    assert admitted.auth["scopes"] == list(READ)


NO_NONCE = "device nonce required"
NO_PROPERTY = "invalid connect params: at /device: must have required property 'nonce'"
REFUSED_V1 = [
    pytest.param((3, 3), "from-afar", NO_NONCE, id="protocol-3-from-afar"),
    pytest.param((4, 4), "local", NO_PROPERTY, id="protocol-4-local"),
    pytest.param((3, 4), "local", NO_NONCE, id="both-local"),
]


@pytest.mark.parametrize(("offered", "where", "text"), REFUSED_V1)
def test_nobody_else_may_sign_without_a_nonce(
    gateway: Gateway, offered: tuple[int, int], where: str, text: str
) -> None:
    device = stranger(gateway.token, nonce=None, version=1, protocols=offered)
    if where == "local":
        del device["headers"]

    refused = knock(gateway.port, **device)

    assert refused.error["message"] == text
    assert refused.close == (1008, text)
    assert device["key"].device_id not in str(gateway.kept("pending.json"))


@pytest.mark.parametrize("offered", [(1, 2), (5, 9)], ids=["older", "newer"])
def test_a_client_that_speaks_neither_is_told_both_ranges(
    gateway: Gateway, offered: tuple[int, int]
) -> None:
    refused = knock(gateway.port, **stranger(gateway.token, protocols=offered))

    assert refused.close == (1002, "protocol mismatch")
    assert refused.details["expectedProtocol"] == 4
    assert refused.details["minimumProbeProtocol"] == 3
    said = refused.details["clientMinProtocol"], refused.details["clientMaxProtocol"]
    assert said == offered
