"""Who may get in, as the configuration says: weak secrets, and protections that were opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stores.checks.finding import Finding, Scene, Severity
from stores.config.model import AuthMode, AutoApproveRule, Bind, GatewayConfig, RateLimitConfig
from stores.credentials import PASSWORD_VARIABLE, TOKEN_VARIABLE, SecretKind

#: A token of our own making has 48; one of this many hex digits cannot be guessed either.
SHORTEST_TOKEN = 24
SHORTEST_PASSWORD = 12
#: Text that a person made up by holding keys down has fewer different characters than this.
FEWEST_CHARACTERS = 8
#: A network of more addresses than this is not the people somebody knows.
WIDEST_NETWORK = 65_536

_DEFAULTS = RateLimitConfig()


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what makes it easier to get in than it should be."""
    yield from _secret(scene)
    yield from _environment(scene)
    yield from _command_line(scene)
    if scene.loaded is None:
        return
    gateway = scene.loaded.config.gateway
    yield from _auth(scene, gateway)
    yield from _limits(scene, gateway.auth.rate_limit)
    yield from _network(scene, gateway)
    for rule in gateway.pairing.auto_approve:
        yield from _rule(scene, rule)


def weakness(secret: str, kind: SecretKind) -> str | None:
    """Return what makes a secret easy to guess, None if nothing seems to."""
    least = SHORTEST_TOKEN if kind is SecretKind.TOKEN else SHORTEST_PASSWORD
    if len(secret) < least:
        return f"it has {len(secret)} characters; {least} or more cannot be tried out"
    different = len(set(secret))
    if different < FEWEST_CHARACTERS:
        return f"only {different} different characters occur in it"
    return None


def _secret(scene: Scene) -> Iterator[Finding]:
    secret = scene.auth.secret if scene.auth is not None else None
    why = weakness(secret.value, secret.kind) if secret is not None else None
    if secret is None or why is None:
        return
    if secret.kind is SecretKind.TOKEN:
        command = scene.command("doctor --generate-gateway-token")
    else:
        command = scene.command("config set gateway.auth.password --from-file FILE")
    yield Finding(
        id=f"weak-{secret.kind}",
        severity=Severity.WARNING,
        title=f"The gateway's {secret.kind} is easy to guess",
        saw=f"the {secret.kind} comes from {secret.source}: {why}",
        command=command,
        security=True,
    )


def _environment(scene: Scene) -> Iterator[Finding]:
    for text in scene.auth.losing if scene.auth is not None else ():
        variable = TOKEN_VARIABLE if TOKEN_VARIABLE in text else PASSWORD_VARIABLE
        yield Finding(
            id="environment-loses",
            severity=Severity.WARNING,
            title="A secret in the environment is not the one that counts",
            saw=text,
            command=f"unset {variable}",
        )


def _command_line(scene: Scene) -> Iterator[Finding]:
    running = scene.running
    if running is None or not running.alive:
        return
    try:
        words = Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return
    said = next(
        (one for one in (b"--token", b"--password") for word in words if _is(word, one)), None
    )
    if said is not None:
        name = said.decode().removeprefix("--")
        yield Finding(
            id="secret-on-command-line",
            severity=Severity.WARNING,
            title="Every user of this machine can read the gateway's secret",
            saw=f"the running gateway (pid {running.pid}) was started with --{name}",
            command=scene.command(f"config set gateway.auth.{name} --from-file FILE"),
            security=True,
        )


def _is(word: bytes, option: bytes) -> bool:
    return word == option or word.startswith(option + b"=")


