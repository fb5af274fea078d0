"""Every configuration key that has an effect: its default, its meaning and what it may hold.

Rule: this is the only place that knows them. Validation, redaction, the reload plan and the
reference page all read the records below; an attribute is its key in snake case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import attrs
from attrs import field, frozen

from stores.config import kinds
from stores.config.kinds import IPAddress, IPNetwork, Kind
from stores.records import Role

Reload = Literal["hot", "restart"]


class GatewayMode(StrEnum):
    """Whether the gateway of this machine runs here or elsewhere."""

    LOCAL = "local"
    REMOTE = "remote"


class Bind(StrEnum):
    """Where the gateway listens."""

    LOOPBACK = "loopback"
    LAN = "lan"
    TAILNET = "tailnet"
    CUSTOM = "custom"
    AUTO = "auto"


class AuthMode(StrEnum):
    """What a connection must know or be to be heard."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"
    TRUSTED_PROXY = "trusted-proxy"


class LogLevel(StrEnum):
    """How much is written, from nothing to everything."""

    SILENT = "silent"
    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"


def setting(
    kind: Kind[Any],
    doc: str,
    *,
    default: Any = attrs.NOTHING,
    reload: Reload = "restart",
    secret: bool = False,
    key: str | None = None,
) -> Any:
    """Declare one key; without a default it is required."""
    notes = {"kind": kind, "doc": doc, "secret": secret, "reload": reload, "key": key}
    return field(default=default, repr=not secret, metadata=notes)


def section(record: type, doc: str) -> Any:
    """Declare a key that holds the keys of ``record``."""
    return field(factory=record, metadata={"section": record, "doc": doc, "secret": False})


def records_of(record: type, doc: str, *, reload: Reload) -> Any:
    """Declare a key that holds an array of objects with the keys of ``record``."""
    notes = {"records": record, "doc": doc, "secret": False, "reload": reload}
    return field(default=(), metadata=notes)


def key_of(attribute: attrs.Attribute[Any]) -> str:
    """Return the key that an attribute has in the file."""
    said = attribute.metadata.get("key")
    return said or re.sub(r"_([a-z])", lambda found: found[1].upper(), attribute.name)


def keys_of(record: type) -> Mapping[str, attrs.Attribute[Any]]:
    """Return the attributes of a record by key, in order."""
    return {key_of(attribute): attribute for attribute in attrs.fields(record)}


@frozen(kw_only=True)
class RateLimitConfig:
    """`gateway.auth.rateLimit`: how many wrong credentials an address may try."""

    max_attempts: int = setting(
        kinds.protecting, "Wrong credentials within the window that lock.", default=10, reload="hot"
    )
    window_ms: int = setting(
        kinds.protecting, "Length of the window, in ms.", default=60_000, reload="hot"
    )
    lockout_ms: int = setting(
        kinds.protecting, "How long a lock lasts, in ms.", default=300_000, reload="hot"
    )


@frozen(kw_only=True)
class TrustedProxyConfig:
    """`gateway.auth.trustedProxy`: who a proxy that signs users in says is there."""

    user_header: str | None = setting(
        kinds.header,
        "Header with the name of the user; the proxy must replace it.",
        default=None,
        reload="hot",
    )
    required_headers: tuple[str, ...] = setting(
        kinds.many(kinds.header, what="header names"),
        "Headers that must be there and not empty.",
        default=(),
        reload="hot",
    )
    allow_users: tuple[str, ...] = setting(
        kinds.many(kinds.text, what="user names"),
        "Users let in; empty means every user the proxy names.",
        default=(),
        reload="hot",
    )
    allow_loopback: bool = setting(
        kinds.boolean,
        "Believe a proxy on this machine; any local process can then pose as it.",
        default=False,
        reload="hot",
    )


