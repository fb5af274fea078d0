"""What connections are judged by, and how commands of this gateway are typed."""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.policy.credentials import AuthMode, SharedSecrets
from gateway.policy.remedy import CommandWords
from gateway.policy.rules import PUBLISHED_PORT_RULE
from gateway.settings import (
    HANDSHAKE_TIMEOUT_VARIABLE,
    command_words,
    derive,
    machine_names,
    secrets_of,
)
from stores.config.load import interpret
from stores.paths import Paths

PATHS = Paths(Path("/x"), Path("/x/openclaw.json"))
SECRETS = SharedSecrets(AuthMode.TOKEN, "x" * 8)


@pytest.mark.parametrize(
    ("said", "timeout_ms"),
    [
        pytest.param("", 15_000, id="unset"),
        pytest.param("2500", 2500, id="set"),
        pytest.param("0", 15_000, id="zero"),
        pytest.param("-1", 15_000, id="negative"),
        pytest.param("soon", 15_000, id="word"),
    ],
)
def test_the_environment_may_change_how_long_a_peer_has(said: str, timeout_ms: int):
    loaded = interpret(Path("/x/openclaw.json"), "{}", {})

    assert derive(loaded, SECRETS, {HANDSHAKE_TIMEOUT_VARIABLE: said}).handshake_timeout_ms == (
        timeout_ms
    )


def test_settings_are_what_the_file_says():
    text = """{gateway: {trustedProxies: ["10.0.0.1"], publicOrigin: "https://gw.example",
        auth: {tokenFile: "t", rateLimit: {maxAttempts: 3, windowMs: 2000, lockoutMs: 5000}},
        pairing: {requestTtlMs: 9000, maxPending: 4, autoApproveLocal: false}}}"""
    settings = derive(interpret(Path("/x/openclaw.json"), text, {}), SECRETS, {})

    assert [str(network) for network in settings.trusted] == ["10.0.0.1/32"]
    assert settings.public_origin == "https://gw.example"
    limits, throttle = settings.limits, settings.throttle
    assert (limits.ttl_ms, limits.max_pending) == (9000, 4)
    assert (throttle.max_attempts, throttle.window_s, throttle.lockout_s) == (3, 2.0, 5.0)
    assert settings.secret_files == (Path("/x/t"),)
    assert not settings.auto_approve_local
    assert "xxxxxxxx" not in repr(settings)


def test_a_proxy_that_signs_users_in_is_asked_about_in_its_mode_alone():
    text = """{gateway: {auth: {trustedProxy: {userHeader: "X-User", requiredHeaders: ["X-Sig"],
        allowUsers: ["alice"], allowLoopback: true}}}}"""
    loaded = interpret(Path("/x/openclaw.json"), text, {})

    proxy = derive(loaded, SharedSecrets(AuthMode.TRUSTED_PROXY), {}).proxy

    assert proxy is not None
    assert (proxy.user_header, proxy.required_headers) == ("x-user", ("x-sig",))
    assert (proxy.allow_users, proxy.allow_loopback) == (frozenset({"alice"}), True)
    assert ip_address("127.0.0.1") in proxy.own_addresses
    assert derive(loaded, SECRETS, {}).proxy is None


RULES = """{gateway: {pairing: {autoApprove: [
    {name: "lan", from: "10.0.0.0/24", roles: ["operator", "node"], scopes: ["operator.read"]},
    {name: "%s", from: "published-port", roles: ["operator"]}]}}}"""


def test_rules_are_what_the_file_says():
    loaded = interpret(Path("/x/openclaw.json"), RULES % "mine", {})

    lan, mine = derive(loaded, SECRETS, {}).rules

    assert (str(lan.source), lan.roles, lan.scopes) == (
        "10.0.0.0/24",
        ("operator", "node"),
        ("operator.read",),
    )
    assert (mine.source, mine.scopes) == (None, ())
    assert lan.in_words == "10.0.0.0/24, as operator or node with operator.read"
    assert mine.in_words == "browsers behind a published port, as operator without scopes"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        pytest.param("mine", ["lan", "mine", "published-port"], id="added"),
        pytest.param("published-port", ["lan", "published-port"], id="the-file-says-it-better"),
    ],
)
def test_the_command_line_adds_a_rule_that_the_file_does_not_name(name: str, names: list[str]):
    loaded = interpret(Path("/x/openclaw.json"), RULES % name, {})

    rules = derive(loaded, SECRETS, {}, auto_approve=("published-port", "published-port")).rules

    assert [rule.name for rule in rules] == names
    assert (rules[-1] is PUBLISHED_PORT_RULE) == (name == "mine")


