"""A proxy that signs users in: its word lets them in, nobody else's does, and approvals remain."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.scenarios.clients import Knock, knock, new_key
from tests.scenarios.namespaces import BOX_ADDRESS, HOST_ADDRESS, container_network
from tests.scenarios.programs import (
    Gateway,
    eventually,
    openclaw,
    running_gateway,
    running_nginx,
)
from tests.wire import open_wire

pytestmark = pytest.mark.slow

HEADERS = {"userHeader": "X-Forwarded-User", "requiredHeaders": ["X-Signed"]}
ALICE = (("X-Forwarded-User", "alice@example.org"), ("X-Signed", "yes"))
PAIRING = ("operator.read", "operator.pairing")

OTHER_UID = 54_323
AS_OTHER = ("setpriv", f"--reuid={OTHER_UID}", f"--regid={OTHER_UID}", "--clear-groups")


def configure(
    folder: Path, *proxies: str, pairing: Mapping[str, object] | None = None, **changes: object
) -> Path:
    """Write a configuration of mode trusted-proxy and return the state directory."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    auth = {"mode": "trusted-proxy", "trustedProxy": HEADERS | changes}
    section = {"auth": auth, "trustedProxies": list(proxies), "pairing": pairing or {}}
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return folder


@contextmanager
def on_loopback(
    folder: Path, pairing: Mapping[str, object] | None = None, **changes: object
) -> Iterator[Gateway]:
    """Run a gateway that believes a proxy of its own machine."""
    words: dict[str, object] = {"allowLoopback": True} | changes
    state_dir = configure(folder / "s", "127.0.0.1", pairing=pairing, **words)
    with running_gateway(state_dir) as gateway:
        yield gateway


def by_proxy(gateway: Gateway, *calls: str, **wanted: Any) -> Knock:
    """Knock as the proxy forwards alice."""
    forwarded = (*ALICE, ("X-Forwarded-For", "203.0.113.9"))
    return knock(gateway.port, *calls, **({"headers": forwarded} | wanted))


def test_a_user_is_let_in_and_her_device_waits_for_an_operator(tmp_path: Path) -> None:
    key = new_key()
    with on_loopback(tmp_path) as gateway:
        waits = by_proxy(gateway, key=key, scopes=PAIRING)
        approved = gateway.openclaw("devices", "approve", waits.request_id, "--offline")
        comes_in = by_proxy(gateway, "device.pair.list", key=key, scopes=PAIRING)

        assert waits.details["authenticated"] is True
        assert "alice@example.org" in waits.details["remedy"]["sentence"]
        assert approved.code == 0, approved
        assert comes_in.auth["method"] == "trusted-proxy"
        assert set(comes_in.auth["scopes"]) == set(PAIRING)
        assert comes_in.answers[0]["ok"]
        (asked,) = gateway.audit("device.requested")
        assert asked["from"]["user"] == "alice@example.org"
        assert asked["from"]["client"] == "203.0.113.9"
        assert "admitted user=alice@example.org" in gateway.said()


def test_without_a_device_a_user_holds_no_scopes_whatever_is_claimed(tmp_path: Path) -> None:
    claimed = (*ALICE, ("X-OpenClaw-Scopes", "operator.admin"))
    with on_loopback(tmp_path) as gateway:
        one = by_proxy(gateway, "config.get", headers=claimed)
        here = f"http://127.0.0.1:{gateway.port}"
        page = by_proxy(gateway, client_id="openclaw-control-ui", mode="ui", origin=here)
        probe = by_proxy(gateway, "config.get", headers=claimed, mode="probe", key=new_key())

    assert one.auth == {"method": "trusted-proxy", "role": "operator", "scopes": []}
    assert not one.answers[0]["ok"]
    assert page.details["code"] == "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
    assert not probe.answers[0]["ok"]


