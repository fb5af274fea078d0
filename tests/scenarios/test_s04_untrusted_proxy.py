"""S4: a proxy that nobody trusts is named once, with the command that trusts it and keeps the rest."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.scenarios.clients import knock, new_key
from tests.scenarios.programs import FORWARDS, eventually, openclaw, running_gateway, running_nginx
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = pytest.mark.slow

READ = ("operator.read",)
COMMAND = "config set gateway.trustedProxies"


@pytest.mark.real("nginx")
def test_the_peer_to_trust_is_logged_once_and_its_command_works(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    set_before = openclaw(state_dir, "config", "set", "gateway.trustedProxies", '["10.1.2.3"]')
    assert set_before.code == 0, set_before.err
    with (
        running_gateway(state_dir) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port,
    ):
        refused = [knock(port, key=new_key(), token=TOKEN, scopes=READ) for _ in range(4)]
        lines = [one["message"] for one in gateway.logged() if COMMAND in one["message"]]
        assert len(lines) == 1
        command = lines[0].partition("`")[2].partition("`")[0]
        words = shlex.split(command.rpartition("openclaw ")[2])
        assert words == ["config", "set", "gateway.trustedProxies", '["10.1.2.3", "127.0.0.1"]']

        why = gateway.openclaw("gateway", "why", refused[-1].request_id, "--json").json["refusal"]
        followed = gateway.openclaw(*words)
        assert followed.code == 0, followed.err

        def trusted() -> bool:
            client = knock(port, key=new_key(), token=TOKEN, scopes=READ)
            return str(client.details["saw"]["locality"]["why"]) == "forwarded"

        eventually(trusted, within_s=5)

    details = [one.details for one in refused]
    assert {one["code"] for one in details} == {"PAIRING_REQUIRED"}
    assert {one["saw"]["locality"]["why"] for one in details} == {"untrusted-proxy"}
    assert all("10.1.2.3" not in json.dumps(one) for one in details)
    assert why["saw"]["peer"] == "127.0.0.1"
    assert command in why["sentence"]


@pytest.mark.real("nginx")
def test_an_admitted_client_of_an_untrusted_proxy_has_the_proxy_named_once_too(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with (
        running_gateway(state_dir) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port,
    ):
        key = new_key()
        assert knock(gateway.port, key=key, token=TOKEN, scopes=READ).admitted
        assert all(knock(port, key=key, token=TOKEN, scopes=READ).admitted for _ in range(3))
        lines = [one["message"] for one in gateway.logged() if COMMAND in one["message"]]

    assert len(lines) == 1
    assert "remote=127.0.0.1" in lines[0]
    assert f"""{COMMAND} '["127.0.0.1"]'""" in lines[0]
