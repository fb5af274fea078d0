"""On the gateway's own machine `devices` always works: gateway up, down, stuck, or refusing us."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    OPENCLAW,
    Finished,
    Gateway,
    environment,
    free_port,
    openclaw,
    running_gateway,
)
from tests.scenarios.timing import timed

pytestmark = pytest.mark.slow


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state."""
    return tmp_path / "home" / ".openclaw"


def waiting(gateway: Gateway) -> dict[str, Any]:
    """Let a device knock; return its words, with the id it was told."""
    device = stranger(gateway.token)
    return {"words": device, "id": knock(gateway.port, **device).request_id}


def check_list(done: Finished, request_id: str, source: str) -> None:
    """Check that a listing is complete and in the documented shape."""
    assert done.code == 0, done
    listed = done.json
    assert listed["source"] == source
    assert Path(listed["store"]).is_dir()
    (pending,) = listed["pending"]
    assert pending["requestId"] == request_id
    assert pending["expiresAtMs"] > time.time() * 1000
    assert pending["why"] == "untrusted-proxy"
    assert {"deviceId", "role", "roles", "scopes", "remoteIp", "ts"} <= pending.keys()
    for device in listed["paired"]:
        assert {"deviceId", "roles", "approvedScopes", "approvedVia", "approvedBy"} <= device.keys()
        assert {"connected", "blocked"} <= device.keys()
    assert "token" not in [key for item in listed["paired"] for key in item]


