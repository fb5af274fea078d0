"""`openclaw logs`: which lines it shows, how, and what it makes of lines that are none."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.test_cli_gateway import run

Logs = Callable[..., tuple[int, str, str]]
TODAY = "gateway-2026-03-02.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Logs:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("OPENCLAW_GATEWAY_URL", raising=False)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: run(["logs", *words], capsys)


def line(message: str, *, at: str = "2026-03-02T10:00:00.123Z", **facts: object) -> str:
    known = {"time": at, "level": "info", "subsystem": "ws", "message": message}
    return json.dumps(known | facts, ensure_ascii=False) + "\n"


def test_lines_read_as_on_the_console_with_the_day_before_them(folder: Path, logs: Logs):
    (folder / TODAY).write_text(line("fine") + line("odd", level="warn", conn="c1"))

    assert logs() == (
        0,
        "2026-03-02 10:00:00Z [ws] fine\n2026-03-02 10:00:00Z [ws] warn: odd\n",
        "",
    )


def test_the_newest_lines_of_all_files_are_shown_the_oldest_first(folder: Path, logs: Logs):
    (folder / "gateway-2026-03-01.jsonl").write_text(line("1") + line("2"))
    (folder / TODAY).write_text(line("3"))

    assert [one[-1] for one in logs("--limit", "2")[1].splitlines()] == ["2", "3"]
    assert [one[-1] for one in logs()[1].splitlines()] == ["1", "2", "3"]


def test_without_a_limit_two_hundred_lines_are_shown_and_since_a_time_all(
    folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    (folder / TODAY).write_text("".join(line(str(number)) for number in range(300)))

    assert len(logs()[1].splitlines()) == 200
    assert len(logs("--since", "2026-03-02")[1].splitlines()) == 300
    assert len(logs("--since", "2026-03-02", "--limit", "5")[1].splitlines()) == 5
    monkeypatch.setattr("cli.logs.LIMIT_SINCE", 250)
    _, out, err = logs("--since", "2026-03-02")
    assert len(out.splitlines()) == 250
    assert "`--limit N`" in err


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        pytest.param("debug", ["debug", "info", "warn", "error", "fatal"], id="debug"),
        pytest.param("warn", ["warn", "error", "fatal"], id="warn"),
        pytest.param("ERROR", ["error", "fatal"], id="in-any-case"),
    ],
)
def test_a_level_means_that_and_worse(folder: Path, logs: Logs, level: str, shown: list[str]):
    levels = ["debug", "info", "warn", "error", "fatal"]
    (folder / TODAY).write_text("".join(line(f"is {one}", level=one) for one in levels))

    found = logs("--level", level)[1].splitlines()

    assert [one.rpartition(" ")[2] for one in found] == shown


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        pytest.param("2026-03-02T10:00", ["b", "c"], id="time-in-utc"),
        pytest.param("2026-03-02T12:00+02:00", ["b", "c"], id="time-of-a-zone"),
        pytest.param("2026-03-02 10:30:00", ["c"], id="with-a-space"),
        pytest.param("2027-01-01", [], id="later-than-all"),
        pytest.param("9999999d", ["a", "b", "c"], id="before-the-year-1"),
        pytest.param("999999999w", ["a", "b", "c"], id="longer-than-a-span-can-be"),
    ],
)
def test_what_is_older_than_a_time_is_left_out(
    folder: Path, logs: Logs, since: str, shown: list[str]
):
    (folder / TODAY).write_text(
        line("a", at="2026-03-02T09:00:00Z")
        + line("b", at="2026-03-02T10:00:00Z")
        + line("c", at="2026-03-02T11:00:00Z")
    )

    code, out, _ = logs("--since", since)

    assert (code, [one[-1] for one in out.splitlines()]) == (0, shown)


def test_the_edge_of_the_calendar_is_a_time_in_every_zone(
    folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    (folder / TODAY).write_text(line("a", at="2026-03-02T09:00:00Z"))

    for since in ("0001-01-01T00:00", "9999-12-31T23:59"):
        assert logs("--since", since, "--local-time")[0] == 0


def test_a_span_counts_from_now(folder: Path, logs: Logs):
    now = datetime.now(UTC)
    times = [(now - timedelta(minutes=age)).isoformat() for age in (200, 100, 1)]
    (folder / TODAY).write_text("".join(line(f"{n}", at=at) for n, at in enumerate(times)))

    assert [one[-1] for one in logs("--since", "2h")[1].splitlines()] == ["1", "2"]


def test_text_is_looked_for_in_any_case_and_as_it_is(folder: Path, logs: Logs):
    (folder / TODAY).write_text(
        line("Straße (a.b)") + line("straSSE (aXb)") + line("other", conn="0af3-Conn")
    )

    assert len(logs("--grep", "STRASSE")[1].splitlines()) == 2
    assert len(logs("--grep", "(A.B)")[1].splitlines()) == 1
    assert len(logs("--grep", "af3-conn")[1].splitlines()) == 1
    assert logs("--grep", "nowhere") == (0, "", "")


def marked(text: str) -> str:
    return text.replace("{", '{"type": "log", ', 1)


def test_the_json_lines_are_printed_as_they_are_and_marked(folder: Path, logs: Logs):
    first, second = line("ü", conn="c1"), line("next", level="warn")
    (folder / TODAY).write_text(first + second)

    assert logs("--json")[1] == marked(first) + marked(second)
    assert logs("--json", "--level", "warn")[1] == marked(second)


def test_a_torn_line_is_shown_to_people_and_kept_from_programs(folder: Path, logs: Logs):
    (folder / TODAY).write_text(line("whole") + '{"time": "2026-03-\n' + "[1]\n" + line("after"))

    assert logs()[1].splitlines()[1] == '{"time": "2026-03-'
    for_programs = logs("--json")[1].splitlines()
    assert [json.loads(one)["message"] for one in for_programs] == ["whole", "after"]


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["people", "programs"])
def test_nothing_in_a_line_steers_the_terminal(folder: Path, logs: Logs, words: tuple[str, ...]):
    evil = "\x1b[2J\x9b31m\x7f\u202e"
    (folder / TODAY).write_text(
        line(evil, subsystem=evil, exception=f"Traceback\n{evil}")
        + '{"message": "raw \x9b\x7f", "level": "info"}\n'
        + f"torn {evil}\n"
    )

    code, out, _ = logs(*words)

    assert code == 0
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "Traceback" in out
    if words:
        assert json.loads(out.splitlines()[0])["message"] == evil
        assert [json.loads(one)["type"] for one in out.splitlines()] == ["log", "log"]


def test_a_traceback_keeps_its_lines(folder: Path, logs: Logs):
    (folder / TODAY).write_text(line("failed", level="error", exception="Traceback:\n  here"))

    assert logs()[1].splitlines()[1:] == ["Traceback:", "  here"]


def test_times_of_this_machine_say_their_zone(
    folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    (folder / TODAY).write_text(line("x") + line("y", at="not a time"))

    first, second = logs("--local-time")[1].splitlines()

    assert re.match(r"2026-03-0[123] \d\d:\d\d:\d\d[+-]\d\d:\d\d \[ws\] x", first)
    assert second == "? [ws] y"


@pytest.mark.parametrize(
    ("words", "terminal", "coloured"),
    [
        pytest.param((), True, True, id="terminal"),
        pytest.param(("--plain",), True, False, id="plain"),
        pytest.param((), False, False, id="pipe"),
    ],
)
def test_colours_are_for_terminals(
    folder: Path,
    logs: Logs,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    terminal: bool,
    coloured: bool,
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    (folder / TODAY).write_text(line("bad", level="error"))

    assert ("\x1b[31m" in logs(*words)[1]) is coloured


def test_without_a_log_it_says_where_it_looked_and_what_to_do(logs: Logs, tmp_path: Path):
    code, out, err = logs()

    assert (code, out) == (1, "")
    assert str(tmp_path / "logs") in err
    assert "`openclaw gateway run`" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("--since", "soon"), "--since 'soon'", id="since"),
        pytest.param(("--url", "ws://other"), "on that gateway's machine", id="url"),
        pytest.param(("--level", "loud"), "loud", id="level"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    folder: Path, logs: Logs, words: tuple[str, ...], told: str
):
    (folder / TODAY).write_text(line("x"))
    code, out, err = logs(*words)

    assert (code, out) == (2, "")
    assert told in err


def test_it_says_so_when_the_commands_here_are_meant_for_another_gateway(
    folder: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
):
    (folder / TODAY).write_text(line("x"))
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "wss://other.example")

    code, _, err = logs()

    assert code == 0
    assert "this machine's own" in err
