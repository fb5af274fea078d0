"""The one resolver: same order on both sides, every source named, nothing sent elsewhere."""

import os
from pathlib import Path

import pytest

from stores.config.load import interpret
from stores.config.model import AuthMode
from stores.credentials import (
    AuthFlags,
    Secret,
    SecretKind,
    resolve_client_credentials,
    resolve_gateway_auth,
)
from stores.errors import ConfigError, UsageError
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


@pytest.mark.parametrize(
    ("text", "env", "flags", "mode", "value", "source"),
    [
        pytest.param("{}", {}, {}, "token", None, None, id="nothing"),
        pytest.param(
            CONFIG_TOKEN, {}, {}, "token", "cfg-t", f"gateway.auth.token in {PATH}", id="config"
        ),
        pytest.param("{}", TOKEN, {}, "token", "env-t", "env OPENCLAW_GATEWAY_TOKEN", id="env"),
        pytest.param(
            CONFIG_TOKEN,
            TOKEN,
            {},
            "token",
            "cfg-t",
            f"gateway.auth.token in {PATH}",
            id="config-wins",
        ),
        pytest.param(CONFIG_TOKEN, TOKEN, {"token": "f"}, "token", "f", "--token", id="flag-wins"),
        pytest.param(
            '{gateway: {auth: {password: "cfg-p"}}}',
            {},
            {},
            "password",
            "cfg-p",
            f"gateway.auth.password in {PATH}",
            id="password",
        ),
        pytest.param(
            "{}",
            TOKEN | PASSWORD,
            {},
            "password",
            "env-p",
            "env OPENCLAW_GATEWAY_PASSWORD",
            id="env-both",
        ),
        pytest.param(
            CONFIG_TOKEN,
            PASSWORD,
            {},
            "token",
            "cfg-t",
            f"gateway.auth.token in {PATH}",
            id="config-kind",
        ),
        pytest.param("{}", TOKEN, {"password": "f"}, "password", "f", "--password", id="flag-kind"),
        pytest.param(
            '{gateway: {auth: {mode: "token"}}}',
            PASSWORD,
            {},
            "token",
            None,
            None,
            id="mode-of-config",
        ),
        pytest.param(
            '{gateway: {auth: {mode: "token", token: "a", password: "b"}}}',
            {},
            {"mode": AuthMode.PASSWORD},
            "password",
            "b",
            f"gateway.auth.password in {PATH}",
            id="mode-of-flag",
        ),
        pytest.param(
            '{gateway: {auth: {mode: "none", token: "a"}}}',
            TOKEN,
            {},
            "none",
            None,
            None,
            id="none",
        ),
        pytest.param(
            "{}", {"OPENCLAW_GATEWAY_TOKEN": "  "}, {}, "token", None, None, id="blank-env"
        ),
        pytest.param(
            "{}",
            {"OPENCLAW_GATEWAY_TOKEN": " t\n"},
            {},
            "token",
            "t",
            "env OPENCLAW_GATEWAY_TOKEN",
            id="trimmed-env",
        ),
    ],
)
def test_the_gateway_asks_for_the_first_secret_in_order(text, env, flags, mode, value, source):
    auth = resolve_gateway_auth(config(text), env, AuthFlags(**flags))

    assert auth.mode == mode
    assert (auth.secret and auth.secret.value, auth.secret and auth.secret.source) == (
        value,
        source,
    )
    if mode != "token":
        assert auth.token is None
    if mode != "password":
        assert auth.password is None


@pytest.mark.parametrize(
    ("text", "env", "losing"),
    [
        pytest.param(
            CONFIG_TOKEN, TOKEN, ["TOKEN is set but not used: gateway.auth.token in"], id="loses"
        ),
        pytest.param('{gateway: {auth: {token: "env-t"}}}', TOKEN, [], id="says-the-same"),
        pytest.param(
            CONFIG_TOKEN, PASSWORD, ["PASSWORD is set but not used: the auth mode"], id="kind"
        ),
        pytest.param(
            '{gateway: {auth: {mode: "none"}}}',
            TOKEN | PASSWORD,
            ["TOKEN is set but not used: the auth mode is none (gateway.auth.mode in", "PASSWORD"],
            id="none",
        ),
        pytest.param("{}", TOKEN, [], id="wins"),
    ],
)
def test_a_variable_that_does_not_count_is_named(text, env, losing):
    found = resolve_gateway_auth(config(text), env).losing

    assert len(found) == len(losing)
    assert all(part in sentence for part, sentence in zip(losing, found, strict=True))
    assert not any("env-" in sentence for sentence in found)


@pytest.mark.parametrize("kind", SecretKind)
def test_a_variable_may_name_a_file_which_goes_before_a_value(tmp_path, kind):
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    env = {kind.file_variable: str(file)}

    alone = resolve_gateway_auth(config(), env)
    both = resolve_gateway_auth(config(), env | {kind.variable: "env-x"})
    called = client("{}", env)

    assert alone.secret == Secret("from-file", kind, f"env OPENCLAW_GATEWAY_{kind.upper()}_FILE")
    assert (alone.mode, alone.losing) == (kind.value, ())
    assert both.secret == alone.secret
    (losing,) = both.losing
    assert f"{kind.variable} is set but not used: env {kind.file_variable} goes before it" in losing
    assert alone.secret in (called.token, called.password)


