"""The log's sinks: redaction, escaping, files, and output that breaks or blocks."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import log as log_module
from gateway.log import Redactor, escape_control, log_file, open_log
from stores.log_files import log_files

logger = logging.getLogger("gateway.test")

Opened = Callable[..., "Log"]


class Log:
    """An open log, and what it wrote."""

    def __init__(self, directory: Path, stream: Any = None, **options: Any) -> None:
        self.directory = directory / "logs"
        self.redactor = Redactor()
        self.stream = io.StringIO() if stream is None else stream
        wanted: dict[str, Any] = {
            "level": "debug",
            "console_level": "debug",
            "max_file_bytes": 1 << 20,
        }
        self.log = open_log(
            self.directory, self.redactor.clean, stream=self.stream, **(wanted | options)
        )
        self.close = self.log.close

    def human(self) -> str:
        self.close()
        text: str = self.stream.getvalue()
        return text

    def records(self) -> list[dict[str, Any]]:
        self.close()
        return [json.loads(line) for line in log_file(self.directory).read_text().splitlines()]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Return what opens a log that is closed when the test ends."""
    logs: list[Log] = []

    def begin(**options: Any) -> Log:
        logs.append(Log(tmp_path, **options))
        return logs[-1]

    yield begin
    for log in logs:
        log.close()


def test_a_record_is_a_line_for_people_and_an_object_for_programs(opened: Opened):
    log = opened()
    logger.warning("conn=%s was %s", "c1", "odd", extra={"conn": "c1"})

    (record,) = log.records()
    assert record["time"].endswith("Z")
    assert {**record, "time": ""} == {
        "time": "",
        "level": "warn",
        "subsystem": "test",
        "message": "conn=c1 was odd",
        "conn": "c1",
    }
    assert log.human()[8:] == " [test] warn: conn=c1 was odd\n"


@pytest.mark.parametrize(
    ("level", "console", "in_file", "on_console"),
    [
        pytest.param("info", "error", ["info", "error"], ["error"], id="file-says-more"),
        pytest.param("error", "debug", ["error"], ["debug", "info", "error"], id="console-more"),
        pytest.param("silent", "silent", [], [], id="silent"),
    ],
)
def test_each_sink_has_its_own_level(
    opened: Opened, level: str, console: str, in_file: list[str], on_console: list[str]
):
    log = opened(level=level, console_level=console)
    for name in ("debug", "info", "error"):
        getattr(logger, name)("text of %s", name)
    human = log.human()

    there = log_file(log.directory)
    written = [record["level"] for record in log.records()] if there.exists() else []
    assert written == in_file
    assert [name for name in ("debug", "info", "error") if f"text of {name}" in human] == on_console


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a known one: s3cr3t-value-1", id="known"),
        pytest.param("url http://x/#token=s3cr3t-value-2", id="fragment"),
        pytest.param('{"token": "s3cr3t-value-3"}', id="json"),
        pytest.param("{'deviceToken': 's3cr3t-value-4'}", id="repr"),
        pytest.param("Authorization: Bearer s3cr3t-value-5", id="bearer"),
        pytest.param("authorization=s3cr3t-value-6", id="authorization"),
        pytest.param("OPENCLAW_GATEWAY_PASSWORD=s3cr3t-value-7", id="variable"),
        pytest.param("the token: s3cr3t-value-8", id="colon"),
        pytest.param("secret='s3cr3t-value-9'", id="quoted"),
    ],
)
def test_a_secret_is_written_nowhere(opened: Opened, text: str):
    log = opened()
    log.redactor.learn("s3cr3t-value-1")
    logger.info("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed")

    written = log.human() + log_file(log.directory).read_text()
    assert "s3cr3t" not in written
    assert "***" in written
    assert "Traceback" in written


