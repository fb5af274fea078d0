"""A gateway that was started with ``--port`` beside a configuration that names another port."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key
from tests.scenarios.programs import (
    Finished,
    Gateway,
    free_port,
    openclaw,
    running_gateway,
)

pytestmark = pytest.mark.slow

TOKEN = "the-token-of-this-gateway"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    state_dir = tmp_path / ".openclaw"
    state_dir.mkdir(mode=0o700)
    section = {"port": free_port(), "auth": {"token": TOKEN}}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    with running_gateway(state_dir) as found:
        yield found


def typed(gateway: Gateway, command: str) -> Finished:
    """Run a printed command: its variables, and its words behind the program's name."""
    before, words = re.fullmatch(r"((?:[A-Z_]+=\S+ )*)openclaw (.*)", command).groups()  # type: ignore[union-attr]  # no match fails
    env = dict(one.split("=", 1) for one in before.split())
    return openclaw(gateway.state_dir, *words.split(), env=env)


def request_id(gateway: Gateway) -> str:
    asked = knock(gateway.port, key=new_key(), headers=FROM_AFAR, scopes=READ, token=TOKEN)
    assert asked.request_id
    return asked.request_id


def announced(gateway: Gateway, label: str) -> str:
    """Return a command that the gateway named as it started."""
    found = re.search(rf"{label}: +(\S.*)", gateway.said_by_now())
    assert found is not None
    return found[1]


def test_the_announced_commands_ask_this_gateway(gateway: Gateway) -> None:
    wanted = request_id(gateway)

    listed = typed(gateway, announced(gateway, "devices that wait") + " --json")
    let_in = typed(gateway, announced(gateway, "let one in").replace("CODE", wanted) + " --json")

    assert listed.json["source"] == "gateway"
    assert [one["requestId"] for one in listed.json["pending"]] == [wanted]
    assert (let_in.code, let_in.json["source"]) == (0, "gateway"), let_in


def test_the_files_stand_in_for_it_while_it_is_stuck(gateway: Gateway) -> None:
    wanted = request_id(gateway)
    command = announced(gateway, "devices that wait")
    gateway.tell(signal.SIGSTOP)

    listed = typed(gateway, f"{command} --json")

    assert listed.json["source"] == "files"
    assert [one["requestId"] for one in listed.json["pending"]] == [wanted]


def test_a_refusal_names_a_command_that_asks_this_gateway(gateway: Gateway) -> None:
    asked = knock(gateway.port, key=new_key(), headers=FROM_AFAR, scopes=READ, token=TOKEN)
    why = gateway.openclaw("gateway", "why", "--json").json["refusal"]["command"]

    done = typed(gateway, f"{why} --json")

    assert done.code == 0, done
    assert (done.json["requestId"], done.json["source"]) == (asked.request_id, "gateway")


def test_a_secret_goes_to_no_other_port_of_this_machine(gateway: Gateway) -> None:
    other = f"ws://127.0.0.1:{free_port()}"

    done = openclaw(gateway.state_dir, "health", "--json", env={"OPENCLAW_GATEWAY_URL": other})

    assert done.json["gateway"]["credentialSource"] is None


@pytest.mark.parametrize(
    "words", [("health", "--json"), ("gateway", "status", "--json")], ids=" ".join
)
def test_no_restart_is_advised_that_would_keep_the_port(
    gateway: Gateway, words: tuple[str, ...]
) -> None:
    done = openclaw(gateway.state_dir, *words)
    advice = re.search(r"`(openclaw config set gateway.port \d+)`", done.out)
    assert advice is not None, done.out
    assert "gateway restart" not in done.out

    done = typed(gateway, advice[1])

    assert done.code == 0, done
    assert openclaw(gateway.state_dir, "health").code == 0


def test_a_changed_port_is_not_said_to_wait_for_a_restart(gateway: Gateway) -> None:
    port = str(free_port())

    done = openclaw(gateway.state_dir, "config", "set", "gateway.port", port)
    reloaded = openclaw(gateway.state_dir, "gateway", "reload", "--json")

    assert "Counts from a start without --port" in done.out
    assert "gateway restart" not in done.out
    assert reloaded.json["restartRequired"] == []


def test_every_option_that_goes_before_a_key_is_named(tmp_path: Path) -> None:
    options = ("--bind", "loopback", "--auth", "token", "--token", TOKEN)
    with running_gateway(tmp_path / ".openclaw", *options) as gateway:
        for key, value, option in (
            ("gateway.bind", "lan", "--bind"),
            ("gateway.auth.mode", "password", "--auth"),
            ("gateway.auth.password", "of-nobody", None),
            ("gateway.auth.token", "another-token-than-that", "--token"),
        ):
            done = gateway.openclaw("config", "set", key, value)

            assert done.code == 0, done
            assert "gateway restart" not in done.out
            if option is not None:
                assert f"Counts from a start without {option}," in done.out

        reloaded = gateway.openclaw("gateway", "reload", "--token", TOKEN, "--json")
        assert (reloaded.code, reloaded.json["restartRequired"]) == (0, []), reloaded


def test_a_restart_moves_a_gateway_whose_port_the_file_named(tmp_path: Path) -> None:
    state_dir = tmp_path / ".openclaw"
    state_dir.mkdir(mode=0o700)
    port, other = free_port(), free_port()
    section = {"port": port, "auth": {"token": TOKEN}}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    with running_gateway(state_dir, port=port, pinned=False) as gateway:
        assert openclaw(state_dir, "config", "set", "gateway.port", str(other)).code == 0

        told = openclaw(state_dir, "health").err
        done = openclaw(state_dir, "gateway", "restart")

        assert "`openclaw gateway restart`" in told
        assert done.code == 0, done
        assert openclaw(state_dir, "health").code == 0
        assert gateway.process.poll() is None
