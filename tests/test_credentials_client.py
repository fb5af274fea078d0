"""The one resolver: what a client presents, and to whom."""

from pathlib import Path

import pytest

from stores.config.load import interpret
from stores.credentials import (
    AuthFlags,
    CredentialsRequiredError,
    refuse_without_credentials,
    resolve_client_credentials,
    resolve_gateway_auth,
)
from stores.target import resolve_target

PATH = Path("/home/u/.openclaw/openclaw.json")
TOKEN = {"OPENCLAW_GATEWAY_TOKEN": "env-t"}
PASSWORD = {"OPENCLAW_GATEWAY_PASSWORD": "env-p"}
CONFIG_TOKEN = '{gateway: {auth: {token: "cfg-t"}}}'
REMOTE = '{gateway: {mode: "remote", auth: {token: "cfg-t"}, remote: {url: "wss://r:1", %s}}}'


def config(text="{}", path=PATH):
    return interpret(path, text, {})


def client(text, env, flags=None, url=None):
    loaded = config(text)
    target = resolve_target(loaded, env, url=url)
    return resolve_client_credentials(loaded, env, target, flags or AuthFlags())


# --- the other side --------------------------------------------------------------------------


@pytest.mark.parametrize("env", [{}, TOKEN, PASSWORD, TOKEN | PASSWORD])
@pytest.mark.parametrize(
    "text",
    ["{}", CONFIG_TOKEN, '{gateway: {auth: {password: "p"}}}', '{gateway: {auth: {mode: "none"}}}'],
)
def test_both_sides_of_one_machine_agree(text, env):
    auth = resolve_gateway_auth(config(text), env)

    found = client(text, env)

    assert (found.token, found.password, found.losing) == (auth.token, auth.password, auth.losing)
    assert found.needed == (auth.mode in ("token", "password"))


@pytest.mark.parametrize(
    ("text", "env", "flags", "url", "source"),
    [
        pytest.param(CONFIG_TOKEN, TOKEN, {"token": "f"}, None, "--token", id="flag"),
        pytest.param(
            '{gateway: {auth: {mode: "password", password: "p"}}}',
            {},
            {"token": "f"},
            None,
            "--token",
            id="flag-of-another-kind",
        ),
        pytest.param(CONFIG_TOKEN, TOKEN, {}, "wss://other:1", None, id="url-keeps-nothing"),
        pytest.param(
            CONFIG_TOKEN, TOKEN, {"token": "f"}, "wss://other:1", "--token", id="url-and-flag"
        ),
        pytest.param(
            CONFIG_TOKEN,
            {},
            {},
            "ws://localhost:18789/",
            "gateway.auth.token in",
            id="url-is-default",
        ),
        pytest.param(
            CONFIG_TOKEN,
            {"OPENCLAW_GATEWAY_URL": "wss://other:1"},
            {},
            None,
            None,
            id="env-url-keeps-no-config",
        ),
        pytest.param(
            CONFIG_TOKEN,
            {"OPENCLAW_GATEWAY_URL": "wss://other:1", **TOKEN},
            {},
            None,
            "env OPENCLAW_GATEWAY_TOKEN",
            id="env-url-env-token",
        ),
        pytest.param(
            CONFIG_TOKEN,
            {"OPENCLAW_GATEWAY_URL": "http://127.0.0.1:18789", **TOKEN},
            {},
            None,
            "gateway.auth.token in",
            id="env-url-is-default",
        ),
        pytest.param(
            CONFIG_TOKEN,
            {"OPENCLAW_GATEWAY_URL": "wss://other:1", **TOKEN},
            {},
            "wss://other:1",
            "env OPENCLAW_GATEWAY_TOKEN",
            id="url-is-env-url",
        ),
        pytest.param(
            REMOTE % 'token: "r"', TOKEN, {}, None, "gateway.remote.token in", id="remote"
        ),
        pytest.param(
            REMOTE % 'password: "r"',
            {},
            {},
            None,
            "gateway.remote.password in",
            id="remote-password",
        ),
        pytest.param(REMOTE % "", TOKEN, {}, None, "env OPENCLAW_GATEWAY_TOKEN", id="remote-env"),
        pytest.param(REMOTE % "", {}, {}, None, None, id="remote-never-local"),
        pytest.param(
            REMOTE % 'token: "r"', {}, {}, "ws://127.0.0.1:18789", None, id="remote-to-local"
        ),
        pytest.param(
            REMOTE % 'token: "r"',
            {},
            {},
            "https://r:1",
            "gateway.remote.token in",
            id="url-is-remote",
        ),
    ],
)
def test_a_secret_goes_only_where_it_is_meant_to(text, env, flags, url, source):
    found = client(text, env, AuthFlags(**flags), url)

    assert (found.source or "").startswith(source or "")
    assert (found.source is None) == (source is None)


def test_token_and_password_for_a_remote_gateway_are_both_presented():
    found = client(REMOTE % 'token: "t", password: "p"', {})

    assert (found.token.value, found.password.value) == ("t", "p")


def test_a_variable_that_is_not_sent_is_named():
    found = client(CONFIG_TOKEN, TOKEN, url="wss://other:1")

    assert found.losing == ("env OPENCLAW_GATEWAY_TOKEN is set but not used: the target is --url",)


# --- refused before dialling -----------------------------------------------------------------


def dial(text, env, *, url=None, device_token=False):
    loaded = config(text)
    target = resolve_target(loaded, env, url=url)
    found = resolve_client_credentials(loaded, env, target)
    refuse_without_credentials(found, target, device_token=device_token)


@pytest.mark.parametrize(
    ("text", "env", "options"),
    [
        pytest.param(CONFIG_TOKEN, {}, {}, id="config"),
        pytest.param("{}", TOKEN, {}, id="env"),
        pytest.param("{}", {}, {"device_token": True}, id="device-token"),
        pytest.param('{gateway: {auth: {mode: "none"}}}', {}, {}, id="none"),
        pytest.param('{gateway: {auth: {mode: "trusted-proxy"}}}', {}, {}, id="proxy"),
        pytest.param("{}", {}, {"url": "wss://o", "device_token": True}, id="remote-device-token"),
    ],
)
def test_what_may_succeed_is_dialled(text, env, options):
    dial(text, env, **options)


@pytest.mark.parametrize(
    ("text", "env", "url", "says"),
    [
        pytest.param(
            "{}", {}, None, [f"gateway.auth.token in {PATH}", "--token", "env "], id="local"
        ),
        pytest.param(
            CONFIG_TOKEN, TOKEN, "wss://o", ["secrets of this machine", "--url"], id="url"
        ),
        pytest.param(
            '{gateway: {auth: {mode: "none"}}}', {}, "wss://o", ["wss://o"], id="url-never-assumes"
        ),
        pytest.param(REMOTE % "", {}, None, [f"gateway.remote.token in {PATH}"], id="remote"),
    ],
)
def test_what_cannot_succeed_is_refused_with_the_places_looked_into(text, env, url, says):
    with pytest.raises(CredentialsRequiredError) as caught:
        dial(text, env, url=url)

    assert all(part in caught.value.problem for part in says)
    assert "--token-file" in str(caught.value.remedy)
    assert ("OPENCLAW_GATEWAY_URL" in str(caught.value.remedy)) == (url is not None)
