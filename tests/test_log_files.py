"""The log's files: their order, their bound, and readers that lose and repeat nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import log_files as log_files_module
from stores.errors import StoreError
from stores.log_files import KEPT_DAYS, LogFile, LogReader, drop_old, file_to_write, log_files

DAY = LogFile("2026-03-01", 0)


def write(folder: Path, file: LogFile, text: str) -> Path:
    path = folder / file.name
    with path.open("a") as sink:
        sink.write(text)
    return path


def texts(reader: LogReader) -> list[str]:
    return [line.text.decode() for line in reader.new_lines()]


def test_files_come_in_the_order_in_which_they_were_written(tmp_path: Path):
    names = [
        "gateway-2026-02-28.jsonl",
        "gateway-2026-03-01.jsonl",
        "gateway-2026-03-01.1.jsonl",
        "gateway-2026-03-01.2.jsonl",
        "gateway-2026-03-01.10.jsonl",
    ]
    for name in ["refusals.jsonl", "gateway-2026-03-01.01.jsonl", "gateway-x.jsonl", *names[::-1]]:
        (tmp_path / name).touch()

    assert [one.name for one in log_files(tmp_path)] == names


def test_a_folder_that_is_not_there_holds_no_log(tmp_path: Path):
    assert log_files(tmp_path / "no") == []


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot read"):
        log_files(tmp_path / "file")


@pytest.mark.parametrize(
    ("there", "written"),
    [
        pytest.param([], DAY, id="first"),
        pytest.param([LogFile("2026-02-28", 3)], DAY, id="new-day"),
        pytest.param([DAY, LogFile("2026-03-01", 2)], LogFile("2026-03-01", 2), id="newest"),
        pytest.param([LogFile("2026-03-05", 0)], LogFile("2026-03-05", 0), id="clock-put-back"),
    ],
)
def test_the_newest_file_is_gone_on_with(tmp_path: Path, there: list[LogFile], written: LogFile):
    for file in there:
        write(tmp_path, file, "")

    assert file_to_write(tmp_path, "2026-03-01") == written


def test_so_many_days_are_kept_and_no_more(tmp_path: Path):
    days = [LogFile(f"2026-03-{day:02d}", 0) for day in range(1, 29)]
    for file in days:
        write(tmp_path, file, "x\n")

    drop_old(tmp_path, days[-1], full_bytes=1000)

    assert log_files(tmp_path) == days[-KEPT_DAYS:]


def test_no_more_bytes_are_kept_than_ten_full_files_hold(tmp_path: Path):
    files = [LogFile("2026-03-01", number) for number in range(30)]
    for file in files:
        write(tmp_path, file, "x" * 100)

    drop_old(tmp_path, files[-1], full_bytes=100)

    assert log_files(tmp_path) == files[-10:]


def test_a_clock_that_was_wrong_removes_nothing(tmp_path: Path):
    there = [LogFile("2026-03-01", 0), LogFile("2038-01-19", 0)]
    for file in there:
        write(tmp_path, file, "x\n")

    drop_old(tmp_path, there[-1], full_bytes=1000)

    assert log_files(tmp_path) == there


def test_the_newest_lines_come_first_across_files(tmp_path: Path):
    write(tmp_path, LogFile("2026-02-28", 0), "a\nb\n")
    write(tmp_path, DAY, "c\n")
    write(tmp_path, DAY.next, "d\ne\nunfini")

    lines = list(LogReader(tmp_path).backwards())

    assert [line.text.decode() for line in lines] == ["e", "d", "c", "b", "a"]
    assert lines[0].file == DAY.next


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"))), st.integers(1, 9))
def test_blocks_of_any_size_give_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], block: int
):
    folder = tmp_path_factory.mktemp("logs")
    (folder / DAY.name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files_module, "BLOCK_BYTES", block)
        found = [line.text.decode() for line in LogReader(folder).backwards()]
        followed = texts(LogReader(folder))

    assert found == lines[::-1]
    assert followed == lines


def test_each_line_comes_once_through_rotations(tmp_path: Path):
    reader = LogReader(tmp_path)
    write(tmp_path, DAY, "0\n1\n")
    list(reader.backwards())

    write(tmp_path, DAY, "2\n")
    first = texts(reader)
    write(tmp_path, DAY, "3\n")
    write(tmp_path, DAY.next, "4\n")
    write(tmp_path, LogFile("2026-03-02", 0), "5\n")
    second = texts(reader)

    assert (first, second, texts(reader)) == (["2"], ["3", "4", "5"], [])


def test_what_is_written_while_the_newest_lines_are_shown_comes_after_them(tmp_path: Path):
    write(tmp_path, DAY, "0\n")
    reader = LogReader(tmp_path)
    shown = reader.backwards()
    write(tmp_path, DAY, "1\n")

    assert [line.text for line in shown] == [b"0"]
    assert texts(reader) == ["1"]


def test_a_line_is_waited_for_until_it_is_whole(tmp_path: Path):
    reader = LogReader(tmp_path)
    write(tmp_path, DAY, "begin")
    before = texts(reader)
    write(tmp_path, DAY, "ning\nnext")

    assert (before, texts(reader)) == ([], ["beginning"])


@pytest.mark.parametrize("how", ["removed", "emptied", "replaced"])
def test_a_file_that_begins_anew_is_read_from_its_beginning(tmp_path: Path, how: str):
    reader = LogReader(tmp_path)
    path = write(tmp_path, DAY, "old one\n")
    texts(reader)
    if how == "removed":
        path.unlink()
        texts(reader)
    elif how == "emptied":
        os.truncate(path, 0)
    else:
        (tmp_path / "new").write_text("")
        os.replace(tmp_path / "new", path)
    write(tmp_path, DAY, "new\n")

    assert texts(reader) == ["new"]


def test_a_link_to_the_log_of_another_gateway_is_passed_over(tmp_path: Path):
    other = tmp_path / "other"
    own = tmp_path / "own"
    for folder in (other, own):
        folder.mkdir()
    write(other, DAY, "theirs\n")
    (own / DAY.name).symlink_to(other / DAY.name)
    os.mkfifo(own / DAY.next.name)
    (own / "gateway-2026-03-02.jsonl").mkdir()

    assert list(LogReader(own).backwards()) == []
    assert texts(LogReader(own)) == []


def test_a_line_without_an_end_is_passed_over_in_pieces(tmp_path: Path):
    write(tmp_path, DAY, "x" * (3 << 20) + "\nafter\n")

    assert texts(LogReader(tmp_path))[-1] == "after"
    newest_first = [line.text for line in LogReader(tmp_path).backwards()]
    assert newest_first[0] == b"after"


@pytest.mark.parametrize("call", ["listdir", "open"])
def test_who_may_not_read_the_log_is_told_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    write(tmp_path, DAY, "x\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(StoreError, match="belongs to user") as refused:
        texts(LogReader(tmp_path))

    assert refused.value.remedy is not None


def test_a_file_that_is_removed_before_it_was_shown_ends_nothing(tmp_path: Path):
    old = write(tmp_path, LogFile("2026-02-28", 0), "old\n")
    write(tmp_path, DAY, "new\n")
    lines = LogReader(tmp_path).backwards()
    old.unlink()

    assert [line.text for line in lines] == [b"new"]


def test_a_file_that_is_emptied_while_it_is_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_files_module, "MAX_LINE_BYTES", 6)
    path = write(tmp_path, DAY, "first\nsecond\n")
    reader = LogReader(tmp_path)
    lines = reader.new_lines()
    first = next(lines).text
    os.truncate(path, 0)

    assert (first, list(lines)) == (b"first", [])
