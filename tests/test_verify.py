"""Checking the device store against itself and its trail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stores import pairing
from stores.devices import DeviceStore
from stores.keys import KeyPair, generate
from stores.record_file import StoreProblem
from stores.transition import Caller, Wish
from stores.verify import verify

CLI = Caller("cli", uid=0)
NOW_MS = 1_795_000_000_000
READ = ("operator.read",)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def pair(state_dir: Path, *, key: KeyPair | None = None, now_ms: int = NOW_MS) -> str:
    """Let a device in, and return its id."""
    key = key or generate()
    wish = Wish(key.device_id, key.public_key, "operator", READ, remote_ip="192.0.2.1")
    store = store_of(state_dir)
    item = store.one(lambda book, rules: pairing.request(book, rules, wish=wish), now_ms=now_ms)
    store.approve(item.request_id, caller=CLI, now_ms=now_ms)
    return key.device_id


def store_of(state_dir: Path) -> DeviceStore:
    return DeviceStore(state_dir / "devices")


def edit(state_dir: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a file of the store as no program of ours does."""
    path = state_dir / "devices" / name
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def cut_trail(state_dir: Path, event: str) -> None:
    """Take the lines of one kind out of the trail."""
    path = state_dir / "devices" / "audit.jsonl"
    lines = [line for line in path.read_text().splitlines() if event not in line]
    path.write_text("".join(f"{line}\n" for line in lines))


def only(problems: list[StoreProblem]) -> StoreProblem:
    (problem,) = problems
    assert problem.remedy
    return problem


def test_a_store_that_was_used_is_fine(state_dir: Path):
    device_id = pair(state_dir)
    store = store_of(state_dir)
    store.rename(device_id, "desk", caller=CLI, now_ms=NOW_MS + 1)
    store.rotate(device_id, "operator", caller=CLI, now_ms=NOW_MS + 60_000)
    store.revoke(device_id, "operator", caller=CLI, now_ms=NOW_MS + 70_000)
    store.rotate(device_id, "operator", caller=CLI, now_ms=NOW_MS + 80_000)
    gone = pair(state_dir)
    store.remove(gone, caller=CLI, now_ms=NOW_MS)
    store.block("ab" * 32, caller=CLI, now_ms=NOW_MS)

    assert verify(state_dir) == []


def test_a_device_that_was_removed_and_came_back_is_fine(state_dir: Path):
    key = generate()
    store_of(state_dir).remove(pair(state_dir, key=key), caller=CLI, now_ms=NOW_MS + 1)
    pair(state_dir, key=key, now_ms=NOW_MS + 10_000)

    assert verify(state_dir) == []


def test_no_store_has_no_problems(tmp_path: Path):
    assert verify(tmp_path / "nothing") == []


def test_looking_writes_nothing(state_dir: Path):
    pair(state_dir)
    folder = state_dir / "devices"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}

    verify(state_dir)

    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["pending.json", "paired.json", "notes.json", "bootstrap.json"])
@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"], ids=["empty", "array", "cut", "zero"])
def test_a_file_that_is_no_object_is_told(state_dir: Path, name: str, text: str):
    pair(state_dir)
    path = state_dir / "devices" / name
    path.write_text(text)
    path.chmod(0o600)

    assert str(path) in {problem.file for problem in verify(state_dir)}


def test_a_record_of_another_key_is_told(state_dir: Path):
    device_id, other = pair(state_dir), generate()
    edit(
        state_dir,
        "paired.json",
        lambda records: records[device_id].update(publicKey=other.public_key),
    )

    problem = only(verify(state_dir))

    assert problem.path == f"$.{device_id}"
    assert "does not hash" in problem.problem


def test_a_request_under_another_id_is_told(state_dir: Path):
    key = generate()
    wish = Wish(key.device_id, key.public_key, "operator", READ)
    store_of(state_dir).one(lambda b, r: pairing.request(b, r, wish=wish), now_ms=NOW_MS)
    edit(
        state_dir,
        "pending.json",
        lambda records: records.update({"AAAA-AAAA": records.popitem()[1]}),
    )

    assert only(verify(state_dir)).path == "$.AAAA-AAAA"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"isRepair": True}, "not paired", id="upgrade-of-nobody"),
        pytest.param(None, "is blocked", id="blocked"),
    ],
)
def test_a_request_that_cannot_be_is_told(
    state_dir: Path, change: dict[str, Any] | None, said: str
):
    key = generate()
    wish = Wish(key.device_id, key.public_key, "operator", READ)
    store = store_of(state_dir)
    item = store.one(lambda b, r: pairing.request(b, r, wish=wish), now_ms=NOW_MS)
    if change is None:
        notes = state_dir / "devices" / "notes.json"
        notes.write_text(json.dumps({key.device_id: {"blocked": True}}))
        notes.chmod(0o600)
    else:
        edit(state_dir, "pending.json", lambda records: records[item.request_id].update(change))

    problem = only(verify(state_dir))

    assert said in problem.problem
    assert problem.path == f"$.{item.request_id}"


