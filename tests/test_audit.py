from __future__ import annotations

import json

import pytest

from stores import audit
from stores.audit import append, line_of, lines_of
from stores.errors import StoreError
from stores.records import AuditEntry
from tests.builders import NOW_MS

ENTRY = AuditEntry("device.rejected", "d" * 64, {"kind": "cli", "uid": 0})
FULL = AuditEntry(
    event="device.approved",
    device_id="d" * 64,
    by={"kind": "operator", "deviceId": "e" * 64},
    request_id="ABCD-2345",
    role="operator",
    scopes=("operator.read",),
    origin={"peer": "127.0.0.1", "client": "192.0.2.1"},
    reason="why not",
)


def test_a_line_says_what_whom_by_whom_and_from_where():
    assert line_of(FULL, now_ms=NOW_MS, via="ws") == {
        "ts": "2026-11-20T10:03:57.977Z",
        "event": "device.approved",
        "requestId": "ABCD-2345",
        "deviceId": "d" * 64,
        "role": "operator",
        "scopes": ["operator.read"],
        "by": {"kind": "operator", "deviceId": "e" * 64},
        "via": "ws",
        "from": {"peer": "127.0.0.1", "client": "192.0.2.1"},
        "reason": "why not",
    }


def test_a_line_leaves_out_what_is_not_known():
    line = line_of(ENTRY, now_ms=0, via="files")

    assert line == {
        "ts": "1970-01-01T00:00:00.000Z",
        "event": "device.rejected",
        "deviceId": "d" * 64,
        "by": {"kind": "cli", "uid": 0},
        "via": "files",
    }
    assert "from" not in line_of(
        AuditEntry("e", "d", {"kind": "cli"}, origin={}), now_ms=0, via="ws"
    )


def test_no_scopes_are_something_known():
    entry = AuditEntry("device.approved", "d", {"kind": "cli"}, scopes=())

    assert line_of(entry, now_ms=0, via="ws")["scopes"] == []


def test_a_name_cannot_begin_a_line_of_its_own(tmp_path):
    entry = AuditEntry("device.requested", "d", {"kind": "self"}, reason='x\n{"event": "forged"}')

    append(tmp_path / "audit.jsonl", lines_of([entry], now_ms=0, via="ws"))

    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == entry.reason


def test_lines_are_appended_in_order_to_a_private_file(tmp_path):
    trail = tmp_path / "audit.jsonl"

    append(trail, lines_of([ENTRY, FULL], now_ms=NOW_MS, via="ws"))
    append(trail, lines_of([ENTRY], now_ms=NOW_MS, via="files"))

    events = [json.loads(line)["event"] for line in trail.read_text().splitlines()]
    assert events == ["device.rejected", "device.approved", "device.rejected"]
    assert trail.stat().st_mode & 0o777 == 0o600


def test_no_entries_are_no_lines():
    assert lines_of([], now_ms=0, via="ws") == b""


def test_a_full_trail_is_put_aside_and_the_oldest_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "ROTATE_AT_BYTES", 10)
    trail = tmp_path / "audit.jsonl"

    for number in range(12):
        append(trail, b"%08d\n" % number)

    kept = {path.name: int(path.read_text()) for path in tmp_path.iterdir()}
    assert kept == {"audit.jsonl": 11} | {f"audit.jsonl.{age}": 11 - age for age in range(1, 9)}


def test_a_trail_is_full_at_16_mib(tmp_path):
    trail = tmp_path / "audit.jsonl"
    trail.touch()
    with trail.open("r+b") as file:
        file.truncate(16 * 1024 * 1024 - 10)
        file.seek(-1, 2)
        file.write(b"\n")

    append(trail, b"12345678\n")
    filled = trail.stat().st_size
    append(trail, b"12345678\n")

    assert filled == 16 * 1024 * 1024 - 1
    assert trail.read_bytes() == b"12345678\n"


def test_trying_the_trail_puts_nothing_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "ROTATE_AT_BYTES", 0)
    trail = tmp_path / "audit.jsonl"
    trail.write_bytes(b"x\n")

    append(trail, b"")

    assert trail.read_bytes() == b"x\n"


def test_a_trail_that_cannot_be_put_aside_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "ROTATE_AT_BYTES", 1)
    trail = tmp_path / "audit.jsonl"
    append(trail, b"x\n")
    (tmp_path / "audit.jsonl.8" / "in-the-way").mkdir(parents=True)
    (tmp_path / "audit.jsonl.7").write_bytes(b"")

    with pytest.raises(StoreError, match="cannot put the full audit trail"):
        append(trail, b"y\n")

    assert trail.read_bytes() == b"x\n"


def test_a_symbolic_link_in_place_of_the_trail_is_refused(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")

    for lines in (b"", b"x\n"):
        with pytest.raises(StoreError, match="symbolic link"):
            append(tmp_path / "audit.jsonl", lines)
