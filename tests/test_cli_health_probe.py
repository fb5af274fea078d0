"""`openclaw gateway health --probe`: what a health check of a container or supervisor relies on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import Serve, closed_port, listening, says, silent, speaks_tls
from tests.scenarios.programs import ROOT, environment, openclaw, running_gateway
from tests.test_cli_gateway import run

ALIVE = says(b'HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{"ok":true,"status":"live"}\r\n')
PROBE = ["gateway", "health", "--probe"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    return tmp_path


def noted(state: Path, port: int, *, tls: bool = False, **more: object) -> None:
    """Write what a running gateway writes into its lock."""
    note = {"pid": 1, "port": port, "tls": {"enabled": tls}} | more
    state.joinpath("gateway.lock").write_text(json.dumps(note))


def test_a_gateway_that_answers_is_well(state: Path, capsys: pytest.CaptureFixture[str]):
    with listening(ALIVE) as port:
        noted(state, port)
        code, out, err = run(PROBE, capsys)
        as_json = run([*PROBE, "--json"], capsys)

    assert (code, err) == (0, "")
    assert out.startswith(f"OK: port {port} (")
    assert as_json[0] == 0
    assert json.loads(as_json[1])["port"] == port


def test_the_port_that_the_gateway_says_goes_before_the_one_that_is_set(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", str(closed_port()))
    state.joinpath("openclaw.json").write_text("{gateway: {broken")

    with listening(ALIVE) as port:
        noted(state, port)

        assert run(PROBE, capsys)[0] == 0


def test_without_a_word_of_the_gateway_the_configured_port_is_asked(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    with listening(silent) as port:
        state.joinpath("openclaw.json").write_text(f"{{gateway: {{port: {port}}}}}")
        code, _, err = run([*PROBE, "--timeout", "100"], capsys)

    assert code == 1
    assert f"the gateway on port {port} accepts connections" in err


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "never-there"])
def test_the_gateway_of_another_state_directory_on_the_port_is_not_well(
    state: Path, capsys: pytest.CaptureFixture[str], *, killed: bool
):
    with listening(ALIVE) as port:
        state.joinpath("openclaw.json").write_text(f"{{gateway: {{port: {port}}}}}")
        if killed:
            noted(state, port, startTime=0, pidSpace=os.readlink("/proc/self/ns/pid"))
        code, out, err = run([*PROBE, "--json"], capsys)

    assert code == 1
    assert json.loads(out)["exitCode"] == 1
    assert f"a gateway answers on port {port}, but none runs on {state}" in err
    assert "`openclaw gateway status`" in err


def test_an_encrypted_gateway_is_asked_in_its_own_tongue(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "tls"
    folder.mkdir()
    encrypted, _ = speaks_tls(folder, ALIVE)
    with listening(encrypted) as port:
        noted(state, port, tls=True)

        assert run(PROBE, capsys)[0] == 0


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\n<html>hello</html>"), id="another-server"),
        pytest.param(says(b'HTTP/1.1 503 x\r\n\r\n{"status":"live"}'), id="not-200"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\n[]"), id="other-json"),
        pytest.param(says(b"SSH-2.0-x\r\n"), id="no-http"),
        pytest.param(says(b""), id="hangs-up"),
    ],
)
def test_what_does_not_answer_as_a_gateway_is_not_well(
    state: Path, capsys: pytest.CaptureFixture[str], serve: Serve
):
    with listening(serve) as port:
        noted(state, port)
        code, _, err = run(PROBE, capsys)

    assert code == 1
    assert str(port) in err


def test_nobody_on_the_port_is_1_with_the_command_that_helps(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    port = closed_port()
    noted(state, port)

    code, out, err = run([*PROBE, "--json"], capsys)

    assert code == 1
    told = json.loads(out)
    assert (told["ok"], told["exitCode"]) == (False, 1)
    assert f"no gateway answers on port {port}" in err
    assert "`openclaw gateway run`" in err


def test_a_gateway_that_hangs_is_told_from_none(state: Path, capsys: pytest.CaptureFixture[str]):
    with listening(silent) as port:
        noted(state, port)
        code, _, err = run([*PROBE, "--timeout", "100"], capsys)

    assert code == 1
    assert "accepts connections and does not answer" in err


def test_a_broken_configuration_is_1_and_named(state: Path, capsys: pytest.CaptureFixture[str]):
    state.joinpath("openclaw.json").write_text("{gateway: {broken")

    code, _, err = run(PROBE, capsys)

    assert code == 1
    assert "openclaw.json" in err


@pytest.mark.parametrize(
    "words",
    [["--url", "ws://127.0.0.1:1"], ["--token", "t"], ["--tls-fingerprint", "a" * 64]],
    ids=["url", "token", "fingerprint"],
)
def test_a_probe_takes_no_target_and_no_credentials(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str]
):
    assert run([*PROBE, *words], capsys)[0] == 2


@pytest.mark.slow
def test_a_real_gateway_is_probed_on_its_port_without_leaving_a_device(tmp_path: Path):
    with running_gateway(tmp_path / ".openclaw") as gateway:
        done = openclaw(gateway.state_dir, *PROBE)

        assert done.code == 0, done
        assert gateway.kept("paired.json") == {}
        assert gateway.kept("pending.json") == {}


@pytest.mark.slow
def test_a_probe_loads_no_event_loop_and_nothing_that_encrypts(tmp_path: Path):
    look = (
        "import sys\nfrom cli.main import main\n"
        "try: main(['gateway', 'health', '--probe'])\n"
        "except SystemExit as end: print('code', end.code)\n"
        "never = {'trio', 'cryptography', 'json5', 'ssl', 'stores.config.edit', 'stores.credentials'}\n"
        "print(never & set(sys.modules))"
    )
    with listening(ALIVE) as port:
        noted(tmp_path, port)
        done = subprocess.run(
            [sys.executable, "-c", look],
            env=environment(tmp_path),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )

    assert done.stdout.splitlines()[-2:] == ["code 0", "set()"], done