def test_an_upgrade_that_waits_is_fine(state_dir: Path):
    key = generate()
    pair(state_dir, key=key)
    wish = Wish(key.device_id, key.public_key, "operator", ("operator.admin",))
    store_of(state_dir).one(lambda b, r: pairing.request(b, r, wish=wish), now_ms=NOW_MS)

    assert verify(state_dir) == []


def test_a_device_under_another_id_is_told(state_dir: Path):
    device_id = pair(state_dir)
    moved = {"a" * 64: None}
    edit(state_dir, "paired.json", lambda records: moved.update({"a" * 64: records[device_id]}))
    edit(state_dir, "paired.json", lambda records: records.update(moved))

    problem = only(verify(state_dir))

    assert problem.path == f"$.{'a' * 64}"
    assert "filed under" in problem.problem


def test_a_token_under_another_role_is_told(state_dir: Path):
    device_id = pair(state_dir)
    edit(state_dir, "paired.json", lambda records: token_of(records, device_id).update(role="node"))

    assert "for another role" in only(verify(state_dir)).problem


def test_a_device_without_a_token_value_opens_nothing_and_is_fine(state_dir: Path):
    device_id = pair(state_dir)
    edit(state_dir, "paired.json", lambda records: token_of(records, device_id).update(token=""))

    assert verify(state_dir) == []


def test_a_file_that_cannot_be_opened_is_told(state_dir: Path):
    pair(state_dir)
    for name in ("paired.json", "store.key", "bootstrap.json"):
        path = state_dir / "devices" / name
        path.unlink(missing_ok=True)
        path.mkdir(mode=0o700)

    told = {Path(problem.file).name for problem in verify(state_dir)}

    assert {"paired.json", "store.key", "bootstrap.json"} <= told


def test_a_folder_that_cannot_be_written_is_told(state_dir: Path, monkeypatch: pytest.MonkeyPatch):
    pair(state_dir)
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)

    (problem,) = verify(state_dir)

    assert problem.problem.startswith(f"cannot write in {state_dir / 'devices'}")


def test_lines_of_the_trail_that_mean_nothing_are_passed_over(state_dir: Path):
    pair(state_dir)
    trail = state_dir / "devices" / "audit.jsonl"
    odd = ['"text"', "[]", '{"event": 1}', '{"ts": 7, "event": "device.approved"}', '{"half']
    trail.write_text("\n".join([*odd, trail.read_text()]))

    assert verify(state_dir) == []


def test_a_note_of_nobody_is_told(state_dir: Path):
    pair(state_dir)
    edit(state_dir, "notes.json", lambda records: records.update({"ab" * 32: {"label": "ghost"}}))

    assert only(verify(state_dir)).path == f"$.{'ab' * 32}"


def token_of(records: dict[str, Any], device_id: str) -> dict[str, Any]:
    token: dict[str, Any] = records[device_id]["tokens"]["operator"]
    return token


def test_a_token_beyond_what_was_approved_is_told(state_dir: Path):
    device_id = pair(state_dir)
    beyond = ["operator.admin", "operator.read"]
    edit(
        state_dir, "paired.json", lambda records: token_of(records, device_id).update(scopes=beyond)
    )

    problem = only(verify(state_dir))

    assert "operator.admin" in problem.problem
    assert "operator.read" not in problem.problem
    assert f"openclaw devices rotate {device_id[:12]} --role operator" in problem.remedy


def test_a_token_for_a_role_nobody_approved_is_told(state_dir: Path):
    device_id = pair(state_dir)

    def steal(records: dict[str, Any]) -> None:
        forged = token_of(records, device_id) | {"token": "x" * 43, "role": "node", "scopes": []}
        records[device_id]["tokens"]["node"] = forged

    edit(state_dir, "paired.json", steal)

    problem = only(verify(state_dir))
    assert "never approved for" in problem.problem


