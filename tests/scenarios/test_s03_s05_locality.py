"""Who is local: this user's own programs on this machine, whatever the proxies, and nobody else."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.clients import READ, knock, new_key
from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    eventually,
    free_port,
    running,
    running_gateway,
    running_nginx,
)

pytestmark = pytest.mark.slow
FORWARDER = Path(__file__).with_name("forwarder.py")
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as others")


def configured(state_dir: Path, **gateway: object) -> Path:
    """Write a configuration and return the state directory."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    section = {"auth": {"token": "a-token-for-this-test"}} | gateway
    state_dir.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return state_dir


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway without any configured proxy."""
    with running_gateway(configured(tmp_path_factory.mktemp("home") / ".openclaw")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway that trusts proxies on loopback, as people are told to configure it."""
    state_dir = tmp_path_factory.mktemp("proxied") / ".openclaw"
    with running_gateway(configured(state_dir, trustedProxies=["127.0.0.1"])) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("devices", "list"), id="list"),
        pytest.param(("health",), id="health"),
        pytest.param(("gateway", "call", "status"), id="status"),
        pytest.param(("gateway", "status", "--require-rpc"), id="gateway-status"),
    ],
)
def test_s3_a_trusted_proxy_on_loopback_does_not_lock_the_machine_itself_out(
    behind_proxy: Gateway, words: tuple[str, ...]
) -> None:
    done = behind_proxy.openclaw(*words, "--json")

    assert done.code == 0, done
    assert done.err == "" or "local state" not in done.err


FORWARDED_FOR = [
    pytest.param("192.168.1.9", "192.168.1.9", id="lan"),
    pytest.param("127.0.0.1", "127.0.0.1", id="loopback"),
    pytest.param("::1", "127.0.0.1", id="ipv6-loopback"),
    pytest.param("127.0.0.1, 203.0.113.9", "203.0.113.9", id="spoofed-left"),
    pytest.param("203.0.113.9, 127.0.0.1", "203.0.113.9", id="loopback-right"),
    pytest.param("rubbish", "127.0.0.1", id="no-address"),
    pytest.param("", "127.0.0.1", id="empty"),
]


@pytest.mark.parametrize(("value", "client"), FORWARDED_FOR)
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_a_forwarded_connection_is_never_local(
    gateway: Gateway, behind_proxy: Gateway, value: str, client: str, *, trusted: bool
) -> None:
    asked = behind_proxy if trusted else gateway
    headers = (("X-Forwarded-For", value),)

    refused = knock(asked.port, key=new_key(), token=asked.token, headers=headers, scopes=READ)

    locality = refused.details["saw"]["locality"]
    assert locality == {"local": False, "why": "forwarded" if trusted else "untrusted-proxy"}
    assert refused.details["saw"]["client"] == (client if trusted else "127.0.0.1")
    assert asked.openclaw("devices", "reject", refused.request_id).code == 0


