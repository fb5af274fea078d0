"""What connections are judged by, derived from the configuration once a load, not once a knock."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gateway.own_network import own_addresses
from gateway.policy.address import IPNetwork
from gateway.policy.credentials import AuthMode, SharedSecrets
from gateway.policy.proxy_auth import ProxyAuth
from gateway.policy.remedy import CommandWords
from gateway.policy.rules import PUBLISHED_PORT, PUBLISHED_PORT_RULE, Rule
from gateway.tls import ServerTls
from stores.config.load import LoadedConfig
from stores.config.model import PairingConfig, TrustedProxyConfig
from stores.devices import PairingLimits
from stores.paths import FOUND_IN_STATE_DIR, Paths

#: Modes with a secret that everybody shares: a rule asks for it.
_WITH_SECRET = (AuthMode.TOKEN, AuthMode.PASSWORD)

#: Longest time between the challenge and ``connect``, ms; the environment may say otherwise.
HANDSHAKE_TIMEOUT_VARIABLE = "OPENCLAW_HANDSHAKE_TIMEOUT_MS"


@frozen
class ThrottleLimits:
    """How many wrong credentials an address may try; the fields of `Throttle` by name."""

    max_attempts: int
    window_s: float
    lockout_s: float


@frozen
class PageSettings:
    """How the Control UI is served; ``base_path`` is empty or begins with a slash."""

    enabled: bool = True
    base_path: str = ""
    allow_plain_http: bool = False


@frozen
class Settings:
    """The part of a configuration that a connection holds from its first byte to its last.

    Args:
        proxy: What a proxy that signs users in must say; None but in mode trusted-proxy.
        rules: Who is let in without being asked about.
        secret_source: Where the secret comes from, in words.
        secret_files: Files that hold a secret of ours; a change there is a change of configuration.
        tls: What new connections are shown; None where nothing is encrypted.
    """

    secrets: SharedSecrets
    trusted: tuple[IPNetwork, ...]
    allow_real_ip: bool
    allowed_origins: tuple[str, ...]
    public_origin: str | None
    handshake_timeout_ms: int
    auto_approve_local: bool
    limits: PairingLimits
    throttle: ThrottleLimits
    proxy: ProxyAuth | None = None
    rules: tuple[Rule, ...] = ()
    secret_source: str | None = None
    secret_files: tuple[Path, ...] = ()
    tls: ServerTls | None = None
    page: PageSettings = PageSettings()  # frozen


def derive(
    loaded: LoadedConfig,
    secrets: SharedSecrets,
    env: Mapping[str, str],
    *,
    auto_approve: Sequence[str] = (),
) -> Settings:
    """Return the settings of a configuration that was validated when it was loaded.

    Args:
        auto_approve: Names of built-in rules that the command line adds.
    """
    gateway = loaded.config.gateway
    rate, files = gateway.auth.rate_limit, (gateway.auth.token_file, gateway.auth.password_file)
    said = env.get(HANDSHAKE_TIMEOUT_VARIABLE, "")
    timeout_ms = int(said) if said.isdigit() and int(said) > 0 else gateway.handshake_timeout_ms
    return Settings(
        secrets=secrets,
        trusted=tuple(gateway.trusted_proxies),
        allow_real_ip=gateway.allow_real_ip_fallback,
        allowed_origins=tuple(gateway.control_ui.allowed_origins),
        public_origin=gateway.public_origin,
        handshake_timeout_ms=timeout_ms,
        auto_approve_local=gateway.pairing.auto_approve_local,
        limits=PairingLimits(
            ttl_ms=gateway.pairing.request_ttl_ms, max_pending=gateway.pairing.max_pending
        ),
        throttle=ThrottleLimits(rate.max_attempts, rate.window_ms / 1000, rate.lockout_ms / 1000),
        proxy=_proxy_auth(gateway.auth.trusted_proxy)
        if secrets.mode is AuthMode.TRUSTED_PROXY
        else None,
        rules=_rules(gateway.pairing, auto_approve) if secrets.mode in _WITH_SECRET else (),
        secret_files=tuple(loaded.resolve_file(name, env) for name in files if name),
        page=PageSettings(
            gateway.control_ui.enabled,
            gateway.control_ui.base_path,
            gateway.control_ui.allow_plain_http,
        ),
    )


def _proxy_auth(section: TrustedProxyConfig) -> ProxyAuth:
    return ProxyAuth(
        user_header=section.user_header or "",
        required_headers=section.required_headers,
        allow_users=frozenset(section.allow_users),
        allow_loopback=section.allow_loopback,
        own_addresses=own_addresses(),
    )


def _rules(section: PairingConfig, built_in: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules in force; one of the configuration takes the place of its namesake."""
    written = tuple(
        Rule(
            rule.name,
            None if isinstance(rule.source, str) else rule.source,
            tuple(map(str, rule.roles)),
            rule.scopes,
        )
        for rule in section.auto_approve
    )
    added = PUBLISHED_PORT in built_in and all(rule.name != PUBLISHED_PORT for rule in written)
    return (*written, PUBLISHED_PORT_RULE) if added else written


def machine_names() -> frozenset[str]:
    """Return this machine's own names, lower case, without a trailing dot."""
    names = {socket.gethostname(), os.uname().nodename}
    return frozenset(name.lower().rstrip(".") for name in names if name)


def command_words(
    started_as: str, env: Mapping[str, str], paths: Paths, *, port: str | None = None
) -> CommandWords:
    """Return how a command for this gateway is typed on its machine.

    Args:
        started_as: The path of the running program (``sys.argv[0]``).
        paths: Where this gateway lives: a command must look there too.
        port: The variable that names its port, where a command would not find it by itself.
    """
    prefix = env.get("OPENCLAW_REMEDY_PREFIX", "").strip()
    if prefix:
        return CommandWords(local=f"{prefix} openclaw", in_container=True)
    name = socket.gethostname()
    if len(name) == 12 and all(letter in "0123456789abcdef" for letter in name):
        # How a container engine names a container nobody named.
        return CommandWords(local=f"docker exec {name} openclaw", in_container=True)
    program = "openclaw"
    found = shutil.which(program, path=env.get("PATH"))
    path = Path(started_as)
    known = found and os.path.realpath(found) == os.path.realpath(started_as)
    if not known and path.name == program and path.is_file():
        program = shlex.quote(str(path.absolute()))
    if port is not None:
        program = f"{port} {program}"
    if paths.config_source != FOUND_IN_STATE_DIR:
        program = f"OPENCLAW_CONFIG_PATH={shlex.quote(str(paths.config_path))} {program}"
    if env.get("OPENCLAW_STATE_DIR", "").strip():
        program = f"OPENCLAW_STATE_DIR={shlex.quote(str(paths.state_dir))} {program}"
    elif paths.profile is not None:
        program = f"{program} --profile {paths.profile}"
    return CommandWords(local=program)


def secrets_of(mode: str, *, token: str | None, password: str | None) -> SharedSecrets:
    """Return the shared secret of an authentication mode that this gateway serves."""
    chosen = AuthMode(mode)
    secret = {AuthMode.TOKEN: token, AuthMode.PASSWORD: password}.get(chosen)
    return SharedSecrets(chosen, secret)