def _auth(scene: Scene, gateway: GatewayConfig) -> Iterator[Finding]:
    mode = scene.auth.mode if scene.auth is not None else gateway.auth.mode
    if mode is AuthMode.NONE:
        yield Finding(
            id="no-auth",
            severity=Severity.WARNING,
            title="The gateway asks for no secret",
            saw="gateway.auth.mode is none: every program of this machine may ask to be paired",
            command=scene.command("config set gateway.auth.mode token"),
            security=True,
        )
    if gateway.auth.trusted_proxy.allow_loopback and mode is AuthMode.TRUSTED_PROXY:
        yield Finding(
            id="loopback-proxy-believed",
            severity=Severity.WARNING,
            title="Every program of this machine can say which user it is",
            saw="gateway.auth.trustedProxy.allowLoopback is true: the header with the user's name is "
            "believed from any local process",
            command=scene.command("config unset gateway.auth.trustedProxy.allowLoopback"),
            security=True,
        )
    if gateway.control_ui.allow_plain_http:
        yield Finding(
            id="plain-http-page",
            severity=Severity.WARNING,
            title="The Control UI connects over plain HTTP",
            saw="gateway.controlUi.allowPlainHttp is true: the token, and all that the page shows, can "
            "be read and changed on the way",
            command=scene.command("config unset gateway.controlUi.allowPlainHttp"),
            security=True,
        )


def _limits(scene: Scene, limit: RateLimitConfig) -> Iterator[Finding]:
    loose = [
        (key, value)
        for key, value, is_loose in (
            ("maxAttempts", limit.max_attempts, limit.max_attempts > 10 * _DEFAULTS.max_attempts),
            ("lockoutMs", limit.lockout_ms, limit.lockout_ms < _DEFAULTS.lockout_ms // 10),
            ("windowMs", limit.window_ms, limit.window_ms < _DEFAULTS.window_ms // 10),
        )
        if is_loose
    ]
    for key, value in loose:
        yield Finding(
            id="loose-rate-limit",
            severity=Severity.WARNING,
            title="Wrong secrets are hardly limited",
            saw=f"gateway.auth.rateLimit.{key} is {value}",
            command=scene.command(f"config unset gateway.auth.rateLimit.{key}"),
            security=True,
        )


def _network(scene: Scene, gateway: GatewayConfig) -> Iterator[Finding]:
    host = gateway.custom_bind_host
    here = gateway.bind in (Bind.LOOPBACK, Bind.AUTO)
    here = here or (gateway.bind is Bind.CUSTOM and host is not None and host.is_loopback)
    if here or gateway.tls.enabled or gateway.bind is Bind.TAILNET:
        return
    yield Finding(
        id="plain-on-network",
        severity=Severity.INFO,
        title="Others on the network can read what the gateway and its clients say",
        saw=f"gateway.bind is {gateway.bind} and gateway.tls.enabled is false; that is fine behind a "
        "proxy that encrypts, or inside of a container",
        command=scene.command("config set gateway.tls.enabled true"),
        security=True,
    )


def _rule(scene: Scene, rule: AutoApproveRule) -> Iterator[Finding]:
    said = f"the rule {rule.name!r} of gateway.pairing.autoApprove"
    command = scene.command("config get gateway.pairing.autoApprove")
    if "operator.admin" in rule.scopes:
        yield Finding(
            id="auto-approve-admin",
            severity=Severity.WARNING,
            title="Whoever knows the secret becomes an administrator without being asked about",
            saw=f"{said} grants operator.admin to {rule.source}",
            command=command,
            security=True,
        )
    if not isinstance(rule.source, str) and rule.source.num_addresses > WIDEST_NETWORK:
        yield Finding(
            id="auto-approve-wide",
            severity=Severity.WARNING,
            title="A rule pairs devices of a very large network",
            saw=f"{said} is for {rule.source}",
            command=command,
            security=True,
        )
    if rule.source == "published-port":
        yield published_port(f"{said} is for a published port")


def published_port(saw: str) -> Finding:
    """Return the reminder that only the host knows how wide a port is published."""
    return Finding(
        id="published-port",
        severity=Severity.INFO,
        title="Whether the port is published on loopback only cannot be seen from here",
        saw=f"{saw}; on the container's host it must read 127.0.0.1:PORT, not 0.0.0.0:PORT",
        command="docker ps --format '{{.Names}} {{.Ports}}'",
        security=True,
    )
