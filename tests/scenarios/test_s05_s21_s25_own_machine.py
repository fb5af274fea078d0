"""S5, S21, S25: a command on the gateway's machine finds it, and says which secret it used and why."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.programs import Gateway, openclaw, running_gateway

pytestmark = pytest.mark.slow

TOKEN, ANOTHER = "the-token-of-this-gateway", "the-token-of-another-place"
NAME = socket.gethostname()


def written(folder: Path, port: int | None = None, token: str = TOKEN) -> Path:
    """Write a configuration and return the state directory."""
    folder.mkdir(parents=True, mode=0o700)
    section: dict[str, object] = {"auth": {"token": token}}
    section |= {} if port is None else {"port": port}
    folder.joinpath("openclaw.json").write_text(json.dumps({"gateway": section}))
    return folder


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway."""
    with running_gateway(written(tmp_path_factory.mktemp("home") / ".openclaw")) as gateway:
        yield gateway


def with_names(folder: Path, *addresses: str) -> tuple[str, ...]:
    """Return the words in front of a command for which this machine's name has these addresses."""
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{one} {NAME}\n" for one in addresses))
    return (
        *("unshare", "--mount", "sh", "-c"),
        f'mount --bind {hosts} /etc/hosts && exec "$@"',
        "sh",
    )


@pytest.mark.real("namespaces")
def test_s5_the_machines_own_name_is_the_machine_if_it_leads_nowhere_else(
    gateway: Gateway, tmp_path: Path
) -> None:
    words = ("health", "--url", f"ws://{NAME}:{gateway.port}")
    here, mixed = tmp_path / "here", tmp_path / "mixed"
    for folder in (here, mixed):
        folder.mkdir()

    own = openclaw(
        gateway.state_dir, *words, port=gateway.port, inside=with_names(here, "127.0.0.1")
    )
    wide = openclaw(
        gateway.state_dir,
        *words,
        port=gateway.port,
        inside=with_names(mixed, "127.0.0.1", "192.0.2.9"),
    )

    assert own.code == 0, own
    assert wide.code == 1, wide
    assert "is not encrypted and not this machine" in wide.err
    assert f"ssh -N -L {gateway.port}:127.0.0.1:{gateway.port}" in wide.err


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ws://127.0.0.1:{port}", id="same"),
        pytest.param("ws://localhost:{port}/", id="localhost"),
        pytest.param("http://127.0.0.1:{port}", id="http"),
    ],
)
def test_s25_a_url_that_is_the_target_keeps_the_credentials(gateway: Gateway, url: str) -> None:
    done = gateway.openclaw("health", "--url", url.format(port=gateway.port))

    assert done.code == 0, done


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ws://127.0.0.1:{port}/other", id="another-path"),
        pytest.param("ws://gw.example:{port}", id="another-name"),
        pytest.param("wss://127.0.0.1:{port}", id="another-scheme"),
    ],
)
def test_s25_any_other_url_gets_no_secret_of_this_machine(gateway: Gateway, url: str) -> None:
    refused = gateway.openclaw("health", "--url", url.format(port=gateway.port))

    assert refused.code == 1, refused
    assert "no credential for" in refused.err or "is not encrypted" in refused.err


@pytest.mark.parametrize("by", ["--token", "env OPENCLAW_GATEWAY_TOKEN", "gateway.auth.token"])
def test_s21_a_refused_secret_is_named_by_its_source(
    gateway: Gateway, tmp_path: Path, by: str
) -> None:
    state_dir = tmp_path / ".openclaw"
    if by == "gateway.auth.token":
        written(state_dir, gateway.port, ANOTHER)
    env = {"OPENCLAW_GATEWAY_TOKEN": ANOTHER} if by.startswith("env") else {}
    words = ("--token", ANOTHER) if by == "--token" else ()

    refused = openclaw(state_dir, "health", *words, port=gateway.port, env=env)

    assert refused.code == 1, refused
    assert "unauthorized: gateway token mismatch" in refused.err
    assert f"Credential: {by}" in refused.err
    assert ANOTHER not in refused.err + refused.out


def test_s21_a_right_token_that_is_exported_in_vain_is_named(
    gateway: Gateway, tmp_path: Path
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", gateway.port, ANOTHER)
    env = {"OPENCLAW_GATEWAY_TOKEN": TOKEN, "OPENCLAW_GATEWAY_PORT": "5"}

    refused = openclaw(state_dir, "health", "--json", env=env)

    file = state_dir / "openclaw.json"
    not_used = [
        f"env {name} is set but not used: gateway.{key} in {file} goes before it"
        for name, key in (
            ("OPENCLAW_GATEWAY_TOKEN", "auth.token"),
            ("OPENCLAW_GATEWAY_PORT", "port"),
        )
    ]
    assert refused.code == 1, refused
    assert refused.json["gateway"]["notUsed"] == not_used
    for text in not_used:
        assert f"Note: {text}\n" in refused.err
    assert TOKEN not in refused.err + refused.out


def test_s21_the_gateway_of_another_state_directory_is_named_and_the_command_works(
    gateway: Gateway, tmp_path: Path
) -> None:
    state_dir = written(tmp_path / "home" / ".openclaw", gateway.port, ANOTHER)

    refused = openclaw(state_dir, "health", "--json")
    remedy = refused.json["error"]["remedy"]
    variable, _, rest = remedy["command"].partition(" openclaw ")
    name, _, value = variable.partition("=")
    helped = openclaw(state_dir, *rest.split(), port=gateway.port, env={name: value})

    assert refused.code == 1, refused
    assert f"(pid {gateway.process.pid}, user " in remedy["sentence"]
    assert f"works on {gateway.state_dir}" in remedy["sentence"]
    assert f"`{remedy['command']}`" in refused.err.splitlines()[-1]
    assert helped.code == 0, helped


def test_s20_a_command_without_any_secret_names_the_places_and_does_not_dial(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        port = listener.getsockname()[1]
        refused = openclaw(state_dir, "health", port=port)
        with pytest.raises(TimeoutError):
            listener.accept()

    assert refused.code == 1, refused
    for place in ("--token", "env OPENCLAW_GATEWAY_TOKEN", f"gateway.auth.token in {state_dir}"):
        assert place in refused.err
