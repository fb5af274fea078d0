from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from stores import codec
from stores.errors import StoreError
from stores.files import replace_file
from stores.record_file import SETTLED_NS, RecordFile
from stores.records import DeviceNote

HIDDEN = DeviceNote(label="hidden")


def no_hidden(key: str, note: DeviceNote) -> str | None:
    return "hidden" if note == HIDDEN else None


def a_file(folder: Path, *, precious: bool = True) -> RecordFile[DeviceNote]:
    return RecordFile(folder / "notes.json", DeviceNote, no_hidden, precious=precious)


def put(folder: Path, value: Any) -> None:
    data = value if isinstance(value, bytes) else orjson.dumps(value, option=orjson.OPT_INDENT_2)
    (folder / "notes.json").write_bytes(data)


def on_disk(folder: Path) -> Any:
    return json.loads((folder / "notes.json").read_bytes())


def settle(folder: Path) -> None:
    """Make the file old, as if its last change was long ago."""
    path = folder / "notes.json"
    old_ns = path.stat().st_mtime_ns - 10 * SETTLED_NS
    os.utime(path, ns=(old_ns, old_ns))


DESK = {"label": "desk"}
A_DESK = DeviceNote(label="desk")


def test_a_missing_file_holds_nothing_and_is_no_problem(tmp_path):
    file = a_file(tmp_path)

    assert not file.look()
    assert (file.records, file.problems) == ({}, ())


def test_records_are_read_and_a_second_look_finds_nothing_new(tmp_path):
    put(tmp_path, {"a": DESK})
    file = a_file(tmp_path)

    first = file.look()
    records = file.records
    second = file.look()

    assert (first, second) == (True, False)
    assert file.records is records
    assert records == {"a": A_DESK}


def test_a_file_that_did_not_move_is_not_opened(tmp_path, monkeypatch):
    put(tmp_path, {"a": DESK})
    settle(tmp_path)
    file = a_file(tmp_path)
    file.look()
    monkeypatch.delattr(os, "open")

    assert not file.look()


