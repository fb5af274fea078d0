"""A gateway in a container behind a published port: the host is told that it is not local.

With the rule published-port a browser of the host comes in by the token alone, and nobody else.
"""

from __future__ import annotations

import json
import os
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
    openclaw,
    running,
    running_gateway,
    wait_for_port,
)
from tests.wire import ADMIN_SCOPES

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]
FORWARDER = Path(__file__).with_name("forwarder.py")
TOKEN = "the-token-both-sides-know"


@frozen
class Users:
    """Who runs what, by user id; the forwarder is root's, as the engine's is."""

    gateway: int = 0
    caller: int = 0


ROOT_ALONE = Users()


def as_user(uid: int) -> tuple[str, ...]:
    """Return the words that run a command as a user."""
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups") if uid else ()


@frozen
class Published:
    """A gateway in a container whose port the host publishes on its loopback."""

    gateway: Gateway
    host: Namespace
    box: Namespace
    home: Path
    users: Users

    def on_host(self, *words: str) -> Finished:
        """Run a command as a user of the host does, who has the token in a configuration."""
        inside = (*self.host.words, *as_user(self.users.caller))
        return openclaw(self.home / ".openclaw", *words, inside=inside, port=self.gateway.port)

    def in_box(self, *words: str) -> Finished:
        """Run a command as ``docker exec`` does."""
        inside = (*self.box.words, *as_user(self.users.gateway))
        return openclaw(self.gateway.state_dir, *words, inside=inside, port=self.gateway.port)

    def logged(self, text: str) -> list[str]:
        """Return the lines of the gateway's log that hold a text."""
        return [line["message"] for line in self.gateway.logged() if text in line["message"]]

    def browse(self, **wanted: Any) -> Knock:
        """Connect through the published port as the page of a browser on the host does."""
        here = f"127.0.0.1:{self.gateway.port}"
        words = {"host": here, "origin": f"http://{here}", "token": TOKEN, "key": new_key()}
        page = {"client_id": "openclaw-control-ui", "mode": "webchat"}
        return self.host.call(partial(knock, self.gateway.port, **words | page | wanted))


def config(folder: Path, *, owner: int = 0, **gateway: object) -> Path:
    """Write a configuration with the token and return the state directory."""
    folder.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}} | gateway
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    for one in (folder.parent, folder, folder / "openclaw.json"):
        os.chown(one, owner, owner)
    return folder


@contextmanager
def publishing(
    folder: Path, proxies: tuple[str, ...], *words: str, users: Users = ROOT_ALONE
) -> Iterator[Published]:
    """Run a gateway in a container; trusting the bridge must make no difference."""
    trusted = list(proxies)
    state_dir = config(folder / "box" / ".openclaw", owner=users.gateway, trustedProxies=trusted)
    config(folder / "host" / ".openclaw", owner=users.caller)
    with (
        container_network() as (host, box),
        running_gateway(
            state_dir, "--bind", "lan", *words, inside=(*box.words, *as_user(users.gateway))
        ) as gateway,
    ):
        forwarder = (sys.executable, str(FORWARDER), str(gateway.port))
        target = f"{BOX_ADDRESS}:{gateway.port}"
        with running(*forwarder, target, port=gateway.port, inside=host.words) as process:
            host.call(partial(wait_for_port, gateway.port, process))
            yield Published(gateway, host, box, folder / "host", users)


@pytest.fixture(params=[(), ("172.18.0.0/16",)], ids=["no-proxies", "bridge-trusted"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Published]:
    """Run the gateway without a rule."""
    with publishing(tmp_path, request.param) as one:
        yield one


@pytest.fixture(params=[(), ("172.18.0.0/16",)], ids=["no-proxies", "bridge-trusted"])
def open_to_browsers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Published]:
    """Run the gateway as a compose file that publishes on loopback does."""
    with publishing(tmp_path, request.param, "--auto-approve", "published-port") as one:
        yield one


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
    assert f"the gateway sees it as {HOST_ADDRESS}" in refused.err
    assert "inside its container" in refused.err
    assert f"openclaw devices approve {request_id}" in refused.err
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
    assert "--auto-approve published-port" in refused.details["remedy"]["sentence"]
    (line,) = published.logged("closed before connect")
    assert "--auto-approve published-port" in line
    assert f"devices approve {refused.request_id}" in line
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


