"""A gateway in a container behind a published port: the host is told that it is not local."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
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
    openclaw,
    running,
    running_gateway,
    wait_for_port,
)

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]
FORWARDER = Path(__file__).with_name("forwarder.py")
TOKEN = "the-token-both-sides-know"


@frozen
class Published:
    """A gateway in a container whose port the host publishes on its loopback."""

    gateway: Gateway
    host: Namespace
    box: Namespace
    home: Path

    def on_host(self, *words: str) -> Finished:
        """Run a command as a user of the host does, who has the token in a configuration."""
        state_dir = self.home / ".openclaw"
        return openclaw(state_dir, *words, inside=self.host.words, port=self.gateway.port)

    def in_box(self, *words: str) -> Finished:
        """Run a command as ``docker exec`` does."""
        directory = self.gateway.state_dir
        return openclaw(directory, *words, inside=self.box.words, port=self.gateway.port)

    def browse(self, **wanted: Any) -> Knock:
        """Connect through the published port as the page of a browser on the host does."""
        here = f"127.0.0.1:{self.gateway.port}"
        words = {"host": here, "origin": f"http://{here}", "token": TOKEN, "key": new_key()}
        page = {"client_id": "openclaw-control-ui", "mode": "webchat"}
        return self.host.call(partial(knock, self.gateway.port, **words | page | wanted))


def config(folder: Path, **gateway: object) -> Path:
    """Write a configuration with the token and return the state directory."""
    folder.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}} | gateway
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return folder


@pytest.fixture(params=[(), ("172.18.0.0/16",)], ids=["no-proxies", "bridge-trusted"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Published]:
    """Run a gateway in a container; trusting the bridge must make no difference."""
    state_dir = config(tmp_path / "box" / ".openclaw", trustedProxies=list(request.param))
    config(tmp_path / "host" / ".openclaw")
    with (
        container_network() as (host, box),
        running_gateway(state_dir, "--bind", "lan", inside=box.words) as gateway,
    ):
        forwarder = (sys.executable, str(FORWARDER), str(gateway.port))
        target = f"{BOX_ADDRESS}:{gateway.port}"
        with running(*forwarder, target, port=gateway.port, inside=host.words) as process:
            host.call(partial(wait_for_port, gateway.port, process))
            yield Published(gateway, host, box, tmp_path / "host")


@pytest.mark.parametrize(
    "words", [("devices", "list"), ("health",)], ids=["devices-list", "health"]
)
def test_the_host_is_told_that_it_is_not_local_and_gets_in_once_approved(
    published: Published, words: tuple[str, ...]
) -> None:
    refused = published.on_host(*words, "--json")
    (request_id,) = published.gateway.kept("pending.json")
    waiting = published.in_box("devices", "list", "--json")
    approved = published.in_box("devices", "approve", request_id.lower())
    admitted = published.on_host(*words, "--json")

    assert refused.code == 1, refused
    assert refused.json["error"]["details"]["requestId"] == request_id
    assert f"client {HOST_ADDRESS}" in refused.err
    assert "not local (not-loopback)" in refused.err
    assert f"devices approve {request_id}" in refused.err
    assert waiting.code == 0, waiting
    assert waiting.json["source"] == "gateway"
    assert waiting.json["pending"][0]["remoteIp"] == HOST_ADDRESS
    assert waiting.json["pending"][0]["why"] == "not-loopback"
    assert approved.code == 0, approved
    assert admitted.code == 0, admitted


def test_a_browser_on_the_host_waits_for_approval(published: Published) -> None:
    key = new_key()

    refused = published.browse(key=key)
    approved = published.in_box("devices", "approve", refused.request_id)
    admitted = published.browse(key=key)

    assert refused.details["saw"]["client"] == HOST_ADDRESS
    assert refused.details["saw"]["locality"] == {"local": False, "why": "not-loopback"}
    assert refused.details["recommendedNextStep"] == "wait_then_retry"
    assert approved.code == 0, approved
    assert admitted.admitted


def test_a_browser_with_a_wrong_token_leaves_no_request(published: Published) -> None:
    refused = published.browse(token="not-the-token")

    assert refused.details["code"] == "AUTH_TOKEN_MISMATCH"
    assert published.gateway.kept("pending.json") == {}


def test_a_page_of_another_host_is_refused_before_any_record(published: Published) -> None:
    refused = published.browse(origin="http://192.168.1.5:8080")

    assert refused.details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    assert published.gateway.kept("pending.json") == {}


def test_inside_the_container_every_command_works_although_it_binds_everywhere(
    published: Published,
) -> None:
    for words in (("devices", "list"), ("health",), ("gateway", "call", "status")):
        done = published.in_box(*words)

        assert done.code == 0, done
        assert "local state" not in done.err
