"""Commands that are printed for a gateway of a profile, by a program that no shell finds by its name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.scenarios import programs
from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key
from tests.scenarios.programs import ROOT, Finished, Gateway, free_port, running_gateway

pytestmark = pytest.mark.slow

TOKEN = "the-token-of-this-gateway"
#: A command of ours, wherever it stands: what is in front of its first word, and that word.
COMMAND = re.compile(
    r"(\S*openclaw)((?: --?\S+(?: work\b)?)*) "
    r"(config|configure|dashboard|devices|doctor|gateway|health|logs|nodes|pairing|status)\b"
)
#: What a client was told on the wire, word for word.
AS_REFUSED = re.compile(r"pairing required: run openclaw devices approve \S+")


@frozen
class Stage:
    """A home with two profiles, and a program that is not on the path."""

    home: Path
    program: Path
    port: int

    def run(self, *words: str) -> Finished:
        """Run a command for the profile work."""
        return self.paste(" ".join([str(self.program), "--profile work", *words]))

    def paste(self, command: str) -> Finished:
        """Run a command exactly as it was printed."""
        done = subprocess.run(
            ["sh", "-c", command],
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "LANG": "C.UTF-8",
                "COLUMNS": "400",  # no table cuts a command in two
            },
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def running(self) -> Iterator[Gateway]:
        """Run the gateway of the profile work, on the port of its configuration."""
        with running_gateway(
            self.home / ".openclaw-work",
            port=self.port,
            pinned=False,
            command=("--profile", "work", "gateway", "run"),
            env={"OPENCLAW_STATE_DIR": ""},
        ) as gateway:
            yield gateway


def state_dir(home: Path, name: str, port: int) -> None:
    folder = home / name
    folder.mkdir(parents=True, mode=0o700)
    section = {"port": port, "auth": {"token": TOKEN}}
    (folder / "openclaw.json").write_text(json.dumps({"gateway": section}))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    home, port = tmp_path / "home", free_port()
    state_dir(home, ".openclaw-work", port)
    state_dir(home, ".openclaw", free_port())
    program = tmp_path / "venv" / "openclaw"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from cli.main import main\nmain()\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(programs, "OPENCLAW", [str(program)])
    return Stage(home, program, port)


@pytest.fixture
def gateway(stage: Stage) -> Iterator[Gateway]:
    yield from stage.running()


def request_id(gateway: Gateway) -> str:
    """Let a device ask, and return the code of its request."""
    asked = knock(gateway.port, key=new_key(), headers=FROM_AFAR, scopes=READ, token=TOKEN)
    assert asked.request_id
    return asked.request_id


def amiss(stage: Stage, done: Finished) -> list[str]:
    """Return the commands in an output that are not for this program and this profile."""
    said = AS_REFUSED.sub("", f"{done.out}\n{done.err}")
    found = [(match[0], match[1], match[2]) for match in COMMAND.finditer(said)]
    assert found, done
    return [
        whole
        for whole, program, words in found
        if program.lstrip("`\"'") != str(stage.program) or " --profile work" not in words
    ]


WORDS = [
    ("devices", "list"),
    ("devices", "approve"),
    ("devices", "approve", "--json"),
    ("devices", "approve", "ZZZZ-ZZZZ"),
    ("devices", "clear"),
    ("devices", "clear", "--json"),
    ("devices", "clear", "--pending"),
    ("status",),
    ("status", "--json"),
    ("gateway", "auth-token"),
    ("gateway", "why"),
    ("gateway", "why", "--all"),
    ("dashboard", "--no-open"),
    ("configure",),
    ("configure", "--json"),
    ("pairing", "list"),
    ("pairing", "list", "--json"),
    ("pairing", "approve"),
    ("nodes", "describe", "nobody"),
    ("nodes", "describe", "nobody", "--json"),
    ("logs", "--since", "whenever"),
    ("config", "set", "gateway.port", "1"),
    ("config", "rollback"),
    ("doctor",),
    ("doctor", "--json"),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_what_is_printed_while_a_gateway_runs(
    stage: Stage, gateway: Gateway, words: tuple[str, ...]
):
    request_id(gateway)

    assert amiss(stage, stage.run(*words)) == []


@pytest.mark.parametrize(
    "words",
    [
        ("health",),
        ("health", "--json"),
        ("status",),
        ("status", "--json"),
        ("gateway", "status"),
        ("gateway", "status", "--json"),
        ("gateway", "reload"),
        ("gateway", "reload", "--json"),
        ("gateway", "restart"),
        ("gateway", "probe", "--json"),
        ("gateway", "health", "--probe"),
        ("devices", "rename", "nobody", "x"),
        ("doctor",),
        ("doctor", "--lint", "--json"),
        ("logs",),
    ],
    ids=" ".join,
)
def test_what_is_printed_while_none_runs(stage: Stage, words: tuple[str, ...]):
    assert amiss(stage, stage.run(*words)) == []


def test_the_devices_of_another_profile_are_not_cleared(stage: Stage, gateway: Gateway):
    request_id(gateway)
    other = stage.home / ".openclaw" / "devices" / "pending.json"
    other.parent.mkdir(mode=0o700)
    other.write_bytes((stage.home / ".openclaw-work/devices/pending.json").read_bytes())
    other.chmod(0o600)
    before = other.read_bytes()
    told = re.search(r"`([^`]*devices clear[^`]*)`", stage.run("devices", "clear").err)
    assert told is not None

    done = stage.paste(told[1])

    assert done.code == 0, done
    assert json.loads(stage.run("devices", "list", "--json").out)["pending"] == []
    assert other.read_bytes() == before


def test_the_command_that_lets_a_device_in_does_it(stage: Stage, gateway: Gateway):
    wanted = request_id(gateway)
    told = re.search(r"Let one in: (.*)", stage.run("devices", "list").out)
    assert told is not None

    done = stage.paste(told[1])

    assert done.code == 0, done
    assert f"({wanted})" in done.out


def test_what_was_meant_for_a_url_is_not_done_without_it(stage: Stage, gateway: Gateway):
    url = f"ws://127.0.0.1:{gateway.port}"

    for words in (("devices", "clear"), ("dashboard", "--no-open")):
        done = stage.run(*words, "--url", url)

        assert re.search(rf"`{re.escape(str(stage.program))} [^`]* --url {url}`", done.err), done


def test_files_that_were_meant_stay_meant(stage: Stage):
    done = stage.run("devices", "clear", "--pending", "--offline")

    told = f"`{stage.program} --profile work devices clear --pending --offline --yes`"
    assert told in done.err


def test_the_command_in_json_is_the_one_in_prose(stage: Stage):
    done = stage.run("devices", "approve", "ZZZZ-ZZZZ", "--json")

    told = done.json["error"]["remedy"]

    assert told["command"] == f"{stage.program} --profile work devices list"
    assert f"`{told['command']}`" in told["sentence"]
    assert f"`{told['command']}`" in done.err
