"""A record file that is no JSON object any more; `test_record_file` has the rest."""

from __future__ import annotations

import re
import subprocess

import pytest

from stores.errors import CorruptStoreError, StoreError
from tests.test_record_file import A_DESK, DESK, a_file, on_disk, put

CORRUPT = [
    pytest.param(b"", id="zero-byte"),
    pytest.param(b"[]", id="array"),
    pytest.param(b"null", id="null"),
    pytest.param(b'{\n  "a": {"label": "de', id="torn"),
    pytest.param(b'{\n  "a": {"label" "desk"},\n  "b": {}\n}', id="a-colon-missing"),
    pytest.param(b"\0" * 512, id="zeros-after-a-power-cut"),
]


@pytest.mark.parametrize("data", CORRUPT)
def test_what_was_known_keeps_working_when_the_file_breaks(tmp_path, data):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    put(tmp_path, data)

    changed = file.look()

    assert not changed
    assert file.records == {"a": A_DESK}
    (problem,) = file.problems
    assert problem.path == "$"
    assert problem.problem.endswith("; 1 known entries keep working")
    assert problem.remedy.startswith("nothing is lost")
    assert "`cp -p " in problem.remedy
    assert "mv " not in problem.remedy


@pytest.mark.parametrize("data", CORRUPT)
def test_a_broken_file_is_kept_aside_by_the_next_write(tmp_path, data):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    put(tmp_path, data)
    file.look()
    at_ms = (tmp_path / "notes.json").stat().st_mtime_ns // 1_000_000

    file.write({**file.records, "b": A_DESK})

    aside = tmp_path / f"notes.json.corrupt-{at_ms}"
    assert aside.read_bytes() == data
    assert aside.stat().st_mode & 0o777 == 0o600
    assert file.problems == ()
    assert set(on_disk(tmp_path)) == {"a", "b"}


@pytest.mark.parametrize("data", CORRUPT)
def test_the_spare_copy_serves_a_program_that_meets_a_broken_file(tmp_path, data):
    a_file(tmp_path).write({"a": A_DESK})
    put(tmp_path, data)
    file = a_file(tmp_path)

    file.look()
    served, problems = file.records, file.problems
    file.write({**served, "b": A_DESK})

    assert served == {"a": A_DESK}
    assert len(problems) == 1
    assert set(on_disk(tmp_path)) == {"a", "b"}
    assert len(list(tmp_path.glob("notes.json.corrupt-*"))) == 1


def test_the_spare_copy_is_private_and_the_same(tmp_path):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})

    assert file.spare.name == "notes.json.bak"
    assert file.spare.read_bytes() == file.path.read_bytes()
    assert file.spare.stat().st_mode & 0o777 == 0o600


def test_a_spare_that_cannot_be_written_does_not_undo_the_write(tmp_path):
    (tmp_path / "notes.json.bak").mkdir()
    (tmp_path / "notes.json.bak" / "x").mkdir()

    a_file(tmp_path).write({"a": A_DESK})

    assert set(on_disk(tmp_path)) == {"a"}


@pytest.mark.parametrize("spare", [None, b"", b"[]"], ids=["no-spare", "zero-byte", "array"])
def test_a_broken_file_without_anything_known_is_never_written_over(tmp_path, spare):
    put(tmp_path, b"[]")
    if spare is not None:
        (tmp_path / "notes.json.bak").write_bytes(spare)
    file = a_file(tmp_path)
    file.look()

    with pytest.raises(CorruptStoreError, match="is broken and nothing is known") as caught:
        file.write({"b": A_DESK})

    assert file.records == {}
    assert "mv " in str(caught.value.remedy)
    assert (tmp_path / "notes.json").read_bytes() == b"[]"


def test_moving_the_broken_file_away_is_the_way_out(tmp_path):
    put(tmp_path, b"[]")
    file = a_file(tmp_path)
    file.look()
    (tmp_path / "notes.json").rename(tmp_path / "notes.json.broken")

    file.look()
    file.write({"b": A_DESK})

    assert set(on_disk(tmp_path)) == {"b"}


