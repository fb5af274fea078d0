"""How a command talks to this machine's gateway: as it runs, else as its files say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stores.config.load import interpret
from stores.own_gateway import as_it_serves
from stores.paths import Paths
from stores.port_owner import start_time_of
from stores.target import Target, resolve_target
from tests.pems import a_pair

PIN = "ab" * 32


def target_at(folder: Path, text: str = "{}") -> Target:
    """Return what a command makes of a configuration and of the files beside it."""
    loaded = interpret(folder / "openclaw.json", "{gateway: {port: 7, tls: %s}}" % text, {})  # noqa: UP031  # braces
    return as_it_serves(
        resolve_target(loaded, {}), loaded, {}, Paths(folder, folder / "openclaw.json")
    )


def note(folder: Path, **changes: Any) -> None:
    """Leave the note of a gateway that runs: this very process."""
    pid = os.getpid()
    held = {"pid": pid, "startTime": start_time_of(pid), "port": 7} | changes
    (folder / "gateway.lock").write_text(json.dumps(held))


ON = {"enabled": True, "fingerprint": f"sha256:{PIN}", "notAfter": 1}
OFF = {"enabled": False}


@pytest.mark.parametrize(
    ("text", "noted", "url", "pin"),
    [
        pytest.param("{}", None, "ws://127.0.0.1:7", None, id="plain"),
        pytest.param("{enabled: true}", None, "wss://127.0.0.1:7", None, id="not-made-yet"),
        pytest.param("{enabled: true}", {"tls": ON}, "wss://127.0.0.1:7", PIN, id="both"),
        pytest.param("{enabled: true}", {"tls": OFF}, "ws://127.0.0.1:7", None, id="to-be-on"),
        pytest.param("{}", {"tls": ON}, "wss://127.0.0.1:7", PIN, id="to-be-off"),
        pytest.param("{}", {"tls": ON, "port": 8}, "ws://127.0.0.1:7", None, id="other-port"),
        pytest.param("{}", {"tls": ON, "startTime": 1}, "ws://127.0.0.1:7", None, id="dead"),
        pytest.param("{}", {"tls": "on"}, "ws://127.0.0.1:7", None, id="not-an-object"),
        pytest.param("{}", {}, "ws://127.0.0.1:7", None, id="of-an-older-version"),
        pytest.param("{}", {"tls": {"enabled": True}}, "ws://127.0.0.1:7", None, id="no-pin"),
    ],
)
def test_a_gateway_that_runs_goes_before_the_configuration(
    tmp_path: Path, text: str, noted: dict[str, Any] | None, url: str, pin: str | None
):
    if noted is not None:
        note(tmp_path, **noted)

    target = target_at(tmp_path, text)

    assert (target.url, target.tls_fingerprint) == (url, pin)


def test_a_scheme_that_is_not_the_configured_one_says_why(tmp_path: Path):
    note(tmp_path, tls=OFF)

    source = target_at(tmp_path, "{enabled: true}").source

    assert source.endswith("; ws until the gateway is restarted")


def test_without_a_gateway_the_certificate_on_file_is_the_only_one_accepted(tmp_path: Path):
    pair = a_pair(tmp_path)

    target = target_at(tmp_path, '{enabled: true, certPath: "server.pem", keyPath: "server.key"}')

    assert (target.tls_fingerprint, target.pin_source) == (pair.fingerprint, str(pair.cert))


@pytest.mark.parametrize("broken", ["", "[]", "{", "null"])
def test_a_note_that_is_none_is_no_note(tmp_path: Path, broken: str):
    (tmp_path / "gateway.lock").write_text(broken)

    assert target_at(tmp_path).url == "ws://127.0.0.1:7"
