"""`openclaw devices` with a gateway that answers, refuses, hangs or is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine, now_ms
from tests.patience import Stopwatch
from tests.peers import FakeGateway, Serve, closed_port, listening, says, silent, upgrades

LISTED = {"pending": [], "paired": [{"deviceId": "ab" * 32, "displayName": "from-the-gateway"}]}
PAIRING_REQUIRED = {
    "code": "NOT_PAIRED",
    "message": "pairing required: run openclaw devices approve AB23-CD45 (requestId: AB23-CD45)",
    "details": {
        "code": "PAIRING_REQUIRED",
        "requestId": "AB23-CD45",
        "saw": {"client": "172.18.0.1", "locality": {"local": False, "why": "not-loopback"}},
        "remedy": {
            "sentence": "The credential is right, but the device is not approved yet.",
            "command": "openclaw devices approve AB23-CD45",
            "where": "gateway-host",
        },
    },
}
TOKEN_MISMATCH = {
    "code": "INVALID_REQUEST",
    "message": "unauthorized: gateway token mismatch (set gateway.remote.token)",
    "details": {"code": "AUTH_TOKEN_MISMATCH"},
}


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    return Machine(tmp_path / "state", capsys)


def test_the_gateway_answers_while_it_runs(machine: Machine):
    gateway = FakeGateway(
        answers={"device.pair.list": LISTED}, hello={"snapshot": {"stateDir": "/srv/state"}}
    )

    with listening(gateway) as port:
        machine.configure(port)
        plain = machine.run("devices", "list")
        ran = machine.run("devices", "list", "--json")

    assert gateway.problems == []
    assert "from-the-gateway" in plain.out
    assert ran.json == LISTED | {"source": "gateway", "store": "/srv/state/devices"}
    assert ran.err == ""


def test_an_approval_over_the_gateway(machine: Machine):
    answer = {"requestId": "AB23-CD45", "device": {"deviceId": "ab" * 32, "roles": ["node"]}}
    gateway = FakeGateway(answers={"device.pair.approve": answer})

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "approve", "ab23cd45")

    assert gateway.requests == [("device.pair.approve", {"requestId": "ab23cd45"})]
    assert f"Approved {'ab' * 32} (AB23-CD45)" in ran.out
    assert "abababababab: node" in ran.out


def test_an_upgrade_stands_beside_what_the_device_has(machine: Machine):
    item = {"requestId": "AB23-CD45", "deviceId": "ab" * 32, "roles": ["operator"]}
    asked = item | {"scopes": ["operator.admin"], "approvedRoles": ["operator"]}
    approved = {"deviceId": "cd" * 32, "roles": [], "lastSeenAtMs": now_ms(), "blocked": True}
    listed = {"pending": [asked | {"approvedScopes": ["operator.read"]}], "paired": [approved]}

    with listening(FakeGateway(answers={"device.pair.list": listed})) as port:
        machine.configure(port)
        ran = machine.run("devices", "list")

    assert "operator: +admin" in ran.out
    assert "operator: read" in ran.out
    assert "cdcdcdcdcdcd (blocked)" in ran.out
    assert "unknown client" in ran.out


def test_a_clear_answer_of_the_gateway_is_not_second_guessed(machine: Machine):
    item = machine.knock()
    error = {"code": "INVALID_REQUEST", "message": "unknown requestId"}

    with listening(FakeGateway(answers={"device.pair.approve": error})) as port:
        machine.configure(port)
        ran = machine.run("devices", "approve", item.request_id, "--json")

    assert ran.code == 1
    assert ran.json["error"]["type"] == "request"
    assert ran.json["error"]["message"] == "unknown requestId"
    assert item.request_id in machine.store.read().pending


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        pytest.param(says(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"), "HTTP 502", id="http"),
        pytest.param(upgrades(lambda peer: None), "dropped the connection", id="dropped"),
        pytest.param(FakeGateway(refusal=TOKEN_MISMATCH), "token mismatch", id="wrong-token"),
        pytest.param(FakeGateway(refusal=PAIRING_REQUIRED), "pairing required", id="not-paired"),
        pytest.param(
            FakeGateway(
                answers={"device.pair.list": {"code": "FORBIDDEN", "message": "missing scope: x"}}
            ),
            "missing scope",
            id="too-few-scopes",
        ),
    ],
)
def test_the_list_comes_from_the_files_when_the_gateway_does_not_help(
    machine: Machine, serve: Serve, said: str
):
    item = machine.knock()
    a_gateway_serves(machine)

    with listening(serve) as port:
        machine.configure(port)
        ran = machine.run("devices", "list", "--json")

    assert ran.code == 0
    assert ran.json["source"] == "files"
    assert ran.json["pending"][0]["requestId"] == item.request_id
    assert said in ran.err
    assert f"using the local state in {machine.state_dir / 'devices'}" in ran.err.splitlines()[0]


def test_a_stopped_gateway_does_not_hinder_an_approval(machine: Machine):
    item = machine.knock()
    machine.configure(closed_port())

    ran = machine.run("devices", "approve", item.request_id)

    assert ran.code == 0
    assert "nothing listens at" in ran.err
    assert item.device_id in machine.store.read().paired


@pytest.mark.slow
def test_a_frozen_gateway_costs_less_than_two_seconds(machine: Machine):
    item = machine.knock()

    with listening(silent) as port:
        machine.configure(port)
        watch = Stopwatch(os.getpid())
        ran = machine.run("devices", "approve", item.request_id)
        took_s = watch.read_s()

    assert ran.code == 0
    assert took_s < 2
    assert "did not answer in time" in ran.err


def test_without_any_secret_the_files_answer_at_once(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "list")

    assert item.request_id in ran.out
    assert "no credential" in ran.err


def a_gateway_serves(machine: Machine) -> None:
    """Leave the note of a gateway that serves the machine's state directory."""
    (machine.state_dir / "gateway.lock").write_text('{"pid": 1}')


