"""Which gateway has a port, and whether a state directory may be served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stores.owner import user_name
from stores.port_owner import start_time_of
from stores.serving import Serving, gateway_on, may_be_served, read_lock_note

SPACE = os.readlink("/proc/self/ns/pid")


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port that this very process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_who_holds_a_gateway_lock_is_the_gateway_of_that_folder(port: int, tmp_path: Path):
    with (tmp_path / "gateway.lock").open("w"):
        found = gateway_on(port)

    assert found == Serving(port, os.geteuid(), os.getpid(), tmp_path)


def test_what_holds_no_lock_is_no_gateway(port: int):
    assert gateway_on(port) is None


def test_on_a_port_where_nobody_listens_is_no_gateway(port: int):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        free = gone.getsockname()[1]

    assert gateway_on(free) is None


NOTES = [
    pytest.param({}, False, id="empty"),
    pytest.param({"pid": 1}, True, id="no-time"),
    pytest.param({"pid": os.getpid(), "startTime": 1, "pidSpace": SPACE}, False, id="dead"),
    pytest.param({"pid": 1, "startTime": 1, "pidSpace": "pid:[7]"}, True, id="container"),
    pytest.param(
        {"pid": os.getpid(), "startTime": start_time_of(os.getpid()), "pidSpace": SPACE},
        True,
        id="alive",
    ),
]


@pytest.mark.parametrize(("note", "served"), NOTES)
@pytest.mark.parametrize("name", ["gateway.lock", "gateway.lock.held"])
def test_the_note_of_a_gateway_tells_whether_it_may_run(
    tmp_path: Path, note: dict[str, object], name: str, *, served: bool
):
    (tmp_path / name).write_text(json.dumps(note))

    assert may_be_served(tmp_path) is served
    assert read_lock_note(tmp_path) == note


@pytest.mark.parametrize("text", [None, "", "{", "[]"], ids=["none", "empty", "cut", "array"])
def test_without_a_note_no_gateway_runs(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "gateway.lock").write_text(text)

    assert not may_be_served(tmp_path)


def test_a_note_behind_a_link_is_none(tmp_path: Path):
    (tmp_path / "other").write_text('{"pid": 1}')
    (tmp_path / "gateway.lock").symlink_to(tmp_path / "other")

    assert not may_be_served(tmp_path)


RUNS = "import sys; print(flush=True); sys.stdin.read()"


def test_of_several_that_may_be_it_none_is_named(port: int, monkeypatch: pytest.MonkeyPatch):
    really = os.scandir

    def shut(path: Any) -> Any:
        if str(path).endswith("/fd"):  # as those of another user are
            raise PermissionError
        return really(path)

    with ExitStack() as running:
        for _ in range(2):
            words = [sys.executable, "-c", RUNS, "gateway"]
            one = running.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            assert one.stdout is not None
            one.stdout.readline()
        monkeypatch.setattr(os, "scandir", shut)
        found = gateway_on(port)
        monkeypatch.undo()

    assert found == Serving(port, os.geteuid(), None)
    assert found.in_words() == f"the gateway on port {port} (user {user_name(os.geteuid())})"


def test_a_gateway_whose_process_is_known_is_named_with_it():
    user = user_name(os.geteuid())

    assert Serving(7, os.geteuid(), 77).in_words() == f"the gateway on port 7 (pid 77, user {user})"
