"""`openclaw devices watch`: whoever must decide hears of it at once, by a program of theirs."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key
from tests.scenarios.programs import (
    OPENCLAW,
    Gateway,
    environment,
    eventually,
    openclaw,
    running_gateway,
)

pytestmark = pytest.mark.slow

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "devices.md"


class Watching:
    """A watch that runs, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err

    def said(self) -> str:
        return self._err.read_text()

    def text(self) -> str:
        return self._out.read_text()

    def events(self) -> list[dict[str, Any]]:
        """The lines written whole."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]

    def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events, and return all."""
        eventually(lambda: len(self.events()) >= count)
        return self.events()


@contextmanager
def watching(
    state_dir: Path, *words: str, env: Mapping[str, str] | None = None
) -> Iterator[Watching]:
    """Run ``openclaw devices watch`` until the body ends; Ctrl-C ends it with 130."""
    out, err = state_dir.with_name("watch.out"), state_dir.with_name("watch.err")
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            [*OPENCLAW, "devices", "watch", *words],
            env=environment(state_dir) | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
        )
    found = Watching(process, out, err)
    try:
        eventually(lambda: "Watching for devices" in found.said() or process.poll() is not None)
        yield found
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130, found.said()
        assert "Traceback" not in found.said()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


def asks(gateway: Gateway, **wanted: Any) -> str:
    """Let a new device from afar ask; return the code of its request."""
    words = {"key": new_key(), "scopes": READ, "token": gateway.token} | wanted
    code = knock(gateway.port, headers=FROM_AFAR, **words).request_id
    assert code
    return code


def test_a_request_and_what_became_of_it_are_a_line_each(gateway: Gateway) -> None:
    early = asks(gateway)
    with watching(gateway.state_dir, "--json") as watch:
        (first,) = watch.until(1)
        late = asks(gateway)
        *_, second = watch.until(2)
        assert gateway.openclaw("devices", "approve", late).code == 0
        *_, third = watch.until(3)
        assert gateway.openclaw("devices", "reject", early, "--offline").code == 0
        *_, fourth = watch.until(4)

    assert (first["event"], first["kind"], first["requestId"]) == ("requested", "device", early)
    assert first["command"] == f"openclaw devices approve {early}"
    assert first["facts"]["deviceId"] == first["deviceId"]
    assert (second["event"], second["requestId"]) == ("requested", late)
    assert (third["event"], third["requestId"], third["outcome"]) == ("ended", late, "approved")
    assert (fourth["requestId"], fourth["outcome"]) == (early, "rejected")


def test_it_goes_on_while_the_gateway_is_gone(gateway: Gateway) -> None:
    code = asks(gateway)
    with watching(gateway.state_dir, "--json") as watch:
        watch.until(1)
        gateway.process.kill()
        gateway.process.wait()
        assert openclaw(gateway.state_dir, "devices", "approve", code, "--offline").code == 0
        *_, ended = watch.until(2)
        with running_gateway(gateway.state_dir) as again:
            other = asks(again)
            *_, asked = watch.until(3)

    assert (ended["requestId"], ended["outcome"]) == (code, "approved")
    assert asked["requestId"] == other


def test_without_a_gateway_it_watches_the_files(gateway: Gateway) -> None:
    code = asks(gateway)
    gateway.tell(signal.SIGTERM)
    gateway.process.wait()

    with watching(gateway.state_dir, "--offline", "--json") as watch:
        (event,) = watch.until(1)

    assert event["requestId"] == code


def test_a_program_gets_the_request(gateway: Gateway, tmp_path: Path) -> None:
    told = tmp_path / "told"
    tell = tmp_path / "tell me"
    tell.write_text(
        f'#!/bin/sh\nread -r line; echo "$OPENCLAW_APPROVE|$OPENCLAW_DEVICE_NAME|$line" >>{told}\n'
    )
    tell.chmod(0o755)
    with watching(gateway.state_dir, "--run", f"'{tell}' --now") as watch:
        code = asks(gateway)
        eventually(lambda: told.exists() and told.read_text().endswith("\n"))
        command, name, line = told.read_text().strip().split("|", 2)
        event = json.loads(line)

        assert command == f"openclaw devices approve {code}"
        assert name == event["name"]
        assert (event["event"], event["requestId"]) == ("requested", code)
        assert f"Let it in: {command}" in watch.text()
        gateway.openclaw("devices", "approve", code)
        eventually(lambda: f"{code} of {name}: approved" in watch.text())
    assert told.read_text().count("\n") == 1, "it is run for what has to be decided alone"


def test_the_documented_service_tells_with_what_it_runs(gateway: Gateway, tmp_path: Path) -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", HOW_TO.read_text(), re.MULTILINE)
    _, *words = shlex.split(start)
    assert words[:2] == ["devices", "watch"]
    told = tmp_path / "told"
    tell = tmp_path / "curl"
    tell.write_text(f'#!/bin/sh\n{{ echo "$@"; cat; }} >>{told}\n')
    tell.chmod(0o755)
    last = words.pop()

    with watching(gateway.state_dir, *words[2:], last.replace("curl", str(tell), 1)):
        code = asks(gateway)
        eventually(lambda: told.exists() and code in told.read_text())

    options, line = told.read_text().splitlines()
    assert options == "-sS -d @- https://ntfy.sh/YOUR-TOPIC"
    assert json.loads(line)["requestId"] == code


