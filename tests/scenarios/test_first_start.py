"""What a gateway makes when it starts, and what it refuses to start on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, new_key, stranger
from tests.scenarios.programs import (
    Gateway,
    free_port,
    openclaw,
    running_gateway,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return where a gateway will keep its state; its folder exists."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


def test_a_token_is_made_and_announced_by_where_it_is(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        file = state_dir / "openclaw.json"
        token = gateway.token

    assert re.fullmatch(r"[0-9a-f]{48}", token)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "//" in file.read_text()
    assert f"gateway.auth.token in {file}" in gateway.said()
    assert token not in gateway.said()
    with running_gateway(state_dir) as again:
        assert again.token == token


def test_a_token_goes_into_the_file_there_is_and_its_comments_stay(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text(
        "{\n  // mine\n  gateway: { port: 19999 }, // and this\n  agents: { x: 1 },\n}\n"
    )

    with running_gateway(state_dir) as gateway:
        token = gateway.token

    text = file.read_text()
    assert token in text
    assert "// mine" in text
    assert "// and this" in text
    assert "agents: { x: 1 }" in text
    assert file.stat().st_mode & 0o777 == 0o600


def test_everything_it_writes_is_private_whatever_the_umask(state_dir: Path) -> None:
    with running_gateway(state_dir, umask=0) as gateway:
        device = stranger(gateway.token)
        request_id = knock(gateway.port, **device).request_id
        for road in ((), ("--offline",)):
            done = openclaw(
                state_dir,
                *("devices", "approve", request_id, *road),
                umask=0,
                port=gateway.port,
            )
            assert done.code == (0 if not road else 1), done
        knock(gateway.port, **stranger(gateway.token))

    modes = {
        str(path.relative_to(state_dir)): path.stat().st_mode & 0o777
        for path in (state_dir, *state_dir.rglob("*"))
    }
    assert modes["devices/paired.json"] == 0o600
    wrong = {
        name: oct(mode)
        for name, mode in modes.items()
        if mode != (0o700 if (state_dir / name).is_dir() else 0o600)
    }
    assert wrong == {}


def works(gateway: Gateway) -> bool:
    """Tell whether a gateway serves."""
    return knock(gateway.port, "health", key=new_key(), token=gateway.token).admitted


def test_bare_gateway_is_the_same_as_gateway_run(state_dir: Path) -> None:
    with running_gateway(state_dir, command=("gateway",)) as gateway:
        assert works(gateway)


def test_published_words_with_nothing_to_do_are_accepted_with_a_note(state_dir: Path) -> None:
    words = ("--allow-unconfigured", "--verbose", "--compact")

    with running_gateway(state_dir, *words) as gateway:
        assert works(gateway)

    assert "--allow-unconfigured has no effect" in gateway.said()
    assert "--compact has no effect" in gateway.said()


def test_config_names_the_file_to_use(state_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.json"
    port = free_port()
    section = {"port": port, "auth": {"token": "a-token-from-elsewhere"}}
    file.write_text(json.dumps({"gateway": section}))

    with running_gateway(state_dir, "--config", str(file), port=port) as gateway:
        admitted = knock(port, key=new_key(), token="a-token-from-elsewhere").admitted

    assert admitted
    assert not state_dir.joinpath("openclaw.json").exists()
    assert json.loads(file.read_text())["gateway"]["auth"] == section["auth"]
    assert str(file) in gateway.said()
    command = f"OPENCLAW_CONFIG_PATH={file} openclaw devices list"
    assert command in gateway.said(), "commands find its secret there"


INVALID = [
    pytest.param(
        '{\n "gateway": {\n  "prot": 1 }}', r":3\b.*gateway\.prot.*gateway\.port", id="unknown-key"
    ),
    pytest.param('{\n "gateway": {\n  "port": "x" }}', r":3\b.*gateway\.port", id="wrong-type"),
    pytest.param('{\n "gateway": {\n  "port": 1,, }}', r":3\b", id="syntax"),
    pytest.param(
        '{"gateway": {"auth": {"skipPairingForTokenAuth": true}}}',
        r":1\b.*skipPairingForTokenAuth.*gateway\.pairing",
        id="never-valid",
    ),
    pytest.param('{"gateway": {"mode": "remote"}}', r"gateway\.mode is remote", id="remote"),
    pytest.param(
        '{"gateway": {"bind": "lan", "auth": {"mode": "none"}}}',
        r"gateway\.bind is lan and gateway\.auth\.mode is none",
        id="open-to-everybody",
    ),
]


@pytest.mark.parametrize(("text", "pattern"), INVALID)
def test_a_configuration_that_cannot_be_used_is_refused_by_file_line_and_key(
    state_dir: Path, text: str, pattern: str
) -> None:
    state_dir.mkdir(mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text(text)

    done = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))

    assert done.code == 78, done
    assert re.search(pattern, done.err, re.DOTALL), done.err
    assert "Traceback" not in done.err
    assert file.read_text() == text
    if ":" in pattern:
        assert str(file) in done.err


def test_state_of_another_program_is_left_alone(state_dir: Path) -> None:
    database = state_dir / "state" / "openclaw.sqlite"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"SQLite format 3\0")

    done = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))

    assert done.code == 78
    assert "--profile" in done.err
    assert sorted(path.name for path in state_dir.rglob("*")) == ["openclaw.sqlite", "state"]


def test_a_file_where_the_state_should_be_is_named(state_dir: Path) -> None:
    state_dir.write_text("not a folder")

    done = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))

    assert done.code == 78, done
    assert str(state_dir) in done.err
    assert "Traceback" not in done.err


@pytest.mark.real("namespaces")
def test_a_read_only_disk_is_named(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    mount = f'mount -t tmpfs -o ro tmpfs {state_dir} && exec "$@"'

    done = openclaw(
        state_dir,
        *("gateway", "run", "--port", str(free_port())),
        inside=("unshare", "--mount", "sh", "-c", mount, "sh"),
    )

    assert done.code == 78, done
    assert str(state_dir) in done.err
    assert "Traceback" not in done.err


USAGE = [
    pytest.param(("--port", "70000"), id="port"),
    pytest.param(("--bind", "everywhere"), id="bind"),
    pytest.param(("--auth", "perhaps"), id="auth"),
    pytest.param(("--nonsense",), id="unknown-option"),
    pytest.param(("--reset",), id="reset"),
]


@pytest.mark.parametrize("words", USAGE)
def test_words_that_mean_nothing_are_usage(state_dir: Path, words: tuple[str, ...]) -> None:
    done = openclaw(state_dir, "gateway", "run", *words)

    assert done.code == 2, done
    assert not state_dir.exists()
