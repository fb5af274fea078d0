"""`configure`, `completion`, `pairing`, what was meant, and progress: the rest that people type."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli import progress as progress_module
from cli.configure import TOPICS
from cli.main import main
from cli.progress import progress
from tests.builders import a_request, a_store, put
from tests.config_runner import Ended
from tests.test_docs import command_tree, misfit

SECRET = "s3cret-of-this-gateway-0123"

Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    tmp_path.chmod(0o700)

    def run(*words: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_configure_shows_what_is_set_and_no_secret(run: Run, tmp_path: Path):
    text = json.dumps({"gateway": {"bind": "lan", "auth": {"token": SECRET}}})
    (tmp_path / "openclaw.json").write_text(text)

    ended = run("configure")

    assert ended.code == 0
    assert 'now: gateway.bind = "lan"' in ended.out
    assert "now: gateway.auth.token = (secret)" in ended.out
    assert SECRET not in ended.out + ended.err
    assert (tmp_path / "openclaw.json").read_text() == text


def test_configure_works_with_a_file_that_does_not(run: Run, tmp_path: Path):
    (tmp_path / "openclaw.json").write_text("{gateway: {bind: 'moon'}}")

    ended = run("configure", "--json")

    assert ended.code == 0
    assert ended.json["ok"] is False
    assert "openclaw config validate" in ended.err


def test_every_line_of_configure_is_a_command_there_is():
    root = command_tree()
    lines = [line for topic in TOPICS for line, _ in topic.lines]

    assert [line for line in lines if misfit(root, line.removeprefix("openclaw "))] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_asks_the_program(run: Run, shell: str):
    ended = run("completion", "-s", shell)

    assert ended.code == 0
    assert f"_OPENCLAW_COMPLETE={shell}_complete" in ended.out
    assert ended.err == ""


def test_a_shell_without_completion_is_refused(run: Run):
    ended = run("completion", "-s", "powershell")

    assert ended.code == 2
    assert "openclaw completion -s bash" in ended.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        pytest.param("devices app", "approve", id="command"),
        pytest.param("gateway unin", "uninstall", id="group-that-runs-without-a-command"),
        pytest.param("gateway status --req", "--require-rpc", id="option"),
    ],
)
def test_the_program_completes_its_commands(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, offered: str
):
    monkeypatch.setenv("_OPENCLAW_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"openclaw {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))

    assert run().out == f"plain,{offered}\n"


def test_pairing_list_counts_devices_and_says_where_they_are(run: Run, tmp_path: Path):
    store = a_store(tmp_path / "devices")
    now_ms = time.time_ns() // 1_000_000
    put(store, "pending.json", a_request(1, ts=now_ms), a_request(2, ts=now_ms))

    assert run("pairing", "list", "telegram").out == "2 device requests: openclaw devices list\n"
    assert run("pairing", "list", "telegram", "--json").json == {
        "channel": "telegram",
        "requests": [],
        "deviceRequests": 2,
        "command": "openclaw devices list",
    }


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        pytest.param(("dvices",), "Did you mean 'devices'?", id="command"),
        pytest.param(("devices", "aprove"), "Did you mean 'approve'?", id="below"),
        pytest.param(("gateway", "lockouts", "clea"), "Did you mean 'clear'?", id="far-below"),
        pytest.param(("doctor", "--fixx"), "--fix", id="option"),
        pytest.param(("config", "set", "gateway.prot", "1"), "gateway.port", id="key"),
    ],
)
def test_what_was_probably_meant_is_said(run: Run, words: tuple[str, ...], meant: str):
    ended = run(*words)

    assert ended.code in (1, 2)
    assert meant in ended.err


def test_nothing_is_suggested_for_what_is_like_nothing(run: Run):
    assert "Did you mean" not in run("devices", "zzzzzz").err


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when it is written to."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self.written = threading.Event()

    def isatty(self) -> bool:
        return self.is_terminal

    def flush(self) -> None:
        self.written.set()


def test_what_takes_long_is_told_on_a_terminal_and_taken_back(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress_module, "AFTER_S", 0.0)

    with progress("looking around"):
        assert terminal.written.wait(5)

    assert terminal.getvalue() == "looking around …\r\x1b[K"


def test_what_is_quick_is_not_told(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with progress("looking around"):
        pass

    assert terminal.getvalue() == ""


def test_a_file_gets_no_progress(monkeypatch: pytest.MonkeyPatch):
    file = Terminal(is_terminal=False)
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(progress_module, "AFTER_S", 0.0)

    with progress("looking around"):
        assert not file.written.wait(0.05)

    assert file.getvalue() == ""
