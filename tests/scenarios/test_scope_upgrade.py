"""An approved device that asks for more goes on with what it has; only the call that needs more waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.clients import READ, knock, stranger
from tests.scenarios.programs import Gateway, running_gateway

pytestmark = pytest.mark.slow

MORE = ("operator.read", "operator.pairing")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for all tests of this file."""
    with running_gateway(tmp_path_factory.mktemp("home") / ".openclaw") as gateway:
        yield gateway


def approved_for(gateway: Gateway, scopes: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    """Return the words of a device from afar that an operator approved for some scopes."""
    device = stranger(gateway.token, scopes=scopes, **changes)
    request_id = knock(gateway.port, **device).request_id
    assert gateway.openclaw("devices", "approve", request_id).code == 0
    return device


@pytest.mark.parametrize(
    ("protocol", "code"),
    [pytest.param(3, "INVALID_REQUEST", id="3"), pytest.param(4, "FORBIDDEN", id="4")],
)
def test_only_the_call_that_needs_more_fails_and_it_names_the_command(
    gateway: Gateway, protocol: int, code: str
) -> None:
    device = approved_for(gateway, READ, protocols=(protocol, protocol))

    admitted = knock(
        gateway.port, "status", "device.pair.list", "health", **device | {"scopes": MORE}
    )

    upgrade = admitted.auth["pendingUpgrade"]
    assert sorted(upgrade["scopes"]) == sorted(MORE)
    assert admitted.auth["scopes"] == list(READ)
    status, refused, health = admitted.answers
    assert status["ok"] is True
    assert health["ok"] is True
    command = f"openclaw devices approve {upgrade['requestId']}"
    assert refused["error"]["code"] == code
    assert refused["error"]["message"] == f"missing scope: operator.pairing (run {command})"
    assert refused["error"]["details"]["code"] == "MISSING_SCOPE"
    assert refused["error"]["details"]["missingScope"] == "operator.pairing"
    assert refused["error"]["details"]["remedy"]["command"] == command
    assert gateway.kept("pending.json")[upgrade["requestId"]]["isRepair"] is True


@pytest.mark.parametrize("road", [(), ("--offline",)], ids=["websocket", "files"])
def test_an_approved_upgrade_widens_the_device_and_keeps_its_token(
    gateway: Gateway, road: tuple[str, ...]
) -> None:
    device = approved_for(gateway, READ)
    before = knock(gateway.port, **device | {"scopes": MORE})

    done = gateway.openclaw("devices", "approve", before.auth["pendingUpgrade"]["requestId"], *road)
    after = knock(gateway.port, "device.pair.list", **device | {"scopes": MORE})

    assert done.code == 0, done
    assert after.auth["scopes"] == sorted(MORE)
    assert after.auth["deviceToken"] == before.auth["deviceToken"]
    assert "pendingUpgrade" not in after.auth
    assert after.answers[0]["ok"] is True


def test_the_device_token_alone_gets_what_was_approved(gateway: Gateway) -> None:
    device = approved_for(gateway, READ)
    token = knock(gateway.port, **device).auth["deviceToken"]

    alone = knock(gateway.port, "status", **device | {"token": None, "device_token": token})

    assert alone.auth["method"] == "device-token"
    assert alone.answers[0]["ok"] is True


def test_a_device_that_would_be_left_with_nothing_is_refused_as_upgrade(gateway: Gateway) -> None:
    device = approved_for(gateway, READ)

    refused = knock(gateway.port, **device | {"scopes": ("operator.pairing",)})

    assert refused.details["reason"] == "scope-upgrade"
    assert refused.details["approvedScopes"] == list(READ)
    assert refused.error["message"].endswith(f"(requestId: {refused.request_id})")
    assert gateway.openclaw("devices", "approve", refused.request_id).code == 0
    assert knock(gateway.port, **device | {"scopes": ("operator.pairing",)}).admitted


def test_admin_asks_for_nothing_more_when_it_asks_for_less(gateway: Gateway) -> None:
    device = approved_for(gateway, ("operator.admin",))

    admitted = knock(gateway.port, "device.pair.list", **device | {"scopes": MORE})

    assert "pendingUpgrade" not in admitted.auth
    assert admitted.answers[0]["ok"] is True
    assert device["key"].device_id not in str(gateway.kept("pending.json"))


def test_a_rejected_upgrade_takes_nothing_away(gateway: Gateway) -> None:
    device = approved_for(gateway, READ)
    upgrade = knock(gateway.port, **device | {"scopes": MORE}).auth["pendingUpgrade"]

    assert gateway.openclaw("devices", "reject", upgrade["requestId"]).code == 0

    assert knock(gateway.port, "status", **device).answers[0]["ok"] is True