@frozen(kw_only=True)
class AuthConfig:
    """`gateway.auth`: the shared secret, or what stands in for it."""

    mode: AuthMode | None = setting(
        kinds.choice(AuthMode, meant={"off": "none", "proxy": "trusted-proxy"}),
        "What is asked for; unset means password if one is set, else token.",
        default=None,
    )
    token: str | None = setting(
        kinds.secret, "The shared token.", default=None, reload="hot", secret=True
    )
    password: str | None = setting(
        kinds.secret, "The shared password.", default=None, reload="hot", secret=True
    )
    token_file: str | None = setting(
        kinds.text, "File that holds the shared token.", default=None, reload="hot"
    )
    password_file: str | None = setting(
        kinds.text, "File that holds the shared password.", default=None, reload="hot"
    )
    rate_limit: RateLimitConfig = section(RateLimitConfig, "Limits on wrong credentials.")
    trusted_proxy: TrustedProxyConfig = section(
        TrustedProxyConfig, "Users named by a proxy, for mode trusted-proxy."
    )


@frozen(kw_only=True)
class TlsConfig:
    """`gateway.tls`: encryption by the gateway itself."""

    enabled: bool = setting(kinds.boolean, "Serve https and wss.", default=False)
    auto_generate: bool = setting(
        kinds.boolean,
        "Make a self-signed certificate when none is named.",
        default=True,
        reload="hot",
    )
    cert_path: str | None = setting(
        kinds.text, "Certificate chain, PEM.", default=None, reload="hot"
    )
    key_path: str | None = setting(
        kinds.text, "Its private key, PEM, without a passphrase.", default=None, reload="hot"
    )
    ca_path: str | None = setting(
        kinds.text,
        "Authorities, PEM; clients of other machines must show a certificate of theirs.",
        default=None,
        reload="hot",
    )


@frozen(kw_only=True)
class RemoteConfig:
    """`gateway.remote`: the gateway that this machine's commands speak to in mode remote."""

    url: str | None = setting(kinds.socket_url, "Its address.", default=None, reload="hot")
    token: str | None = setting(
        kinds.secret, "Its token; sent nowhere else.", default=None, reload="hot", secret=True
    )
    password: str | None = setting(
        kinds.secret, "Its password; sent nowhere else.", default=None, reload="hot", secret=True
    )
    tls_fingerprint: str | None = setting(
        kinds.fingerprint, "SHA-256 of the certificate to expect.", default=None, reload="hot"
    )


@frozen(kw_only=True)
class ControlUiConfig:
    """`gateway.controlUi`: the page in the browser."""

    enabled: bool = setting(kinds.boolean, "Serve the page.", default=True, reload="hot")
    base_path: str = setting(
        kinds.base_path,
        "Path it lives under, for a proxy that passes a prefix on.",
        default="",
        reload="hot",
    )
    allowed_origins: tuple[str, ...] = setting(
        kinds.many(kinds.origin, what="origins"),
        "Origins besides its own that may connect.",
        default=(),
        reload="hot",
    )
    allow_plain_http: bool = setting(
        kinds.boolean,
        "Let the page connect over plain HTTP from elsewhere: the secret and all it shows can be read "
        "on the way.",
        default=False,
        reload="hot",
    )


@frozen(kw_only=True)
class AutoApproveRule:
    """An entry of `gateway.pairing.autoApprove`: who is paired without being asked about."""

    name: str = setting(kinds.text, "Name of the rule in the audit trail.", reload="hot")
    source: IPNetwork | Literal["published-port"] = setting(
        kinds.network_or_published_port,
        "Network that the client connects from itself, or published-port: browsers of the "
        "container's host, behind a port published on loopback.",
        reload="hot",
        key="from",
    )
    roles: tuple[Role, ...] = setting(
        kinds.many(kinds.choice(Role), what="roles"), "Roles it may grant.", reload="hot"
    )
    scopes: tuple[str, ...] = setting(
        kinds.many(kinds.scope, what="scopes"),
        "Scopes it may grant; none unless named. published-port grants more than read, write, "
        "approvals and pairing only if operator.admin is named.",
        default=(),
        reload="hot",
    )


@frozen(kw_only=True)
class PairingConfig:
    """`gateway.pairing`: how devices come in."""

    request_ttl_ms: int = setting(
        kinds.integer(1000),
        "How long a pending request waits, in ms.",
        default=300_000,
        reload="hot",
    )
    max_pending: int = setting(
        kinds.integer(1, 100_000), "Pending requests kept at most.", default=200, reload="hot"
    )
    auto_approve_local: bool = setting(
        kinds.boolean,
        "Pair clients of this machine that know the shared secret.",
        default=True,
        reload="hot",
    )
    auto_approve: tuple[AutoApproveRule, ...] = records_of(
        AutoApproveRule,
        "Rules that pair other devices with the shared secret, without asking.",
        reload="hot",
    )


