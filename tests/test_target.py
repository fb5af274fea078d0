"""Which gateway is called, and that no secret crosses a network in clear."""

from pathlib import Path

import pytest

from stores.config.load import interpret
from stores.errors import ConfigError, UsageError
from stores.target import (
    PlaintextRefusedError,
    Trust,
    is_loopback,
    pinned_by_flag,
    refuse_plaintext,
    resolve_port,
    resolve_target,
)

PATH = Path("/s/openclaw.json")
REMOTE = (
    '{gateway: {mode: "remote", remote: {url: "https://r.example/x", tlsFingerprint: "%s"}}}'
    % ("ab" * 32)
)


def config(text="{}"):
    return interpret(PATH, text, {})


def at(port):
    return config(f"{{gateway: {{port: {port}}}}}")


@pytest.mark.parametrize(
    ("loaded", "env", "options", "number", "source"),
    [
        pytest.param(config(), {}, {}, 18789, "the default", id="default"),
        pytest.param(config(), {}, {"default": 19001}, 19001, "the default", id="dev"),
        pytest.param(
            config(), {"OPENCLAW_GATEWAY_PORT": "5"}, {}, 5, "env OPENCLAW_GATEWAY_PORT", id="env"
        ),
        pytest.param(
            at(4000),
            {"OPENCLAW_GATEWAY_PORT": "5"},
            {},
            4000,
            f"gateway.port in {PATH}",
            id="config",
        ),
        pytest.param(at(4000), {}, {"port": 6}, 6, "--port", id="flag"),
        pytest.param(at(4000), {}, {"port": 0}, 0, "--port", id="any"),
    ],
)
def test_the_port_is_that_of_flag_then_configuration_then_environment(
    loaded, env, options, number, source
):
    port = resolve_port(loaded, env, **options)

    assert (port.number, port.source) == (number, source)


def test_a_port_variable_that_does_not_count_is_named():
    env = {"OPENCLAW_GATEWAY_PORT": "5"}

    assert "gateway.port in /s/openclaw.json goes before it" in resolve_port(at(4), env).losing[0]
    assert "--port goes before it" in resolve_port(at(4), env, port=7).losing[0]
    assert resolve_port(at(5), env).losing == ()


@pytest.mark.parametrize("said", ["0", "65536", "x", "-1", "1.0", "٣", "1" * 9])
def test_a_variable_that_is_no_port_is_refused_only_where_it_counts(said):
    with pytest.raises(ConfigError, match="OPENCLAW_GATEWAY_PORT"):
        resolve_port(config(), {"OPENCLAW_GATEWAY_PORT": said})
    assert resolve_port(at(4), {"OPENCLAW_GATEWAY_PORT": said}).number == 4


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_flag_that_is_no_port_is_refused(port):
    with pytest.raises(UsageError, match="--port"):
        resolve_port(config(), {}, port=port)


@pytest.mark.parametrize(
    ("loaded", "env", "options", "url", "trust"),
    [
        pytest.param(config(), {}, {}, "ws://127.0.0.1:18789", "local", id="default"),
        pytest.param(
            config(), {}, {"default_port": 19001}, "ws://127.0.0.1:19001", "local", id="dev"
        ),
        pytest.param(
            config('{gateway: {bind: "lan", tls: {enabled: true}}}'),
            {},
            {"port": 7},
            "wss://127.0.0.1:7",
            "local",
            id="lan-is-dialled-by-loopback",
        ),
        pytest.param(config(REMOTE), {}, {}, "wss://r.example/x", "remote", id="remote"),
        pytest.param(
            config(REMOTE),
            {"OPENCLAW_GATEWAY_URL": "http://h:9"},
            {},
            "ws://h:9",
            "environment",
            id="env",
        ),
        pytest.param(
            config(),
            {"OPENCLAW_GATEWAY_URL": "ws://h:9"},
            {"url": "WSS://[::2]:8/a"},
            "wss://[::2]:8/a",
            "flags",
            id="flag",
        ),
        pytest.param(
            config(),
            {},
            {"url": "ws://localhost:18789/"},
            "ws://localhost:18789/",
            "local",
            id="same",
        ),
        pytest.param(
            config(),
            {},
            {"url": "ws://localhost:18790"},
            "ws://localhost:18790",
            "flags",
            id="port",
        ),
        pytest.param(
            config(),
            {},
            {"url": "wss://localhost:18789"},
            "wss://localhost:18789",
            "flags",
            id="tls",
        ),
        pytest.param(
            config(),
            {},
            {"url": "ws://localhost:18789/x"},
            "ws://localhost:18789/x",
            "flags",
            id="path",
        ),
        pytest.param(
            config(REMOTE),
            {},
            {"url": "wss://r.example:443/x"},
            "wss://r.example:443/x",
            "remote",
            id="default-port",
        ),
        pytest.param(
            config(REMOTE),
            {},
            {"url": "ws://127.0.0.1:18789"},
            "ws://127.0.0.1:18789",
            "flags",
            id="not-default",
        ),
    ],
)
def test_the_target_is_that_of_flag_environment_remote_mode_or_this_machine(
    loaded, env, options, url, trust
):
    target = resolve_target(loaded, env, **options)

    assert (target.url, target.trust) == (url, trust)
    assert target.is_local_default == (trust == "local")