@pytest.mark.parametrize(
    ("command", "trouble"),
    [("/nowhere/at-all", "cannot be run: No such file"), ("sh -c 'exit 7'", "sh ended with 7")],
)
def test_a_program_that_fails_ends_nothing(gateway: Gateway, command: str, trouble: str) -> None:
    with watching(gateway.state_dir, "--json", "--run", command) as watch:
        first = asks(gateway)
        watch.until(1)
        second = asks(gateway)
        events = watch.until(2)
        eventually(lambda: watch.said().count(trouble) == 2)

    assert [event["requestId"] for event in events] == [first, second]


@pytest.mark.parametrize("command", ["", "   ", "'unclosed"])
def test_what_is_no_command_is_refused_before_anything_is_watched(
    gateway: Gateway, command: str
) -> None:
    done = gateway.openclaw("devices", "watch", "--run", command)

    assert done.code == 2
    assert "--run" in done.err
    assert "Traceback" not in done.err


def test_where_no_gateway_can_be_asked_it_ends_and_says_why(tmp_path: Path) -> None:
    words = ("--url", "ws://127.0.0.1:9", "--token", "of-nobody")
    done = openclaw(tmp_path / ".openclaw", "devices", "watch", *words)

    assert done.code == 3
    assert "Watching" not in done.err


def test_what_a_device_calls_itself_steers_no_terminal(gateway: Gateway) -> None:
    with watching(gateway.state_dir) as watch:
        asks(gateway, platform="a\x1b[2Jb\n\u202eFake: approve")
        eventually(lambda: "Let it in" in watch.text())

        assert "\x1b" not in watch.text()
        assert "\u202e" not in watch.text()


def test_a_program_that_hangs_holds_up_nothing_and_ends_with_the_watch(
    gateway: Gateway, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho noise; echo $$ >>{pids}; sleep 300\n")
    slow.chmod(0o755)
    with watching(gateway.state_dir, "--json", "--run", str(slow)) as watch:
        codes = [asks(gateway) for _ in range(3)]
        events = watch.until(3)  # none of it is the noise
        eventually(lambda: pids.exists() and pids.read_text().endswith("\n"))
        (pid,) = map(int, pids.read_text().split())
        assert "noise" in watch.said()

    assert [event["requestId"] for event in events] == codes
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_watch_that_is_terminated_takes_its_program_along(
    gateway: Gateway, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    with watching(gateway.state_dir, "--run", f"sh -c 'echo $$ >{pids}; sleep 300'") as watch:
        asks(gateway)
        eventually(lambda: pids.exists() and pids.read_text().endswith("\n"))
        watch.process.terminate()
        assert watch.process.wait(10) == -signal.SIGTERM
        pid = int(pids.read_text())
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        watch.process.returncode = 130  # it was ended here, and not by the one below


def test_a_store_that_is_taken_away_is_no_end_of_its_requests(gateway: Gateway) -> None:
    code = asks(gateway)
    away = gateway.state_dir / "elsewhere"
    gateway.tell(signal.SIGTERM)
    gateway.process.wait()
    with watching(gateway.state_dir, "--offline", "--json") as watch:
        watch.until(1)
        gateway.devices.rename(away)
        eventually(lambda: "is gone; still watching" in watch.said())
        away.rename(gateway.devices)
        eventually(lambda: "can be read again" in watch.said())
        assert openclaw(gateway.state_dir, "devices", "reject", code, "--offline").code == 0
        events = watch.until(2)

    assert [event["event"] for event in events] == ["requested", "ended"]


@pytest.mark.parametrize("by_url", [True, False], ids=["url", "port"])
def test_a_gateway_of_other_files_is_asked_again_and_these_files_say_nothing_of_it(
    gateway: Gateway, tmp_path: Path, *, by_url: bool
) -> None:
    mine = tmp_path / "mine" / ".openclaw"
    mine.mkdir(parents=True, mode=0o700)
    (tmp_path / "token").write_text(gateway.token)
    (tmp_path / "token").chmod(0o600)
    words = ["--json"]
    env = {"OPENCLAW_GATEWAY_PORT": str(gateway.port), "OPENCLAW_GATEWAY_TOKEN": gateway.token}
    if by_url:
        url = f"ws://127.0.0.1:{gateway.port}"
        words, env = [*words, "--url", url, "--token-file", str(tmp_path / "token")], {}
    code = asks(gateway)
    with watching(mine, *words, env=env) as watch:
        watch.until(1)
        gateway.process.kill()
        gateway.process.wait()
        eventually(lambda: "still watching" in watch.said(), within_s=20)
        with running_gateway(gateway.state_dir, port=gateway.port) as again:
            other = asks(again)
            eventually(lambda: len(watch.events()) == 2, within_s=20)
        events = watch.events()

    assert [(event["event"], event["requestId"]) for event in events] == [
        ("requested", code),
        ("requested", other),
    ]
