"""How much is logged: flag, configuration, environment, in this order."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.log_levels import LEVEL_VARIABLE, levels, unheeded
from gateway.options import RunOptions
from stores.config.load import LoadedConfig, load_config
from stores.paths import resolve_paths
from tests.scenarios.programs import eventually, running_gateway

NOTHING = "{}"
WARN = '{logging: {level: "warn"}}'
INFO = '{logging: {level: "info"}}'
CONSOLE = '{logging: {consoleLevel: "error"}}'


def loaded(folder: Path, text: str) -> LoadedConfig:
    (folder / "openclaw.json").write_text(text)
    return load_config(resolve_paths({"OPENCLAW_STATE_DIR": str(folder)}), {})


@pytest.mark.parametrize(
    ("options", "text", "said", "file", "console"),
    [
        pytest.param(RunOptions(), NOTHING, "", "info", "info", id="default"),
        pytest.param(RunOptions(), NOTHING, "debug", "debug", "debug", id="environment"),
        pytest.param(RunOptions(), NOTHING, " WARNING ", "warn", "warn", id="another-word"),
        pytest.param(RunOptions(), NOTHING, "loud", "info", "info", id="no-level"),
        pytest.param(RunOptions(), INFO, "debug", "info", "info", id="said-though-the-default"),
        pytest.param(RunOptions(), CONSOLE, "debug", "debug", "error", id="console"),
        pytest.param(RunOptions(verbose=True), WARN, "error", "debug", "debug", id="verbose"),
        pytest.param(RunOptions(log_level="trace"), WARN, "error", "trace", "trace", id="flag"),
    ],
)
def test_who_says_how_much_is_logged(
    tmp_path: Path, options: RunOptions, text: str, said: str, file: str, console: str
):
    found = levels(options, loaded(tmp_path, text), {LEVEL_VARIABLE: said})

    assert (found["level"], found["console_level"]) == (file, console)


@pytest.mark.parametrize(
    ("options", "text", "said", "told"),
    [
        pytest.param(RunOptions(), NOTHING, "", None, id="unset"),
        pytest.param(RunOptions(), NOTHING, "debug", None, id="used"),
        pytest.param(RunOptions(), WARN, "warn", None, id="the-same"),
        pytest.param(RunOptions(), WARN, "debug", "logging.level in ", id="configured"),
        pytest.param(RunOptions(verbose=True), NOTHING, "warn", "--verbose goes", id="verbose"),
        pytest.param(RunOptions(log_level="fatal"), NOTHING, "warn", "--log-level", id="flag"),
        pytest.param(RunOptions(), NOTHING, "loud", "'loud' is no level", id="no-level"),
    ],
)
def test_a_variable_that_does_not_count_is_named(
    tmp_path: Path, options: RunOptions, text: str, said: str, told: str | None
):
    found = unheeded(options, loaded(tmp_path, text), {LEVEL_VARIABLE: said})

    assert len(found) == (told is not None)
    assert all(told is not None and told in one and LEVEL_VARIABLE in one for one in found)


def leave_before_connect(port: int) -> None:
    """Come as a WebSocket and go again, which a gateway remarks on only when it tells everything."""
    lines = ["GET / HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall("\r\n".join(lines).encode())
        assert b"101" in one.recv(64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "env", "written"),
    [
        pytest.param((), {LEVEL_VARIABLE: "debug"}, True, id="environment"),
        pytest.param(("--log-level", "debug"), {}, True, id="in-front"),
        pytest.param((), {}, False, id="unsaid"),
    ],
)
def test_a_gateway_writes_as_much_as_it_is_told(
    tmp_path: Path, words: tuple[str, ...], env: dict[str, str], written: bool
):
    command = (*words, "gateway", "run")
    with running_gateway(tmp_path / "s", command=command, env=env) as gateway:
        leave_before_connect(gateway.port)
        # what comes later is written later
        eventually(lambda: gateway.openclaw("health", "--token", "wrong").code == 1)
        log = "".join(file.read_text() for file in (tmp_path / "s" / "logs").glob("*.jsonl"))

    assert "token mismatch" in log
    assert ('"level": "debug"' in log) is written


@pytest.mark.slow
def test_a_gateway_says_which_level_does_not_count(tmp_path: Path):
    state_dir = tmp_path / "s"
    state_dir.mkdir(mode=0o700)
    (state_dir / "openclaw.json").write_text(INFO)

    with running_gateway(state_dir, env={LEVEL_VARIABLE: "debug"}) as gateway:
        said = gateway.said()

    assert f"env {LEVEL_VARIABLE} is set but not used: logging.level in " in said
