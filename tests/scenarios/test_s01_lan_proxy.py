"""A browser of the LAN behind a proxy on the gateway's machine, with clients listed as proxies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.scenarios.clients import Knock, knock, new_key
from tests.scenarios.namespaces import Namespace, new_namespace
from tests.scenarios.programs import Finished, Gateway, eventually, openclaw, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]

PORT = 18789
HERE, BROWSER = "192.168.0.80", "192.168.178.201"
CONFIG = {
    "port": PORT,
    "mode": "local",
    "bind": "lan",
    "trustedProxies": ["127.0.0.1", "192.168.178.0/24"],
    "auth": {"mode": "token"},
}


@frozen
class Lan:
    """A gateway in a network of its own, and whoever is in front of it."""

    gateway: Gateway
    network: Namespace

    def through_proxy(self, forwarded_for: str, **wanted: Any) -> Knock:
        """Connect as the page does, through a proxy on loopback that says this of the client."""
        words: dict[str, Any] = {
            "host": HERE,
            "origin": f"https://{HERE}",
            "token": self.gateway.token,
        }
        words |= {"headers": (("X-Forwarded-For", forwarded_for),)}
        page = {"client_id": "openclaw-control-ui", "mode": "webchat"}
        return self.network.call(partial(knock, PORT, **words | page | wanted))

    def openclaw(self, *words: str) -> Finished:
        """Run a command on the gateway's machine."""
        return openclaw(self.gateway.state_dir, *words, inside=self.network.words)


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    """Run the gateway with the configuration as it was reported."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": CONFIG}))
    with new_namespace() as network:
        network.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        network.run("ip", "address", "add", f"{HERE}/24", "dev", "lan0")
        network.run("ip", "link", "set", "lan0", "up")
        with running_gateway(state_dir, port=PORT, pinned=False, inside=network.words) as gateway:
            yield Lan(gateway, network)


def test_s1_the_browser_waits_once_and_every_place_says_why(lan: Lan) -> None:
    key = new_key()

    refused = lan.through_proxy(BROWSER, key=key)
    listed = lan.openclaw("devices", "list", "--json")
    approved = lan.openclaw("devices", "approve", refused.request_id)
    admitted = lan.through_proxy(BROWSER, key=key)

    assert refused.error["code"] == "NOT_PAIRED"
    assert refused.close is not None
    assert refused.close[0] == 1008
    assert refused.close[1].startswith("pairing required")
    assert refused.details["authenticated"] is True
    assert refused.details["saw"]["client"] == BROWSER
    assert refused.details["saw"]["locality"] == {"local": False, "why": "forwarded"}
    assert listed.code == 0, listed
    assert [one["remoteIp"] for one in listed.json["pending"]] == [BROWSER]
    assert approved.code == 0, approved
    assert admitted.admitted, admitted


def test_s1_the_log_says_what_the_setting_does_not_do(lan: Lan) -> None:
    refused = lan.through_proxy(BROWSER, key=new_key())

    def lines() -> list[str]:
        told = [one["message"] for one in lan.gateway.logged()]
        return [
            text for text in told if "closed before connect" in text and refused.request_id in text
        ]

    eventually(lines)  # a thread of its own writes the log
    (line,) = lines()
    for said in (
        "remote=127.0.0.1",
        f"fwd={BROWSER}",
        f"a proxy forwarded it for {BROWSER}",
        "never local",
        "gateway.trustedProxies names the client, it does not skip approval",
        f"devices approve {refused.request_id}",
    ):
        assert said in line


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        pytest.param(f"127.0.0.1, {BROWSER}", BROWSER, id="loopback-left"),
        pytest.param(f"{BROWSER}, 127.0.0.1", BROWSER, id="loopback-right"),
        pytest.param("127.0.0.1", "127.0.0.1", id="only-loopback"),
    ],
)
def test_s1_a_client_that_claims_to_be_loopback_is_not_local(
    lan: Lan, forwarded_for: str, client: str
) -> None:
    refused = lan.through_proxy(forwarded_for, key=new_key())

    assert refused.details["code"] == "PAIRING_REQUIRED"
    assert refused.details["saw"]["client"] == client
    assert refused.details["saw"]["locality"]["local"] is False
    assert lan.gateway.kept("paired.json") == {}


def test_s1_the_network_of_clients_is_warned_of(lan: Lan) -> None:
    lan.through_proxy(BROWSER, key=new_key())

    validated = lan.openclaw("config", "validate", "--json")
    audited = lan.openclaw("security", "audit")

    (warning,) = validated.json["warnings"]
    assert validated.code == 0
    assert "192.168.178.0/24 is a client network" in warning
    assert "list only the proxies" in warning
    assert audited.code == 0, audited
    assert "192.168.178.0/24 is a client network" in audited.out
    eventually(lambda: "192.168.178.0/24 is a client network" in lan.gateway.said())


def test_s1_this_machine_itself_is_local_all_the_same(lan: Lan) -> None:
    for words in (("devices", "list"), ("health",), ("gateway", "call", "status")):
        done = lan.openclaw(*words)

        assert done.code == 0, done
        assert "local state" not in done.err