@pytest.mark.parametrize(
    ("headers", "changes", "reason", "code"),
    [
        pytest.param((), {}, "missing_header_x-signed", "AUTH_IDENTITY_HEADER_REQUIRED", id="none"),
        pytest.param(ALICE[1:], {}, "user_missing", "AUTH_IDENTITY_HEADER_REQUIRED", id="no-user"),
        pytest.param(
            (*ALICE, ALICE[0]), {}, "user_ambiguous", "AUTH_IDENTITY_HEADER_REQUIRED", id="twice"
        ),
        pytest.param(
            ALICE, {"allowUsers": ["bob"]}, "user_not_allowed", "AUTH_UNAUTHORIZED", id="not-listed"
        ),
        pytest.param(
            ALICE, {"allowLoopback": False}, "loopback_source", "AUTH_UNAUTHORIZED", id="loopback"
        ),
    ],
)
def test_whom_the_proxy_does_not_vouch_for_stays_out_without_a_record(
    tmp_path: Path,
    headers: tuple[tuple[str, str], ...],
    changes: dict[str, Any],
    reason: str,
    code: str,
) -> None:
    with on_loopback(tmp_path, **changes) as gateway:
        knocks = [by_proxy(gateway, headers=headers, key=new_key()) for _ in range(12)]

        refused = knocks[-1]  # not locked out: none of these is a wrong secret
        assert refused.close == (1008, "unauthorized")
        assert refused.details["authReason"] == f"trusted_proxy_{reason}"
        assert refused.details["code"] == code
        assert refused.details["recommendedNextStep"] == "review_auth_configuration"
        assert gateway.kept("pending.json") == {}


def test_a_foreign_page_is_refused_although_the_proxy_vouches(tmp_path: Path) -> None:
    with on_loopback(tmp_path) as gateway:
        refused = by_proxy(gateway, key=new_key(), origin="https://evil.example")

    assert refused.details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"


@pytest.mark.parametrize("allowed", [False, True], ids=["proxy-elsewhere", "proxy-on-loopback"])
def test_the_machines_own_commands_come_in_past_the_proxy(tmp_path: Path, allowed: bool) -> None:
    with on_loopback(tmp_path, allowLoopback=allowed) as gateway:
        before = gateway.openclaw("gateway", "status")
        first = gateway.openclaw("health")
        listed = gateway.openclaw("devices", "list", "--json")
        again = gateway.openclaw("gateway", "status", "--require-rpc")

        (device_id,) = gateway.kept("paired.json")
        (line,) = gateway.audit("device.approved")

    assert "openclaw health`" in before.out
    assert "comes in past the proxy" in " ".join(before.out.split())
    assert first.code == 0, first
    assert "paired this command line in" in first.err
    assert (listed.code, listed.json["source"], listed.err) == (0, "gateway", "")
    assert again.code == 0, again
    assert (line["deviceId"], line["by"]["kind"], line["via"]) == (device_id, "cli", "files")


def test_an_own_command_that_may_not_pair_itself_is_told_of_the_files(tmp_path: Path) -> None:
    pairing = {"autoApproveLocal": False}
    with on_loopback(tmp_path, pairing=pairing, allowLoopback=False) as gateway:
        health = gateway.openclaw("health")
        listed = gateway.openclaw("devices", "list", "--json")

        assert gateway.kept("paired.json") == {}
    assert health.code == 1, health
    assert "openclaw devices list --offline" in health.err
    assert listed.code == 0, listed
    assert listed.json["source"] == "files"


@pytest.mark.parametrize("ends", [("block",), ("revoke", "--role", "operator")], ids=lambda w: w[0])
def test_an_own_command_that_was_shut_out_does_not_let_itself_back_in(
    tmp_path: Path, ends: tuple[str, ...]
) -> None:
    with on_loopback(tmp_path) as gateway:
        assert gateway.openclaw("health").code == 0
        (device_id,) = gateway.kept("paired.json")
        deed, *more = ends
        ended = gateway.openclaw("devices", deed, device_id, *more, "--yes", "--offline")
        eventually(lambda: gateway.openclaw("health").code == 1)
        last = gateway.openclaw("health")

    assert ended.code == 0, ended
    assert last.code == 1, last