def test_with_the_rule_a_browser_on_the_host_comes_in_by_the_token_alone(
    open_to_browsers: Published,
) -> None:
    key = new_key()

    first = open_to_browsers.browse(key=key)
    again = open_to_browsers.browse(key=key, token=None, device_token=first.auth["deviceToken"])

    granted = {f"operator.{name}" for name in ("read", "write", "approvals", "pairing")}
    assert set(first.auth["scopes"]) == granted
    assert first.auth["pendingUpgrade"]["scopes"] == list(ADMIN_SCOPES)
    assert again.admitted
    (line,) = open_to_browsers.gateway.audit("device.approved")
    assert line["by"] == {"kind": "rule", "rule": "published-port"}
    assert set(line["scopes"]) == granted
    assert line["from"] == {"peer": HOST_ADDRESS, "client": HOST_ADDRESS}
    note = open_to_browsers.gateway.kept("notes.json")[key.device_id]
    assert note["approvedVia"] == note["approvedBy"] == "published-port"
    assert open_to_browsers.logged(f"auto-approved device={key.device_id}")[0].count(
        "rule=published-port"
    )


def test_with_the_rule_every_command_of_the_host_still_waits(open_to_browsers: Published) -> None:
    refused = open_to_browsers.on_host("devices", "list", "--json")

    assert refused.code == 1
    assert refused.json["error"]["details"]["code"] == "PAIRING_REQUIRED"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        pytest.param({"token": "not-the-token"}, "AUTH_TOKEN_MISMATCH", id="wrong-token"),
        pytest.param({"token": None}, "AUTH_TOKEN_MISSING", id="no-token"),
        pytest.param(
            {"origin": "http://192.168.1.5:8080"}, "CONTROL_UI_ORIGIN_NOT_ALLOWED", id="origin"
        ),
        pytest.param(
            {"origin": "http://evil.example", "host": "evil.example"},
            "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            id="rebinding",
        ),
    ],
)
def test_with_the_rule_a_stranger_leaves_no_record(
    open_to_browsers: Published, wanted: dict[str, Any], code: str
) -> None:
    refused = open_to_browsers.browse(**wanted)

    assert refused.details["code"] == code
    assert open_to_browsers.gateway.kept("pending.json") == {}
    assert open_to_browsers.gateway.kept("paired.json") == {}


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(
            {"origin": "http://192.168.1.5:8080", "host": "192.168.1.5:8080"}, id="another-address"
        ),
        pytest.param({"headers": (("X-Forwarded-For", "203.0.113.9"),)}, id="forwarded"),
        pytest.param({"role": "node", "client_id": "node-host", "mode": "node"}, id="node"),
    ],
)
def test_with_the_rule_whoever_is_no_such_browser_waits(
    open_to_browsers: Published, wanted: dict[str, Any]
) -> None:
    refused = open_to_browsers.browse(**wanted)

    assert refused.request_id in open_to_browsers.gateway.kept("pending.json")
    assert "--auto-approve" not in refused.details["remedy"]["sentence"]


def test_the_rule_lets_nobody_in_who_comes_from_beside_the_host(tmp_path: Path) -> None:
    with publishing(tmp_path, (), "--auto-approve", "published-port") as one:
        beside = "172.18.0.77"
        one.host.run("ip", "address", "add", f"{beside}/16", "dev", "bridge0")
        here = f"127.0.0.1:{one.gateway.port}"
        words: dict[str, Any] = {"token": TOKEN, "key": new_key(), "address": BOX_ADDRESS}
        page = {"host": here, "origin": f"http://{here}", "source": beside}

        refused = one.host.call(partial(knock, one.gateway.port, **words, **page))

        assert refused.details["saw"]["client"] == beside
        assert refused.request_id in one.gateway.kept("pending.json")
