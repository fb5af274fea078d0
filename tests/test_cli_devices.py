from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stores import pairing
from stores.keys import generate
from stores.transition import Wish
from tests.imports import ROOT
from tests.machine import ADMIN, Machine, now_ms


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    return Machine(tmp_path / "state", capsys)


def test_nothing_on_file_is_said_in_one_line(machine: Machine):
    ran = machine.run("devices", "list", "--offline")

    assert (ran.code, ran.out) == (0, "No device pairing entries.\n")
    assert str(machine.state_dir / "devices") in ran.err


def test_looking_creates_nothing(machine: Machine):
    machine.run("devices", "list", "--offline")

    assert not machine.state_dir.exists()


def test_the_list_fits_80_columns_and_shows_who_waits_and_who_is_in(machine: Machine):
    machine.pair("paired-laptop")
    item = machine.knock("waiting-phone", ago_ms=50_000)

    ran = machine.run("devices", "list", "--offline")

    assert max(map(len, ran.out.splitlines())) <= 80
    assert "Pending (1)" in ran.out
    assert item.request_id in ran.out
    assert "waiting-phone" in ran.out
    assert "192.168.178.201" in ran.out
    assert "(not-loopback: another machine)" in ran.out
    assert "50 s, 4 min" in ran.out
    assert f"openclaw devices approve {item.request_id}" in ran.out
    assert "Paired (1)" in ran.out
    assert "paired-laptop" in ran.out


def test_the_json_list_has_both_halves_the_source_and_the_store(machine: Machine):
    device_id = machine.pair()
    item = machine.knock()

    ran = machine.run("devices", "list", "--offline", "--json")

    assert ran.json["source"] == "files"
    assert ran.json["store"] == str(machine.state_dir / "devices")
    assert [entry["requestId"] for entry in ran.json["pending"]] == [item.request_id]
    assert [entry["deviceId"] for entry in ran.json["paired"]] == [device_id]
    assert machine.store.book.paired[device_id].tokens["operator"].token not in ran.out


def test_what_a_stranger_named_itself_cannot_steer_a_terminal(machine: Machine):
    machine.knock("evil\x1b[2J\u202ename")

    plain = machine.run("devices", "list", "--offline")
    as_json = machine.run("devices", "list", "--offline", "--json")

    for ran in (plain, as_json):
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
    assert as_json.json["pending"][0]["displayName"] == "evil\x1b[2J\u202ename"


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda item: item.request_id, id="as-shown"),
        pytest.param(lambda item: item.request_id.lower(), id="lower-case"),
        pytest.param(lambda item: item.request_id.replace("-", ""), id="no-dash"),
        pytest.param(lambda item: f" {item.request_id} ", id="spaces"),
        pytest.param(lambda item: item.device_id, id="device-id"),
    ],
)
def test_a_request_is_approved_in_every_spelling(machine: Machine, spell: Any):
    item = machine.knock("laptop")

    ran = machine.run("devices", "approve", spell(item), "--offline")

    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"Approved {item.device_id} ({item.request_id})"
    assert "laptop: operator with admin, approvals, pairing" in ran.out
    assert "at its next try" in ran.out
    assert item.device_id in machine.store.read().paired


def test_an_offline_approval_names_this_user_in_the_audit_trail(machine: Machine):
    item = machine.knock()

    machine.run("devices", "approve", item.request_id, "--offline")

    line = json.loads(machine.store.audit_trail.read_text().splitlines()[-1])
    assert (line["event"], line["via"]) == ("device.approved", "files")
    assert line["by"] == {"kind": "cli", "uid": os.getuid()}


def test_the_json_approval_holds_the_device_without_its_token(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "approve", item.request_id, "--offline", "--json")

    assert ran.json.keys() == {"requestId", "device", "source"}
    assert ran.json["device"]["deviceId"] == item.device_id
    assert ran.json["device"]["approvedVia"] == "owner"
    assert machine.store.read().paired[item.device_id].tokens["operator"].token not in ran.out


def test_a_request_is_rejected(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "reject", item.request_id.lower(), "--offline")
    again = machine.run("devices", "reject", item.request_id, "--offline", "--json")

    assert ran.out == f"Rejected {item.device_id} ({item.request_id})\n"
    assert again.code == 1
    assert again.json["error"]["type"] == "request"


def test_the_json_rejection_names_request_and_device(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "reject", item.request_id, "--offline", "--json")

    assert ran.json == {
        "requestId": item.request_id,
        "deviceId": item.device_id,
        "source": "files",
    }


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_command_without_an_id_lists_and_never_guesses(machine: Machine, verb: str):
    item = machine.knock()

    ran = machine.run("devices", verb, "--offline")

    assert ran.code == 1
    assert item.request_id in ran.out
    assert f"openclaw devices {verb} {item.request_id}" in ran.err
    assert item.request_id in machine.store.read().pending


@pytest.mark.parametrize("words", [("approve", "--latest"), ("approve",), ("reject",), ("list",)])
def test_of_several_requests_none_is_named_as_the_thing_to_type(
    machine: Machine, words: tuple[str, ...]
):
    items = [machine.knock("older", ago_ms=1_000), machine.knock("newer")]

    ran = machine.run("devices", *words, "--offline")
    as_json = machine.run("devices", *words, "--offline", "--json")

    said = ran.out + ran.err
    verb = "reject" if words == ("reject",) else "approve"
    assert f"openclaw devices {verb} CODE (the code that the device shows)" in said
    for item in items:
        assert f"{verb} {item.request_id}" not in said
    if words != ("list",):
        remedy = as_json.json["error"]["remedy"]
        assert remedy["command"] == f"openclaw devices {verb} CODE"
        assert remedy["sentence"].endswith("(the code that the device shows)")
    assert machine.store.read().paired == {}


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("request_id", ["", "  "])
def test_an_empty_id_is_a_mistake_of_the_words(machine: Machine, verb: str, request_id: str):
    ran = machine.run("devices", verb, request_id, "--offline")

    assert ran.code == 2
    assert "REQUEST is empty" in ran.err