@frozen(kw_only=True)
class NodeCommandsConfig:
    """`gateway.nodes.commands`: what operators may ask of nodes."""

    allow: tuple[str, ...] = setting(
        kinds.many(kinds.text, what="command names"),
        "Commands allowed besides the platform's own.",
        default=(),
        reload="hot",
    )
    deny: tuple[str, ...] = setting(
        kinds.many(kinds.text, what="command names"),
        "Commands refused; wins over every allowance.",
        default=(),
        reload="hot",
    )


@frozen(kw_only=True)
class NodesConfig:
    """`gateway.nodes`: the capability hosts."""

    commands: NodeCommandsConfig = section(NodeCommandsConfig, "Which commands pass.")


@frozen(kw_only=True)
class GatewayConfig:
    """`gateway`: the section that is ours."""

    mode: GatewayMode = setting(
        kinds.choice(GatewayMode), "Run here, or use another one.", default=GatewayMode.LOCAL
    )
    port: int | None = setting(
        kinds.integer(1, 65535, what="a port number"),
        "Port; unset means OPENCLAW_GATEWAY_PORT, else 18789 (19001 in the profile dev).",
        default=None,
    )
    bind: Bind = setting(
        kinds.choice(
            Bind,
            meant={"0.0.0.0": "lan", "::": "lan", "all": "lan"}
            | dict.fromkeys(("127.0.0.1", "::1", "localhost"), "loopback"),
        ),
        "Where to listen; auto means loopback.",
        default=Bind.LOOPBACK,
    )
    custom_bind_host: IPAddress | None = setting(
        kinds.address, "Address to listen on, for bind custom.", default=None
    )
    auth: AuthConfig = section(AuthConfig, "What a connection must know.")
    trusted_proxies: tuple[IPNetwork, ...] = setting(
        kinds.many(kinds.network, what="IP addresses and networks"),
        "Networks whose X-Forwarded-For is believed.",
        default=(),
        reload="hot",
    )
    allow_real_ip_fallback: bool = setting(
        kinds.boolean,
        "Read X-Real-IP of a trusted proxy that sends no X-Forwarded-For.",
        default=False,
        reload="hot",
    )
    public_origin: str | None = setting(
        kinds.web_origin,
        "Origin the gateway is reached at from outside.",
        default=None,
        reload="hot",
    )
    handshake_timeout_ms: int = setting(
        kinds.integer(250, 600_000), "Time to connect, in ms.", default=15_000, reload="hot"
    )
    tls: TlsConfig = section(TlsConfig, "Encryption by the gateway itself.")
    remote: RemoteConfig = section(RemoteConfig, "The other gateway, for mode remote.")
    control_ui: ControlUiConfig = section(ControlUiConfig, "The page in the browser.")
    pairing: PairingConfig = section(PairingConfig, "How devices come in.")
    nodes: NodesConfig = section(NodesConfig, "The capability hosts.")


@frozen(kw_only=True)
class LoggingConfig:
    """`logging`: what is written where."""

    level: LogLevel = setting(
        kinds.choice(LogLevel, meant={"warning": "warn"}),
        "Least severe level written to the file.",
        default=LogLevel.INFO,
        reload="hot",
    )
    console_level: LogLevel | None = setting(
        kinds.choice(LogLevel, meant={"warning": "warn"}),
        "Least severe level shown on stderr; unset means the same.",
        default=None,
        reload="hot",
    )
    max_file_bytes: int = setting(
        kinds.integer(65_536),
        "Size at which a log file is followed by a new one, in bytes.",
        default=100 * 1024 * 1024,
        reload="hot",
    )


@frozen(kw_only=True)
class Config:
    """A whole configuration, validated."""

    gateway: GatewayConfig = section(GatewayConfig, "The gateway.")
    logging: LoggingConfig = section(LoggingConfig, "The log.")