def test_a_named_file_loses_to_the_configuration_and_is_named_unread():
    auth = resolve_gateway_auth(config(CONFIG_TOKEN), {"OPENCLAW_GATEWAY_TOKEN_FILE": "/nowhere"})

    assert auth.secret is not None
    assert auth.secret.value == "cfg-t"
    (losing,) = auth.losing
    assert "env OPENCLAW_GATEWAY_TOKEN_FILE is set but not used: gateway.auth.token in" in losing


@pytest.mark.parametrize("text", [None, "", "two\nlines"], ids=["missing", "empty", "two-lines"])
def test_a_file_that_a_variable_names_must_hold_a_secret(tmp_path, text):
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match="env OPENCLAW_GATEWAY_TOKEN_FILE") as refused:
        resolve_gateway_auth(config(), {"OPENCLAW_GATEWAY_TOKEN_FILE": str(file)})

    assert "two" not in str(refused.value)


def test_the_mode_says_why_it_is_the_mode():
    assert resolve_gateway_auth(config(), {}).mode_source == "the default"
    assert "env OPENCLAW_GATEWAY_TOKEN" in resolve_gateway_auth(config(), TOKEN).mode_source
    flags = AuthFlags(mode=AuthMode.NONE)
    assert resolve_gateway_auth(config(), {}, flags).mode_source == "--auth"


def test_a_secret_on_the_command_line_is_warned_about():
    auth = resolve_gateway_auth(config(), {}, AuthFlags(token="s3cret"))

    assert "--token-file" in auth.warnings[0]
    assert "s3cret" not in repr(auth) + auth.warnings[0]


@pytest.mark.parametrize(
    ("text", "flags", "problem"),
    [
        pytest.param("{}", {"token": "a", "password": "b"}, "both given", id="both"),
        pytest.param("{}", {"token": " "}, "--token is empty", id="empty"),
        pytest.param(
            '{gateway: {auth: {mode: "password"}}}',
            {"token": "a"},
            "--token has no effect",
            id="kind",
        ),
        pytest.param(
            '{gateway: {auth: {mode: "none"}}}', {"token": "a"}, "auth mode is none", id="none"
        ),
        pytest.param(
            "{}",
            {"mode": AuthMode.TOKEN, "password_file": Path("/x")},
            "--password-file /x",
            id="file",
        ),
    ],
)
def test_flags_that_contradict_are_refused(text, flags, problem):
    with pytest.raises(UsageError, match=problem):
        resolve_gateway_auth(config(text), {}, AuthFlags(**flags))


# --- secrets in files ------------------------------------------------------------------------


def test_a_file_of_a_flag_beats_the_value(tmp_path):
    (tmp_path / "t").write_text("from-file\n")
    flags = AuthFlags(token="value", token_file=tmp_path / "t")

    auth = resolve_gateway_auth(config(), {}, flags)

    assert auth.token == Secret("from-file", SecretKind.TOKEN, f"--token-file {tmp_path}/t")


@pytest.mark.parametrize("kind", ["token", "password"])
def test_a_file_of_the_configuration_is_relative_to_it(tmp_path, kind):
    (tmp_path / "secret").write_text("  from-file \r\n")
    loaded = config(f'{{gateway: {{auth: {{{kind}File: "secret"}}}}}}', tmp_path / "openclaw.json")

    secret = resolve_gateway_auth(loaded, TOKEN).secret

    source = f"gateway.auth.{kind}File in {tmp_path}/openclaw.json"
    assert secret == Secret("from-file", SecretKind(kind), source)


def test_a_file_that_does_not_count_is_not_read():
    loaded = config('{gateway: {auth: {mode: "token", token: "t", passwordFile: "/nowhere"}}}')

    token = resolve_gateway_auth(loaded, {}).token

    assert token is not None
    assert token.value == "t"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"a\nb", b"\xff", b"x" * 20_000, b"a\x00b"],
    ids=["empty", "blank", "two-lines", "bytes", "long", "control"],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path, content):
    (tmp_path / "t").write_bytes(content)

    with pytest.raises(UsageError, match="does not hold a token on one line"):
        resolve_gateway_auth(config(), {}, AuthFlags(token_file=tmp_path / "t"))


def test_a_file_that_is_missing_is_refused_by_the_side_that_named_it(tmp_path):
    loaded = config('{gateway: {auth: {tokenFile: "/nowhere/t"}}}')

    with pytest.raises(ConfigError, match=r"gateway.auth.tokenFile in .*: cannot read /nowhere/t"):
        resolve_gateway_auth(loaded, {})
    with pytest.raises(UsageError, match="--token-file /nowhere/t: cannot read"):
        resolve_gateway_auth(config(), {}, AuthFlags(token_file=Path("/nowhere/t")))


def test_a_pipe_that_the_configuration_names_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t")
    loaded = config(f'{{gateway: {{auth: {{tokenFile: "{tmp_path}/t"}}}}}}')

    with pytest.raises(ConfigError, match=r"gateway.auth.tokenFile in .*: it is a pipe"):
        resolve_gateway_auth(loaded, {})