def test_what_the_proxy_sends_without_a_user_is_nobodys_own_command(tmp_path: Path) -> None:
    key = new_key()
    with on_loopback(tmp_path) as gateway:
        waits = by_proxy(gateway, key=key)
        gateway.openclaw("devices", "approve", waits.request_id, "--offline")
        token = by_proxy(gateway, key=key).auth["deviceToken"]

        words = {"key": key, "device_token": token}
        direct = by_proxy(gateway, headers=(), **words)
        refused = [
            by_proxy(gateway, headers=(("X-Forwarded-For", "203.0.113.9"),), **words),
            by_proxy(gateway, headers=(ALICE[1],), **words),
            by_proxy(gateway, headers=(), host="gateway.example", **words),
            by_proxy(gateway, headers=(("X-Forwarded-User", ""), ALICE[1]), **words),
        ]

    assert direct.auth["method"] == "device-token"
    assert [one.admitted for one in refused] == [False] * len(refused)


@pytest.mark.real("nginx", "another-user")
def test_a_proxy_of_another_user_that_sends_nothing_is_nobodys_own_command(tmp_path: Path) -> None:
    with ExitStack() as stack:
        tmp_path.chmod(0o755)
        gateway = stack.enter_context(on_loopback(tmp_path))
        assert gateway.openclaw("health").code == 0
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        folder.chmod(0o777)
        port = stack.enter_context(
            running_nginx(folder / "nginx", gateway.port, user="nobody nogroup")
        )
        key = new_key()
        waits = by_proxy(gateway, key=key)
        gateway.openclaw("devices", "approve", waits.request_id, "--offline")
        token = by_proxy(gateway, key=key).auth["deviceToken"]

        refused = knock(port, key=key, device_token=token)

    assert refused.details["authReason"] == "trusted_proxy_missing_header_x-signed"


@pytest.mark.real("another-user")
def test_root_does_not_let_itself_in_by_the_files_of_another_user() -> None:
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    home.chmod(0o755)
    os.chown(home, OTHER_UID, OTHER_UID)
    state_dir = configure(home / ".openclaw", "127.0.0.1", allowLoopback=True)
    for path in (state_dir, state_dir / "openclaw.json"):
        os.chown(path, OTHER_UID, OTHER_UID)
    try:
        with running_gateway(state_dir, inside=AS_OTHER) as gateway:
            done = gateway.openclaw("health")
            paired = gateway.kept("paired.json")
            owners = {path.lstat().st_uid for path in (state_dir / "devices").rglob("*")}
    finally:
        shutil.rmtree(home)

    assert done.code == 1, done
    assert paired == {}
    assert owners <= {OTHER_UID}


@pytest.mark.real("namespaces")
@pytest.mark.parametrize(
    ("proxies", "own", "reason"),
    [
        pytest.param((HOST_ADDRESS,), False, None, id="the-proxy"),
        pytest.param(("172.18.0.9",), False, "untrusted_source", id="another-machine"),
        pytest.param(("172.18.0.0/16",), True, "loopback_source", id="own-address"),
    ],
)
def test_the_peer_decides_who_may_name_users(
    tmp_path: Path, proxies: tuple[str, ...], own: bool, reason: str | None
) -> None:
    state_dir = configure(tmp_path / "s", *proxies)
    with (
        container_network() as (host, box),
        running_gateway(state_dir, "--bind", "lan", inside=box.words) as gateway,
    ):
        words = {"headers": ALICE, "address": BOX_ADDRESS}
        answer = (box if own else host).call(partial(knock, gateway.port, **words))

    assert answer.admitted is (reason is None)
    if reason is not None:
        assert answer.details["authReason"] == f"trusted_proxy_{reason}"


