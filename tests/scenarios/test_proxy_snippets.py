"""The proxy configuration of the documents, word for word, in front of a real gateway."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import READ, Knock, knock, new_key
from tests.scenarios.namespaces import Namespace, new_namespace
from tests.scenarios.programs import (
    ROOT,
    Gateway,
    eventually,
    free_port,
    openclaw,
    running,
    running_gateway,
    wait_for_port,
)

PAGE = ROOT / "docs" / "how-to" / "reverse-proxy.md"
TOKEN = "a-token-for-this-test"
NAME = "gateway.example.com"
HERE = "192.168.0.80"
Documented = Callable[[Path, int, Namespace], AbstractContextManager[int]]


def block(language: str) -> str:
    """Return the one block of the page in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def commands() -> list[list[str]]:
    """Return the commands that the page tells to run on the gateway, as words."""
    (shell,) = re.findall(r"## Set it.*?```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [re.sub("'", "", line).split()[1:] for line in shell.strip().splitlines()]


@pytest.fixture
def network() -> Iterator[Namespace]:
    """Make a network in which this machine has an address that is not loopback."""
    with new_namespace() as network:
        network.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        network.run("ip", "address", "add", f"{HERE}/24", "dev", "lan0")
        network.run("ip", "link", "set", "lan0", "up")
        yield network


@contextmanager
def documented_nginx(folder: Path, gateway_port: int, network: Namespace) -> Iterator[int]:
    """Run nginx with the documented block; only ports and the certificate are of this machine."""
    folder.mkdir()
    port = free_port()
    text = block("nginx")
    for old, new in (
        ("listen 443 ssl;", f"listen {port};"),
        ("http://127.0.0.1:18789;", f"http://127.0.0.1:{gateway_port};"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    text = re.sub(r"^\s*ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off; {temporary}\n{text}\n}}\n"
    )
    words = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    with running(*words, port=port, inside=network.words) as process:
        network.call(partial(wait_for_port, port, process))
        yield port


@contextmanager
def documented_caddy(folder: Path, gateway_port: int, network: Namespace) -> Iterator[int]:
    """Run Caddy with the documented block; only ports and the certificate are of this machine."""
    folder.mkdir()
    port = free_port()
    text = block("caddy")
    for old, new in ((f"{NAME} {{", f"http://{NAME}:{port} {{"), (":18789", f":{gateway_port}")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(f"{{\nadmin off\n}}\n{text}")
    words = ("caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    home = ("env", f"HOME={folder}", f"XDG_DATA_HOME={folder}", f"XDG_CONFIG_HOME={folder}")
    with running(*home, *words, port=port, inside=network.words) as process:
        network.call(partial(wait_for_port, port, process))
        yield port


@pytest.fixture
def gateway(tmp_path: Path, network: Namespace) -> Iterator[Gateway]:
    """Run a gateway that was set up with the commands of the page."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": {"auth": {"token": TOKEN}}}))
    for words in commands():
        done = openclaw(state_dir, *words)
        assert done.code == 0, done
    with running_gateway(state_dir, inside=network.words) as gateway:
        yield gateway


def browse(network: Namespace, port: int, **wanted: Any) -> Knock:
    """Connect as the page in a browser of the LAN does that opened the documented name."""
    words = {"host": NAME, "origin": f"https://{NAME}", "token": TOKEN, "scopes": READ}
    page = {"client_id": "openclaw-control-ui", "mode": "webchat", "address": HERE}
    return network.call(partial(knock, port, **words | page | wanted))


@pytest.mark.slow
@pytest.mark.real("namespaces")
@pytest.mark.parametrize(
    "documented",
    [
        pytest.param(documented_nginx, marks=pytest.mark.real("nginx"), id="nginx"),
        pytest.param(documented_caddy, marks=pytest.mark.real("caddy"), id="caddy"),
    ],
)
def test_the_documented_proxy_passes_upgrades_and_the_client_and_gives_no_locality(
    gateway: Gateway, network: Namespace, tmp_path: Path, documented: Documented
) -> None:
    key, forged = new_key(), (("X-Forwarded-For", "203.0.113.9"),)

    with documented(tmp_path / "proxy", gateway.port, network) as proxy:
        refused = browse(network, proxy, key=key)
        spoofed = browse(network, proxy, key=new_key(), headers=forged)
        foreign = browse(network, proxy, key=new_key(), origin="https://evil.example")
        listed = gateway.openclaw("devices", "list", "--offline", "--json")
        approved = gateway.openclaw("devices", "approve", refused.request_id, "--offline")
        eventually(lambda: key.device_id in gateway.kept("paired.json"))
        admitted = browse(network, proxy, key=key)
    looked = gateway.openclaw("doctor", "proxy", "--json", "--lint")

    saw = refused.details["saw"]
    assert saw["locality"] == {"local": False, "why": "forwarded"}
    assert (saw["client"], saw["forwardedFor"], saw["host"]) == (HERE, HERE, NAME)
    assert (spoofed.details["saw"]["client"], spoofed.details["saw"]["forwardedFor"]) == (
        HERE,
        HERE,
    )
    assert "203.0.113.9" not in str(spoofed.details)
    assert {one["remoteIp"] for one in listed.json["pending"]} == {HERE}
    assert foreign.details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    assert approved.code == 0, approved
    assert admitted.admitted, admitted
    assert (looked.code, looked.json["findings"]) == (0, [])


@pytest.mark.slow
@pytest.mark.real("nginx")
def test_the_lines_that_a_lost_upgrade_is_answered_with_work_at_any_port(tmp_path: Path) -> None:
    handshake = {"Connection": "close", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        connection.request("GET", "/", headers=handshake | {"Sec-WebSocket-Key": "A" * 22 + "=="})
        told = json.loads(connection.getresponse().read())
        connection.close()
        lines = told["details"]["remedy"]["snippets"]["nginx"]
        assert f"127.0.0.1:{gateway.port};" in lines

        port, folder = free_port(), tmp_path / "nginx"
        folder.mkdir()
        temporary = " ".join(
            f"{name}_temp_path {folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port};\n{lines}\n}}\n}}\n"
        )
        with running("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), port=port):
            here = f"http://127.0.0.1:{port}"
            page = {"client_id": "openclaw-control-ui", "mode": "webchat", "origin": here}
            waits = knock(port, key=new_key(), token=gateway.token, **page)

    assert waits.details["code"] == "PAIRING_REQUIRED", waits
    assert waits.details["saw"]["host"] == f"127.0.0.1:{port}"


def test_every_snippet_points_at_the_usual_port_and_name():
    text = PAGE.read_text()

    assert text.count("127.0.0.1:18789") == 4
    for proxy in ("nginx", "Caddy", "Traefik", "Cloudflare Tunnel"):
        assert f"## {proxy}\n" in text
    assert block("caddy").startswith(f"{NAME} {{")


def test_the_nginx_snippet_overwrites_what_clients_send():
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in block("nginx")
    assert "$proxy_add_x_forwarded_for" not in block("nginx")
