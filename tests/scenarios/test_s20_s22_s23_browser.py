"""S20, S22, S23, S25: what a browser, a proxy in front of it, and a command without a token are told."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import knock, new_key
from tests.scenarios.programs import openclaw, running_gateway, running_nginx
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = pytest.mark.slow

PAGE = {"client_id": "openclaw-control-ui", "mode": "webchat"}
LAN = {"host": "192.168.0.80", "origin": "http://192.168.0.80"}
#: A location of nginx as it comes: HTTP/1.0 to the gateway, and no header of the handshake passed.
AS_IT_COMES = "location /bare {{ proxy_pass http://127.0.0.1:{port}; }}"


def http(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    """Return status and body of one plain request."""
    wire = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        wire.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = wire.getresponse()
        return answer.status, answer.read()
    finally:
        wire.close()


def test_a_page_without_a_token_reads_where_to_get_one(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        origin = f"http://127.0.0.1:{gateway.port}"
        refused = knock(gateway.port, key=new_key(), origin=origin, **PAGE)

    assert refused.details["code"] == "AUTH_TOKEN_MISSING"
    assert refused.close is not None
    assert refused.close[1].startswith("unauthorized: gateway token missing")
    assert "dashboard" in refused.close[1]
    assert "gateway.auth.token" in refused.details["remedy"]["sentence"]


def test_a_page_on_plain_http_of_the_lan_reads_both_ways_out(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        refused = knock(gateway.port, token=gateway.token, **PAGE, **LAN)
        command = knock(gateway.port, "status", token=gateway.token)

    assert refused.details["code"] == "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
    assert refused.close is not None
    assert "HTTPS or localhost" in refused.close[1]
    assert "secure context" in refused.close[1]
    assert "ssh -L" in refused.details["remedy"]["sentence"]
    assert refused.details["remedy"]["where"] == "browser"
    assert command.admitted  # the same token from a command without a device, on loopback


def test_a_page_of_another_origin_reads_both_values_and_the_command(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    key = "gateway.controlUi.allowedOrigins"
    assert openclaw(state_dir, "config", "set", key, '["https://kept.example"]').code == 0
    with running_gateway(state_dir) as gateway:
        refused = knock(gateway.port, key=new_key(), token=TOKEN, origin="https://ui.example")
        status, body = http(gateway.port, "/readyz", Origin="https://ui.example")
        why = gateway.openclaw("gateway", "why", "--all", "--json").json["refusals"]

    sentence = refused.details["remedy"]["sentence"]
    assert "https://ui.example" in sentence
    assert f"127.0.0.1:{gateway.port}" in sentence
    command = f"openclaw config set {key} '[\"https://ui.example\"]'"
    told: Any = json.loads(body)
    assert status == 403
    assert refused.details["remedy"]["command"] == command
    assert told["details"]["remedy"]["command"] == command
    assert "kept.example" not in str(refused.error) + body.decode()
    in_full = f'{key} \'["https://kept.example", "https://ui.example"]\''
    assert [one["command"].endswith(in_full) for one in why] == [True, True]
    assert gateway.kept("pending.json") == {}


@pytest.mark.real("nginx")
def test_a_proxy_that_drops_the_upgrade_is_told_what_and_how_to_pass_it_on(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with running_gateway(state_dir) as gateway:
        bare = AS_IT_COMES.format(port=gateway.port)
        with running_nginx(tmp_path / "nginx", gateway.port, server=bare) as port:
            asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
            status, body = http(port, "/bare", **asks)
            words = ("health", "--url", f"ws://127.0.0.1:{port}/bare", "--token", TOKEN)
            command = gateway.openclaw(*words)
            as_json = gateway.openclaw(*words, "--json")
            why = gateway.openclaw("gateway", "why")

    told: Any = json.loads(body)
    assert status == 426
    for missing in ("HTTP/1.1", "`Upgrade: websocket`", "`Connection: Upgrade`"):
        assert missing in told["error"]["message"]
        assert missing in command.err
    assert "proxy_http_version 1.1;" in told["details"]["remedy"]["snippets"]["nginx"]
    assert "reverse_proxy" in told["details"]["remedy"]["snippets"]["Caddy"]
    assert command.code == 3
    assert "    proxy_set_header Upgrade $http_upgrade;" in command.err
    assert as_json.json["error"]["kind"] == "http"
    assert as_json.json["error"]["details"]["refusal"]["remedy"]["snippets"]["nginx"]
    assert "HTTP 426" in why.out


def test_another_spelling_of_the_own_address_keeps_the_own_token(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        done = gateway.openclaw("health", "--url", gateway.url)

    assert done.code == 0, done.err


def test_a_command_for_another_gateway_is_refused_before_it_dials_and_names_the_ways(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        port = listener.getsockname()[1]
        done = openclaw(state_dir, "health", "--url", f"ws://127.0.0.1:{port}")
        with pytest.raises(TimeoutError):
            listener.accept()

    assert done.code == 1
    assert "--token" in done.err
    assert "OPENCLAW_GATEWAY_TOKEN" in done.err
