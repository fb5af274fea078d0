"""Setup codes in the published form, links whose secret no server gets, and the address in both."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from stores.config.load import load_config
from stores.errors import UsageError
from stores.paths import resolve_paths
from stores.setup_code import (
    PROFILES,
    Way,
    checked_url,
    decode,
    encode,
    gateway_note,
    own_page,
    page_link,
    way_in,
)


def config_of(tmp_path, **gateway: Any):
    (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": gateway}))
    env = {"OPENCLAW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    return load_config(resolve_paths(env), env).config


def test_a_setup_code_is_what_published_clients_read():
    code = encode("wss://gw.example.com", "s3cret", expires_at_ms=17)

    padded = code + "=" * (-len(code) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {
        "url": "wss://gw.example.com",
        "bootstrapToken": "s3cret",
        "expiresAtMs": 17,
    }
    assert decode(f" {code}\n").token == "s3cret"
    assert "s3cret" not in repr(decode(code))


@pytest.mark.parametrize("code", ["", "hello", "e30", "W10", "%%%"])
def test_what_is_no_setup_code_is_told(code):
    with pytest.raises(UsageError, match="no setup code"):
        decode(code)


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("https://gw.example.com/", "wss://gw.example.com"),
        ("http://10.0.0.1:80", "ws://10.0.0.1:80"),
        ("wss://gw.example.com/base", "wss://gw.example.com/base"),
        ("ws://[fd00::1]:18789", "ws://[fd00::1]:18789"),
    ],
)
def test_an_address_is_taken_as_people_write_it(url, means):
    assert checked_url(url) == means


@pytest.mark.parametrize(
    "url",
    [
        *("", "gw.example.com", "ftp://x", "wss://", "wss://a b", "wss://u:p@h", "wss://h:99999"),
        *("wss://h/?token=x", "wss://h/#x", "wss://h/$('`')", "wss://[::1", f"wss://{'h' * 300}"),
    ],
)
def test_what_is_more_or_less_than_an_address_is_refused(url):
    with pytest.raises(UsageError):
        checked_url(url)


def test_the_secret_of_a_link_is_in_its_fragment():
    assert page_link("wss://h", "s", base_path="/ui") == "https://h/ui/#bootstrapToken=s"
    assert page_link("ws://h:1", "s") == "http://h:1/#bootstrapToken=s"


@pytest.mark.parametrize(
    ("gateway", "note", "way"),
    [
        pytest.param({}, {}, Way("ws://127.0.0.1:7", "gateway.bind=loopback", True), id="alone"),
        pytest.param(
            {"publicOrigin": "https://gw.example.com"},
            {"bind": "lan"},
            Way("wss://gw.example.com", "gateway.publicOrigin"),
            id="public",
        ),
        pytest.param(
            {"bind": "custom", "customBindHost": "10.1.2.3"},
            {},
            Way("ws://10.1.2.3:7", "gateway.bind=custom"),
            id="custom",
        ),
        pytest.param(
            {"bind": "custom", "customBindHost": "fd00::1"},
            {"port": 9, "tls": {"enabled": True}},
            Way("wss://[fd00::1]:9", "gateway.bind=custom"),
            id="as-it-was-started",
        ),
        pytest.param(
            {"bind": "custom", "customBindHost": "127.0.0.2"},
            {},
            Way("ws://127.0.0.1:7", "gateway.bind=custom", True),
            id="custom-loopback",
        ),
    ],
)
def test_the_address_that_devices_use(tmp_path, gateway, note, way):
    assert way_in(config_of(tmp_path, **gateway), note, port=7) == way


def test_a_browser_of_this_machine_gets_an_address_where_it_makes_a_key(tmp_path):
    config = config_of(tmp_path, bind="custom", customBindHost="10.1.2.3")
    way = way_in(config, {}, port=7)

    assert own_page(way, config, {}, port=7) == "ws://127.0.0.1:7"
    assert own_page(Way("wss://h", "gateway.publicOrigin"), config, {}, port=7) == "wss://h"


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_note_that_is_none_says_nothing(tmp_path, text):
    (tmp_path / "gateway.lock").write_text(text)
    env = {"OPENCLAW_STATE_DIR": str(tmp_path), "HOME": str(tmp_path)}

    assert gateway_note(resolve_paths(env)) == {}


def test_the_limited_code_leaves_admin_out_and_a_nodes_gives_no_scope():
    assert "operator.admin" in PROFILES["full"].scopes
    assert "operator.admin" not in PROFILES["limited"].scopes
    assert PROFILES["node"].scopes == PROFILES["voice-node"].scopes == ()