def test_a_gateway_of_another_state_directory_is_not_replaced_by_these_files(machine: Machine):
    machine.knock()
    with listening(FakeGateway(refusal=TOKEN_MISMATCH)) as port:
        machine.configure(port)
        stranger = machine.run("devices", "list")
        a_gateway_serves(machine)
        own = machine.run("devices", "list")

    assert (stranger.code, stranger.out) == (1, "")
    assert "token mismatch" in stranger.err
    assert "no gateway runs on the local state in" in stranger.err
    assert own.code == 0


@pytest.mark.parametrize("by", ["--url", "env"])
def test_a_gateway_named_elsewhere_is_never_replaced_by_files(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, by: str
):
    machine.knock()
    url = f"ws://127.0.0.1:{closed_port()}"
    words = ["devices", "list", "--json", "--token", "T"]
    if by == "env":
        monkeypatch.setenv("OPENCLAW_GATEWAY_URL", url)
    else:
        words += ["--url", url]

    ran = machine.run(*words)

    assert ran.code == 3
    assert ran.json["error"]["type"] == "transport"
    assert ran.json["error"]["kind"] == "refused"
    assert ran.json["gateway"]["url"] == url


def test_remote_mode_is_never_replaced_by_files(machine: Machine):
    machine.knock()
    url = f"ws://127.0.0.1:{closed_port()}"
    machine.configure(1, mode="remote", remote={"url": url, "token": "T"})

    ran = machine.run("devices", "list")

    assert ran.code == 3
    assert "gateway.remote.url" in ran.err


def test_a_broken_configuration_and_a_named_gateway_is_an_error(machine: Machine):
    machine.state_dir.mkdir()
    (machine.state_dir / "openclaw.json").write_text("{")

    ran = machine.run("devices", "list", "--url", "ws://127.0.0.1:1", "--token", "T", "--json")

    assert ran.code == 1
    assert ran.json["error"]["type"] == "config"


def test_files_that_cannot_help_either_leave_the_first_failure(machine: Machine):
    machine.configure(closed_port())
    (machine.state_dir / "devices").write_text("not a folder")

    ran = machine.run("devices", "list", "--json")

    assert ran.code == 3
    assert ran.json["error"]["kind"] == "refused"
    assert "devices" in ran.err


def test_a_request_that_is_gone_after_a_timeout_may_have_been_decided(machine: Machine):
    machine.pair()

    class Forgetful(FakeGateway):
        def __call__(self, connection: Any) -> None:
            try:
                super().__call__(connection)
            except KeyError:
                silent(connection)

    with listening(Forgetful()) as port:
        machine.configure(port)
        ran = machine.run("devices", "approve", "ZZZZ-ZZZZ", "--timeout", "150")

    assert ran.code == 1
    assert "may have decided it before" in ran.err


def test_an_unknown_id_stays_unknown_while_the_gateway_is_down(machine: Machine):
    machine.configure(closed_port())

    ran = machine.run("devices", "approve", "ZZZZ-ZZZZ", "--json")

    assert ran.code == 1
    assert "decided" not in ran.err
    assert ran.json["error"]["type"] == "request"


def test_elsewhere_a_refusal_names_the_request_and_the_command(machine: Machine):
    with listening(FakeGateway(refusal=PAIRING_REQUIRED)) as port:
        url = f"ws://localhost:{port}"
        ran = machine.run("devices", "list", "--url", url, "--token", "T")

    assert ran.code == 1
    lines = ran.err.splitlines()
    assert lines[1].startswith("pairing required")
    assert "Request: AB23-CD45" in lines
    assert "Seen by the gateway: client 172.18.0.1, not local (not-loopback)" in lines
    assert f"Gateway target: {url}" in lines
    # loopback was dialled, and the gateway saw another machine: something passes the port on
    approve = "docker exec CONTAINER openclaw devices approve AB23-CD45"
    assert lines[-1] == f"Run inside the gateway's container: {approve}"
