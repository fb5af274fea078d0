"""A refusal inside a container names the way in from its host, whole in the close, as clients parse it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key
from tests.scenarios.programs import eventually, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("namespaces")]

TOKEN, NAME = "the-token-of-this-gateway", "0123456789ab"
#: How published clients find the request in the reason of a close.
REQUEST_ID = re.compile(r"\(requestId: ([A-Za-z0-9][A-Za-z0-9._:-]{0,127})\)$")
IN_CONTAINER = ("unshare", "--uts", "sh", "-c", f'hostname {NAME} && exec "$@"', "sh")


@pytest.mark.parametrize(
    ("env", "prefix"),
    [
        pytest.param({}, f"docker exec {NAME}", id="docker"),
        pytest.param(
            {"OPENCLAW_REMEDY_PREFIX": "docker compose exec openclaw-gateway"},
            "docker compose exec openclaw-gateway",
            id="compose",
        ),
    ],
)
def test_who_is_local_reads_the_way_in_and_who_is_not_reads_the_bare_command(
    tmp_path: Path, env: dict[str, str], prefix: str
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}, "pairing": {"autoApproveLocal": False}}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    words = {"token": TOKEN, "scopes": READ}

    with running_gateway(state_dir, inside=IN_CONTAINER, env=env) as gateway:
        near = knock(gateway.port, key=new_key(), **words)
        why = gateway.openclaw("gateway", "why", "--json").json["refusal"]
        afar = knock(gateway.port, key=new_key(), headers=FROM_AFAR, **words)
        line = f"run: {prefix} openclaw devices approve {afar.request_id}"
        eventually(lambda: line in gateway.said())

    for refused, command in ((near, f"{prefix} openclaw"), (afar, "openclaw")):
        assert refused.close is not None
        code, reason = refused.close
        full = f"{command} devices approve {refused.request_id}"
        assert code == 1008
        assert reason == f"pairing required: run {full} (requestId: {refused.request_id})"
        assert len(reason.encode()) <= 120
        found = REQUEST_ID.search(reason)
        assert found is not None
        assert found[1] == refused.request_id
        assert refused.details["remedy"]["command"] == full
    assert near.details["remedy"]["where"] == "container"
    assert prefix not in json.dumps(afar.error)
    assert why["command"] == f"{prefix} openclaw devices approve {near.request_id}"


def test_what_the_log_advises_is_typed_through_the_engine(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text(json.dumps({"gateway": {"auth": {"token": TOKEN}}}))

    with running_gateway(state_dir, inside=IN_CONTAINER) as gateway:
        file.write_text("{}")
        eventually(lambda: "config reload skipped" in gateway.said_by_now())
        advice = "`docker exec 0123456789ab openclaw config rollback good --yes`"
        assert advice in gateway.said()
        assert any(advice in line["message"] for line in gateway.logged())
