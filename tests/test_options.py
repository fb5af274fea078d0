"""Which keys of the configuration do not count beside an option of the command line."""

from pathlib import Path
from typing import Any

import pytest

from gateway.options import RunOptions
from stores.config.keypath import parse_key
from stores.config.known import Standing, know

TOKEN = {"gateway.auth.token", "gateway.auth.tokenFile"}
PASSWORD = {"gateway.auth.password", "gateway.auth.passwordFile"}
LEVELS = {"logging.level", "logging.consoleLevel"}


@pytest.mark.parametrize(
    ("said", "option", "keys"),
    [
        pytest.param({"port": 1}, "--port", {"gateway.port"}, id="port"),
        pytest.param(
            {"bind": "lan"}, "--bind", {"gateway.bind", "gateway.customBindHost"}, id="bind"
        ),
        pytest.param({"bind": "custom"}, "--bind", {"gateway.bind"}, id="bind-custom"),
        pytest.param({"auth": "none"}, "--auth", {"gateway.auth.mode"}, id="auth"),
        pytest.param({"token": "t"}, "--token", TOKEN, id="token"),
        pytest.param({"token_file": Path("f")}, "--token-file", TOKEN, id="token-file"),
        pytest.param({"password": "p"}, "--password", PASSWORD, id="password"),
        pytest.param({"password_file": Path("f")}, "--password-file", PASSWORD, id="password-file"),
        pytest.param({"verbose": True}, "--verbose", LEVELS, id="verbose"),
        pytest.param({"log_level": "warn"}, "--log-level", LEVELS, id="log-level"),
        pytest.param({"verbose": True, "log_level": "warn"}, "--log-level", LEVELS, id="levels"),
    ],
)
def test_an_option_goes_before_its_keys(said: dict[str, Any], option: str, keys: set[str]):
    assert RunOptions(**said).decides == dict.fromkeys(keys, option)
    assert all(know(parse_key(key)).standing is Standing.OURS for key in keys)


def test_nothing_is_decided_by_what_nobody_said():
    assert (
        RunOptions(force=True, last_known_good=True, auto_approve=("published-port",)).decides == {}
    )


def test_port_0_is_said():
    assert RunOptions(port=0).decides == {"gateway.port": "--port"}