@pytest.mark.parametrize("mode", [AuthMode.NONE, AuthMode.TRUSTED_PROXY])
def test_where_nobody_shares_a_secret_no_rule_counts(mode: AuthMode):
    loaded = interpret(Path("/x/openclaw.json"), RULES % "mine", {})

    assert derive(loaded, SharedSecrets(mode), {}, auto_approve=("published-port",)).rules == ()


def test_without_a_word_no_rule_lets_anybody_in():
    assert derive(interpret(Path("/x/openclaw.json"), "{}", {}), SECRETS, {}).rules == ()


def test_the_machine_knows_its_own_names():
    assert socket.gethostname().lower() in machine_names()


@pytest.mark.parametrize(
    ("host", "environment", "words"),
    [
        pytest.param(
            "machine",
            {"OPENCLAW_REMEDY_PREFIX": "docker compose exec gw"},
            CommandWords(local="docker compose exec gw openclaw", in_container=True),
            id="prefix",
        ),
        pytest.param(
            "0123456789ab",
            {},
            CommandWords(local="docker exec 0123456789ab openclaw", in_container=True),
            id="container",
        ),
        pytest.param("machine", {"PATH": "/nowhere"}, CommandWords(), id="plain"),
    ],
)
def test_commands_are_typed_as_they_work(
    monkeypatch: pytest.MonkeyPatch, host: str, environment: dict[str, str], words: CommandWords
):
    monkeypatch.setattr(socket, "gethostname", lambda: host)

    assert command_words(sys.argv[0], environment, PATHS) == words


def test_a_program_that_is_not_on_the_path_is_named_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")
    program = tmp_path / "openclaw"
    program.touch(mode=0o755)

    assert command_words(str(program), {"PATH": "/nowhere"}, PATHS).local == str(program)
    assert command_words(str(program), {"PATH": str(tmp_path)}, PATHS) == CommandWords()


def test_a_program_in_a_folder_with_spaces_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")
    program = tmp_path / "my tools" / "openclaw"
    program.parent.mkdir()
    program.touch(mode=0o755)

    words = command_words(str(program), {"PATH": "/nowhere"}, PATHS)

    assert words.local == f"'{program}'"


LIVES = pytest.mark.parametrize(
    ("environment", "paths", "local"),
    [
        pytest.param(
            {},
            Paths(Path("/s"), Path("/s/c"), profile="work"),
            "openclaw --profile work",
            id="profile",
        ),
        pytest.param(
            {"OPENCLAW_STATE_DIR": "/my state"},
            Paths(Path("/my state"), Path("/my state/c")),
            "OPENCLAW_STATE_DIR='/my state' openclaw",
            id="state-dir",
        ),
        pytest.param(
            {},
            Paths(Path("/s"), Path("/my c.json"), "--config"),
            "OPENCLAW_CONFIG_PATH='/my c.json' openclaw",
            id="config-by-option",
        ),
        pytest.param(
            {"OPENCLAW_STATE_DIR": "/s"},
            Paths(Path("/s"), Path("/c"), "env OPENCLAW_CONFIG_PATH"),
            "OPENCLAW_STATE_DIR=/s OPENCLAW_CONFIG_PATH=/c openclaw",
            id="config-by-variable",
        ),
        pytest.param(
            {},
            Paths(Path("/s"), Path("/c"), "--config", "spare"),
            "OPENCLAW_CONFIG_PATH=/c openclaw --profile spare",
            id="config-of-a-profile",
        ),
        pytest.param({}, Paths(Path("/s"), Path("/s/c")), "openclaw", id="the-usual-place"),
    ],
)


def test_a_port_that_a_command_would_not_find_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")

    words = command_words("python", {}, PATHS, port="OPENCLAW_GATEWAY_PORT=18790")

    assert words.local == "OPENCLAW_GATEWAY_PORT=18790 openclaw"


@LIVES
def test_a_command_looks_where_the_gateway_lives(
    environment: dict[str, str], paths: Paths, local: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket, "gethostname", lambda: "machine")

    words = command_words("python", environment, paths)

    assert (words.plain, words.local) == ("openclaw", local)


@pytest.mark.parametrize(
    ("mode", "secret"),
    [("token", "t-o-k-e-n"), ("password", "pass-word"), ("none", None), ("trusted-proxy", None)],
)
def test_a_mode_has_its_own_secret(mode: str, secret: str | None):
    found = secrets_of(mode, token="t-o-k-e-n", password="pass-word")

    assert (found.mode, found.secret) == (AuthMode(mode), secret)
