"""`openclaw gateway why`: a refusal told again from the file alone, by any of its ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stores.refusal_ring import ring_file, write_refusals
from tests.machine import Machine

PAIRING: dict[str, Any] = {
    "ts": "2026-11-21T03:52:10.000Z",
    "lastTs": "2026-11-21T03:52:16.000Z",
    "count": 3,
    "connId": "6fb9c94c-62ec-4bdc-b839-9d16f7296aae",
    "connIds": [],
    "code": "PAIRING_REQUIRED",
    "authenticated": True,
    "requestId": "7KQM-2XHT",
    "client": {"id": "openclaw-control-ui", "mode": "webchat"},
    "role": "operator",
    "deviceId": "ab" * 32,
    "saw": {
        "forwardedFor": "203.0.113.9",
        "host": "gw.example",
        "origin": "https://gw.example",
        "client": "203.0.113.9",
        "peer": "10.0.0.7",
        "locality": {"local": False, "why": "forwarded"},
    },
    "closeCode": 1008,
    "closeReason": "pairing required: run openclaw devices approve 7KQM-2XHT",
    "sentence": "The credential is right, but this device is not approved yet.",
    "command": "docker exec gw openclaw devices approve 7KQM-2XHT",
}
LOST: dict[str, Any] = {
    "ts": "2026-11-21T03:53:10.000Z",
    "lastTs": "2026-11-21T03:53:10.000Z",
    "count": 1,
    "connId": "11111111-2222",
    "code": "HTTP 426",
    "httpStatus": 426,
    "closeReason": "upgrade-required",
    "saw": {"peer": "10.0.0.7", "client": "10.0.0.7", "host": "\x1b[2Jgw"},
    "sentence": "A proxy drops the header.",
}


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "s"))
    return Machine(tmp_path / "s", capsys)


def on_file(machine: Machine, *entries: dict[str, Any]) -> Path:
    """Put refusals on file as a gateway did some time ago."""
    file = ring_file(machine.state_dir / "logs")
    write_refusals(file, entries)
    os.utime(file, (1, 1))
    return file


@pytest.mark.parametrize("reference", ["7KQM-2XHT", "7kqm2xht", "6fb9c94c", "ab" * 32])
def test_a_refusal_is_told_line_by_line_whatever_its_id(machine: Machine, reference: str):
    file = on_file(machine, PAIRING, LOST)

    ran = machine.run("gateway", "why", reference)

    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].endswith("at 2026-11-21 03:52:16 UTC (3 times since 03:52:10)")
    assert lines[1] == f"  {PAIRING['closeReason']} [PAIRING_REQUIRED] (close 1008)"
    told = {line[2:17].strip(): line[18:] for line in lines[3:] if line.startswith("  ")}
    assert told["peer"] == "10.0.0.7"
    assert told["client address"] == "203.0.113.9"
    assert told["forwarded for"] == "203.0.113.9"
    assert told["Host"] == "gw.example"
    assert told["Origin"] == "https://gw.example"
    assert told["place"] == "not local: a trusted proxy forwarded it"
    assert told["program"] == "openclaw-control-ui (webchat) as operator"
    assert told["credential"] == "accepted"
    assert f"  {PAIRING['sentence']}" in lines
    assert lines[-2:] == ["Run on the gateway's machine", f"  {PAIRING['command']}"]
    assert str(file) in ran.err


@pytest.mark.parametrize("words", [(), ("last",)])
def test_without_an_id_it_is_the_last_one(machine: Machine, words: tuple[str, ...]):
    on_file(machine, PAIRING, LOST)

    ran = machine.run("gateway", "why", *words)

    assert "HTTP 426: upgrade-required" in ran.out
    assert "\\x1b[2Jgw" in ran.out
    assert "\x1b" not in ran.out
    assert "Run on" not in ran.out


def test_all_are_listed_newest_first(machine: Machine):
    on_file(machine, PAIRING, LOST)

    ran = machine.run("gateway", "why", "--all")

    rows = ran.out.splitlines()[1:]
    assert "11111111" in rows[0]
    assert any("7KQM-2XHT" in row and "×3" in row for row in rows[1:])
    assert "`openclaw gateway why ID`" in ran.err


def test_json_is_the_entry_itself(machine: Machine):
    file = on_file(machine, PAIRING, PAIRING | {"connId": "later"})

    one = machine.run("gateway", "why", "7KQM-2XHT", "--json").json
    every = machine.run("gateway", "why", "--all", "--json").json

    assert one == {"refusal": PAIRING | {"connId": "later"}, "earlier": 1, "file": str(file)}
    assert [entry["connId"] for entry in every["refusals"]] == ["later", PAIRING["connId"]]


def test_an_unknown_id_is_answered_with_those_that_are_known(machine: Machine):
    on_file(machine, PAIRING, LOST)

    ran = machine.run("gateway", "why", "ZZZZ-ZZZZ", "--json")

    assert ran.code == 1
    assert "the newest are 11111111, 7KQM-2XHT" in ran.json["error"]["message"]
    assert ran.json["error"]["remedy"]["command"] == "openclaw gateway why --all"


def test_nothing_on_file_is_said_as_such(machine: Machine):
    ran = machine.run("gateway", "why")

    assert ran.code == 1
    assert "no refusal is on file" in ran.err
    assert machine.run("gateway", "why", "--all").code == 0


def test_a_file_that_is_none_is_refused_in_words(machine: Machine):
    (machine.state_dir / "logs").mkdir(parents=True)
    (machine.state_dir / "logs" / "refusals.jsonl").symlink_to("/etc/passwd")

    ran = machine.run("gateway", "why")

    assert ran.code == 1
    assert "symbolic link" in ran.err


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"connId": "x"}, id="bare"),
        pytest.param({"connId": "x", "saw": 7, "ts": "x", "lastTs": 3, "client": []}, id="shapes"),
        pytest.param({"connId": "x", "lastTs": "2026-11-21T03:52:10", "count": "9"}, id="times"),
    ],
)
def test_an_entry_of_another_shape_breaks_nothing(machine: Machine, broken: dict[str, Any]):
    on_file(machine, broken)

    assert machine.run("gateway", "why").code == 0
    assert machine.run("gateway", "why", "--all").code == 0