def test_without_an_id_json_holds_what_waits(machine: Machine):
    item = machine.knock()

    ran = machine.run("devices", "approve", "--offline", "--json")

    assert ran.code == 1
    assert ran.json["error"]["details"]["pending"][0]["requestId"] == item.request_id
    assert item.request_id in ran.json["error"]["remedy"]["command"]


def test_nothing_to_approve_is_said(machine: Machine):
    ran = machine.run("devices", "approve", "--offline")

    assert ran.code == 1
    assert "no device waits for approval" in ran.err


def test_an_unknown_id_fails_with_the_way_on(machine: Machine):
    ran = machine.run("devices", "approve", "ZZZZ-ZZZZ", "--offline")

    assert ran.code == 1
    assert "ZZZZ-ZZZZ" in ran.err
    assert "openclaw devices list" in ran.err


def test_an_expired_id_is_told_from_one_that_never_was(machine: Machine):
    item = machine.knock(ago_ms=420_000)
    machine.knock("other", ago_ms=420_000)

    ran = machine.run("devices", "approve", item.request_id, "--offline")

    assert ran.code == 1
    assert f"request {item.request_id} expired 2 min ago, at " in ran.err


def test_an_id_that_was_decided_is_told_with_how(machine: Machine):
    first, second = machine.knock("one"), machine.knock("two")
    machine.run("devices", "approve", first.request_id, "--offline")
    machine.run("devices", "reject", second.request_id, "--offline")

    approved = machine.run("devices", "approve", first.request_id.lower(), "--offline")
    rejected = machine.run("devices", "approve", second.request_id, "--offline")

    assert (approved.code, rejected.code) == (1, 1)
    assert f"request {first.request_id} was approved 0 s ago" in approved.err
    assert f"request {second.request_id} was rejected 0 s ago" in rejected.err


def test_the_life_of_requests_is_the_configured_one(machine: Machine):
    machine.configure(1, pairing={"requestTtlMs": 3_600_000})
    item = machine.knock(ago_ms=600_000)

    ran = machine.run("devices", "approve", item.request_id, "--offline")

    assert ran.code == 0


def test_a_broken_configuration_does_not_stop_the_list(machine: Machine):
    item = machine.knock()
    (machine.state_dir / "openclaw.json").write_text('{"gateway": {"pairing": {"requestTtlMs": }}')

    offline = machine.run("devices", "list", "--offline")
    either = machine.run("devices", "list")

    for ran in (offline, either):
        assert ran.code == 0
        assert item.request_id in ran.out
        assert "openclaw.json" in ran.err


def test_a_broken_entry_is_reported_and_the_rest_listed(machine: Machine):
    device_id = machine.pair()
    path = machine.state_dir / "devices" / "paired.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bad": 1}))

    ran = machine.run("devices", "list", "--offline", "--json")

    assert [entry["deviceId"] for entry in ran.json["paired"]] == [device_id]
    assert "$.bad" in ran.err


def test_a_store_that_cannot_be_read_is_an_error_with_its_envelope(machine: Machine):
    machine.state_dir.mkdir()
    (machine.state_dir / "devices").mkdir()
    (machine.state_dir / "devices" / "paired.json").symlink_to("/dev/null")

    ran = machine.run("devices", "list", "--offline", "--json")

    assert ran.code == 1
    assert ran.json["error"]["type"] == "store"
    assert ran.json["exitCode"] == 1


def test_offline_and_a_url_contradict_each_other(machine: Machine):
    ran = machine.run("devices", "list", "--offline", "--url", "ws://127.0.0.1:1", "--json")

    assert ran.code == 2
    assert ran.json["error"]["type"] == "usage"


@pytest.mark.slow
def test_an_offline_list_loads_nothing_heavy(machine: Machine):
    machine.knock()
    script = (
        "import sys\nfrom cli.main import main\n"
        "try:\n    main(['devices', 'list', '--offline'])\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'trio', 'wsproto', 'ssl', 'rich', 'cryptography', 'filelock', 'json5', 'stores.config.load'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_crash(machine: Machine):
    for _ in range(8):
        machine.knock()
    reader, writer = os.pipe()
    os.close(reader)

    ran = subprocess.run(
        [sys.executable, "-m", "cli.main", "devices", "list", "--offline"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"platform": "ios"}, ("pairing, as ios", "pairing, as linux"), id="platform"),
        pytest.param(
            {"stale_token": True}, ("to come back without its token", "pairing"), id="stale-token"
        ),
    ],
)
def test_a_request_for_nothing_new_shows_why_it_waits(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
    changes: dict[str, Any],
    says: tuple[str, ...],
):
    monkeypatch.setenv("COLUMNS", columns)
    key = generate()
    machine.pair("tab", key=key)
    facts = {"platform": "linux", "scopes": ADMIN, "role": "operator"} | changes
    wish = Wish(device_id=key.device_id, public_key=key.public_key, **facts)
    machine.store.one(lambda book, rules: pairing.request(book, rules, wish=wish), now_ms=now_ms())

    ran = machine.run("devices", "list", "--offline")

    words = " ".join(ran.out.split())
    assert [text for text in says if text not in words] == []