def test_a_target_names_its_source():
    env = {"OPENCLAW_GATEWAY_URL": "wss://h"}

    assert resolve_target(config(), {}).source == "loopback, port from the default"
    assert resolve_target(config(), env).source == "env OPENCLAW_GATEWAY_URL"
    assert resolve_target(config(), env, url="wss://h").source == "--url"
    assert resolve_target(config(REMOTE), {}).source == f"gateway.remote.url in {PATH}"


def test_the_fingerprint_goes_with_the_remote_target_only():
    assert resolve_target(config(REMOTE), {}).tls_fingerprint == "ab" * 32
    assert resolve_target(config(REMOTE), {}, url="wss://r.example/x").tls_fingerprint == "ab" * 32
    assert resolve_target(config(REMOTE), {}, url="wss://other").tls_fingerprint is None


@pytest.mark.parametrize(
    "url",
    [
        "notaurl",
        "ftp://h",
        "ws://",
        "ws://h:99999",
        "ws://u:p@h",
        "ws://h?token=x",
        "ws://h#token=x",
        "",
    ],
)
def test_what_is_no_plain_address_is_refused_without_showing_it(url):
    with pytest.raises(UsageError, match=r"^--url ") as caught:
        resolve_target(config(), {}, url=url)

    assert "token=x" not in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_remote_mode_without_an_address_is_refused():
    with pytest.raises(ConfigError, match=r"gateway\.remote\.url is not set"):
        resolve_target(config('{gateway: {mode: "remote"}}'), {})


@pytest.mark.parametrize(
    ("url", "addresses", "dial_host"),
    [
        pytest.param("wss://h", ["8.8.8.8"], "h", id="encrypted"),
        pytest.param("ws://127.0.0.1:1", [], "127.0.0.1", id="loopback"),
        pytest.param("ws://127.9.9.9:1", [], "127.9.9.9", id="loopback-net"),
        pytest.param("ws://[::1]:1", [], "::1", id="loopback-6"),
        pytest.param("ws://localhost", [], "localhost", id="name"),
        pytest.param("ws://mybox:1", ["127.0.1.1"], "127.0.1.1", id="resolves-to-loopback"),
        pytest.param("ws://mybox:1", ["::1", "127.0.0.1"], "::1", id="resolves-to-both"),
    ],
)
def test_what_stays_on_this_machine_or_is_encrypted_is_dialled(url, addresses, dial_host):
    target = refuse_plaintext(resolve_target(config(), {}, url=url), resolve=lambda _: addresses)

    assert target.dial_host == dial_host


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        pytest.param("ws://10.0.0.1:1", ["10.0.0.1"], id="private"),
        pytest.param("ws://mybox:1", ["127.0.0.1", "10.0.0.1"], id="one-of-two"),
        pytest.param("ws://mybox:1", [], id="no-address"),
        pytest.param("http://mybox", ["8.8.8.8"], id="http"),
        pytest.param("ws://127.0.0.1.evil.example", ["8.8.8.8"], id="looks-like"),
    ],
)
def test_plain_text_to_another_machine_is_refused_with_two_ways_out(url, addresses):
    target = resolve_target(config(), {}, url=url)

    with pytest.raises(PlaintextRefusedError) as caught:
        refuse_plaintext(target, resolve=lambda _: addresses)

    assert f"`wss://{target.url.removeprefix('ws://')}`" in str(caught.value.remedy)
    assert f"ssh -N -L {target.port}:127.0.0.1:{target.port} {target.host}" in str(
        caught.value.remedy
    )


