"""The first thing an admitted session is told."""

import json
from pathlib import Path

import orjson
import pytest

from gateway.protocol.frames import StateVersion, response_ok
from gateway.protocol.hello import GatewayFacts, HelloAuth, PendingUpgrade, Snapshot, build_hello

VECTORS = Path(__file__).parent / "vectors"
PUBLISHED = json.loads((VECTORS / "schema/fields-2026.9.6.json").read_bytes())["types"]["HelloOk"]

GATEWAY = GatewayFacts(
    version="1.0",
    boot_id="boot",
    methods=("health", "status"),
    events=("tick",),
    auth_mode="token",
    config_path="/home/u/.openclaw/openclaw.json",
    state_dir="/home/u/.openclaw",
)
PRESENCE = [{"host": "vm", "mode": "gateway", "ts": 1}]


def a_hello(*, protocol=4, scopes=("operator.admin",), role="operator", gateway=GATEWAY, **of_auth):
    """Return a hello as it arrives."""
    payload = build_hello(
        gateway,
        protocol=protocol,
        conn_id="conn",
        auth=HelloAuth(method="token", role=role, scopes=scopes, **of_auth),
        scopes=scopes,
        snapshot=Snapshot(PRESENCE, {"ok": True}, StateVersion(presence=2, health=7), 1234),
    )
    return orjson.loads(response_ok("1", payload))["payload"]


def minimal_hello():
    """Return the hello that every published client was seen to work with."""
    path = VECTORS / "transcripts/real-clients-vs-minimal-fake-gateway.jsonl"
    for line in path.read_text().splitlines():
        frame = json.loads(line).get("frame") or {}
        if isinstance(frame, dict) and (frame.get("payload") or {}).get("type") == "hello-ok":
            return frame["payload"]
    raise AssertionError("no hello in the transcript")


def misfits(value, table, path=""):
    """Yield what an object has too much or too little for a published field table."""
    known = {name.removesuffix("?"): item for name, item in table.items()}
    for name in value.keys() - known.keys():
        yield f"{path}/{name} is unknown"
    for name in table:
        if not name.endswith("?") and name not in value:
            yield f"{path}/{name} is missing"
    for name, item in value.items():
        below = known.get(name)
        if isinstance(item, dict) and isinstance(below, dict):
            yield from misfits(item, below, f"{path}/{name}")


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_hello_fits_the_published_table(protocol):
    hello = a_hello(protocol=protocol, device_token="t", issued_at_ms=5)

    assert hello["protocol"] == protocol
    assert list(misfits(hello, PUBLISHED)) == []


@pytest.mark.parametrize("part", [None, "server", "features", "snapshot", "auth", "policy"])
def test_nothing_is_missing_that_every_client_needs(part):
    needed, hello = minimal_hello(), a_hello(device_token="t", issued_at_ms=5)

    assert (needed if part is None else needed[part]).keys() <= (
        hello if part is None else hello[part]
    ).keys()


def test_the_limits_are_the_published_ones():
    assert a_hello()["policy"] == minimal_hello()["policy"]


def test_an_admin_is_told_everything():
    assert a_hello() == {
        "type": "hello-ok",
        "protocol": 4,
        "server": {"version": "1.0", "bootId": "boot", "connId": "conn"},
        "features": {"methods": ["health", "status"], "events": ["tick"]},
        "snapshot": {
            "presence": PRESENCE,
            "health": {"ok": True},
            "stateVersion": {"presence": 2, "health": 7},
            "uptimeMs": 1234,
            "sessionDefaults": {
                "defaultAgentId": "main",
                "mainKey": "main",
                "mainSessionKey": "agent:main:main",
                "scope": "per-sender",
            },
            "authMode": "token",
            "configPath": "/home/u/.openclaw/openclaw.json",
            "stateDir": "/home/u/.openclaw",
        },
        "auth": {"method": "token", "role": "operator", "scopes": ["operator.admin"]},
        "policy": {
            "maxPayload": 26_214_400,
            "maxBufferedBytes": 52_428_800,
            "tickIntervalMs": 30_000,
        },
    }


@pytest.mark.parametrize(
    ("scopes", "sees_presence", "sees_paths"),
    [
        pytest.param((), False, False, id="nothing"),
        pytest.param(("operator.pairing",), False, False, id="pairing"),
        pytest.param(("operator.read",), True, False, id="read"),
        pytest.param(("operator.write",), True, False, id="write-contains-read"),
        pytest.param(("operator.admin",), True, True, id="admin"),
    ],
)
def test_who_may_not_read_is_not_told_who_is_here(scopes, sees_presence, sees_paths):
    snapshot = a_hello(scopes=scopes)["snapshot"]

    assert snapshot["presence"] == (PRESENCE if sees_presence else [])
    assert ("configPath" in snapshot, "stateDir" in snapshot) == (sees_paths, sees_paths)


def test_paths_that_are_not_known_are_left_out():
    hello = a_hello(gateway=GatewayFacts("1", "b", (), (), "none"))

    assert not {"configPath", "stateDir"} & hello["snapshot"].keys()


def test_no_build_is_named_that_a_browser_would_compare():
    assert "buildId" not in a_hello()["server"]


def test_a_device_is_given_its_token_but_no_log_is():
    auth = HelloAuth("token", "node", (), device_token="very-secret", issued_at_ms=5)

    assert auth.to_wire() == {
        "method": "token",
        "role": "node",
        "scopes": [],
        "deviceToken": "very-secret",
        "issuedAtMs": 5,
    }
    assert "very-secret" not in repr(auth)


def test_a_wish_that_waits_is_named_inside_auth():
    upgrade = PendingUpgrade("AAAA-BBBB", ("operator.admin",))

    hello = a_hello(scopes=("operator.read",), pending_upgrade=upgrade)

    assert hello["auth"]["pendingUpgrade"] == {
        "requestId": "AAAA-BBBB",
        "scopes": ["operator.admin"],
    }
