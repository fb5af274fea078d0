from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
import pytest

import cli.output
from cli.device_table import wall_ms
from cli.main import _typed, main, root
from gateway.version import VERSION
from stores.errors import UserFacingError
from tests.builders import a_store, asking
from tests.imports import ROOT


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(cli.output, "colour", cli.output.Colour())


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_names_the_program(capsys: pytest.CaptureFixture[str], word: str):
    code, out, err = run([word], capsys)

    assert (code, out, err) == (0, f"openclaw-gateway {VERSION}\n", "")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["devices", "-h"], ["gateway", "--help"]])
def test_help_is_a_result(capsys: pytest.CaptureFixture[str], words: list[str]):
    code, out, err = run(words, capsys)

    assert code == 0
    assert out.startswith("Usage: openclaw")
    assert err == ""


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]):
    _, out, _ = run(["--help"], capsys)

    commands = root.list_commands(click.Context(root))
    assert commands
    assert all(f"\n  {name} " in out for name in commands)


def test_every_command_of_the_table_exists():
    context = click.Context(root)

    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_a_name_outside_the_table_is_no_command():
    assert root.get_command(click.Context(root), "nonsense") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["devics"], "Did you mean 'devices'?", id="command"),
        pytest.param(["devices", "lst"], "Did you mean 'list'?", id="sub-command"),
        pytest.param(["health", "--timout", "5"], "--timeout", id="option"),
        pytest.param(["devices", "approve", "A", "B"], "unexpected extra argument", id="extra"),
        pytest.param(["health", "--timeout", "soon"], "'soon' is not a whole number", id="number"),
        pytest.param(["gateway", "stauts"], ". Did you mean 'status'?\n", id="nearest-of-many"),
        pytest.param(["logs", "--grep"], "`openclaw logs --help`", id="argument-of-an-option"),
        pytest.param(
            ["--profile", "x", "devices", "prune", "--older-than"],
            "`openclaw devices prune --help`",
            id="argument-of-an-option-of-a-sub-command",
        ),
        pytest.param(["gateway", "call"], "METHOD", id="missing"),
        pytest.param(["gateway", "run", "--port", "70000"], "--port", id="not-a-port"),
        pytest.param(["--profile", "../x", "health"], "--profile", id="profile"),
        pytest.param(["--profile", "x", "--dev", "health"], "--dev", id="two-profiles"),
    ],
)
def test_words_that_are_off_exit_2_and_point_to_the_help(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    code, out, err = run(words, capsys)

    assert code == 2
    assert out == ""
    assert said in err


@pytest.mark.parametrize("words", [["help"], ["gateway", "help"]], ids=["program", "group"])
def test_who_asks_for_help_by_that_word_is_pointed_to_it(
    capsys: pytest.CaptureFixture[str], words: list[str]
):
    _, _, err = run(words, capsys)

    assert "Did you mean" not in err
    assert f"See `{' '.join(['openclaw', *words[:-1]])} --help`" in err


def test_no_command_shows_the_help_as_usage(capsys: pytest.CaptureFixture[str]):
    code, out, err = run([], capsys)

    assert code == 2
    assert out == ""
    assert "Commands:" in err


def test_usage_has_an_envelope_too(capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(["health", "--jsn", "--json"], capsys)

    told = json.loads(out)
    assert code == told["exitCode"] == 2
    assert told["ok"] is False
    assert told["error"]["type"] == "usage"
    assert told["error"]["remedy"]["command"] == "openclaw health --help"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        pytest.param(KeyboardInterrupt(), 130, "", id="ctrl-c"),
        pytest.param(UserFacingError("it is off", remedy="turn it on"), 1, "Turn it on", id="user"),
        pytest.param(click.FileError("f", "gone"), 1, "gone", id="click"),
        pytest.param(ZeroDivisionError("oh"), 1, "ZeroDivisionError: oh", id="bug"),
        pytest.param(BrokenPipeError(), 1, "", id="pipe"),
    ],
)
def test_every_end_has_its_exit_code_and_no_traceback(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    code: int,
    said: str,
):
    monkeypatch.setattr("cli.main._forget", lambda _: None)  # it is the test runner's too
    fails_with(raised, monkeypatch)

    ended, out, err = run(["failing"], capsys)

    assert ended == code
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_a_bug_shows_itself_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_DEBUG", "1")
    fails_with(ZeroDivisionError("oh"), monkeypatch)

    with pytest.raises(ZeroDivisionError):
        main(["failing"])


def test_debugging_shows_where_a_failure_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_DEBUG", "1")
    fails_with(UserFacingError("it is off"), monkeypatch)

    code, _, err = run(["failing"], capsys)

    assert code == 1
    assert "Traceback" in err