ALLOWED = {"OPENCLAW_ALLOW_INSECURE_PRIVATE_WS": "1"}


@pytest.mark.parametrize(
    ("url", "addresses", "dial_host"),
    [
        pytest.param("ws://10.0.0.1:1", ["10.0.0.1"], "10.0.0.1", id="10"),
        pytest.param("ws://box", ["192.168.7.8"], "192.168.7.8", id="name"),
        pytest.param("ws://box", ["100.101.102.103"], "100.101.102.103", id="tailnet"),
        pytest.param("ws://box", ["fd00::2", "127.0.0.1"], "fd00::2", id="ipv6-and-loopback"),
        pytest.param("ws://box", ["fe80::2%eth0"], "fe80::2%eth0", id="link-local"),
        pytest.param("ws://box", ["::ffff:10.1.1.1"], "::ffff:10.1.1.1", id="mapped"),
    ],
)
def test_a_private_network_is_crossed_in_clear_only_where_that_is_said(url, addresses, dial_host):
    target = resolve_target(config(), {}, url=url)

    allowed = refuse_plaintext(target, ALLOWED, resolve=lambda _: addresses)

    assert allowed.dial_host == dial_host
    for env in ({}, {"OPENCLAW_ALLOW_INSECURE_PRIVATE_WS": "0"}):
        with pytest.raises(PlaintextRefusedError):
            refuse_plaintext(target, env, resolve=lambda _: addresses)


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["8.8.8.8"], id="public"),
        pytest.param(["10.0.0.1", "8.8.8.8"], id="one-of-two"),
        pytest.param(["172.32.0.1"], id="just-outside"),
        pytest.param(["2001:db8::1"], id="ipv6"),
        pytest.param(["no address"], id="no-address"),
        pytest.param([], id="unknown"),
    ],
)
def test_what_is_not_private_is_never_crossed_in_clear(addresses):
    target = resolve_target(config(), {}, url="ws://box")

    with pytest.raises(PlaintextRefusedError):
        refuse_plaintext(target, ALLOWED, resolve=lambda _: addresses)


@pytest.mark.parametrize(
    "said", ["AB" * 32, ":".join(["ab"] * 32), "sha256:" + "ab" * 32, "SHA256:" + "Ab" * 32]
)
def test_a_pin_is_taken_in_every_spelling(said):
    target = pinned_by_flag(resolve_target(config(), {}, url="wss://h"), said)

    assert (target.tls_fingerprint, target.pin_source) == ("ab" * 32, "--tls-fingerprint")


def test_a_pin_of_the_command_line_goes_before_the_configured_one():
    target = pinned_by_flag(resolve_target(config(REMOTE), {}), "cd" * 32)

    assert target.tls_fingerprint == "cd" * 32


@pytest.mark.parametrize("said", ["", "ab", "g" * 64, "ab" * 33])
def test_what_is_no_fingerprint_is_refused(said):
    with pytest.raises(UsageError, match="64 hex digits"):
        pinned_by_flag(resolve_target(config(), {}, url="wss://h"), said)


def test_a_pin_needs_something_encrypted():
    with pytest.raises(UsageError, match="speaks TLS") as caught:
        pinned_by_flag(resolve_target(config(), {}, url="ws://h:5"), "ab" * 32)

    assert "--url wss://h:5" in str(caught.value.remedy)


def test_a_name_nobody_knows_is_refused():
    def fail(host):
        raise OSError

    with pytest.raises(PlaintextRefusedError):
        refuse_plaintext(resolve_target(config(), {}, url="ws://mybox"), resolve=fail)


def test_the_system_is_asked_when_nobody_else_is():
    target = resolve_target(config(), {}, url="ws://127.1:5")

    assert refuse_plaintext(target).dial_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "local"),
    [("::ffff:127.0.0.1", True), ("::1%lo", True), ("::ffff:10.0.0.1", False), ("h", False)],
)
def test_loopback_is_known_in_every_spelling(host, local):
    assert is_loopback(host) is local


def test_every_trust_has_a_name():
    assert [str(trust) for trust in Trust] == ["local", "remote", "environment", "flags"]