@pytest.mark.real("nginx")
def test_a_real_proxy_replaces_what_a_client_writes(tmp_path: Path) -> None:
    lines = (
        "proxy_set_header Host $host:$server_port;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-User bob;",
        "proxy_set_header X-Signed yes;",
    )
    with (
        on_loopback(tmp_path, allowUsers=["bob"]) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *lines) as port,
    ):
        key = new_key()
        waits = knock(port, key=key, headers=ALICE, scopes=PAIRING)
        gateway.openclaw("devices", "approve", waits.request_id, "--offline")
        comes_in = knock(port, key=key, headers=ALICE, scopes=PAIRING)

        assert "bob" in waits.details["remedy"]["sentence"]
        assert set(comes_in.auth["scopes"]) == set(PAIRING)
        assert "alice" not in gateway.said()


def test_a_user_taken_off_the_list_is_ended_and_stays_out(tmp_path: Path) -> None:
    key = new_key()
    state_dir = tmp_path / "s"
    with on_loopback(tmp_path, allowUsers=["alice@example.org", "bob"]) as gateway:
        waits = by_proxy(gateway, key=key)
        gateway.openclaw("devices", "approve", waits.request_id, "--offline")
        device_token = by_proxy(gateway, key=key).auth["deviceToken"]

        async def sitting() -> tuple[int, str]:
            async with open_wire(gateway.port, headers=ALICE) as wire:
                assert (await wire.connect(key=key))["ok"]
                await trio.to_thread.run_sync(
                    lambda: configure(
                        state_dir, "127.0.0.1", allowLoopback=True, allowUsers=["bob"]
                    )
                )
                with trio.fail_after(5):
                    return await wire.closed()

        ended = trio.run(sitting)
        again = by_proxy(gateway, key=key, device_token=device_token)

        assert ended == (4001, "gateway auth changed")
        assert again.details["authReason"] == "trusted_proxy_user_not_allowed"


@pytest.mark.parametrize("mode", ["none", "token", "password", "trusted-proxy"])
def test_option_and_configuration_take_the_same_modes(tmp_path: Path, mode: str) -> None:
    state_dir = configure(tmp_path / "s", "10.0.0.1")
    document = json.loads((state_dir / "openclaw.json").read_text())
    document["gateway"]["auth"] |= {"mode": mode}
    (state_dir / "openclaw.json").write_text(json.dumps(document))
    secret = {"OPENCLAW_GATEWAY_PASSWORD": "a-password"} if mode == "password" else {}

    with running_gateway(state_dir, env=secret) as gateway:
        said = gateway.said()
        assert gateway.end() == 0
    with running_gateway(state_dir, "--auth", mode, env=secret) as gateway:
        eventually(lambda: "let one in" in gateway.said())

    assert "listening on" in said


@pytest.mark.parametrize(
    ("section", "words", "keys"),
    [
        pytest.param(
            {"auth": {"mode": "none"}, "bind": "lan"},
            (),
            ("gateway.auth.mode", "gateway.bind"),
            id="open-to-everybody",
        ),
        pytest.param({}, ("--auth", "none", "--bind", "lan"), ("none", "lan"), id="by-option"),
        pytest.param(
            {"auth": {"mode": "password"}},
            (),
            ("gateway.auth.mode", "gateway.auth.password"),
            id="no-password",
        ),
        pytest.param(
            {"auth": {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}},
            (),
            ("gateway.auth.mode", "gateway.trustedProxies"),
            id="no-proxies",
        ),
        pytest.param(
            {"auth": {"mode": "trusted-proxy"}, "trustedProxies": ["10.0.0.1"]},
            (),
            ("gateway.auth.mode", "gateway.auth.trustedProxy.userHeader"),
            id="no-header",
        ),
    ],
)
def test_what_would_let_in_nobody_or_everybody_does_not_start(
    tmp_path: Path, section: dict[str, object], words: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    state_dir = tmp_path / "s"
    state_dir.mkdir(mode=0o700)
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))

    refused = openclaw(state_dir, "gateway", "run", *words)

    assert refused.code == 78, refused
    assert all(key in refused.err for key in keys)
    # no file undoes an option
    assert f"openclaw {'gateway run --auth token' if words else 'config set'}" in refused.err