def test_no_color_wins_over_force_color(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")

    _, _, coloured = run(["devices", "list", "--offline", "--url", "ws://x"], capsys)
    _, _, plain = run(["--no-color", "devices", "list", "--offline", "--url", "ws://x"], capsys)

    assert "\x1b[" in coloured
    assert "\x1b[" not in plain


def test_a_profile_has_its_own_state_directory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("OPENCLAW_STATE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))

    _, _, err = run(["--profile", "work", "devices", "list", "--offline"], capsys)

    assert str(tmp_path / ".openclaw-work" / "devices") in err


@pytest.mark.parametrize("verb", ["list", "approve"])
def test_pairing_points_to_devices(capsys: pytest.CaptureFixture[str], verb: str):
    code, out, err = run(["pairing", verb, "telegram"], capsys)

    assert code == (0 if verb == "list" else 1)
    assert "openclaw devices list" in out + err
    assert ("0 device requests" if verb == "list" else "no device waits for approval") in out + err


@pytest.mark.parametrize(
    ("seeds", "words", "said", "command"),
    [
        pytest.param((), (), "0 device requests", "list", id="none"),
        pytest.param((1,), ("telegram",), "telegram is none of 1 device request", "{0}", id="one"),
        pytest.param((1,), ("{0}",), "1 device request;", "{0}", id="its-own-code"),
        pytest.param((1,), ("telegram", "{0}"), "1 device request;", "{0}", id="channel-and-code"),
        pytest.param((1, 2), ("telegram", "{1}"), "2 device requests;", "{1}", id="the-second"),
        pytest.param((1, 2), ("ABCDEFGH",), "none of 2 device requests", "list", id="which"),
        pytest.param((1, 2), (), "2 device requests;", "list", id="no-code"),
    ],
)
def test_a_code_of_a_chat_is_not_taken_for_one_of_a_device(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    seeds: tuple[int, ...],
    words: tuple[str, ...],
    said: str,
    command: str,
):
    store = a_store(tmp_path / "devices")
    codes = [store.one(asking(seed), now_ms=wall_ms()).request_id for seed in seeds]
    typed = [word.format(*codes) for word in words]

    code, out, err = run(["pairing", "approve", *typed], capsys)

    rest = command if command == "list" else f"approve {command.format(*codes)}"
    assert (code, out) == (1, "")
    assert said in err
    assert f"openclaw devices {rest}\n" in err
    assert "dmPolicy" in err


@pytest.mark.slow
def test_text_the_terminal_cannot_show_is_spelt_out(tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "cli.main", "devices", "approve", "büro-電", "--offline"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )

    assert ran.returncode == 1
    assert b"\\u96fb" in ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_waiting_command_at_once(tmp_path: Path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        waiting = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cli.main",
                "health",
                "--token",
                "T",
                "--url",
                f"ws://127.0.0.1:{port}",
            ],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = listener.accept()
        with connection:
            waiting.send_signal(signal.SIGINT)
            _, err = waiting.communicate(timeout=10)

    assert waiting.returncode == 130
    assert "Traceback" not in err


def run(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def fails_with(raised: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the program one more command, which fails."""

    @click.command("failing")
    def failing() -> NoReturn:
        raise raised

    monkeypatch.setattr("cli.health.failing", failing, raising=False)
    monkeypatch.setitem(root.table, "failing", ("cli.health:failing", ""))


@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), ("devices", "list", "--offline", "--json")]
)
@pytest.mark.parametrize(
    ("where", "why"),
    [
        pytest.param(">/dev/full", "No space left on device", id="full"),
        pytest.param(">&-", "standard output is closed", id="closed"),
        pytest.param(">/dev/full 2>/dev/full", "", id="both-full"),
        pytest.param(">&- 2>&-", "", id="both-closed"),
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_written_is_a_failure_and_no_traceback(
    tmp_path: Path, words: tuple[str, ...], where: str, why: str
):
    program = f'exec "$0" -c "from cli.main import main; main()" "$@" {where}'
    ran = subprocess.run(
        ["/bin/sh", "-c", program, sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {"OPENCLAW_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Traceback" not in ran.stderr
    if words == ("--help",) and where.startswith(">&-"):
        return  # click prints it, and leaves it at that
    assert ran.returncode == 1
    if why:
        assert f"cannot write the result: {why}" in ran.stderr
        assert "mistake in openclaw" not in ran.stderr


def test_a_failing_file_is_no_failing_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    fails_with(OSError(28, "No space left on device"), monkeypatch)

    ended, _, err = run(["failing"], capsys)

    assert ended == 1
    assert "a mistake in openclaw itself: OSError" in err


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        pytest.param(["health", "--timeout", "9"], "openclaw health --timeout 9", id="whole"),
        pytest.param(["logs", "--grep", "a b"], "openclaw logs --grep 'a b'", id="quoted"),
        pytest.param(["health", "--token", "S3cret"], "openclaw health", id="secret"),
        pytest.param(["health", "--password=S3cret"], "openclaw health", id="secret-in-one-word"),
    ],
)
def test_what_was_typed_is_named_again_without_its_secrets(words: list[str], typed: str):
    assert _typed(words) == typed


def test_a_list_of_commands_cuts_no_sentence_off(capsys: pytest.CaptureFixture[str]):
    for group in ("gateway", "devices", "config", "security", "nodes"):
        _, out, _ = run([group, "--help"], capsys)

        assert "..." not in out.partition("Commands:")[2], group


def test_every_command_of_the_gateway_exists():
    context = click.Context(root)
    gateway = root.get_command(context, "gateway")

    assert isinstance(gateway, click.Group)
    for name in gateway.list_commands(context):
        command = gateway.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.epilog, name
