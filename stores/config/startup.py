"""The combinations a gateway does not start with, decided from facts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stores.config.model import AuthMode, Bind, Config, GatewayMode
from stores.errors import ConfigError

if TYPE_CHECKING:
    from stores.credentials import GatewayAuth

_LOOPBACK = (Bind.LOOPBACK, Bind.AUTO)


def refuse_unsafe_start(config: Config, auth: GatewayAuth, *, bind: Bind | None = None) -> None:
    """Refuse to start where that would help nobody, or everybody.

    A missing token is no reason: one is made. Both keys that clash are named.

    Args:
        bind: The value of ``--bind``, when given.

    Raises:
        ConfigError: the gateway must not start like this (exit code 78).
    """
    gateway = config.gateway
    if gateway.mode is GatewayMode.REMOTE:
        raise ConfigError(
            "gateway.mode is remote: this machine uses the gateway that gateway.remote.url names",
            remedy="to run one here, `openclaw config set gateway.mode local`",
        )
    if auth.mode is AuthMode.NONE and not _is_loopback(config, bind):
        raise ConfigError(
            f"gateway.bind is {bind or gateway.bind} and gateway.auth.mode is none: "
            "everybody who reaches the port would be let in",
            remedy=_ways_in(auth, by_option=bind not in (None, gateway.bind)),
        )
    if auth.mode is AuthMode.PASSWORD and auth.password is None:
        raise ConfigError(
            "gateway.auth.mode is password, but gateway.auth.password is not set",
            remedy="give it with `openclaw config set gateway.auth.password --from-file FILE`, or set "
            "`gateway.auth.passwordFile` or `OPENCLAW_GATEWAY_PASSWORD`",
        )
    if auth.mode is AuthMode.TRUSTED_PROXY:
        _refuse_unusable_proxy(config)


def _ways_in(auth: GatewayAuth, *, by_option: bool) -> str:
    """Return both ways out, each where the value came from: no file undoes an option."""
    mode, place = (f"openclaw config set gateway.{key}" for key in ("auth.mode", "bind"))
    if auth.mode_source == "--auth":
        mode = "openclaw gateway run --auth"
    if by_option:
        place = "openclaw gateway run --bind"
    return f"ask for a token with `{mode} token`, or listen on this machine alone with `{place} loopback`"


def _is_loopback(config: Config, bind: Bind | None) -> bool:
    chosen = bind or config.gateway.bind
    host = config.gateway.custom_bind_host
    custom = chosen is Bind.CUSTOM and host is not None and host.is_loopback
    return chosen in _LOOPBACK or custom


def _refuse_unusable_proxy(config: Config) -> None:
    if not config.gateway.trusted_proxies:
        raise ConfigError(
            "gateway.auth.mode is trusted-proxy, but gateway.trustedProxies is empty",
            remedy="list the addresses of the proxy: "
            """`openclaw config set gateway.trustedProxies '["127.0.0.1"]'`""",
        )
    if config.gateway.auth.trusted_proxy.user_header is None:
        raise ConfigError(
            "gateway.auth.mode is trusted-proxy, but gateway.auth.trustedProxy.userHeader "
            "is not set",
            remedy="name the header that the proxy puts the user in: "
            "`openclaw config set gateway.auth.trustedProxy.userHeader x-forwarded-user`",
        )
