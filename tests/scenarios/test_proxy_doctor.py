"""From a proxy that is set up wrong to one that works, with nothing but what the doctor says."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import READ, knock, new_key
from tests.scenarios.programs import FORWARDS, Gateway, eventually, running_gateway, running_nginx

pytestmark = [pytest.mark.slow, pytest.mark.real("nginx")]
TOKEN = "a-token-for-this-test"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway that trusts another proxy already."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    section = {"auth": {"token": TOKEN}, "trustedProxies": ["10.9.9.9"]}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    with running_gateway(state_dir) as gateway:
        yield gateway


def findings(gateway: Gateway) -> dict[str, Any]:
    """Return what the doctor finds, by id; exit code 0 because nobody asked for lint."""
    done = gateway.openclaw("doctor", "proxy", "--json")
    assert done.code == 0, done
    return {one["id"]: one for one in done.json["findings"]}


def test_the_doctor_names_the_command_that_makes_a_proxy_work(
    gateway: Gateway, tmp_path: Path
) -> None:
    with running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy:
        before = knock(proxy, key=new_key(), token=TOKEN, scopes=READ)
        eventually(lambda: "untrusted-proxy" in findings(gateway))
        command = findings(gateway)["untrusted-proxy"]["remedy"]["command"]
        done = gateway.openclaw(*shlex.split(command)[1:])

        def attributed() -> bool:
            again = knock(proxy, key=new_key(), token=TOKEN, scopes=READ)
            return bool(again.details["saw"]["locality"]["why"] == "forwarded")

        eventually(attributed)

    assert before.details["saw"]["locality"]["why"] == "untrusted-proxy"
    assert done.code == 0, done
    kept = json.loads((gateway.state_dir / "openclaw.json").read_text())
    assert kept["gateway"]["trustedProxies"] == ["10.9.9.9", "127.0.0.1"]
    assert "untrusted-proxy" not in findings(gateway)


def test_a_proxy_that_forwards_nothing_or_drops_the_upgrade_is_noticed(
    gateway: Gateway, tmp_path: Path
) -> None:
    silent = "proxy_set_header Host gw.example;"
    dropping = f"location /dropping {{ proxy_pass http://127.0.0.1:{gateway.port}; }}"
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with running_nginx(tmp_path / "nginx", gateway.port, silent, server=dropping) as proxy:
        refused = knock(proxy, key=new_key(), token=TOKEN, scopes=READ)
        connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=10)
        connection.request("GET", "/dropping", headers=handshake)
        status = connection.getresponse().status
        connection.close()
    eventually(lambda: {"proxy-forwards-nothing", "lost-upgrade"} <= findings(gateway).keys())

    found = findings(gateway)
    assert refused.details["saw"]["locality"] == {"local": False, "why": "host"}
    assert status == 426
    assert "gw.example" in found["proxy-forwards-nothing"]["seen"]
    assert "Upgrade" in found["lost-upgrade"]["remedy"]["sentence"]


def test_it_works_with_the_gateway_wedged_and_down_and_after_a_restart(gateway: Gateway) -> None:
    headers = (("X-Forwarded-For", "203.0.113.9"),)
    knock(gateway.port, key=new_key(), token=TOKEN, headers=headers)
    eventually(lambda: "untrusted-proxy" in findings(gateway))

    gateway.tell(signal.SIGSTOP)
    wedged = findings(gateway)
    gateway.tell(signal.SIGCONT)
    assert gateway.end() == 0
    down = findings(gateway)
    with running_gateway(gateway.state_dir) as again:
        knock(again.port, key=new_key(), token=TOKEN, headers=headers)
        assert again.end() == 0
    after = findings(gateway)

    assert wedged.keys() == down.keys() == after.keys() == {"untrusted-proxy", "never-matched"}
    assert "2 times" in after["untrusted-proxy"]["seen"]  # what an earlier run saw counts on


def test_a_plain_direct_connection_leaves_no_trace(gateway: Gateway) -> None:
    assert knock(gateway.port, key=new_key(), token=TOKEN).admitted
    assert gateway.end() == 0

    assert not (gateway.state_dir / "logs" / "peers.json").exists()
