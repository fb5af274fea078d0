"""`openclaw gateway status` in every state a gateway can be in: three verdicts, one command each."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.namespaces import container_network
from tests.scenarios.programs import (
    Finished,
    eventually,
    free_port,
    openclaw,
    running,
    running_gateway,
)
from tests.scenarios.timing import timed

pytestmark = pytest.mark.slow
NAMES = ("process", "handshake", "authorisation")
STATUS = ("gateway", "status")


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


def verdicts(done: Finished) -> list[bool | None]:
    return [done.json["verdicts"][name]["ok"] for name in NAMES]


def saw(done: Finished, name: str) -> str:
    text: str = done.json["verdicts"][name]["saw"]
    return text


def command(done: Finished, name: str) -> str:
    text: str = done.json["verdicts"][name]["remedy"]["command"]
    return text


def warnings(done: Finished) -> dict[str, Any]:
    return {one["kind"]: one for one in done.json["warnings"]}


def configure(state_dir: Path, text: str) -> None:
    state_dir.mkdir(exist_ok=True, mode=0o700)
    state_dir.joinpath("openclaw.json").write_text(text)


def test_a_healthy_gateway_is_ok_three_times_and_notes_nothing(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw(*STATUS, "--json", "--require-rpc")
        said = gateway.openclaw(*STATUS)

        assert (gateway.kept("paired.json"), gateway.kept("pending.json")) == ({}, {})
        assert gateway.token not in said.out + said.err + done.out + done.err
    assert done.code == said.code == 0, done.err
    assert verdicts(done) == [True, True, True]
    assert done.json["warnings"] == []
    assert done.json["rpc"]["capability"] == "admin_capable"
    assert f"pid {gateway.process.pid}" in saw(done, "process")
    assert not (state_dir / "identity").exists()
    assert f"Gateway target: {gateway.url} (Source: local loopback, port from env" in said.out
    assert said.err == ""


def test_the_usual_port_needs_no_words_about_its_source(state_dir: Path) -> None:
    done = openclaw(state_dir, *STATUS, "--no-probe")

    assert "Gateway target: ws://127.0.0.1:18789 (Source: local loopback)\n" in done.out


def test_a_gateway_that_is_down_is_not_running_and_the_command_starts_it(state_dir: Path) -> None:
    port = free_port()

    done = openclaw(state_dir, *STATUS, "--json", port=port)
    required = openclaw(state_dir, *STATUS, "--require-rpc", port=port)

    assert (done.code, required.code) == (0, 3)
    assert verdicts(done) == [False, False, None]
    assert "not running" in saw(done, "process")
    assert command(done, "process") == "openclaw gateway run"
    assert not (state_dir / "identity").exists()


def test_a_gateway_that_was_killed_is_told_from_one_that_never_ran(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.end(signal.SIGKILL)
        done = gateway.openclaw(*STATUS, "--json")

    assert "ended without a goodbye" in saw(done, "process")
    assert done.json["process"]["standing"] == "ended"


def test_a_stopped_process_is_named_within_three_seconds(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.tell(signal.SIGSTOP)
        eventually(lambda: "T (" in Path(f"/proc/{gateway.process.pid}/status").read_text())
        done, took_s = timed(gateway, *STATUS, "--json", "--require-rpc")

    assert took_s < 3.0
    assert done.code == 3
    assert verdicts(done) == [False, False, None]
    assert command(done, "process") == f"kill -CONT {gateway.process.pid}"
    assert "did not answer in time" in saw(done, "handshake")


def test_another_program_on_the_port_is_named_as_one(state_dir: Path) -> None:
    port = free_port()
    web = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(*web, "--directory", str(state_dir.parent), port=port):
        done = openclaw(state_dir, *STATUS, "--json", "--require-rpc", port=port)

    assert done.code == 3
    assert verdicts(done) == [False, False, None]
    assert "http.server" in saw(done, "process")
    assert "not a gateway of" in saw(done, "process")
    assert command(done, "process").startswith("openclaw config set gateway.port ")
    assert "HTTP 200" in saw(done, "handshake")


def test_a_gateway_of_another_state_directory_is_named_with_it(
    state_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with running_gateway(tmp_path / "other" / "state") as gateway:
        configure(state_dir, '{gateway: {auth: {token: "mine"}}}')
        done = openclaw(state_dir, *STATUS, "--json", port=gateway.port)

    assert verdicts(done) == [False, True, False]
    assert str(tmp_path / "other" / "state") in saw(done, "process")
    assert command(done, "process") == (
        f"OPENCLAW_STATE_DIR={tmp_path}/other/state openclaw gateway status"
    )
    assert "answered and refused" in saw(done, "authorisation")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        pytest.param("flag", "--token", id="flag"),
        pytest.param("config", "gateway.auth.token in", id="config"),
    ],
)
def test_a_wrong_secret_is_told_by_its_source_and_fingerprint(
    state_dir: Path, place: str, told: str
) -> None:
    pinned = state_dir.parent / "pinned"
    pinned.write_text("the-running-one")
    configure(state_dir, '{gateway: {auth: {token: "the-configured-one"}}}')
    words = ("--token", "a-wrong-one") if place == "flag" else ()
    with running_gateway(state_dir, "--token-file", str(pinned)) as gateway:
        for _ in range(4):
            gateway.openclaw(*STATUS, *words)
        done, took_s = timed(gateway, *STATUS, "--json", "--require-rpc", *words)
        said = gateway.openclaw(*STATUS, *words)

    assert done.code == 1
    assert took_s < 2.0
    assert verdicts(done) == [True, True, False]
    assert "AUTH_TOKEN_MISMATCH" in saw(done, "authorisation")
    assert told in saw(done, "authorisation")
    typed = command(done, "authorisation")
    assert typed == f"openclaw gateway status --token-file {pinned}", "a restart keeps its options"
    by_place = {one["place"]: one for one in done.json["secrets"]}
    assert by_place[place]["presented"] is True
    assert by_place[place]["fingerprint"] != by_place["process"]["fingerprint"]
    assert by_place["process"]["fingerprint"] in said.out
    assert "unreachable" not in said.out.lower()
    for secret in ("the-running-one", "the-configured-one", "a-wrong-one"):
        assert secret not in said.out + said.err + done.out


def test_an_environment_variable_that_loses_is_named_and_does_no_harm(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        env = {"OPENCLAW_GATEWAY_TOKEN": "another"}
        done = gateway.openclaw(*STATUS, "--json", env=env)

    assert verdicts(done) == [True, True, True]
    assert (
        "OPENCLAW_GATEWAY_TOKEN is set but not used" in warnings(done)["variable-unused"]["problem"]
    )
    assert {one["place"] for one in done.json["secrets"]} == {"config", "environment", "process"}
    assert "secrets-differ" in warnings(done)


def test_a_missing_secret_is_found_out_without_dialling_with_none(state_dir: Path) -> None:
    secret = state_dir.parent / "secret"
    secret.write_text("only-in-a-file")
    configure(state_dir, "{gateway: {}}")
    with running_gateway(state_dir, "--token-file", str(secret)) as gateway:
        done = gateway.openclaw(*STATUS, "--json", "--require-rpc")

    assert done.code == 1
    assert verdicts(done) == [True, True, False]
    assert "no credential for" in saw(done, "authorisation")
    assert "env OPENCLAW_GATEWAY_TOKEN" in saw(done, "authorisation")


@pytest.mark.parametrize("text", ["{gateway: {prot: 1}}", "{gateway: ", None], ids=str)
def test_a_broken_configuration_hides_neither_the_gateway_nor_the_fault(
    state_dir: Path, text: str | None
) -> None:
    with running_gateway(state_dir) as gateway:
        good = state_dir / "config-history"
        eventually(lambda: list(good.glob("last-known-good*")))
        if text is None:
            state_dir.joinpath("openclaw.json").unlink()
        else:
            configure(state_dir, text)
        done = openclaw(state_dir, *STATUS, "--json")
        said = openclaw(state_dir, *STATUS)

    assert done.code == 0
    assert verdicts(done) == [True, True, True]
    assert done.json["gateway"]["port"] == gateway.port
    kind = "config-lost" if text is None else "config-unusable"
    assert str(state_dir / "openclaw.json") in warnings(done)[kind]["problem"]
    assert done.json["config"]["cli"]["valid"] is False
    how = "missing" if text is None else "invalid"
    assert f"openclaw.json ({how})" in said.out


def test_a_broken_configuration_is_what_keeps_a_stopped_gateway_down(state_dir: Path) -> None:
    configure(state_dir, "{gateway: {prot: 1}}")

    done = openclaw(state_dir, *STATUS, "--json", port=free_port())

    assert "cannot start" in saw(done, "process")
    assert command(done, "process") == "openclaw config validate"


def test_a_port_that_only_the_gateway_knows_is_found(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        done = openclaw(state_dir, *STATUS, "--json")

    assert verdicts(done) == [True, True, True]
    assert done.json["gateway"]["urlSource"].startswith("local loopback, port of the running")
    assert f"listens on port {gateway.port}" in warnings(done)["port-differs"]["problem"]


def test_two_configurations_are_an_explicit_warning(state_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{gateway: {auth: {token: "other"}}}')
    with running_gateway(state_dir) as gateway:
        env = {"OPENCLAW_CONFIG_PATH": str(other)}
        done = gateway.openclaw(*STATUS, "--json", env=env)
        said = gateway.openclaw(*STATUS, env=env)

    assert verdicts(done) == [True, True, False]
    assert command(done, "authorisation") == (
        f"OPENCLAW_CONFIG_PATH={state_dir}/openclaw.json openclaw gateway status"
    )
    assert f"Config (cli): {other}" in said.out
    assert f"Config (gateway): {state_dir}/openclaw.json" in said.out
    assert "Warning: this command uses" in said.out
    digests = [done.json["config"][one]["digest"] for one in ("cli", "gateway")]
    assert digests[0] != digests[1]


def test_a_remote_gateway_that_is_not_there_is_told_as_what_it_is(state_dir: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    remote = f'remote: {{url: "{url}", token: "remote-one"}}'
    configure(state_dir, f"{{gateway: {{mode: 'remote', {remote}}}}}")

    done = openclaw(state_dir, *STATUS, "--json", "--require-rpc")

    assert done.code == 3
    assert verdicts(done) == [None, False, None]
    assert done.json["gateway"]["urlSource"].startswith("gateway.remote.url in")
    assert command(done, "handshake") == f"openclaw gateway probe --url {url}"


def test_remote_mode_without_an_address_says_what_to_set(state_dir: Path) -> None:
    configure(state_dir, "{gateway: {mode: 'remote'}}")

    done = openclaw(state_dir, *STATUS, "--json")

    assert done.code == 0
    assert verdicts(done) == [None, None, None]
    assert command(done, "process") == "openclaw config set gateway.remote.url URL"


def test_a_secret_is_not_sent_in_clear_to_another_machine(state_dir: Path) -> None:
    configure(
        state_dir, "{gateway: {mode: 'remote', remote: {url: 'ws://192.0.2.1:9', token: 'T'}}}"
    )

    done = openclaw(state_dir, *STATUS, "--json", "--timeout", "400")

    assert done.code == 0
    assert verdicts(done)[1] is False
    assert done.json["gateway"]["credentialSource"] is None


@pytest.mark.real("namespaces")
def test_a_gateway_for_the_whole_network_is_asked_on_loopback(state_dir: Path) -> None:
    configure(state_dir, '{gateway: {bind: "lan", auth: {token: "a-long-token-for-the-lan"}}}')
    words = (*STATUS, "--json", "--require-rpc")
    with (
        container_network() as (_, space),
        running_gateway(state_dir, inside=space.words) as gateway,
    ):
        done = openclaw(state_dir, *words, port=gateway.port, inside=space.words)
        outside = openclaw(state_dir, *words, port=gateway.port)

    assert done.code == 0, done
    assert done.json["gateway"]["url"] == gateway.url
    assert done.json["gateway"]["bind"] == "lan"
    assert outside.code == 3
    assert "another network namespace" in saw(outside, "process")


def test_words_that_contradict_each_other_are_usage(state_dir: Path) -> None:
    done = openclaw(state_dir, *STATUS, "--no-probe", "--require-rpc")

    assert done.code == 2


@pytest.mark.real("another-user")
def test_a_configuration_that_cannot_be_read_is_told_and_the_port_looked_at(
    state_dir: Path,
) -> None:
    configure(state_dir, '{gateway: {auth: {token: "T"}}}')
    for folder in (*state_dir.parents[:4],):
        folder.chmod(0o755)
    state_dir.joinpath("openclaw.json").chmod(0o600)

    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = openclaw(state_dir, *STATUS, "--json", port=free_port(), inside=nobody)

    assert done.code == 0, done.err
    assert "Permission denied" in warnings(done)["config-unusable"]["problem"]