def test_what_can_be_asked_for_again_is_kept_aside_and_begun_anew(tmp_path):
    put(tmp_path, b"[]")
    file = a_file(tmp_path, precious=False)
    file.look()

    file.write({"b": A_DESK})

    assert set(on_disk(tmp_path)) == {"b"}
    assert len(list(tmp_path.glob("notes.json.corrupt-*"))) == 1
    assert not file.spare.exists()


def test_a_broken_file_that_vanished_in_between_needs_no_copy(tmp_path):
    put(tmp_path, b"[]")
    file = a_file(tmp_path, precious=False)
    file.look()
    (tmp_path / "notes.json").unlink()

    file.write({"b": A_DESK})

    assert list(tmp_path.glob("notes.json.corrupt-*")) == []


def test_a_repaired_file_is_read_as_if_nothing_had_been(tmp_path):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    put(tmp_path, b"[]")
    file.look()

    put(tmp_path, {"b": DESK})

    assert file.look()
    assert (file.records, file.problems) == ({"b": A_DESK}, ())


def test_a_file_that_cannot_be_read_is_an_error_and_what_was_known_stays(tmp_path):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    (tmp_path / "notes.json").unlink()
    (tmp_path / "notes.json").mkdir()

    with pytest.raises(StoreError):
        file.look()

    assert file.records == {"a": A_DESK}


@pytest.mark.parametrize("fresh", [False, True], ids=["running", "started-after"])
@pytest.mark.parametrize("data", CORRUPT)
def test_a_remedy_followed_to_the_letter_loses_nothing(tmp_path, data, fresh):
    folder = tmp_path / "a folder"
    folder.mkdir()
    file = a_file(folder)
    file.write({"a": A_DESK})
    put(folder, data)
    file = a_file(folder) if fresh else file
    file.look()

    for command in re.findall("`([^`]+)`", file.problems[0].remedy):
        subprocess.run(command, shell=True, check=True)
    file.look()

    assert (file.records, file.problems) == ({"a": A_DESK}, ())
    file.write({**file.records, "b": A_DESK})
    assert set(on_disk(folder)) == {"a", "b"}


def test_a_spare_that_is_behind_is_not_named(tmp_path):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    spare = file.spare.read_bytes()
    file.write({"a": A_DESK, "b": A_DESK})
    file.spare.write_bytes(spare)
    put(tmp_path, b"[]")

    file.look()

    assert set(file.records) == {"a", "b"}
    assert "cp " not in file.problems[0].remedy


def test_what_can_be_asked_for_again_needs_no_remedy(tmp_path):
    put(tmp_path, b"[]")
    file = a_file(tmp_path, precious=False)

    file.look()

    assert "the next write begins it anew" in file.problems[0].remedy


@pytest.mark.parametrize("fresh", [False, True], ids=["running", "started-after"])
def test_the_spare_of_a_file_that_vanished_is_kept_once_more(tmp_path, fresh):
    file = a_file(tmp_path)
    file.write({"a": A_DESK})
    at_ms = file.spare.stat().st_mtime_ns // 1_000_000
    before = file.spare.read_bytes()
    file.path.unlink()
    file = a_file(tmp_path) if fresh else file
    file.look()

    file.write({"b": A_DESK})
    file.write({"c": A_DESK})

    kept = tmp_path / f"notes.json.bak.{at_ms}"
    assert list(tmp_path.glob("notes.json.bak.*")) == [kept]
    assert kept.read_bytes() == before
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_spare_that_rescued_is_kept_when_the_first_write_holds_less(tmp_path):
    file = a_file(tmp_path)
    file.write({"a": A_DESK, "b": A_DESK})
    before = file.spare.read_bytes()
    put(tmp_path, b"[]")
    file = a_file(tmp_path)
    file.look()

    file.write({"b": A_DESK})

    (kept,) = tmp_path.glob("notes.json.bak.*")
    assert kept.read_bytes() == before


def test_a_spare_is_not_kept_twice_when_nothing_is_lost(tmp_path):
    a_file(tmp_path).write({"a": A_DESK})
    put(tmp_path, b"[]")
    file = a_file(tmp_path)
    file.look()

    file.write({**file.records, "b": A_DESK})

    assert list(tmp_path.glob("notes.json.bak.*")) == []
