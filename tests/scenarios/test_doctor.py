"""The doctor beside real gateways: it repairs while they run, and what it names helps when it is typed."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import READ, knock, mute_guest, new_key, stranger
from tests.scenarios.programs import (
    Finished,
    Gateway,
    environment,
    eventually,
    openclaw,
    running_gateway,
)
from tests.scenarios.test_offline_owner import AS_USER, UID, home, watched

__all__ = ["home"]

pytestmark = pytest.mark.slow
TOKEN = "c0ffee0123456789abcdef0123456789abcdef0123456789"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / ".openclaw"
    folder.mkdir(parents=True, mode=0o700)
    file = folder / "openclaw.json"
    file.write_text(f'{{gateway: {{auth: {{token: "{TOKEN}"}}}}}} // mine\n')
    file.chmod(0o600)
    return folder


@pytest.fixture
def gateway(state_dir: Path) -> Iterator[Gateway]:
    with running_gateway(state_dir) as gateway:
        yield gateway


def findings(done: Finished) -> dict[str, dict[str, Any]]:
    assert done.code == 0, done
    return {one["id"]: one for one in done.json["findings"]}


def look(gateway: Gateway, *words: str) -> dict[str, dict[str, Any]]:
    return findings(gateway.openclaw("doctor", "--json", *words))


def type_in(gateway: Gateway, command: str) -> Finished:
    """Run a command that was named, as it stands."""
    name, *words = shlex.split(command)
    assert name == "openclaw", command
    return gateway.openclaw(*words)


def test_a_fresh_gateway_has_nothing_wrong_and_the_doctor_pairs_nobody(gateway: Gateway) -> None:
    assert look(gateway) == {}
    assert not (gateway.devices / "paired.json").exists()


def test_files_are_closed_while_the_gateway_runs(gateway: Gateway) -> None:
    key = new_key()
    knock(gateway.port, key=key, token=TOKEN, scopes=READ)
    (gateway.devices / "paired.json").chmod(0o666)
    gateway.state_dir.chmod(0o755)

    before = look(gateway)
    fixed = type_in(gateway, before["open-to-write"]["command"])
    again = knock(gateway.port, "health", key=key, token=TOKEN, scopes=READ)

    assert fixed.code == 0, fixed
    assert look(gateway) == {}
    assert (gateway.devices / "paired.json").stat().st_mode & 0o777 == 0o600
    assert again.answers[0]["ok"] is True


def test_a_damaged_store_is_put_right_while_the_gateway_runs(gateway: Gateway) -> None:
    key = new_key()
    knock(gateway.port, key=key, token=TOKEN, scopes=READ)
    eventually((gateway.devices / "paired.json.bak").exists)
    (gateway.devices / "paired.json").write_text("[]")

    before = look(gateway)
    fixed = look(gateway, "--fix")

    assert before["store-damaged"]["severity"] == "error"
    assert fixed["store-damaged"]["fixed"] is True
    assert key.device_id in gateway.kept("paired.json")
    assert look(gateway) == {}
    assert knock(gateway.port, key=key, token=TOKEN, scopes=READ).admitted


def test_a_new_token_counts_at_once_and_ends_what_the_old_one_fed(gateway: Gateway) -> None:
    key = new_key()
    paired = knock(gateway.port, key=key, token=TOKEN, scopes=READ)
    device_token = paired.auth["deviceToken"]

    with mute_guest(gateway.port, TOKEN) as guest:
        done = gateway.openclaw("doctor", "--generate-gateway-token", "--yes")
        guest.settimeout(10)
        while guest.recv(65_536):  # until it is closed
            pass
    refused = knock(gateway.port, **stranger(TOKEN))
    kept = knock(gateway.port, key=key, device_token=device_token, scopes=READ)

    assert done.code == 0, done
    assert "takes it in within a second" in done.out
    assert (gateway.state_dir / "openclaw.json").read_text().endswith("// mine\n")
    assert not refused.admitted
    assert kept.admitted
    assert gateway.token not in done.out + done.err
    assert look(gateway) == {}


def test_an_edit_the_gateway_takes_for_an_accident_is_told_until_it_is_undone(
    gateway: Gateway,
) -> None:
    file = gateway.state_dir / "openclaw.json"
    good = file.read_text()
    file.write_text("{}\n")

    eventually(lambda: "keeps" in gateway.said() or "accident" in gateway.said())
    told = look(gateway)
    file.write_text(good)

    assert "config-lost" in told
    eventually(lambda: "config-lost" not in look(gateway))


def test_a_secret_on_the_command_line_is_told(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    with running_gateway(state_dir, "--token", TOKEN) as gateway:
        done = gateway.openclaw("security", "audit", "--json")

    assert findings(done)["secret-on-command-line"]["severity"] == "warning"
    assert TOKEN not in done.out + done.err


def test_a_device_whose_clock_is_off_is_told(gateway: Gateway) -> None:
    late = time.time_ns() // 1_000_000 - 3_600_000
    knock(gateway.port, **stranger(TOKEN, signed_at=late))

    eventually(lambda: "clock-differs" in look(gateway))


def test_a_gateway_that_was_killed_leaves_nothing_after_a_fix(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.process.kill()
        gateway.process.wait()

    before = findings(openclaw(state_dir, "doctor", "--json"))
    after = findings(openclaw(state_dir, "doctor", "--fix", "--json"))

    assert before["stale-lock"]["fixable"] is True
    assert {name for name, one in after.items() if not one["fixed"]} == set()
    with running_gateway(state_dir):
        pass


def test_a_client_network_among_the_proxies_is_in_the_audit(state_dir: Path) -> None:
    section = {"auth": {"token": TOKEN}, "trustedProxies": ["127.0.0.1", "192.168.178.0/24"]}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))

    done = openclaw(state_dir, "security", "audit")

    assert done.code == 0
    assert "192.168.178.0/24 is a client network" in done.out
    assert "list only the proxies themselves" in done.out


def test_another_program_on_the_port_is_told_by_its_name(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        section = {"auth": {"token": TOKEN}, "port": other.getsockname()[1]}
        (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
        named = openclaw(state_dir, "doctor", "--json")

    assert f"pid {os.getpid()}" in findings(named)["port-of-another-program"]["saw"]


@pytest.mark.real("another-user")
def test_root_repairs_as_the_owner(home: Path) -> None:
    state_dir = home / ".openclaw"
    with running_gateway(state_dir, inside=AS_USER):
        pass
    (state_dir / "openclaw.json").chmod(0o644)

    before = findings(watched(state_dir, "doctor", "--json"))
    after = findings(watched(state_dir, "doctor", "--fix", "--json"))

    assert f"{state_dir}/openclaw.json has mode 0644" in before["open-to-read"]["saw"]
    assert after["open-to-read"]["fixed"] is True
    assert {path.lstat().st_uid for path in state_dir.rglob("*")} == {UID}
    assert (state_dir / "openclaw.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.real("another-user")
def test_root_trusts_no_directory_that_others_write_to(home: Path) -> None:
    state_dir = home / ".openclaw"
    state_dir.mkdir()
    os.chown(state_dir, UID, UID)
    state_dir.chmod(0o777)

    told = findings(watched(state_dir, "doctor", "--fix", "--json"))

    assert set(told) == {"state-dir-untrusted"}
    assert told["state-dir-untrusted"]["command"] == f"chmod 700 {state_dir}"
    assert state_dir.stat().st_mode & 0o777 == 0o777


def test_the_completion_works_in_a_real_bash(tmp_path: Path) -> None:
    script = openclaw(tmp_path, "completion", "-s", "bash").out
    program = tmp_path / "openclaw"
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "from cli.main import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    ask = 'COMP_WORDS=(openclaw doctor --li); COMP_CWORD=2; _openclaw_completion openclaw; echo "${COMPREPLY[*]}"'
    env = environment(tmp_path / "s") | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stdout.strip() == "--lint", done.stderr
