"""A session of every command: what is typed, in an order in which each has something to do."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from cli.reference import commands, path_of
from stores.setup_code import decode
from tests.scenarios.clients import Knock, knock, stranger
from tests.scenarios.programs import OPENCLAW, Finished, Gateway, environment

#: Exit code and words. In braces: r a request and d its device, by number; nr and n those of nodes;
#: mode is token or password, secret and other are files with the one in force and another.
SESSION = """
0 health
0 health --json
0 health --url {url} --{mode}-file {secret}
0 status --all
0 status --json
0 devices list
0 devices list --json
0 devices list --offline --json
1 devices approve
0 devices approve {r0} --json
0 devices approve --wait --device {d1} --yes
0 devices approve {r2}
0 devices approve {r3} --offline
0 devices reject {r4} --offline --json
0 devices reject {r5}
0 devices show {d0}
0 devices show {d0} --json
0 devices rename {d0} kitchen
0 devices block {d1} --yes
0 devices unblock {d1}
0 devices rotate {d0} --yes
0 devices rotate {own} --yes --json
0 devices rotate {d3} --yes --offline --json
0 devices revoke {d2} --yes
0 devices remove {d2} --yes --json
0 devices prune --older-than 90d --yes
0 devices verify --json
130 devices watch --json --run cat
0 devices invite
0 devices invite --role operator --json
0 devices invite --offline
0 devices invite --list --json
0 devices invite --revoke {invitation}
0 dashboard --no-open
0 dashboard --json
0 qr --public-url wss://gateway.example
0 qr --public-url wss://gateway.example --json
0 qr --public-url wss://gateway.example --setup-code-only
1 qr
0 nodes approve {nr0}
0 nodes reject {nr1}
0 nodes list --json
0 nodes status
0 nodes describe {n0} --json
0 nodes pending
0 nodes list --offline --json
0 nodes pending --offline
0 nodes describe {n0} --offline
0 nodes rename {n0} foyer --offline
0 nodes rename {n0} hall
1 nodes invoke --node {n0} --command system.which
0 nodes remove {n0}
0 nodes remove {n0} --offline
0 devices clear --pending --yes
0 gateway status --deep
0 gateway status --json
0 gateway health
0 gateway call config.get --json
0 gateway call device.pair.list
1 gateway call no.such.method
0 gateway explain --peer 203.0.113.9
1 gateway fingerprint
0 gateway auth-token
0 gateway auth-token --json
1 gateway auth-token --show
0 gateway install --print
0 gateway lockouts list --json
0 gateway lockouts clear --all
0 gateway probe
0 gateway why
0 gateway why --all --json
78 gateway run
0 config file
0 config get
0 config get gateway.auth
1 config get gateway.auth.{mode} --json
1 config get --show-secrets
0 config schema
0 config validate
0 config convert --to toml --dry-run
0 config set gateway.auth.{mode} --from-file {other} --dry-run
0 config set gateway.auth.{mode} --from-file {other}
0 gateway reload
0 config diff
0 config diff 2
0 config diff 2 --json
0 config rollback --json
1 config rollback 2
0 config rollback 2 --yes
0 config set logging.level debug
0 config unset logging.level
0 gateway reload
0 configure
0 completion -s bash
0 doctor
0 doctor --json
0 doctor --fix --yes
0 doctor proxy
0 security audit --json
0 pairing list
1 pairing approve telegram
0 logs
0 logs --json --level debug
0 logs --since 1h
"""

#: What runs until Ctrl-C is given that, with whom it started beside it.
INTERRUPTED = 130
ENDED_SOON = ("timeout", "--preserve-status", "--signal=INT", "2")
#: Commands that need a service manager, which a session in a booted machine runs.
OF_THE_SERVICE = {f"gateway {word}" for word in ("start", "stop", "restart", "uninstall")}

#: What prints a secret because that is what it is for: invitations to whoever makes one.
PRINTS_INVITATIONS = ("devices invite", "dashboard", "qr")

GUESTS = 6
NODES = 2


def leaves() -> set[str]:
    """Return every command there is that is no group."""
    return {path_of(where) for one, where in commands() if not isinstance(one, click.Group)}


def named(lines: Sequence[Sequence[str]]) -> set[str]:
    """Return which commands lines begin with."""
    known = leaves()
    starts = (" ".join(words[:size]) for words in lines for size in (1, 2, 3))
    return {start for start in starts if start in known}


def typed(session: str) -> list[tuple[int, list[str]]]:
    """Return exit code and words of each line of a session."""
    pairs = (line.partition(" ") for line in session.strip().splitlines())
    return [(int(code), shlex.split(words)) for code, _, words in pairs]


class Session:
    """A gateway's machine, the devices that want in, and everything said to anybody."""

    def __init__(self, gateway: Gateway, mode: str) -> None:
        self.gateway = gateway
        self.program = program_in(gateway.state_dir.parent / "bin")
        self.secrets = {gateway.token}
        self.invitations = set[str]()  # in every form that opens something
        self.bearers = set[str]()  # the secrets in them
        self.said: list[tuple[str, Finished]] = []
        self.guests = [stranger(gateway.token) for _ in range(GUESTS)]
        self.nodes = [stranger(gateway.token, role="node", scopes=()) for _ in range(NODES)]
        self.words = {"mode": mode, "url": gateway.url}
        for name, text in (("secret", gateway.token), ("other", f"another-{gateway.token[::-1]}")):
            file = gateway.state_dir.parent / name
            file.write_text(text)
            self.secrets.add(text)
            self.words[name] = str(file)
        for short, devices in (("", self.guests), ("n", self.nodes)):
            for number, device in enumerate(devices):
                self.words[f"{short}r{number}"] = knock(gateway.port, **device).request_id
                self.words["n" + str(number) if short else f"d{number}"] = device["key"].device_id

    def run(self, code: int, words: Sequence[str]) -> None:
        """Run a command that must end as it is known to, and note which secrets there are then."""
        ready = [word.format_map(self.words) for word in words]
        ended = subprocess.run(
            [*(ENDED_SOON if code == INTERRUPTED else ()), str(self.program), *ready],
            env=surroundings(self.gateway),
            cwd=self.gateway.state_dir.parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        done = Finished(ended.returncode, ended.stdout, ended.stderr)
        assert done.code == code, (ready, done)
        self.said.append((" ".join(ready), done))
        if " ".join(ready).startswith(PRINTS_INVITATIONS):
            self._note_invitation(done.out)
        self.secrets |= set(device_tokens(self.gateway.state_dir))
        own = self.gateway.state_dir / "identity" / "device.json"
        if own.exists():
            self.words["own"] = json.loads(own.read_bytes())["deviceId"]

    def knock(self, *calls: str, **words: Any) -> Knock:
        """Connect by hand, and note the device token that is handed out."""
        knocked = knock(self.gateway.port, *calls, **words)
        self.secrets |= set(device_tokens(self.gateway.state_dir))
        return knocked

    def _note_invitation(self, out: str) -> None:
        for word in out.replace('"', " ").replace(",", " ").split():
            code = word.rpartition("#bootstrapToken=")[2]
            if code == word and not word.startswith("eyJ"):
                continue
            token = decode(word).token if code == word else code
            self.bearers.add(token)
            self.invitations |= {code, token}
        if out.startswith("Invitation "):
            self.words["invitation"] = out.split()[1].rstrip(":")


def device_tokens(state_dir: Path) -> Iterator[str]:
    """Yield the device tokens that are in the files now: those of devices, and this machine's own."""
    paired, own = state_dir / "devices" / "paired.json", state_dir / "identity" / "device-auth.json"
    records = json.loads(paired.read_bytes()).values() if paired.exists() else ()
    holders = [*records, json.loads(own.read_bytes())] if own.exists() else [*records]
    for holder in holders:
        yield from (token["token"] for token in holder.get("tokens", {}).values())


def program_in(folder: Path) -> Path:
    """Return an `openclaw` as installing leaves one, which a unit can name."""
    program = folder / "openclaw"
    folder.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nfrom cli.main import main\nmain()\n")
    program.chmod(0o755)
    return program


def surroundings(gateway: Gateway) -> dict[str, str]:
    """Return the environment of a command of the gateway's own machine and user."""
    return environment(gateway.state_dir) | {"OPENCLAW_GATEWAY_PORT": str(gateway.port)}


def on_a_terminal(gateway: Gateway, *words: str) -> str:
    """Run a command whose output is a terminal; return what it shows there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*OPENCLAW, *words],
        env=surroundings(gateway),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the last holder of the other end has closed it
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert process.wait(30) == 0, shown
    return shown.decode()
