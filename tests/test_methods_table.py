"""From a request to its one answer: who may call what, and what an answer looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.methods import table
from gateway.methods.agentless import AGENTLESS
from gateway.methods.table import (
    ADVERTISED_EVENTS,
    ADVERTISED_METHODS,
    METHODS,
    NODE,
    NODE_METHODS,
    Method,
)
from gateway.session import MAX_REFUSED_CALLS
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from tests.sessions import a_gateway, admitted
from tests.wire import key_of

VECTORS = Path(__file__).parent / "vectors" / "methods"
VERSIONS = ("2026.2.19", "2026.9.6")

#: Where the published table says otherwise: `health` answers everybody, as in 2026.9.6.
OPEN = {"health"}

#: What the older version asks more for, or does not know.
WIDER = {("2026.2.19", "config.schema")}

#: Methods that are not published by both, and what they ask for.
OURS = {
    "config.schema": READ,
    "device.pair.block": PAIRING,
    "device.pair.invitations.list": ADMIN,
    "device.pair.invitations.revoke": ADMIN,
    "device.pair.rename": PAIRING,
    "device.pair.setupCode": ADMIN,
    "device.pair.unblock": PAIRING,
    "gateway.connections.list": READ,
    "device.scopes.requestUpgrade": READ,
    "device.scopes.waitUpgrade": READ,
    "gateway.identity.get": READ,
    "gateway.lockouts.clear": ADMIN,
    "gateway.lockouts.list": READ,
    "gateway.peers.list": READ,
    "gateway.refusals.list": READ,
    "gateway.reload": ADMIN,
    "gateway.restart.request": ADMIN,
    "gateway.vitals": READ,
    "node.pair.remove": PAIRING,
    "node.pair.request": PAIRING,
    "node.pair.verify": PAIRING,
    "node.pending.enqueue": WRITE,
    "sessions.subscribe": READ,
    **dict.fromkeys(NODE_METHODS, NODE),
}


def published(version: str) -> dict[str, str]:
    """Return method -> scope of a published gateway."""
    text = (VECTORS / f"methods-{version}.json").read_text()
    return dict(_pairs(json.loads(text)))


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "method" in value and "scope" in value:
            yield value["method"], value["scope"]
        for item in value.values():
            yield from _pairs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(item)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_asks_for_the_scope_it_asks_for_elsewhere(name: str, version: str):
    scope = METHODS[name].scope

    theirs = {} if (version, name) in WIDER else published(version)
    # The older table names the role otherwise; the newer one asks for more by the command invoked.
    theirs |= {one: NODE for one, scope in theirs.items() if scope == "node-role"}
    theirs |= {one: WRITE for one, scope in theirs.items() if scope == "dynamic"}
    # It asks for more where secrets are wanted; there are none here.
    theirs |= {"talk.config": READ}
    assert scope == (None if name in OPEN else theirs.get(name, OURS.get(name)))


def test_the_methods_of_nodes_are_those_of_both_versions():
    theirs = {
        name
        for version in VERSIONS
        for name, scope in published(version).items()
        if scope in ("node", "node-role")
    }

    assert theirs == NODE_METHODS


def test_what_is_advertised_is_what_is_served():
    refused = {"node.pending.enqueue"}
    assert sorted(METHODS.keys() - AGENTLESS.keys() - refused) == ADVERTISED_METHODS
    assert sorted(ADVERTISED_EVENTS) == ADVERTISED_EVENTS
    assert all((method.now is None) is not (method.later is None) for method in METHODS.values())


async def test_hello_names_what_may_be_called_and_heard(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        assert wire.hello is not None
        assert wire.hello["features"] == {
            "methods": ADVERTISED_METHODS,
            "events": ADVERTISED_EVENTS,
        }


@pytest.mark.parametrize(
    ("protocols", "code"),
    [
        pytest.param((4, 4), "FORBIDDEN", id="protocol-4"),
        pytest.param((3, 3), "INVALID_REQUEST", id="protocol-3"),
    ],
)
async def test_a_missing_scope_is_told_by_protocol(tmp_path, protocols, code):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(READ,), protocols=protocols) as wire,
    ):
        error = (await wire.call("device.pair.list"))["error"]

        assert error == {
            "code": code,
            "message": "missing scope: operator.pairing",
            "details": {
                "code": "MISSING_SCOPE",
                "missingScope": PAIRING,
                "requiredScopes": [PAIRING],
            },
        }


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        pytest.param(("operator.admin",), "unknown method: no.such", id="admin"),
        pytest.param((READ,), "missing scope: operator.admin", id="reader"),
        pytest.param((), "missing scope: operator.admin", id="without-scopes"),
    ],
)
async def test_who_may_not_do_everything_does_not_learn_what_exists(tmp_path, scopes, message):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        assert (await wire.call("no.such"))["error"]["message"] == message


async def test_the_name_of_an_unknown_method_comes_back_cut_and_escaped(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        error = (await wire.call("\x1b[2J" + "x" * 500))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith("unknown method: \\u001b[2Jxxx")
        assert len(error["message"]) < 100


@pytest.mark.parametrize("name", sorted(NODE_METHODS))
async def test_an_operator_calls_no_method_of_nodes(tmp_path, name):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        error = (await wire.call(name))["error"]

        assert error == {"code": "INVALID_REQUEST", "message": "unauthorized role: operator"}


async def test_a_node_calls_health_and_methods_of_nodes_only(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), role="node", scopes=(), mode="node") as wire,
    ):
        assert (await wire.call("health"))["ok"]
        for name in [*sorted({*METHODS} - OPEN - NODE_METHODS), "no.such"]:
            wire_error = (await wire.call(name))["error"]
            assert wire_error["message"] == "unauthorized role: node", name
            assert (await wire.call("health"))["ok"]  # too many refusals in a row end a session
        unknown = (await wire.call("node.pluginSurface.refresh", {}))["error"]
        assert unknown["message"] == "unknown method: node.pluginSurface.refresh"


async def test_connect_is_the_first_request_and_no_other(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        error = (await wire.call("connect", {}))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"] == "connect is only valid as the first request"
        assert (await wire.call("health"))["ok"]


async def test_frames_that_are_no_requests_do_not_end_a_session(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        await wire.send("no json")
        await wire.send({"type": "req", "id": "7", "method": "health", "x": 1})

        error = (await wire.answer("7"))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith("invalid request frame: ")
        assert (await wire.call("health"))["ok"]


async def test_who_goes_on_calling_what_it_may_not_is_ended(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=()) as wire:
        for _ in range(MAX_REFUSED_CALLS + 1):
            assert not (await wire.call("status"))["ok"]

        assert await wire.closed() == (1008, "repeated unauthorized calls")


async def test_one_call_that_is_right_forgives_those_that_were_not(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=()) as wire:
        for _ in range(3):
            for _ in range(MAX_REFUSED_CALLS):
                assert not (await wire.call("status"))["ok"]
            assert (await wire.call("health"))["ok"]


@pytest.mark.parametrize("scopes", [("operator.admin",), (READ,)])
async def test_asking_for_dozens_of_unknown_methods_ends_nobody(tmp_path, scopes):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=scopes) as wire:
        for number in range(3 * MAX_REFUSED_CALLS):
            assert not (await wire.call(f"sessions.{number}"))["ok"]

        assert (await wire.call("health"))["ok"]


async def test_a_method_that_breaks_is_answered_and_logged_once(tmp_path, monkeypatch, caplog):
    def broken(_call: object) -> None:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setitem(table.METHODS, "status", Method(READ, broken))
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        error = (await wire.call("status"))["error"]

        assert error == {
            "code": "UNAVAILABLE",
            "message": "internal error; see the gateway's log",
        }
        assert (await wire.call("health"))["ok"]
    assert [r.message for r in caplog.records if r.exc_info] == ["status failed"]


@pytest.mark.parametrize("name", [*table.METHODS, *table.ADVERTISED_EVENTS])
def test_what_is_served_is_in_the_reference(name):
    page = Path(__file__).parent.parent / "docs" / "reference" / "protocol.md"

    assert f"`{name}`" in page.read_text()