@pytest.mark.parametrize(
    "text",
    [
        "gateway token mismatch (set gateway.remote.token to match gateway.auth.token)",
        "unauthorized: gateway token missing",
        "missing scope: operator.pairing",
        "gateway.auth.token: expected text, got a number",
        "gateway.auth.password is not set",
        "auth mode token, from gateway.auth.token in /home/u/.openclaw/openclaw.json",
        "security audit: device=x ip=127.0.0.1 auth=token roleFrom=none scopesFrom=none",
        "closed before connect conn=1 code=1008 reason=device token mismatch",
        "a token was made for you: it is gateway.auth.token in /home/u/openclaw.json",
    ],
)
def test_harmless_sentences_stay_whole(text: str):
    assert Redactor().clean(text) == text


def test_a_secret_that_begins_like_another_leaves_no_rest():
    redactor = Redactor()
    redactor.learn("abcdef", "abcdefghij", None, "", "short")

    assert redactor.clean("x abcdefghij y short") == "x *** y short"


@given(st.text())
def test_escaped_text_is_printable_and_stays_one_line(text: str):
    assert escape_control(text).isprintable()


def test_control_characters_reach_neither_terminal_nor_file(opened: Opened):
    log = opened()
    logger.info("ua=%s", "a\r\nfake line\x1b[2J\x9b\u202e\ud800", extra={"conn": "c\x1b1"})
    try:
        raise ValueError("\x1b[31mred")
    except ValueError:
        logger.exception("failed")

    human = log.human()
    assert "\x1b" not in human
    assert "a\\r\\nfake line\\x1b[2J\\x9b\\u202e\\ud800" in human
    first, second = log.records()
    assert first["conn"] == "c\\x1b1"
    assert "\x1b" not in second["exception"]


def test_colours_are_for_terminals(opened: Opened):
    log = opened(colour=True)
    logger.error("bad")
    logger.info("fine")

    red, plain = log.human().splitlines()
    assert red.startswith("\033[31m")
    assert red.endswith("\033[0m")
    assert "\033" not in plain


