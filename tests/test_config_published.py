"""Files as users of published gateways have them: they load, save for what never was safe."""

import json

import pytest

from stores.config.load import load_config
from stores.errors import ConfigError
from stores.paths import Paths

# Every key of the section that 2026.2.19 knows.
FEBRUARY = {
    "$schema": "https://example/schema.json",
    "meta": {"lastTouchedVersion": "2026.2.19", "lastTouchedAt": "2026-02-20T10:00:00.000Z"},
    "gateway": {
        "port": 18789,
        "mode": "local",
        "bind": "loopback",
        "controlUi": {
            "enabled": True,
            "basePath": "/ui",
            "root": "/srv/ui",
            "allowedOrigins": ["https://gateway.example"],
            "allowInsecureAuth": True,
            "dangerouslyDisableDeviceAuth": False,
        },
        "auth": {
            "mode": "token",
            "token": "t",
            "allowTailscale": True,
            "rateLimit": {
                "maxAttempts": 10,
                "windowMs": 60000,
                "lockoutMs": 300000,
                "exemptLoopback": True,
            },
            "trustedProxy": {
                "userHeader": "x-forwarded-user",
                "requiredHeaders": ["x-forwarded-proto"],
                "allowUsers": ["me@example.com"],
            },
        },
        "trustedProxies": ["127.0.0.1"],
        "tailscale": {"mode": "off", "resetOnExit": False},
        "remote": {
            "url": "ws://127.0.0.1:18789",
            "transport": "ssh",
            "token": "r",
            "password": "p",
            "tlsFingerprint": "a" * 64,
            "sshTarget": "me@host",
            "sshIdentity": "~/.ssh/id",
        },
        "reload": {"mode": "hybrid", "debounceMs": 300},
        "tls": {"enabled": False, "autoGenerate": True},
        "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
        "nodes": {"browser": {"mode": "auto"}, "allowCommands": ["a"], "denyCommands": ["b"]},
        "tools": {"deny": ["x"]},
        "channelHealthCheckMinutes": 5,
    },
    "agents": {"defaults": {"model": {"primary": "m"}}},
    "channels": {"telegram": {"enabled": True, "botToken": "b", "dmPolicy": "pairing"}},
    "logging": {
        "level": "info",
        "file": "/tmp/x.log",
        "consoleLevel": "warn",
        "consoleStyle": "pretty",
        "redactSensitive": "tools",
        "redactPatterns": ["x"],
    },
    "plugins": {"entries": {}},
}
# What 2026.9.6 changed: keys that came, and keys that went.
SEPTEMBER = {
    "meta": {"lastTouchedVersion": "2026.9.6", "migrations": {"x": 1}},
    "gateway": {
        "mode": "local",
        "bind": "custom",
        "customBindHost": "192.168.0.80",
        "publicOrigin": "https://gateway.example",
        "allowRealIpFallback": False,
        "roles": {"operator": {}},
        "auth": {
            "mode": "trusted-proxy",
            "identityScopes": {"a": []},
            "trustedProxy": {
                "userHeader": "x-user",
                "allowLoopback": False,
                "deviceAutoApprove": {"enabled": False},
            },
        },
        "trustedProxies": ["10.0.0.5"],
        "controlUi": {"dangerouslyAllowHostHeaderOriginFallback": False},
        "nodes": {
            "pairing": {"autoApproveLocal": True, "autoApproveCidrs": [], "sshVerify": True},
            "commands": {"allow": [], "deny": []},
        },
        "reload": {"mode": "off"},
    },
    "logging": {"maxFileBytes": 1_000_000},
}


def load(tmp_path, document):
    (tmp_path / "openclaw.json").write_text(json.dumps(document, indent=2))
    return load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {})


@pytest.mark.parametrize("document", [FEBRUARY, SEPTEMBER], ids=["2026.2.19", "2026.9.6"])
def test_a_real_file_loads_and_every_key_without_effect_is_told_once(tmp_path, document):
    loaded = load(tmp_path, document)

    assert loaded.document == document
    assert loaded.config.gateway.mode == "local"
    told = [text.split(" ")[0] for text in loaded.warnings]
    assert len(told) == len(set(told))
    assert "meta" in told


@pytest.mark.parametrize(
    ("section", "key", "value", "remedy"),
    [
        pytest.param("controlUi", "dangerouslyDisableDeviceAuth", True, "autoApprove", id="danger"),
        pytest.param("auth", "skipPairingForTokenAuth", True, "autoApprove", id="skip-pairing"),
        pytest.param("auth", "allowInsecureAuth", True, "autoApprove", id="insecure-auth"),
        pytest.param("auth", "tokne", "t", "gateway.auth.token", id="slip"),
    ],
)
def test_what_never_was_valid_is_refused_with_a_pointer(tmp_path, section, key, value, remedy):
    document = json.loads(json.dumps(FEBRUARY))
    document["gateway"][section][key] = value

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, document)

    assert f"gateway.{section}.{key}" in caught.value.problem
    assert remedy in (caught.value.remedy or "")