def test_a_change_that_its_stamp_hides_is_seen(tmp_path):
    put(tmp_path, {"a": DESK})
    file = a_file(tmp_path)
    file.look()
    before = (tmp_path / "notes.json").stat()
    put(tmp_path, {"a": {"label": "sofa"}})
    os.utime(tmp_path / "notes.json", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.look()
    assert file.records["a"].label == "sofa"


def test_a_change_by_another_program_is_seen(tmp_path):
    put(tmp_path, {"a": DESK})
    settle(tmp_path)
    file = a_file(tmp_path)
    file.look()

    replace_file(tmp_path / "notes.json", b'{"b": {"label": "sofa"}}')

    assert file.look()
    assert file.records == {"b": DeviceNote(label="sofa")}


def test_a_file_that_was_deleted_holds_nothing(tmp_path):
    put(tmp_path, {"a": DESK})
    file = a_file(tmp_path)
    file.look()

    (tmp_path / "notes.json").unlink()

    assert file.look()
    assert file.records == {}


def test_other_formatting_is_no_other_content(tmp_path):
    put(tmp_path, {"a": DESK})
    file = a_file(tmp_path)
    file.look()
    records = file.records

    put(tmp_path, b'{"a":{"label":"desk"}}')

    assert not file.look()
    assert file.records is records


def test_an_entry_that_did_not_change_keeps_its_record(tmp_path):
    put(tmp_path, {"a": DESK, "b": DESK})
    file = a_file(tmp_path)
    file.look()
    kept = file.records["a"]

    put(tmp_path, {"a": DESK, "b": {"label": "sofa"}})
    file.look()

    assert file.records["a"] is kept
    assert file.records["b"].label == "sofa"


def test_what_is_written_is_read_again(tmp_path):
    a_file(tmp_path).write({"a": A_DESK})

    file = a_file(tmp_path)
    file.look()

    assert file.records == {"a": A_DESK}
    assert (tmp_path / "notes.json").read_bytes() == (
        b'{\n  "a": {\n    "label": "desk",\n    "blocked": false\n  }\n}'
    )


def test_an_empty_file_is_written_as_published_programs_do(tmp_path):
    a_file(tmp_path).write({})

    assert (tmp_path / "notes.json").read_bytes() == b"{}"


def test_only_a_record_that_changed_is_encoded(tmp_path, monkeypatch):
    put(tmp_path, {f"d{number}": DESK for number in range(100)})
    file = a_file(tmp_path)
    file.look()
    encoded: list[Any] = []
    dump = codec.dump

    def counted(record: Any) -> dict[str, Any]:
        encoded.append(record)
        return dump(record)

    monkeypatch.setattr(codec, "dump", counted)
    sofa = DeviceNote(label="sofa")

    file.write({**file.records, "d7": sofa})
    file.write(file.records)

    assert encoded == [sofa]
    assert on_disk(tmp_path)["d7"]["label"] == "sofa"


def test_an_entry_that_did_not_change_keeps_its_bytes(tmp_path):
    theirs = b'{\n  "a": {"blocked":false,   "label":"desk"},\n  "b": {\n    "label": "x"\n  }\n}\n'
    put(tmp_path, theirs)
    file = a_file(tmp_path)
    file.look()

    file.write({**file.records, "b": A_DESK})

    assert (tmp_path / "notes.json").read_bytes().startswith(
        b'{\n  "a": {"blocked":false,   "label":"desk"},\n  "b"'
    )  # fmt: skip


BROKEN: dict[str, Any] = {
    "wrong-type": {"label": 1},
    "no-object": [],
    "unsound": {"label": "hidden"},
    "null": None,
}


@pytest.mark.parametrize("indented", [True, False], ids=["our-layout", "another-layout"])
def test_a_broken_entry_is_reported_and_kept_through_rewrites_and_not_served(tmp_path, indented):
    raw = {"a": DESK, **BROKEN}
    put(tmp_path, raw if indented else orjson.dumps(raw))
    file = a_file(tmp_path)
    file.look()

    file.write({**file.records, "new": A_DESK})
    again = a_file(tmp_path)
    again.look()

    assert again.records == {"a": A_DESK, "new": A_DESK}
    assert {key: on_disk(tmp_path)[key] for key in BROKEN} == BROKEN
    for seen in (file, again):
        assert [(found.file, found.path) for found in seen.problems] == [
            (str(tmp_path / "notes.json"), f"$.{key}") for key in BROKEN
        ]
    assert again.problems[0].problem == "expected str, got int @ $.label"
    assert again.problems[2].problem == "hidden"
    assert "repair or delete" in again.problems[0].remedy


def test_a_broken_entry_gives_way_to_a_sound_record_of_the_same_id(tmp_path):
    put(tmp_path, {"a": [], "b": []})
    file = a_file(tmp_path)
    file.look()

    file.write({"a": A_DESK})

    assert on_disk(tmp_path) == {"a": {"label": "desk", "blocked": False}, "b": []}


def test_a_repaired_entry_is_served(tmp_path):
    put(tmp_path, {"a": []})
    file = a_file(tmp_path)
    file.look()

    put(tmp_path, {"a": DESK})

    assert file.look()
    assert (file.records, file.problems) == ({"a": A_DESK}, ())


def test_half_a_character_breaks_its_own_entry_alone_and_is_kept(tmp_path):
    put(tmp_path, b'{\n  "a": {"label": "cut \\ud83d"},\n  "b": {"label": "desk"}\n}')
    file = a_file(tmp_path)
    file.look()

    file.write({**file.records, "c": A_DESK})

    assert file.records == {"b": A_DESK, "c": A_DESK}
    assert [found.path for found in file.problems] == ["$.a"]
    assert on_disk(tmp_path)["a"] == {"label": "cut \ud83d"}


def test_a_write_that_fails_changes_nothing_in_memory_or_on_disk(tmp_path, monkeypatch):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    before = file.records

    def rename(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StoreError):
        file.write({})
    monkeypatch.undo()

    assert file.records is before
    assert not file.look()
    assert {path.name for path in tmp_path.iterdir()} == {"notes.json", "notes.json.bak"}


def test_a_write_sweeps_what_killed_writers_left(tmp_path):
    file = a_file(tmp_path)
    file.stage({"a": A_DESK})

    file.write({"b": A_DESK})

    assert {path.name for path in tmp_path.iterdir()} == {"notes.json", "notes.json.bak"}
