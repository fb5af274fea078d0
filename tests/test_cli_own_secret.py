"""Where the secret of a running gateway is, told to whoever was refused without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.own_secret import name_whereabouts, whereabouts
from stores.credentials import CredentialsRequiredError
from stores.running import Running, Standing

FILE = Path("/state/openclaw.json")


def running(
    source: str | None, *, file: Path = FILE, standing: Standing = Standing.RUNS
) -> Running:
    pid = os.getpid()
    return Running(standing=standing, pid=pid, secret_source=source, config_path=str(file))


@pytest.mark.parametrize(
    ("source", "clause", "remedy"),
    [
        pytest.param(
            "env OPENCLAW_GATEWAY_TOKEN",
            "has its token from its own env OPENCLAW_GATEWAY_TOKEN",
            "set OPENCLAW_GATEWAY_TOKEN here to the same",
            id="variable",
        ),
        pytest.param(
            "env OPENCLAW_GATEWAY_PASSWORD_FILE",
            "has its password from its own env OPENCLAW_GATEWAY_PASSWORD_FILE",
            "`openclaw config set gateway.auth.password --from-file FILE`",
            id="variable-of-a-file",
        ),
        pytest.param(
            "--token-file /run/my token",
            "has its token from --token-file /run/my token",
            "`openclaw health --token-file '/run/my token'`",
            id="file",
        ),
        pytest.param(
            "--password", "has its password from --password", "`--password-file FILE`", id="option"
        ),
    ],
)
def test_a_secret_of_the_gateways_own_is_told_with_the_way_to_it(
    source: str, clause: str, remedy: str
):
    found = whereabouts(running(source), FILE, "openclaw health")

    assert found is not None
    assert f"(pid {os.getpid()})" in found.clause
    assert clause in found.clause
    assert remedy in found.remedy


def test_a_secret_in_another_file_is_told_with_that_file():
    there = running("gateway.auth.token in /etc/x.json", file=Path("/etc/x.json"))

    found = whereabouts(there, FILE, "openclaw health")

    assert found is not None
    assert found.remedy == (
        "use its configuration: `OPENCLAW_CONFIG_PATH=/etc/x.json openclaw health`"
    )


@pytest.mark.parametrize(
    "gateway",
    [
        pytest.param(None, id="no-gateway"),
        pytest.param(running(None), id="no-secret"),
        pytest.param(running("env X", standing=Standing.ENDED), id="ended"),
        pytest.param(running("gateway.auth.token in /state/openclaw.json"), id="in-the-file-read"),
    ],
)
def test_nothing_is_told_where_there_is_nothing_to_tell(gateway: Running | None):
    assert whereabouts(gateway, FILE, "openclaw health") is None


@pytest.mark.parametrize("source", ["env X", None])
def test_a_missing_secret_keeps_its_own_words_where_nothing_more_is_known(source: str | None):
    error = CredentialsRequiredError("none", remedy="give one")

    told = name_whereabouts(error, running(source), FILE, "openclaw health")

    assert told is (source is not None)
    assert error.problem.startswith("none")
    assert (error.remedy == "give one") is (source is None)
    assert (error.problem == "none") is (source is None)
