"""A listener that has no descriptors left says so once, with what helps."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.log import MAX_UNWRITTEN, Redactor, log_file, open_log

LISTENER = logging.getLogger("trio.serve_listeners")


def complain(number: int) -> None:
    """Complain as Trio's listener does when a connection cannot be accepted."""
    try:
        raise OSError(number, os.strerror(number))
    except OSError as error:
        LISTENER.error(
            "accept returned %s (%s); retrying in %s seconds",
            errno.errorcode[number],
            error.strerror,
            0.1,
            exc_info=True,
        )


@pytest.mark.parametrize(
    ("number", "helps"),
    [
        pytest.param(errno.EMFILE, True, id="our-limit"),
        pytest.param(errno.ENFILE, False, id="the-systems-limit"),
    ],
)
def test_a_listener_without_descriptors_says_so_once_and_what_helps(
    tmp_path: Path, number: int, helps: bool
):
    stream = io.StringIO()
    log = open_log(
        tmp_path,
        Redactor().clean,
        level="info",
        console_level="info",
        max_file_bytes=10**6,
        stream=stream,
    )

    for _ in range(50):
        complain(number)
    log.close()

    (line,) = log_file(tmp_path).read_text().splitlines()
    said = json.loads(line)
    assert said["message"].startswith(
        f"new connections have to wait: {errno.errorcode[number]} ({os.strerror(number)})"
    )
    assert ("LimitNOFILE=65536" in said["message"]) is helps
    assert "exception" not in said
    assert "Traceback" not in stream.getvalue()


def test_what_could_not_be_written_is_written_when_that_is_possible_again(
    tmp_path: Path,
):
    stream = io.StringIO()
    folder = tmp_path / "logs"
    log = open_log(
        folder,
        Redactor().clean,
        level="info",
        console_level="info",
        max_file_bytes=10**6,
        stream=stream,
    )
    folder.rename(tmp_path / "gone")
    folder.write_text("a file in its place")
    for number in range(MAX_UNWRITTEN + 50):
        logging.getLogger("gateway.test").info("line %d", number)
    logging.getLogger("gateway.test").info("and the last one")
    wait_for(lambda: "and the last one" in stream.getvalue())
    folder.unlink()
    (tmp_path / "gone").rename(folder)

    logging.getLogger("gateway.test").info("it is back")
    log.close()

    written = [json.loads(line)["message"] for line in log_file(folder).read_text().splitlines()]
    assert len(written) == MAX_UNWRITTEN
    assert written[0] == "line 52"
    assert written[-2:] == ["and the last one", "it is back"]
    assert stream.getvalue().count("the log file cannot be written") == 1


def wait_for(true: Callable[[], bool]) -> None:
    """Wait for the thread that writes."""
    ends_s = time.monotonic() + 5
    while not true():
        assert time.monotonic() < ends_s
        time.sleep(0.01)
