"""What this machine adds to a refusal: the container's command, the secret that counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.explain import lines_of, print_failure
from cli.failures import GatewayRefusedError, envelope
from cli.place import Place
from cli.refused_here import put_in_place
from cli.typed import keep_profile
from stores.config.load import interpret
from stores.target import Target, resolve_target

LOADED = interpret(Path("/nowhere/openclaw.json"), None, {})
APPROVE = "openclaw devices approve 7KQM-2XHT"
MISMATCH = "unauthorized: gateway token mismatch"
HINT = " (set gateway.remote.token to match gateway.auth.token)"


def target(host: str = "127.0.0.1") -> Target:
    return resolve_target(LOADED, {}, url=f"wss://{host}:7")


def refused(
    problem: str = "pairing required", *, why: str = "not-loopback", command: Any = APPROVE
) -> GatewayRefusedError:
    details = {
        "saw": {"locality": {"local": False, "why": why}},
        "remedy": {"sentence": "It waits.", "command": command, "where": "gateway-host"},
    }
    return GatewayRefusedError(problem, code="NOT_PAIRED", details=details, admitted=False)


def test_who_dials_loopback_and_comes_from_elsewhere_types_it_in_the_container():
    error = refused()

    put_in_place(error, target(), None)

    typed = f"docker exec CONTAINER {APPROVE}"
    told = envelope(error, 1)["error"]
    assert list(lines_of(error))[-1] == f"Run inside the gateway's container: {typed}"
    assert told["remedy"] == {"sentence": "It waits.", "command": typed, "where": "container"}
    assert told["details"]["remedy"]["command"] == APPROVE


@pytest.mark.parametrize(
    ("error", "host"),
    [
        pytest.param(refused(), "192.0.2.7", id="not-dialled-on-loopback"),
        pytest.param(refused(why="other-uid"), "127.0.0.1", id="of-this-machine"),
        pytest.param(refused(why="host"), "127.0.0.1", id="by-another-name"),
    ],
)
def test_otherwise_the_gateways_own_command_stands(error: GatewayRefusedError, host: str):
    put_in_place(error, target(host), None)

    assert list(lines_of(error))[-1] == f"Run on the gateway's machine: {APPROVE}"
    assert envelope(error, 1)["error"]["remedy"]["where"] == "gateway-host"


@pytest.fixture
def of_work() -> Iterator[None]:
    """The running command is for the profile work."""
    keep_profile(Place({"HOME": "/home/ada"}, profile="work"))
    yield
    keep_profile(None)


@pytest.mark.usefixtures("of_work")
def test_what_the_own_gateway_says_is_typed_for_its_profile():
    error = refused(why="other-uid")

    put_in_place(error, resolve_target(LOADED, {}), None)

    typed = "openclaw --profile work devices approve 7KQM-2XHT"
    assert list(lines_of(error))[-1] == f"Run on the gateway's machine: {typed}"
    assert envelope(error, 1)["error"]["remedy"]["command"] == typed


@pytest.mark.usefixtures("of_work")
def test_what_a_gateway_elsewhere_says_stays_as_it_said_it(capsys: pytest.CaptureFixture[str]):
    error = refused(why="other-uid")
    sentence = "It waits: see `openclaw devices list`."
    error.details["remedy"]["sentence"] = sentence

    put_in_place(error, target("192.0.2.7"), None)
    print_failure(error, 1, as_json=False)

    told = envelope(error, 1)["error"]["remedy"]
    said = capsys.readouterr().err
    assert f"Why: {sentence}\n" in said
    assert f"Run on the gateway's machine: {APPROVE}\n" in said
    assert (told["sentence"], told["command"]) == (sentence, APPROVE)


@pytest.mark.parametrize("command", [None, 7, "docker exec gw openclaw health"], ids=str)
def test_what_is_no_plain_command_stays_as_it_is(command: Any):
    error = refused(command=command)

    put_in_place(error, target(), None)

    assert envelope(error, 1)["error"]["remedy"]["command"] == command


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({"saw": 7, "remedy": 7}, id="scalars"),
        pytest.param({"saw": {"locality": "not-loopback"}}, id="locality"),
        pytest.param({"saw": {"locality": {"why": "not-loopback"}}, "remedy": []}, id="remedy"),
    ],
)
def test_details_of_another_shape_break_nothing(details: dict[str, Any]):
    error = GatewayRefusedError("no", code="X", details=details, admitted=False)

    put_in_place(error, target(), None)

    assert next(lines_of(error)) == "no"


@pytest.mark.parametrize(
    ("host", "source", "problem"),
    [
        pytest.param("127.0.0.1", "--token", MISMATCH, id="loopback"),
        pytest.param("127.0.0.1", None, MISMATCH, id="no-secret"),
        pytest.param("192.0.2.7", "--token", MISMATCH + HINT, id="elsewhere"),
        pytest.param("127.0.0.1", "gateway.remote.token in /c", MISMATCH + HINT, id="tunnel"),
    ],
)
def test_a_key_for_other_machines_is_not_named_on_this_one(
    host: str, source: str | None, problem: str
):
    error = refused(MISMATCH + HINT)

    put_in_place(error, target(host), source)

    assert error.problem == problem
