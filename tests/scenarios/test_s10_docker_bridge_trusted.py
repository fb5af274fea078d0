"""A container's bridge listed as a trusted proxy: it changes nothing, and both places say so."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.scenarios.clients import Knock, knock, new_key
from tests.scenarios.namespaces import BOX_ADDRESS, HOST_ADDRESS, Namespace, container_network
from tests.scenarios.programs import (
    Finished,
    Gateway,
    eventually,
    openclaw,
    running,
    running_gateway,
    wait_for_port,
)

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]
FORWARDER = Path(__file__).with_name("forwarder.py")
TOKEN = "the-token-both-sides-know"
BRIDGE = "172.18.0.0/16"


@frozen
class Box:
    """A gateway in a container whose port the host publishes on its loopback."""

    gateway: Gateway
    host: Namespace
    box: Namespace

    def browse(self, **wanted: Any) -> Knock:
        """Connect through the published port as a browser of the host does."""
        here = f"127.0.0.1:{self.gateway.port}"
        words = {"host": here, "origin": f"http://{here}", "token": TOKEN, "key": new_key()}
        page = {"client_id": "openclaw-control-ui", "mode": "webchat"}
        return self.host.call(partial(knock, self.gateway.port, **words | page | wanted))

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a page through the published port."""

        def fetch() -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()

        return self.host.call(fetch)

    def openclaw(self, *words: str) -> Finished:
        """Run a command inside the container."""
        return openclaw(
            self.gateway.state_dir, *words, inside=self.box.words, port=self.gateway.port
        )


@contextmanager
def a_box(folder: Path, trusted: list[str]) -> Iterator[Box]:
    """Run a gateway in a container whose configuration trusts these."""
    state_dir = folder / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}, "trustedProxies": trusted}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    with (
        container_network() as (host, box),
        running_gateway(state_dir, "--bind", "lan", inside=box.words) as gateway,
    ):
        words = (sys.executable, str(FORWARDER), str(gateway.port), f"{BOX_ADDRESS}:{gateway.port}")
        with running(*words, port=gateway.port, inside=host.words) as process:
            host.call(partial(wait_for_port, gateway.port, process))
            yield Box(gateway, host, box)


@pytest.fixture
def bridged(tmp_path: Path) -> Iterator[Box]:
    """Run a gateway that trusts the bridge."""
    with a_box(tmp_path / "bridged", [BRIDGE]) as box:
        yield box


def told(refused: Knock) -> dict[str, Any]:
    """Return what a refusal says, without what differs from one to the next."""
    volatile = {"requestId", "remediationHint", "deviceId", "remedy", "expiresInMs"}
    return {key: value for key, value in refused.details.items() if key not in volatile}


def test_s10_trusting_the_bridge_changes_nothing(bridged: Box, tmp_path: Path) -> None:
    with_setting: list[Any] = [
        told(bridged.browse()),
        told(bridged.browse(token="wrong")),
        bridged.get("/readyz"),
        bridged.get("/")[0],
    ]
    with a_box(tmp_path / "plain", []) as plain:
        port = (f":{plain.gateway.port}", f":{bridged.gateway.port}")
        without = [
            json.loads(json.dumps(told(plain.browse())).replace(*port)),
            json.loads(json.dumps(told(plain.browse(token="wrong"))).replace(*port)),
            plain.get("/readyz"),
            plain.get("/")[0],
        ]

    assert with_setting == without
    assert with_setting[0]["saw"]["client"] == HOST_ADDRESS
    assert with_setting[0]["saw"]["locality"] == {"local": False, "why": "not-loopback"}
    assert with_setting[3] == 200


def test_s10_both_places_say_that_the_setting_has_no_effect(bridged: Box) -> None:
    bridged.browse()

    validated = bridged.openclaw("config", "validate")
    eventually((bridged.gateway.state_dir / "logs" / "peers.json").exists)
    looked = bridged.openclaw("doctor", "proxy", "--json", "--lint")

    assert validated.code == 0
    assert "sends no X-Forwarded-For" in validated.err
    assert "this setting has no effect" in validated.err
    findings = {one["id"]: one for one in looked.json["findings"]}
    assert looked.code == 1
    found = findings["docker-proxy"]
    assert found["severity"] == "warning"
    assert found["peer"] == HOST_ADDRESS
    assert "docker-proxy sends no X-Forwarded-For; this setting" in found["remedy"]["sentence"]
    assert "has no effect" in found["remedy"]["sentence"]
    assert "--auto-approve published-port" in found["remedy"]["command"]


def test_s10_the_page_is_served_through_the_published_port(bridged: Box) -> None:
    status, page = bridged.get("/")

    assert status == 200
    assert "<html" in page.lower()