def test_two_devices_with_one_token_are_told_without_showing_it(state_dir: Path):
    one, two = pair(state_dir), pair(state_dir)
    secret = store_of(state_dir).read().paired[one].tokens["operator"].token
    edit(state_dir, "paired.json", lambda records: token_of(records, two).update(token=secret))

    problem = only(verify(state_dir))

    assert "same value" in problem.problem
    assert secret not in str(problem)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        pytest.param("devices/paired.json", 0o644, id="file"),
        pytest.param("devices/audit.jsonl", 0o660, id="trail"),
        pytest.param("devices", 0o755, id="folder"),
        pytest.param(".", 0o750, id="state"),
    ],
)
def test_what_others_may_look_into_is_told_with_the_command(state_dir: Path, name: str, mode: int):
    pair(state_dir)
    (state_dir / name).chmod(mode)

    problem = only(verify(state_dir))

    assert f"{mode:04o}" in problem.problem
    right = "700" if (state_dir / name).is_dir() else "600"
    assert problem.remedy == f"close it with `chmod {right} {problem.file}`"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_somebody_else_is_told(state_dir: Path):
    pair(state_dir)
    os.chown(state_dir / "devices" / "notes.json", 1234, 1234)

    problem = only(verify(state_dir))

    assert "uid 1234" in problem.problem
    assert "sudo chown 0:0 " in problem.remedy


def test_a_link_in_the_store_is_told(state_dir: Path, tmp_path: Path):
    pair(state_dir)
    (state_dir / "devices" / "other.json").symlink_to(tmp_path / "elsewhere")

    assert "symbolic link" in only(verify(state_dir)).problem


def test_a_store_key_that_is_none_is_told(state_dir: Path):
    pair(state_dir)
    (state_dir / "devices" / "store.key").write_bytes(b"short")

    assert "5 bytes" in only(verify(state_dir)).problem


def test_an_invitation_in_clear_is_told_without_showing_it(state_dir: Path):
    pair(state_dir)
    path = state_dir / "devices" / "bootstrap.json"
    path.write_text(json.dumps({"ab" * 32: {"usesLeft": 1}, "S3CRET": {"usesLeft": 1}}))
    path.chmod(0o600)

    problem = only(verify(state_dir))

    assert problem.path == "$[1]"
    assert "S3CRET" not in str(problem)


def test_a_device_nobody_approved_is_told(state_dir: Path):
    device_id = pair(state_dir)
    cut_trail(state_dir, "device.approved")

    problem = only(verify(state_dir))

    assert "no line says who approved it" in problem.problem
    assert f"openclaw devices remove {device_id[:12]}" in problem.remedy


def test_many_devices_nobody_approved_are_one_finding(state_dir: Path):
    for _ in range(6):
        pair(state_dir)
    cut_trail(state_dir, "device.approved")

    assert only(verify(state_dir)).problem.startswith("6 devices are paired,")


def test_a_trail_whose_beginning_was_put_away_accuses_nobody(state_dir: Path):
    pair(state_dir)
    pair(state_dir, now_ms=NOW_MS + 10_000)
    trail = state_dir / "devices" / "audit.jsonl"
    trail.write_text("".join(f"{line}\n" for line in trail.read_text().splitlines()[2:]))
    accused = verify(state_dir)
    trail.with_name("audit.jsonl.8").touch(0o600)

    assert len(accused) == 1
    assert verify(state_dir) == []


def test_a_device_that_was_removed_and_is_there_is_told(state_dir: Path):
    device_id = pair(state_dir)
    paired = (state_dir / "devices" / "paired.json").read_bytes()
    notes = (state_dir / "devices" / "notes.json").read_bytes()
    store_of(state_dir).remove(device_id, caller=CLI, now_ms=NOW_MS + 1)
    (state_dir / "devices" / "paired.json").write_bytes(paired)
    (state_dir / "devices" / "notes.json").write_bytes(notes)

    assert "was removed" in only(verify(state_dir)).problem


def test_a_token_that_was_revoked_and_lives_is_told(state_dir: Path):
    device_id = pair(state_dir)
    store_of(state_dir).revoke(device_id, "operator", caller=CLI, now_ms=NOW_MS + 1)
    edit(state_dir, "paired.json", lambda records: token_of(records, device_id).pop("revokedAtMs"))

    problem = only(verify(state_dir))

    assert "was revoked, and works again" in problem.problem
    assert f"openclaw devices revoke {device_id[:12]} --role operator" in problem.remedy


def test_a_token_issued_anew_without_a_line_is_told(state_dir: Path):
    device_id = pair(state_dir)
    store_of(state_dir).rotate(device_id, "operator", caller=CLI, now_ms=NOW_MS + 60_000)
    cut_trail(state_dir, "device.rotated")

    problem = only(verify(state_dir))

    assert "was issued anew" in problem.problem
    assert problem.path == f"$.{device_id}.tokens.operator"