def test_while_the_gateway_answers_it_is_asked(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        first, second = waiting(gateway), waiting(gateway)
        assert gateway.openclaw("devices", "reject", second["id"]).code == 0

        check_list(gateway.openclaw("devices", "list", "--json"), first["id"], "gateway")
        approved = gateway.openclaw("devices", "approve", first["id"], "--json")

    assert approved.json.keys() == {"requestId", "device", "source"}
    assert approved.json["source"] == "gateway"
    assert approved.json["requestId"] == first["id"]
    assert approved.json["device"]["approvedVia"] == "owner"
    assert gateway.audit("device.approved")[-1]["via"] == "ws"


def test_while_it_is_down_the_files_answer_and_it_honours_them_later(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        first, second = waiting(gateway), waiting(gateway)

    approved = gateway.openclaw("devices", "approve", first["id"].lower(), "--json")
    rejected = gateway.openclaw("devices", "reject", second["id"], "--json")
    listed = gateway.openclaw("devices", "list", "--json")

    assert (approved.code, rejected.code, listed.code) == (0, 0, 0)
    assert approved.json.keys() == {"requestId", "device", "source"}
    assert approved.json["source"] == "files"
    assert rejected.json == {
        "requestId": second["id"],
        "deviceId": second["words"]["key"].device_id,
        "source": "files",
    }
    assert listed.json["pending"] == []
    assert f"using the local state in {gateway.devices}" in listed.err
    assert {line["via"] for line in gateway.audit("device.rejected")} == {"files"}
    with running_gateway(state_dir, port=gateway.port):
        assert knock(gateway.port, **first["words"]).admitted


@pytest.mark.parametrize("verb", ["list", "approve", "reject"])
def test_while_it_is_stuck_the_files_answer_within_two_seconds(state_dir: Path, verb: str) -> None:
    with running_gateway(state_dir) as gateway:
        device = waiting(gateway)
        gateway.tell(signal.SIGSTOP)

        words = [] if verb == "list" else [device["id"]]
        done, took_s = timed(gateway, "devices", verb, *words, "--json")
        gateway.tell(signal.SIGCONT)
        knocked = knock(gateway.port, **device["words"])

    assert done.code == 0, done
    assert took_s < 2.0
    assert done.json["source"] == "files"
    assert "did not answer in time" in done.err
    assert "using the local state" in done.err
    assert knocked.admitted is (verb == "approve")


def test_a_gateway_that_refuses_our_secret_does_not_lock_its_owner_out(
    state_dir: Path, tmp_path: Path
) -> None:
    tmp_path.joinpath("token").write_text("the-token-it-was-started-with")
    with running_gateway(state_dir, "--token-file", str(tmp_path / "token")) as gateway:
        device = stranger("the-token-it-was-started-with")
        request_id = knock(gateway.port, **device).request_id
        wrong = {"OPENCLAW_GATEWAY_TOKEN": "another-token-altogether"}

        done, took_s = timed(gateway, "devices", "list", "--json", env=wrong)
        approved = gateway.openclaw("devices", "approve", request_id, env=wrong)
        admitted = knock(gateway.port, **device).admitted

    check_list(done, request_id, "files")
    assert took_s < 2.0
    assert "unauthorized: gateway token mismatch" in done.err
    assert approved.code == 0, approved
    assert admitted


BROKEN = [
    pytest.param('{"gateway": {"prot": 1}}', id="unknown-key"),
    pytest.param("{ gateway: }", id="syntax"),
    pytest.param("{ gateway: ", id="cut-short"),
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_broken_configuration_hides_no_device(state_dir: Path, text: str, *, up: bool) -> None:
    with running_gateway(state_dir) as gateway:
        device = waiting(gateway)
        if not up:
            gateway.end()
        state_dir.joinpath("openclaw.json").write_text(text)
        done = gateway.openclaw("devices", "list", "--json")
        approved = gateway.openclaw("devices", "approve", device["id"])

    check_list(done, device["id"], "gateway" if up else "files")
    assert "openclaw.json:1" in done.err
    assert approved.code == 0, approved


def test_offline_asks_nobody_and_says_where_it_looks(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        device = waiting(gateway)
        done = gateway.openclaw("devices", "list", "--offline", "--json")

    check_list(done, device["id"], "files")
    assert str(gateway.devices) in done.err


def test_offline_loads_no_event_loop(state_dir: Path) -> None:
    state_dir.mkdir(parents=True)
    done = subprocess.run(
        [OPENCLAW[0], "-X", "importtime", *OPENCLAW[1:], "devices", "list", "--offline"],
        env=environment(state_dir),
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "stores.devices" in loaded
    assert loaded.isdisjoint({"trio", "trio_websocket", "cryptography", "asyncio", "rich", "ssl"})


def test_offline_and_a_url_contradict_each_other(state_dir: Path) -> None:
    state_dir.mkdir(parents=True)

    done = openclaw(state_dir, "devices", "list", "--offline", "--url", "ws://127.0.0.1:1")

    assert done.code == 2
    assert done.out == ""


@pytest.mark.parametrize("verb", ["list", "approve", "reject"])
@pytest.mark.parametrize("named", ["--url", "env"])
def test_another_gateway_that_does_not_answer_is_never_replaced_by_files(
    state_dir: Path, verb: str, named: str
) -> None:
    with running_gateway(state_dir) as gateway:
        device = waiting(gateway)
    url = f"ws://127.0.0.1:{free_port()}"
    words = ["devices", verb, *([] if verb == "list" else [device["id"]]), "--json"]
    env = {"OPENCLAW_GATEWAY_TOKEN": gateway.token}

    if named == "env":
        done = openclaw(state_dir, *words, env=env | {"OPENCLAW_GATEWAY_URL": url})
    else:
        done = openclaw(state_dir, *words, "--url", url, "--token", gateway.token)

    assert done.code == 3, done
    assert done.json["ok"] is False
    assert done.json["error"]["kind"] == "refused"
    assert done.json["gateway"]["url"] == url
    assert done.json["exitCode"] == 3
    assert device["id"] in gateway.kept("pending.json")


def test_a_clear_answer_of_the_gateway_is_never_second_guessed(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("devices", "approve", "2222-2222", "--json")

    assert done.code == 1
    assert done.json["error"]["code"] == "INVALID_REQUEST"
    assert "local state" not in done.err
    assert json.loads(done.out)["gateway"]["url"] == gateway.url
