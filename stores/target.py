"""Which gateway a command speaks to, and what kind of secret may go there."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from attrs import evolve, frozen

from stores.config import kinds
from stores.config.kinds import MismatchError
from stores.config.load import LoadedConfig
from stores.config.model import GatewayMode
from stores.errors import ConfigError, UsageError, UserFacingError
from stores.paths import DEFAULT_PORT

PORT_VARIABLE = "OPENCLAW_GATEWAY_PORT"
URL_VARIABLE = "OPENCLAW_GATEWAY_URL"
#: Who chose a port, when it is the command line.
PORT_FLAG = "--port"
#: Who pins a certificate, when it is the command line.
FLAG = "--tls-fingerprint"
#: With ``1`` secrets may cross a private network in clear (protocol fact); said at every use.
ALLOW_PRIVATE_VARIABLE = "OPENCLAW_ALLOW_INSECURE_PRIVATE_WS"

_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_SCHEME_PORTS = {"ws": 80, "wss": 443}
#: Names of this machine that every system resolves to itself.
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

# RFC 1918, RFC 6598 (tailnets), RFC 3927, RFC 4193, RFC 4291 section 2.5.6.
_PRIVATE = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("169.254.0.0/16", "fc00::/7", "fe80::/10"),
    )
)

#: Resolves a host name to addresses; fails with OSError.
Resolve = Callable[[str], Sequence[str]]


class Trust(StrEnum):
    """Which secrets may be sent to a target."""

    LOCAL = "local"  # those of the gateway of this machine
    REMOTE = "remote"  # gateway.remote.*
    ENVIRONMENT = "environment"  # those named next to OPENCLAW_GATEWAY_URL
    FLAGS = "flags"  # only those given on the same command line


class PlaintextRefusedError(UserFacingError):
    """A secret would have crossed a network in clear: refused before dialling."""

    kind = "refused"


@frozen(kw_only=True)
class Port:
    """A port and who chose it; ``losing`` has a sentence for a variable that does not count."""

    number: int
    source: str
    losing: tuple[str, ...] = ()


@frozen(kw_only=True)
class Target:
    """A gateway to call; ``dial_host`` is where to connect, ``host`` what the URL says.

    ``tls_fingerprint`` is that of the one certificate to accept, and ``pin_source`` who says so.
    """

    url: str
    source: str
    trust: Trust
    host: str
    dial_host: str
    port: int
    tls_fingerprint: str | None = None
    pin_source: str | None = None

    @property
    def is_local_default(self) -> bool:
        """Tell whether this is the gateway of this machine, so that its files may stand in."""
        return self.trust is Trust.LOCAL

    @property
    def secure(self) -> bool:
        """Tell whether the connection is encrypted."""
        return self.url.startswith("wss:")


def resolve_port(
    loaded: LoadedConfig,
    env: Mapping[str, str],
    *,
    port: int | None = None,
    default: int = DEFAULT_PORT,
) -> Port:
    """Decide the port in force: flag, configuration, environment, default.

    Args:
        port: The value of ``--port``; 0 lets the system choose.
        default: `Paths.default_port`.

    Raises:
        UsageError: the flag is not a port.
        ConfigError: the variable that counts is not one.
    """
    said = env.get(PORT_VARIABLE, "").strip()
    configured = loaded.config.gateway.port
    if port is not None:
        if not 0 <= port <= 65535:
            raise UsageError(f"--port: {port} is not a port", remedy="use 1 to 65535")
        return Port(number=port, source=PORT_FLAG, losing=_losing(said, port, PORT_FLAG))
    if configured is not None:
        source = loaded.where("gateway.port")
        return Port(number=configured, source=source, losing=_losing(said, configured, source))
    if not said:
        return Port(number=default, source="the default")
    if not re.fullmatch(r"[0-9]{1,5}", said) or not 1 <= int(said) <= 65535:
        raise ConfigError(
            f"env {PORT_VARIABLE}: {said[:20]!r} is not a port",
            remedy=f"set it to a number from 1 to 65535, or `unset {PORT_VARIABLE}`",
        )
    return Port(number=int(said), source=f"env {PORT_VARIABLE}")


def _losing(said: str, number: int, winner: str) -> tuple[str, ...]:
    if not said or said == str(number):
        return ()
    return (f"env {PORT_VARIABLE} is set but not used: {winner} goes before it",)


def resolve_target(
    loaded: LoadedConfig,
    env: Mapping[str, str],
    *,
    url: str | None = None,
    port: int | None = None,
    default_port: int = DEFAULT_PORT,
) -> Target:
    """Decide which gateway to call: ``--url``, environment, remote mode, this machine.

    A URL that says what the next one in this order says keeps the secrets of that one.

    Raises:
        UsageError: a URL that cannot be one.
        ConfigError: mode remote without `gateway.remote.url`, or a port that is none.
    """
    below = _configured_target(loaded, env, port, default_port)
    named = env.get(URL_VARIABLE, "").strip()
    if named:
        below = _named_target(named, f"env {URL_VARIABLE}", Trust.ENVIRONMENT, below)
    if url is not None:
        return _named_target(url, "--url", Trust.FLAGS, below)
    return below


def loopback_target(loaded: LoadedConfig, port: int) -> Target:
    """Return the gateway of this machine on a port that the command line names."""
    scheme = "wss" if loaded.config.gateway.tls.enabled else "ws"
    return _target(f"{scheme}://127.0.0.1:{port}", "loopback, port from --port", Trust.LOCAL)


def _configured_target(
    loaded: LoadedConfig, env: Mapping[str, str], port: int | None, default_port: int
) -> Target:
    gateway = loaded.config.gateway
    if gateway.mode is GatewayMode.REMOTE:
        source = loaded.where("gateway.remote.url")
        if gateway.remote.url is None:
            raise ConfigError(
                f"gateway.mode is remote, but gateway.remote.url is not set in {loaded.path}",
                remedy="name it with `openclaw config set gateway.remote.url URL`, or use the gateway "
                "of this machine with `openclaw config set gateway.mode local`",
            )
        target = _target(gateway.remote.url, source, Trust.REMOTE)
        pin = gateway.remote.tls_fingerprint
        source = loaded.where("gateway.remote.tlsFingerprint")
        return evolve(target, tls_fingerprint=pin, pin_source=source if pin else None)
    chosen = resolve_port(loaded, env, port=port, default=default_port)
    scheme = "wss" if gateway.tls.enabled else "ws"
    # always loopback: whatever the gateway binds, it listens there too
    url = f"{scheme}://127.0.0.1:{chosen.number}"
    return _target(url, f"loopback, port from {chosen.source}", Trust.LOCAL)


def _named_target(url: str, source: str, trust: Trust, below: Target) -> Target:
    target = _target(url, source, trust)
    dial_host = target.dial_host
    if _same(target) != _same(below):
        if below.host != "127.0.0.1" or _same(evolve(target, host=below.host)) != _same(below):
            return target
        own = _own_loopback_address(target.host)
        if own is None:
            return target
        dial_host = own
    return evolve(
        target,
        dial_host=dial_host,
        trust=below.trust,
        tls_fingerprint=below.tls_fingerprint,
        pin_source=below.pin_source,
    )


def _own_loopback_address(host: str) -> str | None:
    """Return where this machine's own name leads, if that is this machine and nowhere else."""
    if host.lower() != socket.gethostname().lower():
        return None  # any other name is somebody else's to point here
    try:
        addresses = _system_addresses(host)
    except OSError:
        return None
    return addresses[0] if addresses and all(map(is_loopback, addresses)) else None


