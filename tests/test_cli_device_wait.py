"""`openclaw devices approve --wait`, and requests called by something else than their code."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import device_wait
from tests.machine import Machine
from tests.peers import FakeGateway, listening


class Terminal(io.StringIO):
    """A terminal on which somebody typed already."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(device_wait, "LOOK_EVERY_S", 0.01)
    return Machine(tmp_path / "state", capsys)


def soon(do: Callable[[], object]) -> threading.Thread:
    """Do something while a command waits for it."""
    thread = threading.Timer(0.05, do)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--yes",), id="yes-without-wait"),
        pytest.param(("--device", "ab" * 32), id="device-without-wait"),
        pytest.param(("--wait", "--yes"), id="yes-to-anybody"),
        pytest.param(("--wait", "--yes", "--device", "ab" * 6), id="yes-to-a-beginning"),
        pytest.param(("--wait", "AB23-CD45"), id="request-and-wait"),
        pytest.param(("--wait", "--latest"), id="latest-and-wait"),
    ],
)
def test_nobody_is_let_in_unseen(machine: Machine, words: tuple[str, ...]):
    item = machine.knock()

    ran = machine.run("devices", "approve", *words, "--offline")

    assert ran.code == 2
    assert item.request_id in machine.store.read().pending


def test_a_named_device_is_let_in_when_it_asks(machine: Machine):
    from stores.keys import generate

    key = generate()
    machine.knock("somebody else")
    thread = soon(lambda: machine.knock("awaited", key=key))

    words = ("--wait", "--device", key.device_id, "--yes", "--offline", "--json")
    ran = machine.run("devices", "approve", *words)
    thread.join()

    assert ran.code == 0
    assert ran.json["device"]["deviceId"] == key.device_id
    assert machine.store.read().paired.keys() == {key.device_id}


def test_what_asks_is_shown_whole_and_asked_about(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", Terminal("n\ny\n"))
    stranger, mine = machine.knock("stranger", ago_ms=-1_000), machine.knock("mine")

    ran = machine.run("devices", "approve", "--wait", "--offline")

    assert ran.code == 0
    for item in (stranger, mine):
        assert item.request_id in ran.err
        assert item.device_id in ran.err
    assert "192.168.178.201 (not-loopback: another machine)" in ran.err
    assert machine.store.read().paired.keys() == {mine.device_id}


def test_where_nobody_can_be_asked_the_first_is_shown_and_not_let_in(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "approve", "--wait", "--offline")

    assert ran.code == 1
    assert f"openclaw devices approve {item.request_id}" in ran.err
    assert machine.store.read().paired == {}


def test_it_waits_at_a_gateway_elsewhere_too(machine: Machine):
    device_id = "ab" * 32
    waits = {"requestId": "AB23-CD45", "deviceId": device_id, "roles": ["operator"]}
    answers = {
        "device.pair.list": {"pending": [waits], "paired": []},
        "device.pair.approve": {"requestId": "AB23-CD45", "device": {"deviceId": device_id}},
    }
    gateway = FakeGateway(answers=answers)

    with listening(gateway) as port:
        machine.configure(port)
        words = ("--wait", "--device", device_id, "--yes")
        ran = machine.run("devices", "approve", *words)

    assert ran.code == 0
    assert gateway.requests[-1] == ("device.pair.approve", {"requestId": "AB23-CD45"})


def test_the_name_a_device_gave_itself_lets_nobody_in(machine: Machine):
    item = machine.knock("boss-phone")

    ran = machine.run("devices", "approve", "boss-phone", "--offline")

    assert ran.code == 1
    assert f"openclaw devices approve {item.request_id}" in ran.err
    assert "a device chooses its own name" in ran.err.lower()
    assert machine.store.read().paired == {}


def test_the_name_you_gave_a_device_does(machine: Machine):
    from stores.keys import generate

    key = generate()
    machine.pair("phone", key=key, scopes=("operator.read",))
    machine.run("devices", "rename", "phone", "boss-phone", "--offline")
    item = machine.knock("phone", key=key)

    ran = machine.run("devices", "approve", "boss-phone", "--offline", "--json")

    assert ran.json["requestId"] == item.request_id


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_the_beginning_of_a_device_id_is_enough(machine: Machine, verb: str):
    item = machine.knock()

    ran = machine.run("devices", verb, item.device_id[:9], "--offline", "--json")

    assert ran.json["requestId"] == item.request_id


def test_a_name_that_two_requests_have_names_neither(machine: Machine):
    items = [machine.knock("twin"), machine.knock("twin")]

    ran = machine.run("devices", "reject", "twin", "--offline")

    assert ran.code == 1
    assert all(item.request_id in ran.err for item in items)
    assert len(machine.store.read().pending) == 2


def test_what_an_upgrade_adds_has_a_plus(machine: Machine):
    from stores.keys import generate

    key = generate()
    machine.pair(key=key, scopes=("operator.write",))
    machine.knock(key=key, scopes=("operator.read", "operator.pairing"))

    ran = machine.run("devices", "list", "--offline")

    assert "asks for    operator: read, +pairing" in ran.out
    assert "has         operator: write" in ran.out


@pytest.mark.parametrize("width", ["60", "80", "100", "200"])
def test_the_list_fits_every_terminal(
    machine: Machine, width: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", width)
    machine.pair("a laptop with quite a long name that somebody gave it one day")
    machine.knock("phone", scopes=tuple(f"operator.scope{n}" for n in range(9)))

    ran = machine.run("devices", "list", "--offline")

    lines = ran.out.splitlines()
    assert max(len(line) for line in lines if "openclaw devices" not in line) <= int(width)
    assert any(line.startswith("REQUEST") for line in lines) is (width == "200")
