"""Who holds a port, and what a process is called."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stores import port_owner as module
from stores.port_owner import PortOwner, command_of, port_owner, start_time_of


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_holder_of_a_port_is_found(address: str):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        owner = port_owner(server.getsockname()[1])

    assert owner is not None
    assert (owner.uid, owner.pid) == (os.getuid(), os.getpid())
    assert owner.command
    assert "python" in owner.command


def test_a_port_nobody_listens_on_has_no_holder():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert port_owner(port) is None


def test_where_the_kernel_does_not_tell_there_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "none")

    assert port_owner(1) is None


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        pytest.param(PortOwner(0), "a process of user root", id="unseen"),
        pytest.param(PortOwner(0, 7, "nginx -g"), "process 7 of user root (nginx -g)", id="seen"),
        pytest.param(PortOwner(0, 7), "process 7 of user root (?)", id="no-command"),
        pytest.param(PortOwner(2**31 - 9), f"a process of user uid {2**31 - 9}", id="nameless"),
    ],
)
def test_a_holder_is_told_in_words(owner: PortOwner, words: str):
    assert owner.in_words() == words


def test_a_process_that_is_gone_has_neither_command_nor_start():
    assert command_of(2**22 + 9) is None
    assert start_time_of(2**22 + 9) is None


def test_a_command_is_one_printable_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "cmdline"
    file.write_bytes(b"a\0b\x1b[2J\n" + b"x" * 300)
    monkeypatch.setattr(module, "Path", lambda _: file)

    command = command_of(1)

    assert command is not None
    assert command.isprintable()
    assert len(command) == 120


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"openclaw gateway --token s3cret --port 1 ", id="word"),
        pytest.param(b"openclaw gateway --token=s3cret --port 1 ", id="sign"),
        pytest.param(b"openclaw gateway --port 1 --password s3cret ", id="last"),
    ],
)
def test_a_command_is_told_without_its_secret(
    words: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "cmdline"
    file.write_bytes(words.replace(b" ", b"\0"))
    monkeypatch.setattr(module, "Path", lambda _: file)

    command = command_of(1)

    assert command is not None
    assert "s3cret" not in command
    assert "***" in command
    assert "--port 1" in command


def test_the_start_of_this_process_is_a_fixed_number():
    assert start_time_of(os.getpid()) == start_time_of(os.getpid()) is not None
