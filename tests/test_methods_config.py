"""The configuration over the wire: whole, and without a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stores.config.redact import REDACTED
from tests.serving import TOKEN
from tests.sessions import a_gateway, admitted

TEXT = f"""// the token used to be {TOKEN}
{{
  gateway: {{
    mode: "local",
    auth: {{ mode: "token", token: "{TOKEN}" }}, // keep
    controlUi: {{ allowedOrigins: ["https://gw.example"] }},
  }},
  agents: {{
    odd: [Infinity, NaN, -0.5, 0x10, true, null, 99999999999999999999999],
  }},
}}
"""


def written(folder: Path) -> Path:
    file = folder / "state" / "openclaw.json"
    file.parent.mkdir(mode=0o700)
    file.write_text(TEXT)
    file.chmod(0o600)
    return file


async def test_a_reader_sees_the_configuration_and_no_secret(tmp_path):
    file = written(tmp_path)
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=("operator.read",)) as wire,
    ):
        response = await wire.call("config.get", {})

        assert TOKEN not in json.dumps(response)
        answer = response["payload"]
        assert answer["parsed"]["gateway"]["auth"] == {"mode": "token", "token": REDACTED}
        assert answer["parsed"] == answer["resolved"] == answer["config"]
        odd = ["inf", "nan", -0.5, 16, True, None, "99999999999999999999999"]
        assert answer["parsed"]["agents"]["odd"] == odd
        assert "// keep" in answer["raw"]
        assert (answer["path"], answer["exists"], answer["valid"]) == (str(file), True, True)
        assert answer["hash"]
        assert (answer["issues"], answer["legacyIssues"]) == ([], [])


async def test_an_edit_that_was_not_taken_in_is_told(tmp_path):
    written(tmp_path)
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        gateway.runtime.config_problem = "gateway.port: expected int"

        answer = await wire.result("config.get")

        assert answer["valid"] is False
        assert answer["issues"] == [{"path": "", "message": "gateway.port: expected int"}]


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        pytest.param({"key": "gateway"}, "at root: unexpected property 'key'", id="unknown"),
        pytest.param([], "must be object", id="no-object"),
    ],
)
async def test_config_get_takes_no_parameters(tmp_path, params, fault):
    async with a_gateway(tmp_path) as gateway, admitted(gateway) as wire:
        error = (await wire.call("config.get", params))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"] == f"invalid config.get params: {fault}"


async def test_without_read_there_is_no_configuration(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=("operator.pairing",)) as wire,
    ):
        error = (await wire.call("config.get"))["error"]

        assert error["message"] == "missing scope: operator.read"
