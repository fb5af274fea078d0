"""A refused secret of this machine: whose gateway refused it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.explain import lines_of
from cli.failures import About, CallError, GatewayRefusedError, envelope
from cli.whose import in_full, name_other_gateway
from stores.paths import Paths, resolve_paths


def refused(code: str = "AUTH_TOKEN_MISMATCH", *, admitted: bool = False) -> GatewayRefusedError:
    remedy = {"sentence": "The token is wrong.", "command": "openclaw gateway auth-token --show"}
    details = {"code": code, "remedy": remedy | {"where": "gateway-host"}}
    return GatewayRefusedError("no", code="INVALID_REQUEST", details=details, admitted=admitted)


def paths_of(state_dir: Path) -> Paths:
    return resolve_paths({"HOME": "/", "OPENCLAW_STATE_DIR": str(state_dir)})


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Hold a port and the lock of a state directory, as a gateway does."""
    state_dir = tmp_path / "a place" / ".openclaw"
    state_dir.mkdir(parents=True)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        (state_dir / "gateway.lock").open("wb"),
    ):
        yield listener.getsockname()[1], state_dir


def test_the_gateway_of_another_state_directory_is_named(serving: tuple[int, Path], tmp_path: Path):
    port, state_dir = serving
    error = refused()

    name_other_gateway(error, paths_of(tmp_path), port, "openclaw health")

    last = list(lines_of(error))[-1]
    told = envelope(error, 1)["error"]["remedy"]
    assert f"(pid {os.getpid()}, user " in last
    assert f"works on {state_dir}, and this command looks at {tmp_path}" in last
    assert last.endswith(f"`OPENCLAW_STATE_DIR='{state_dir}' openclaw health`")
    assert told["command"] == f"OPENCLAW_STATE_DIR='{state_dir}' openclaw health"
    assert told["where"] == "this-device"


@pytest.mark.parametrize(
    ("error", "own"),
    [
        pytest.param(refused(), True, id="the-own-gateway"),
        pytest.param(refused("PAIRING_REQUIRED"), False, id="not-about-secrets"),
        pytest.param(refused(admitted=True), False, id="let-in"),
    ],
)
def test_otherwise_the_gateways_own_words_stand(
    serving: tuple[int, Path], tmp_path: Path, error: GatewayRefusedError, *, own: bool
):
    port, state_dir = serving

    name_other_gateway(error, paths_of(state_dir if own else tmp_path), port, "openclaw health")

    assert error.remedy is None
    assert list(lines_of(error))[-1].endswith("openclaw gateway auth-token --show")


def test_a_port_of_no_gateway_is_nobodys(tmp_path: Path):
    error = refused()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        name_other_gateway(error, paths_of(tmp_path), listener.getsockname()[1], "openclaw health")

    assert error.remedy is None


def test_what_is_set_in_vain_is_told_after_the_target():
    about = About(
        url="ws://h:1",
        url_source="loopback",
        config_path="/c",
        credential_source="gateway.auth.token",
        not_used=("env X is set but not used: Y goes before it",),
    )
    error = CallError(refused(), about)

    lines = list(lines_of(error))

    assert lines[-3:-1] == [
        "Credential: gateway.auth.token",
        "Note: env X is set but not used: Y goes before it",
    ]
    assert envelope(error, 1)["gateway"]["notUsed"] == list(about.not_used)


@pytest.mark.parametrize(
    ("remedy", "env", "told"),
    [
        pytest.param(None, {}, None, id="none"),
        pytest.param(
            "`chmod u+rwX /s`", {"OPENCLAW_STATE_DIR": "/s"}, "`chmod u+rwX /s`", id="own"
        ),
        pytest.param("`sudo -u a openclaw …`", {}, "`sudo -u a openclaw logs -f`", id="usual"),
        pytest.param(
            "`sudo -u a openclaw …`",
            {"OPENCLAW_STATE_DIR": "/a b"},
            "`sudo -u a OPENCLAW_STATE_DIR='/a b' openclaw logs -f`",
            id="named-directory",
        ),
    ],
)
def test_the_command_of_another_user_is_written_out(
    remedy: str | None, env: dict[str, str], told: str | None
):
    assert in_full(remedy, "openclaw logs -f", env) == told