def wait_for(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def lines_of(file: Path) -> list[str]:
    return [json.loads(line)["message"] for line in file.read_text().splitlines()]


def test_a_full_file_is_followed_by_another_and_nothing_is_lost(opened: Opened):
    log = opened(max_file_bytes=400)
    for number in range(10):
        logger.info("line %d", number)
    log.close()

    files = [log.directory / one.name for one in log_files(log.directory)]
    assert [line for file in files for line in lines_of(file)] == [f"line {n}" for n in range(10)]
    assert len(files) > 2
    assert files[-1] == log_file(log.directory)
    assert all(file.stat().st_size <= 400 for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(log.directory.stat().st_mode) == 0o700


def test_a_line_larger_than_a_file_gets_one_of_its_own(opened: Opened):
    log = opened(max_file_bytes=300)
    for text in ("small", "x" * 1000, "small again"):
        logger.info("%s", text)
    log.close()

    sizes = [len(lines_of(log.directory / one.name)) for one in log_files(log.directory)]
    assert sizes == [1, 1, 1]


def test_a_gateway_that_starts_again_goes_on_in_the_newest_file(opened: Opened):
    log = opened(max_file_bytes=200)
    for number in range(2):
        logger.info("line %d of the first", number)
    log.close()
    full = log_files(log.directory)
    log = opened()
    logger.info("last")
    log.close()

    assert log_files(log.directory) == full
    assert lines_of(log.directory / full[-1].name)[-1] == "last"


def test_no_line_goes_back_to_the_file_of_an_earlier_day(opened: Opened):
    log = opened()
    (handler,) = logging.getLogger("gateway").handlers
    midnight = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
    for after_s in (-1.0, 0.5, -0.5, 1.0):
        record = logging.LogRecord("gateway", 20, __file__, 1, f"at {after_s}", None, None)
        record.created = midnight + after_s
        handler.handle(record)
    log.close()

    files = [log.directory / one.name for one in log_files(log.directory)]
    assert [file.name for file in files] == [
        "gateway-2026-03-01.jsonl",
        "gateway-2026-03-02.jsonl",
    ]
    assert [lines_of(file) for file in files] == [["at -1.0"], ["at 0.5", "at -0.5", "at 1.0"]]


def test_logging_goes_on_after_somebody_removed_the_folder(opened: Opened):
    log = opened()
    logger.info("before")
    file = log_file(log.directory)
    wait_for(lambda: file.exists() and "before" in file.read_text())
    shutil.rmtree(log.directory)
    logger.info("after")

    assert [record["message"] for record in log.records()] == ["after"]
    assert stat.S_IMODE(log.directory.stat().st_mode) == 0o700
    assert "cannot be written" not in log.human()


def test_old_files_go_when_a_new_one_begins(opened: Opened):
    log = opened(max_file_bytes=1000)
    for day in range(1, 29):
        (log.directory / f"gateway-2020-02-{day:02d}.jsonl").write_text("old\n")
    (log.directory / "gateway-2020-02-28.1.jsonl").write_text("x" * 9_100)
    others = [log.directory / name for name in ("refusals.jsonl", "gateway-2020-02-01.jsonl.mine")]
    for other in others:
        other.write_text("mine\n")
    logger.info("today")
    log.close()

    kept = [one.name for one in log_files(log.directory)]
    assert kept == [log_file(log.directory).name]
    assert all(other.exists() for other in others)


def test_levels_change_while_the_log_is_open(opened: Opened):
    log = opened(level="info", console_level="info")
    logger.debug("unheard")
    log.log.adjust(level="debug", console_level="warn", max_file_bytes=1 << 20)
    logger.debug("in the file")
    logger.warning("everywhere")

    human = log.human()
    assert [record["message"] for record in log.records()] == ["in the file", "everywhere"]
    assert "everywhere" in human
    assert "in the file" not in human


def test_a_closed_terminal_does_not_stop_the_file(opened: Opened):
    reading, writing = os.pipe()
    os.close(reading)
    log = opened(stream=os.fdopen(writing, "w", buffering=1))
    for number in range(3):
        logger.info("line %d", number)

    assert [record["message"] for record in log.records()] == ["line 0", "line 1", "line 2"]
    with pytest.raises(BrokenPipeError):
        log.stream.close()


def test_without_stderr_the_file_is_written(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", None)
    log = opened(stream=None)
    logger.info("hello")

    assert len(log.records()) == 1


@pytest.mark.slow
def test_a_terminal_that_blocks_holds_nobody_up(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_module, "MAX_WAITING", 50)
    monkeypatch.setattr(log_module, "CLOSE_WITHIN_S", 0.3)
    reading, writing = os.pipe()
    log = opened(stream=os.fdopen(writing, "w"))
    began = time.monotonic()
    for _ in range(2000):
        logger.info("x" * 1000)
    log.close()

    assert time.monotonic() - began < 2
    os.close(reading)
    with contextlib.suppress(BrokenPipeError):
        log.stream.close()


def test_dropped_lines_are_counted(opened: Opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_module, "MAX_WAITING", 0)
    log = opened()
    logger.info("lost")
    monkeypatch.setattr(log_module, "MAX_WAITING", 10)
    logger.info("kept")

    assert [record["message"] for record in log.records()] == [
        "kept",
        "1 log lines were dropped: output is too slow",
    ]


def test_a_file_that_cannot_be_written_is_complained_about_once(opened: Opened):
    log = opened()
    log_file(log.directory).mkdir()
    for _ in range(3):
        logger.info("token=%s", "s3cr3t-value")

    human = log.human()
    assert human.count("the log file cannot be written") == 1
    assert human.count("[test] token=***") == 3
    assert "s3cr3t" not in human
    assert "Traceback" not in human


def test_arguments_that_do_not_fit_lose_no_line(opened: Opened):
    log = opened()
    (handler,) = logging.getLogger("gateway").handlers
    handler.handle(logging.LogRecord("gateway", 20, __file__, 1, "%d words", ("three",), None))

    assert [record["message"] for record in log.records()] == ["%d words"]


def test_complaints_of_the_event_loop_are_logged_too(opened: Opened):
    log = opened()
    logging.getLogger("trio.serve_listeners").error("accept returned EMFILE")

    assert "accept returned EMFILE" in log.human()