def _same(target: Target) -> tuple[bool, str, int, str]:
    host = "127.0.0.1" if target.host in _LOOPBACK_NAMES else target.host
    return target.secure, host, target.port, urlsplit(target.url).path.rstrip("/")


def _target(url: str, source: str, trust: Trust) -> Target:
    parts, port = _split(url, source)
    scheme = _SCHEMES[parts.scheme]
    host = parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    explicit = "" if parts.port is None else f":{port}"
    return Target(
        url=f"{scheme}://{place}{explicit}{parts.path}",
        source=source,
        trust=trust,
        host=host,
        dial_host=host,
        port=port,
    )


def _split(url: str, source: str) -> tuple[SplitResult, int]:
    remedy = "write it like `wss://gateway.example:18789`"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{source} is not the address of a gateway", remedy=remedy) from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UsageError(f"{source} is not the address of a gateway", remedy=remedy)
    if parts.username is not None or parts.query or parts.fragment:
        # what is in a URL ends up in logs and process lists
        raise UsageError(
            f"{source} carries more than an address, perhaps a secret",
            remedy="give the secret with `--token-file FILE`",
        )
    return parts, port or _SCHEME_PORTS[_SCHEMES[parts.scheme]]


def pinned_by_flag(target: Target, fingerprint: str) -> Target:
    """Return the target with the certificate that ``--tls-fingerprint`` says.

    Raises:
        UsageError: it is no fingerprint, or nothing is encrypted there.
    """
    try:
        pin = kinds.fingerprint(fingerprint)
    except MismatchError as error:
        raise UsageError(
            f"--tls-fingerprint is not {error}",
            remedy="see it on the gateway's machine: `openclaw gateway fingerprint`",
        ) from error
    if not target.secure:
        raise UsageError(
            f"--tls-fingerprint needs a gateway that speaks TLS, and the target is {target.url} "
            f"({target.source})",
            remedy=f"leave it out, or call `--url wss://{target.host}:{target.port}`",
        )
    return evolve(target, tls_fingerprint=pin, pin_source=FLAG)


def refuse_plaintext(
    target: Target, env: Mapping[str, str] | None = None, *, resolve: Resolve | None = None
) -> Target:
    """Refuse to send secrets in clear over a network; blocks while a name is resolved.

    Args:
        env: Where `OPENCLAW_ALLOW_INSECURE_PRIVATE_WS` may stand, which allows private networks.
        resolve: Looks up a host name; the system's resolver unless given.

    Returns:
        The target with `dial_host` pinned to the address that was looked at, so that a second
        answer of the resolver cannot lead elsewhere.

    Raises:
        PlaintextRefusedError: not encrypted, and the host is not, or not only, this machine.
    """
    if target.secure or is_loopback(target.host):
        return target
    try:
        addresses = list((resolve or _system_addresses)(target.host))
    except OSError:
        addresses = []
    private = (env or {}).get(ALLOW_PRIVATE_VARIABLE, "").strip() == "1"
    if addresses and all(is_loopback(one) or (private and is_private(one)) for one in addresses):
        return evolve(target, dial_host=addresses[0])
    raise PlaintextRefusedError(
        f"{target.url} ({target.source}) is not encrypted and not this machine, so everybody on "
        "the way could read the secret",
        remedy=f"use `wss://{target.url.partition('://')[2]}`, or a tunnel: "
        f"`ssh -N -L {target.port}:127.0.0.1:{target.port} {target.host}` "
        f"and `--url ws://127.0.0.1:{target.port}`",
    )


def is_private(address: str) -> bool:
    """Tell whether an address is of a network that the internet has no way to."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if found.version == 6 else None
    return any((mapped or found) in network for network in _PRIVATE)


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or address, is this machine without asking anybody."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def _system_addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