@pytest.mark.real("nginx")
def test_s4_an_untrusted_proxy_is_named_once_with_the_setting_that_helps(tmp_path: Path) -> None:
    state_dir = configured(tmp_path / "home" / ".openclaw")
    device = {"key": new_key(), "token": "a-token-for-this-test", "scopes": READ}
    with (
        running_gateway(state_dir) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        (tmp_path / "token").write_text("a-token-for-this-test")
        there = ("--url", f"ws://127.0.0.1:{proxy}", "--token-file", str(tmp_path / "token"))
        refused, *_ = [knock(proxy, **device) for _ in range(3)]
        in_words = gateway.openclaw("health", *there)
        configured(state_dir, trustedProxies=["127.0.0.1"])

        def attributed() -> bool:
            again = knock(proxy, **device, headers=(("X-Forwarded-For", "192.168.1.9"),))
            return bool(again.details["saw"]["locality"]["why"] == "forwarded")

        eventually(attributed)

    assert refused.details["saw"]["locality"] == {"local": False, "why": "untrusted-proxy"}
    assert refused.details["saw"]["peer"] == "127.0.0.1"
    naming = [line for line in gateway.logged() if refused.request_id in line["message"]]
    naming = [line for line in naming if "closed before connect" in line["message"]]
    assert re.search(r'in gateway\.trustedProxies \(.+\["127\.0\.0\.1"\].`\)', naming[0]["message"])
    assert len(naming) <= 2  # one before the setting, one after it
    assert in_words.code == 1
    lines = in_words.err.splitlines()
    assert lines[0].startswith("pairing required: run openclaw devices approve ")
    for head in ("Gateway target: ", "Source: --url", "Config: ", "Run on the gateway's machine: "):
        assert any(line.startswith(head) for line in lines), in_words.err


HOSTS = [
    pytest.param("127.0.1.1:{port}", id="127.0.1.1"),
    pytest.param("localhost:{port}", id="localhost"),
    pytest.param("[::1]:{port}", id="ipv6"),
    pytest.param(f"{socket.gethostname()}:{{port}}", id="hostname"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_s5_a_host_that_means_this_machine_keeps_a_client_local(
    gateway: Gateway, host: str
) -> None:
    key = new_key()

    admitted = knock(
        gateway.port, key=key, token=gateway.token, host=host.format(port=gateway.port)
    )

    assert admitted.admitted, admitted
    assert key.device_id in gateway.kept("paired.json")


@pytest.mark.parametrize("host", ["foo.ts.net", "192.168.0.80", "127.0.0.1.evil.example"])
def test_s5_any_other_host_takes_locality_away_and_is_named(gateway: Gateway, host: str) -> None:
    refused = knock(gateway.port, key=new_key(), token=gateway.token, host=host)

    assert refused.details["saw"]["locality"] == {"local": False, "why": "host"}
    said = refused.details["remedy"]["sentence"]
    assert f"the peer is loopback but the Host is {host}" in said
    assert "a proxy that forwards no client address?" in said
    assert "X-Forwarded-For" in said
    assert "127.0.0.1" in said
    assert gateway.openclaw("devices", "reject", refused.request_id).code == 0


def test_s5_a_rebound_page_is_refused_and_leaves_no_record(gateway: Gateway) -> None:
    key = new_key()

    refused = knock(
        gateway.port,
        key=key,
        token=gateway.token,
        host="evil.example",
        origin="http://evil.example",
    )

    assert refused.details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    assert key.device_id not in gateway.kept("paired.json")
    assert key.device_id not in str(gateway.kept("pending.json"))


def test_s5_our_command_reaches_a_name_that_is_only_this_machine(gateway: Gateway) -> None:
    name = socket.gethostname()
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    except OSError:
        found = set()
    if not found or not all(one.startswith("127.") or one == "::1" for one in found):
        pytest.skip(f"{name} does not resolve to loopback alone")
    secret = gateway.state_dir / "secret"
    secret.write_text(gateway.token)

    done = gateway.openclaw(
        "health", "--url", f"ws://{name}:{gateway.port}", "--token-file", str(secret)
    )

    assert done.code == 0, done


@as_root
def test_a_program_of_another_user_is_not_local(gateway: Gateway) -> None:
    port, key = free_port(), new_key()
    words = [sys.executable, str(FORWARDER), str(port), f"127.0.0.1:{gateway.port}"]

    with running(*words, "--uid", str(NOBODY), port=port):
        refused = knock(port, key=key, token=gateway.token, host=f"127.0.0.1:{gateway.port}")

    assert refused.details["saw"]["locality"] == {"local": False, "why": "other-uid"}
    assert key.device_id not in gateway.kept("paired.json")
    assert gateway.openclaw("devices", "reject", refused.request_id).code == 0


@as_root
@pytest.mark.real("nginx")
def test_a_stock_nginx_that_forwards_nothing_is_not_local(gateway: Gateway, tmp_path: Path) -> None:
    with running_nginx(tmp_path / "nginx", gateway.port, user="nobody nogroup") as proxy:
        refused = knock(proxy, key=new_key(), token=gateway.token)

    assert refused.details["saw"]["locality"] == {"local": False, "why": "other-uid"}
    assert refused.details["saw"]["forwardedFor"] is None
    told = refused.details["remedy"]["sentence"]
    assert "a proxy that forwards no client address? (let it send X-Forwarded-For)" in told
    assert "nobody" not in told  # who has proven a secret alone learns of no user of ours
    why = gateway.openclaw("gateway", "why", refused.request_id).out
    assert "it belongs to user nobody (uid 65534) of the gateway's machine" in " ".join(why.split())

    def found() -> bool:
        looked = gateway.openclaw("doctor", "proxy", "--json").json["findings"]
        return any(
            one["id"] == "proxy-forwards-nothing" and "nobody (uid 65534)" in one["seen"]
            for one in looked
        )

    eventually(found)
    assert gateway.openclaw("devices", "reject", refused.request_id).code == 0
