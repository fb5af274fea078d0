"""A valid token and still "pairing required": told apart, and what a token-only place may switch on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.scenarios.clients import FROM_AFAR, READ, Knock, knock, new_key
from tests.scenarios.namespaces import BOX_ADDRESS, HOST_ADDRESS, Namespace, container_network
from tests.scenarios.programs import Gateway, eventually, openclaw, running_gateway

pytestmark = pytest.mark.slow
TOKEN = "the-token-everybody-here-has"
LAN = {
    "name": "office",
    "from": "172.18.0.0/16",
    "roles": ["operator"],
    "scopes": ["operator.write"],
}


def configure(folder: Path, **gateway: object) -> Path:
    """Write a configuration with the token and return the state directory."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    section = {"auth": {"token": TOKEN}} | gateway
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return folder


@frozen
class Office:
    """A gateway on a network, and another machine of that network."""

    gateway: Gateway
    desk: Namespace

    def knock(self, **wanted: Any) -> Knock:
        """Connect straight from the other machine."""
        words = {"key": new_key(), "token": TOKEN, "address": BOX_ADDRESS} | wanted
        return self.desk.call(partial(knock, self.gateway.port, **words))


@contextmanager
def office(folder: Path, **gateway: object) -> Iterator[Office]:
    """Run a gateway on a network of its own."""
    with (
        container_network() as (desk, box),
        running_gateway(
            configure(folder / "s", **gateway), "--bind", "lan", inside=box.words
        ) as process,
    ):
        yield Office(process, desk)


def test_the_refusal_tells_the_right_token_from_the_unknown_device(tmp_path: Path) -> None:
    with running_gateway(configure(tmp_path / "s")) as gateway:
        right = knock(gateway.port, key=new_key(), token=TOKEN, headers=FROM_AFAR)
        wrong = knock(gateway.port, key=new_key(), token="another", headers=FROM_AFAR)

    assert right.details["authenticated"] is True
    assert right.details["code"] == "PAIRING_REQUIRED"
    sentence = right.details["remedy"]["sentence"]
    assert sentence.startswith("The credential is right, but this device is not approved yet.")
    assert right.details["remedy"]["command"] == f"openclaw devices approve {right.request_id}"
    assert wrong.details["authenticated"] is False
    assert wrong.details["code"] == "AUTH_TOKEN_MISMATCH"


@pytest.mark.real("namespaces")
def test_a_rule_lets_a_network_in_by_the_token_alone_and_is_off_by_default(tmp_path: Path) -> None:
    with office(tmp_path) as closed:
        waits = closed.knock(scopes=READ)
        closed.gateway.openclaw("config", "set", "gateway.pairing.autoApprove", json.dumps([LAN]))
        eventually(lambda: "config reloaded: gateway.pairing.autoApprove" in closed.gateway.said())
        key = new_key()
        comes_in = closed.knock(scopes=READ, key=key)
        wider = closed.knock(scopes=("operator.admin",), key=key)

        assert waits.details["code"] == "PAIRING_REQUIRED"
        assert comes_in.auth["scopes"] == list(READ)
        assert set(wider.auth["scopes"]) == {"operator.read", "operator.write"}
        assert wider.auth["pendingUpgrade"]["scopes"] == ["operator.admin"]
        first, second = closed.gateway.audit("device.approved")
        assert first["by"] == second["by"] == {"kind": "rule", "rule": "office"}
        assert first["from"] == {"peer": HOST_ADDRESS, "client": HOST_ADDRESS}
        note = closed.gateway.kept("notes.json")[key.device_id]
        assert (note["approvedVia"], note["approvedBy"]) == ("trusted-cidr", "office")
        assert "rule=office" in closed.gateway.said()


@pytest.mark.real("namespaces")
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"token": "not-the-token"}, id="wrong-token"),
        pytest.param({"headers": FROM_AFAR}, id="forwarded"),
        pytest.param({"headers": (("Via", "1.1 proxy"),)}, id="through-some-proxy"),
        pytest.param({"role": "node", "client_id": "node-host", "mode": "node"}, id="node"),
        pytest.param({"scopes": ("operator.pairing",)}, id="scope-beyond"),
        pytest.param({"origin": "http://evil.example", "host": "evil.example"}, id="rebinding"),
    ],
)
def test_a_rule_for_a_network_lets_nobody_else_in(tmp_path: Path, wanted: dict[str, Any]) -> None:
    with office(tmp_path, pairing={"autoApprove": [LAN]}) as one:
        refused = one.knock(**wanted)

        assert not refused.admitted
        assert one.gateway.kept("paired.json") == {}


@pytest.mark.real("namespaces")
def test_a_device_that_was_turned_away_for_good_stays_out_whatever_the_rule(
    tmp_path: Path,
) -> None:
    key = new_key()
    with office(tmp_path, pairing={"autoApprove": [LAN]}) as one:
        assert one.knock(key=key, scopes=READ).admitted
        file = one.gateway.devices / "paired.json"
        records = json.loads(file.read_text())
        records[key.device_id]["tokens"]["operator"]["revokedAtMs"] = 1
        file.write_text(json.dumps(records))

        eventually(lambda: not one.knock(key=key, scopes=READ).admitted)
        refused = one.knock(key=key, scopes=READ)

        assert refused.details["code"] == "PAIRING_REQUIRED"
        assert "revoked" in refused.details["remedy"]["sentence"]


def test_local_devices_wait_too_where_the_configuration_says_so(tmp_path: Path) -> None:
    state_dir = configure(tmp_path / "s", pairing={"autoApproveLocal": False})
    key = new_key()
    with running_gateway(state_dir) as gateway:
        refused = knock(gateway.port, key=key, token=TOKEN)
        listed = gateway.openclaw("devices", "list", "--json")
        approved = gateway.openclaw("devices", "approve", refused.request_id)
        admitted = knock(gateway.port, key=key, token=TOKEN)

    assert refused.details["saw"]["locality"] == {"local": True, "why": "loopback"}
    assert listed.code == approved.code == 0, (listed, approved)
    assert admitted.admitted


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        ("gateway.auth.skipPairingForTokenAuth", "`gateway.pairing.autoApprove`"),
        ("gateway.auth.allowInsecureAuth", "`gateway.pairing.autoApprove`"),
        ("gateway.dmPolicy", "`openclaw devices list`"),
    ],
)
def test_a_key_nobody_ever_honoured_is_refused_with_the_one_that_was_meant(
    tmp_path: Path, key: str, pointer: str
) -> None:
    state_dir = configure(tmp_path / "s")
    file = state_dir / "openclaw.json"
    before = file.read_bytes()

    refused = openclaw(state_dir, "config", "set", key, "true")
    after = file.read_bytes()
    holder: dict[str, Any] = {"gateway": {"auth": {"token": TOKEN}}}
    section = holder["gateway"]
    *path, last = key.split(".")[1:]
    for name in path:
        section = section[name]
    section[last] = True
    file.write_text(json.dumps(holder))
    started = openclaw(state_dir, "gateway", "run")

    assert refused.code == 1, refused
    assert pointer in refused.err
    assert after == before
    assert started.code == 78, started
    assert key in started.err
    assert pointer in started.err
