"""Every command with ``--json`` where nothing works: one object on standard output, prose beside it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import pytest

from cli.reference import commands, path_of
from tests.scenarios.programs import free_port, openclaw

pytestmark = pytest.mark.slow

TOKEN = "c0ffee0123456789abcdef0123456789abcdef0123456789"
DEVICE = "ab" * 32

#: What is typed after a command that wants more; every other one is typed as it is.
WORDS = f"""
gateway call health
gateway explain --peer 203.0.113.9
gateway why abcd-efgh
gateway lockouts clear --all
gateway status --require-rpc
config get gateway.port
config set gateway.bind nowhere
config unset gateway.nothing
config rollback 1
devices show {DEVICE}
devices approve bt4t-4mwp
devices reject bt4t-4mwp
devices remove {DEVICE} --yes
devices rename {DEVICE} hall
devices block {DEVICE} --yes
devices unblock {DEVICE}
devices rotate {DEVICE} --role node --yes
devices revoke {DEVICE} --role node --yes
devices prune --older-than 90d --yes
devices clear --yes
devices watch --run "'"
doctor proxy --lint
security audit --lint
nodes describe hall
nodes approve hall
nodes reject hall
nodes rename hall cellar
nodes remove hall
nodes invoke --node hall --command system.which
"""

#: What has no gateway to ask and no file to refuse, or whose result is that there is nothing to do.
FINE = {
    "a port where nobody listens": {
        "gateway auth-token",
        "gateway explain",
        "gateway stop",
        "gateway uninstall",
        "config convert",
        "config file",
        "config schema",
        "config validate",
        "configure",
        "dashboard",
        "devices invite",
        "devices list",
        "devices verify",
        "doctor proxy",
        "nodes list",
        "nodes pending",
        "nodes status",
        "pairing list",
        "status",
    },
    "a file that cannot be used": {
        "gateway stop",
        "gateway uninstall",
        "config file",
        "config schema",
        "configure",
        "devices list",
        "devices verify",
        "nodes list",
        "nodes pending",
        "nodes status",
        "pairing list",
        "status",
    },
}
FILES = {
    "a port where nobody listens": f'{{gateway: {{auth: {{token: "{TOKEN}"}}}}}}',
    "a file that cannot be used": "{gateway: {port: ",
}


def with_json() -> dict[str, list[str]]:
    """Return every command that takes ``--json``, and what is typed after it."""
    names = [
        path_of(where)
        for one, where in commands()
        if not isinstance(one, click.Group) and any("--json" in each.opts for each in one.params)
    ]
    given = [shlex.split(line) for line in WORDS.strip().splitlines()]
    more: dict[str, list[str]] = {name: [] for name in names}
    for line in given:
        name = next(" ".join(line[:size]) for size in (3, 2) if " ".join(line[:size]) in more)
        more[name] = line[len(name.split()) :]
    return more


def faults_of(state_dir: Path, words: list[str], port: int) -> tuple[int, list[str]]:
    """Run a command; return its exit code and what is wrong with how it ended."""
    done = openclaw(state_dir, *words, "--json", port=port)
    try:
        told = json.loads(done.out)
    except ValueError:
        return done.code, [f"no JSON: {done.out[:80]!r}"]
    if not done.code:
        return 0, []
    faults = []
    if told.get("ok") is not False or told.get("exitCode") != done.code:
        faults.append(f"ends with {done.code} and tells {told.get('exitCode')}")
    if not told.get("error", {}).get("message"):
        faults.append("no error message")
    if not done.err.strip():
        faults.append("no prose")
    if "mistake in openclaw" in done.err or TOKEN in done.out + done.err:
        faults.append(done.err)
    return done.code, faults


@pytest.mark.parametrize("state", FILES)
def test_every_command_that_fails_prints_one_envelope_and_prose(tmp_path: Path, state: str) -> None:
    port, found, ended_well = free_port(), dict[str, list[str]](), set[str]()
    for number, (name, words) in enumerate(with_json().items()):
        state_dir = tmp_path / str(number) / ".openclaw"
        state_dir.mkdir(parents=True, mode=0o700)
        (state_dir / "openclaw.json").write_text(FILES[state])
        code, faults = faults_of(state_dir, [*name.split(), *words], port)
        if faults:
            found[name] = faults
        if not code:
            ended_well.add(name)

    assert found == {}
    assert ended_well == FINE[state]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("doctor --lint", id="doctor"),
        pytest.param("doctor --generate-gateway-token", id="new-token"),
        pytest.param("devices approve", id="nobody-named"),
        pytest.param("config rollback 1", id="rollback-not-done"),
    ],
)
def test_what_is_found_or_not_done_is_an_envelope_too(tmp_path: Path, words: str) -> None:
    state_dir = tmp_path / ".openclaw"
    state_dir.mkdir(mode=0o700)
    (state_dir / "openclaw.json").write_text(FILES["a port where nobody listens"])
    (state_dir / "openclaw.json").chmod(0o644)
    port = free_port()
    openclaw(state_dir, "config", "set", "gateway.bind", "loopback", port=port)
    (state_dir / "openclaw.json").chmod(0o644)

    code, faults = faults_of(state_dir, words.split(), port)

    assert (code, faults) == (1, [])
