"""`openclaw devices remove`, `rename`, `block` and `show`, and what all commands share that take away."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine
from tests.peers import FakeGateway, closed_port, listening

DAY_MS = 86_400_000
ID, OTHER = "ab" * 32, "cd" * 32
LISTED = {
    "pending": [],
    "paired": [
        {"deviceId": ID, "displayName": "tablet", "tokens": [{"role": "operator"}]},
        {"deviceId": OTHER, "label": "desk", "tokens": [{"role": "operator"}, {"role": "node"}]},
    ],
}

#: What takes something away, as it is typed of the device ``X``.
TAKES_AWAY = [
    pytest.param(("remove", "X"), id="remove"),
    pytest.param(("block", "X"), id="block"),
    pytest.param(("rotate", "X"), id="rotate"),
    pytest.param(("revoke", "X"), id="revoke"),
    pytest.param(("prune", "--older-than", "1d"), id="prune"),
]


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
    return Machine(tmp_path / "state", capsys)


def typed(words: tuple[str, ...], device: str) -> tuple[str, ...]:
    """Return the words of a command about a device."""
    return ("devices", *(device if word == "X" else word for word in words))


@pytest.mark.parametrize("words", TAKES_AWAY)
def test_where_nobody_can_be_asked_nothing_is_taken_away(machine: Machine, words: tuple[str, ...]):
    device_id = machine.pair()
    before = machine.store.read()

    ran = machine.run(*typed(words, device_id), "--offline")

    assert ran.code == 2
    assert "--yes" in ran.err
    assert machine.store.read() is before


@pytest.mark.parametrize("words", TAKES_AWAY)
@pytest.mark.parametrize("said", ["n\n", "\n"], ids=["no", "enter"])
def test_who_does_not_say_yes_keeps_what_there_was(
    machine: Machine, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
):
    device_id = machine.pair(ago_ms=2 * DAY_MS)
    before = machine.store.read()
    monkeypatch.setattr("sys.stdin", Terminal(said))

    ran = machine.run(*typed(words, device_id), "--offline")

    assert ran.code == 1
    assert device_id[:12] in ran.err
    assert "Nothing was changed" in ran.err
    assert machine.store.read() is before


def test_who_says_yes_is_done_with(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    device_id = machine.pair("tablet")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    ran = machine.run("devices", "remove", "tablet", "--offline")

    assert (ran.code, ran.out) == (0, f"Removed tablet ({device_id})\n")
    assert device_id not in machine.store.read().paired


@pytest.mark.parametrize("words", TAKES_AWAY[:4])
def test_what_takes_something_away_never_goes_to_the_files_by_itself(
    machine: Machine, words: tuple[str, ...]
):
    device_id = machine.pair()
    machine.configure(closed_port())
    command = typed(words, device_id)

    ran = machine.run(*command, "--yes", "--json")

    assert ran.code == 3
    assert device_id in machine.store.read().paired
    offline = f"openclaw {' '.join(command)} --yes --offline"
    assert f"`{offline}`" in ran.json["error"]["remedy"]["sentence"]
    assert machine.run(*command, "--yes", "--offline").code == 0


def test_a_gateway_that_refuses_us_names_the_way_over_the_files(machine: Machine):
    device_id = machine.pair()
    refusal = {"code": "NOT_PAIRED", "message": "pairing required", "details": {}}
    (machine.state_dir / "gateway.lock").write_text('{"pid": 1}')

    with listening(FakeGateway(refusal=refusal)) as port:
        machine.configure(port)
        ran = machine.run("devices", "remove", device_id, "--yes")

    assert ran.code == 1
    assert f"`openclaw devices remove {device_id} --yes --offline`" in ran.err
    assert device_id in machine.store.read().paired


@pytest.mark.parametrize("spell", [lambda i: i, lambda i: i[:8].upper(), lambda _: "tablet"])
def test_a_device_is_named_by_id_beginning_or_name(machine: Machine, spell: Any):
    device_id = machine.pair("tablet")
    machine.pair("other")

    ran = machine.run("devices", "remove", spell(device_id), "--yes", "--offline", "--json")

    assert ran.json == {"deviceId": device_id, "source": "files"}


def test_a_name_that_two_have_names_neither(machine: Machine):
    ids = {machine.pair("twin"), machine.pair("twin")}

    ran = machine.run("devices", "remove", "twin", "--yes", "--offline")

    assert ran.code == 1
    assert all(device_id[:16] in ran.err for device_id in ids)
    assert machine.store.read().paired.keys() == ids


@pytest.mark.parametrize("word", ["abc", "nobody", "f" * 64], ids=["short", "name", "id"])
def test_a_device_nobody_knows_is_said(machine: Machine, word: str):
    machine.pair()

    ran = machine.run("devices", "remove", word, "--yes", "--offline")

    assert ran.code == 1
    assert "no device is called" in ran.err
    assert "openclaw devices list" in ran.err


def test_a_label_is_what_a_device_is_called_from_then_on(machine: Machine):
    device_id = machine.pair("iPad")

    published = ("--device", device_id, "--name", " Küche ")
    ran = machine.run("devices", "rename", *published, "--offline", "--json")
    again = machine.run("devices", "rename", "Küche", "Bad", "--offline")

    assert ran.json == {"deviceId": device_id, "label": "Küche"}
    assert again.out == f"Renamed {device_id} → Bad\n"
    assert "Bad" in machine.run("devices", "list", "--offline").out


@pytest.mark.parametrize("words", [("X",), (), ("X", "a", "--name", "b")])
def test_a_renaming_without_its_two_words_is_a_mistake(machine: Machine, words: tuple[str, ...]):
    assert machine.run("devices", "rename", *words, "--offline").code == 2


def test_a_label_that_could_steer_a_terminal_is_refused(machine: Machine):
    device_id = machine.pair()

    ran = machine.run("devices", "rename", device_id, "a\x1b[2Jb", "--offline")

    assert ran.code == 1
    assert "printable" in ran.err
    assert machine.store.read().notes[device_id].label is None


@pytest.mark.parametrize("label", ["", "x" * 65])
def test_a_label_that_cannot_be_is_refused_in_words_before_the_gateway_is_asked(
    machine: Machine, label: str
):
    listed = {"pending": [], "paired": [{"deviceId": "ab" * 32}]}
    gateway = FakeGateway(answers={"device.pair.list": listed})
    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "rename", "ab" * 32, label)

    assert ran.code == 1
    assert "the label must be 1 to 64 printable characters" in ran.err
    assert [method for method, _ in gateway.requests] == ["device.pair.list"]


def test_a_device_that_only_waits_is_blocked_by_its_code(machine: Machine):
    item = machine.knock("stranger")

    ran = machine.run("devices", "block", item.request_id.lower(), "--yes", "--offline", "--json")
    book = machine.store.read()

    assert ran.json == {"deviceId": item.device_id, "source": "files"}
    assert book.blocked(item.device_id)
    assert book.pending == {}


def test_a_device_never_seen_is_blocked_and_unblocked_by_its_id(machine: Machine):
    machine.pair()

    blocked = machine.run("devices", "block", ID, "--yes", "--offline")
    was = machine.store.read().blocked(ID)
    unblocked = machine.run("devices", "unblock", ID[:8], "--offline", "--json")

    assert (blocked.code, was) == (0, True)
    assert unblocked.json == {"deviceId": ID, "source": "files"}
    assert not machine.store.read().blocked(ID)


def test_every_step_of_a_life_has_its_line_in_the_trail(machine: Machine):
    device_id = machine.pair("tablet")
    for words in (
        ("rename", "tablet", "desk"),
        ("block", "desk", "--yes"),
        ("unblock", "desk"),
        ("rotate", "desk", "--yes"),
        ("revoke", "desk", "--yes"),
        ("remove", "desk", "--yes"),
    ):
        assert machine.run("devices", *words, "--offline").code == 0

    lines = [json.loads(line) for line in machine.store.audit_trail.read_text().splitlines()]
    events = [line["event"].removeprefix("device.") for line in lines]
    steps = ["renamed", "blocked", "unblocked", "rotated", "revoked", "removed"]
    assert events == ["requested", "approved", *steps]
    assert {line["deviceId"] for line in lines} == {device_id}


def test_everything_about_a_device_is_shown_with_its_history(machine: Machine):
    device_id = machine.pair("tablet")
    machine.run("devices", "rename", device_id, "desk", "--offline")

    plain = machine.run("devices", "show", "desk", "--offline")
    ran = machine.run("devices", "show", device_id[:8], "--offline", "--json")

    assert device_id in plain.out
    assert "calls itself tablet" in plain.out
    assert max(map(len, plain.out.splitlines())) <= 80
    assert [line["event"] for line in ran.json["history"]] == [
        "device.requested",
        "device.approved",
        "device.renamed",
    ]
    assert ran.json["paired"]["label"] == "desk"
    token = machine.store.read().paired[device_id].tokens["operator"].token
    assert token not in plain.out + ran.out


def test_what_waits_is_shown_too_and_what_is_unknown_is_not(machine: Machine):
    item = machine.knock("phone\x1b[2J")

    ran = machine.run("devices", "show", item.request_id, "--offline")
    unknown = machine.run("devices", "show", "nobody", "--offline")

    assert "asks for" in ran.out
    assert "\x1b" not in ran.out
    assert unknown.code == 1


def test_the_history_of_a_gateway_elsewhere_is_not_made_up(machine: Machine):
    machine.pair()
    gateway = FakeGateway(
        answers={"device.pair.list": LISTED}, hello={"snapshot": {"stateDir": "/srv/other"}}
    )

    with listening(gateway) as port:
        machine.configure(port)
        ran = machine.run("devices", "show", ID, "--json")

    assert ran.json["history"] is None


def test_a_store_that_is_fine_passes_the_check(machine: Machine):
    machine.pair()

    plain = machine.run("devices", "verify")
    as_json = machine.run("devices", "verify", "--offline", "--json")

    assert (plain.code, plain.out) == (0, "Nothing is wrong with the device store.\n")
    assert str(machine.state_dir / "devices") in plain.err
    assert as_json.json == {"ok": True, "problems": []}


def test_what_the_check_finds_is_told_with_what_to_do_and_exits_1(machine: Machine):
    machine.pair()
    pending = machine.state_dir / "devices" / "pending.json"
    pending.write_text('{"\x1b[2J": 1}')

    plain = machine.run("devices", "verify")
    as_json = machine.run("devices", "verify", "--json")

    assert (plain.code, as_json.code) == (1, 1)
    assert "\x1b" not in plain.out + as_json.out
    assert "1 problem found" in plain.out
    (problem,) = as_json.json["problems"]
    assert problem.keys() == {"file", "path", "problem", "remedy"}
    assert problem["file"] == str(pending)
