"""What a gateway does not start with."""

from ipaddress import ip_address, ip_network

import pytest

from stores.config.model import (
    AuthConfig,
    AuthMode,
    Bind,
    Config,
    GatewayConfig,
    GatewayMode,
    TrustedProxyConfig,
)
from stores.config.startup import refuse_unsafe_start
from stores.credentials import GatewayAuth, Secret, SecretKind
from stores.errors import ConfigError

PROXIES = (ip_network("10.0.0.1"),)
HEADER = AuthConfig(trusted_proxy=TrustedProxyConfig(user_header="x-user"))
PASSWORD = Secret("p", SecretKind.PASSWORD, "here")


def auth(mode, password=None):
    return GatewayAuth(mode=mode, mode_source="here", password=password)


@pytest.mark.parametrize(
    ("gateway", "decided", "bind"),
    [
        pytest.param(GatewayConfig(), auth(AuthMode.TOKEN), None, id="default"),
        pytest.param(GatewayConfig(bind=Bind.LAN), auth(AuthMode.TOKEN), None, id="lan-token"),
        pytest.param(GatewayConfig(), auth(AuthMode.NONE), None, id="loopback-none"),
        pytest.param(GatewayConfig(bind=Bind.AUTO), auth(AuthMode.NONE), None, id="auto-none"),
        pytest.param(GatewayConfig(bind=Bind.LAN), auth(AuthMode.NONE), Bind.LOOPBACK, id="flag"),
        pytest.param(
            GatewayConfig(bind=Bind.CUSTOM, custom_bind_host=ip_address("127.0.0.2")),
            auth(AuthMode.NONE),
            None,
            id="custom-loopback",
        ),
        pytest.param(GatewayConfig(), auth(AuthMode.PASSWORD, PASSWORD), None, id="password"),
        pytest.param(
            GatewayConfig(trusted_proxies=PROXIES, auth=HEADER),
            auth(AuthMode.TRUSTED_PROXY),
            None,
            id="proxy",
        ),
    ],
)
def test_a_gateway_that_asks_who_is_there_starts(gateway, decided, bind):
    refuse_unsafe_start(Config(gateway=gateway), decided, bind=bind)


@pytest.mark.parametrize(
    ("gateway", "decided", "bind", "keys"),
    [
        pytest.param(
            GatewayConfig(mode=GatewayMode.REMOTE),
            auth(AuthMode.TOKEN),
            None,
            ["gateway.mode", "gateway.remote.url"],
            id="remote",
        ),
        *(
            pytest.param(
                GatewayConfig(bind=bind, custom_bind_host=ip_address("192.168.0.80")),
                auth(AuthMode.NONE),
                None,
                [f"gateway.bind is {bind}", "gateway.auth.mode is none"],
                id=f"none-{bind}",
            )
            for bind in (Bind.LAN, Bind.TAILNET, Bind.CUSTOM)
        ),
        pytest.param(
            GatewayConfig(), auth(AuthMode.NONE), Bind.LAN, ["gateway.bind is lan"], id="flag"
        ),
        pytest.param(
            GatewayConfig(bind=Bind.CUSTOM),
            auth(AuthMode.NONE),
            None,
            ["gateway.bind is custom"],
            id="custom-without-address",
        ),
        pytest.param(
            GatewayConfig(),
            auth(AuthMode.PASSWORD),
            None,
            ["gateway.auth.mode", "gateway.auth.password"],
            id="password",
        ),
        pytest.param(
            GatewayConfig(auth=HEADER),
            auth(AuthMode.TRUSTED_PROXY),
            None,
            ["gateway.auth.mode", "gateway.trustedProxies"],
            id="no-proxies",
        ),
        pytest.param(
            GatewayConfig(trusted_proxies=PROXIES),
            auth(AuthMode.TRUSTED_PROXY),
            None,
            ["gateway.auth.mode", "gateway.auth.trustedProxy.userHeader"],
            id="no-header",
        ),
    ],
)
def test_what_clashes_is_refused_and_both_keys_are_named(gateway, decided, bind, keys):
    with pytest.raises(ConfigError) as caught:
        refuse_unsafe_start(Config(gateway=gateway), decided, bind=bind)

    assert all(key in caught.value.problem for key in keys)
    assert "`" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("source", "bind", "ways"),
    [
        pytest.param(
            "gateway.auth.mode in /f",
            Bind.LAN,
            ("config set gateway.auth.mode token", "config set gateway.bind loopback"),
            id="both-in-the-file",
        ),
        pytest.param(
            "--auth",
            Bind.LAN,
            ("gateway run --auth token", "config set gateway.bind loopback"),
            id="mode-by-option",
        ),
        pytest.param(
            "gateway.auth.mode in /f",
            Bind.CUSTOM,
            ("config set gateway.auth.mode token", "gateway run --bind loopback"),
            id="bind-by-option",
        ),
    ],
)
def test_the_ways_out_change_what_the_values_came_from(source, bind, ways):
    decided = GatewayAuth(mode=AuthMode.NONE, mode_source=source)
    config = Config(gateway=GatewayConfig(bind=Bind.LAN))

    with pytest.raises(ConfigError) as caught:
        refuse_unsafe_start(config, decided, bind=bind)

    assert caught.value.remedy is not None
    assert all(f"`openclaw {way}`" in caught.value.remedy for way in ways)
