"""Which URL names this machine's own gateway, and by which variable a command finds its port."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stores.config.load import interpret
from stores.config.plan import plan
from stores.own_gateway import own_port, port_variable
from stores.paths import Paths
from stores.port_owner import start_time_of
from stores.target import URL_VARIABLE

FILE = Path("/nowhere/openclaw.json")


def noted(folder: Path, *, pid: int) -> Paths:
    """Write the note of a gateway that listens on port 7."""
    note = {"pid": pid, "startTime": start_time_of(os.getpid()), "port": 7}
    (folder / "gateway.lock").write_text(json.dumps(note))
    return Paths(folder, folder / "openclaw.json")


@pytest.mark.parametrize(
    ("url", "port"),
    [
        pytest.param("ws://127.0.0.1:7", 7, id="address"),
        pytest.param("wss://localhost:7", 7, id="name"),
        pytest.param("ws://127.0.0.1:8", None, id="another-port"),
        pytest.param("ws://127.0.0.1", None, id="no-port"),
        pytest.param("ws://192.0.2.7:7", None, id="another-machine"),
        pytest.param("ws://127.0.0.1:x", None, id="no-number"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_url_names_the_own_gateway_by_where_that_listens(
    tmp_path: Path, url: str, port: int | None
):
    paths = noted(tmp_path, pid=os.getpid())

    assert own_port(url, {}, paths) == port
    assert own_port(None, {URL_VARIABLE: url}, paths) == port


def test_an_option_goes_before_the_environment(tmp_path: Path):
    paths = noted(tmp_path, pid=os.getpid())

    assert own_port("ws://192.0.2.7:7", {URL_VARIABLE: "ws://127.0.0.1:7"}, paths) is None


def test_a_gateway_that_ended_listens_nowhere(tmp_path: Path):
    paths = noted(tmp_path, pid=1)

    assert own_port("ws://127.0.0.1:7", {}, paths) is None


@pytest.mark.parametrize(
    ("section", "secure", "variable"),
    [
        pytest.param({}, False, "OPENCLAW_GATEWAY_PORT=7", id="no-port-configured"),
        pytest.param({"port": 8}, False, "OPENCLAW_GATEWAY_URL=ws://127.0.0.1:7", id="port"),
        pytest.param({"port": 8}, True, "OPENCLAW_GATEWAY_URL=wss://127.0.0.1:7", id="encrypted"),
    ],
)
def test_the_variable_is_one_that_counts(
    section: dict[str, int], secure: bool, variable: str
):  # a table
    loaded = interpret(FILE, json.dumps({"gateway": section}), {})

    assert port_variable(7, loaded, secure=secure) == variable


def test_a_port_that_the_command_line_chose_waits_for_no_restart():
    old = interpret(FILE, None, {}).config
    new = interpret(FILE, json.dumps({"gateway": {"port": 8, "bind": "lan"}}), {}).config

    found = plan(old, new, fixed={"gateway.port": "--port", "gateway.auth.token": "--token"})

    assert (found.restart, found.fixed) == (("gateway.bind",), {"gateway.port": "--port"})
    assert "gateway.port" in plan(old, new).restart
