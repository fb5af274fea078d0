"""The machine's own name in a URL: this machine's gateway, if it leads nowhere else."""

import socket
from pathlib import Path

import pytest

from stores.config.load import interpret
from stores.target import Trust, resolve_target

PATH = Path("/s/openclaw.json")
NAME = "gwbox"


def resolved(monkeypatch: pytest.MonkeyPatch, addresses, url, text="{gateway: {port: 4000}}"):
    def found(*_, **__):
        if not addresses:
            raise socket.gaierror
        return [(0, 0, 0, "", (one, 0)) for one in addresses]

    monkeypatch.setattr(socket, "gethostname", lambda: NAME)
    monkeypatch.setattr(socket, "getaddrinfo", found)
    return resolve_target(interpret(PATH, text, {}), {}, url=url)


@pytest.mark.parametrize(
    ("addresses", "dial_host"),
    [
        pytest.param(["127.0.0.1"], "127.0.0.1", id="ipv4"),
        pytest.param(["127.0.1.1"], "127.0.1.1", id="debian"),
        pytest.param(["::1", "127.0.0.1"], "::1", id="both"),
    ],
)
@pytest.mark.parametrize("name", [NAME, NAME.upper()])
def test_the_own_name_on_loopback_keeps_the_secrets_of_this_machine(
    monkeypatch, addresses, dial_host, name
):
    target = resolved(monkeypatch, addresses, f"ws://{name}:4000")

    assert target.trust is Trust.LOCAL
    assert target.source == "--url"
    assert target.host == NAME
    assert target.dial_host == dial_host


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        pytest.param(["127.0.0.1", "192.0.2.1"], f"ws://{NAME}:4000", id="elsewhere-too"),
        pytest.param(["192.0.2.1"], f"ws://{NAME}:4000", id="elsewhere"),
        pytest.param([], f"ws://{NAME}:4000", id="nowhere"),
        pytest.param(["127.0.0.1"], f"ws://{NAME}:4001", id="another-port"),
        pytest.param(["127.0.0.1"], f"wss://{NAME}:4000", id="another-scheme"),
        pytest.param(["127.0.0.1"], f"ws://{NAME}:4000/x", id="another-path"),
        pytest.param(["127.0.0.1"], f"ws://{NAME}.evil.example:4000", id="another-name"),
    ],
)
def test_whatever_else_a_url_names_gets_no_secret_of_this_machine(monkeypatch, addresses, url):
    assert resolved(monkeypatch, addresses, url).trust is Trust.FLAGS


def test_in_remote_mode_the_own_name_is_another_gateway(monkeypatch):
    text = '{gateway: {mode: "remote", remote: {url: "wss://r.example:4000"}}}'

    target = resolved(monkeypatch, ["127.0.0.1"], f"wss://{NAME}:4000", text)

    assert target.trust is Trust.FLAGS
