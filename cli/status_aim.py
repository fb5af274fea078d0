"""Which gateway a status is about, and what may be shown to it: found in whatever state the files are.

Other commands end where a file cannot be used; a status says so and goes on with what is left.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from cli.client import ROLE, Presented
from cli.output import note
from cli.place import Place, TargetOptions
from stores.config.history import load_last_known_good
from stores.config.in_use import InUse, Why, config_in_use
from stores.config.load import LoadedConfig, interpret
from stores.credentials import (
    AuthFlags,
    ClientCredentials,
    Secret,
    refuse_without_credentials,
    resolve_client_credentials,
    secrets_named,
)
from stores.errors import ConfigError, StoreError, UsageError, UserFacingError
from stores.identity import Identity, TokenCache, known_identity
from stores.own_gateway import as_it_serves, own_port
from stores.port_owner import PortOwner, port_owner
from stores.running import Running, read_running
from stores.target import (
    URL_VARIABLE,
    Port,
    Target,
    Trust,
    loopback_target,
    pinned_by_flag,
    refuse_plaintext,
    resolve_port,
    resolve_target,
)

if TYPE_CHECKING:
    from stores.paths import Paths


class HeldBackError(UserFacingError):
    """No secret is sent: who holds the port is nobody it is meant for."""

    kind = "refused"


@frozen(kw_only=True)
class Configured:
    """What the configuration says; ``problem`` is why another one had to take its place.

    Args:
        path: The file that this command reads, whichever one was loaded.
        missing: Whether there is no file.
        why: How the running gateway comes to work with another text, if it does.
        stand_in: What was read in its place: the last one a gateway ran with, or the defaults.
    """

    loaded: LoadedConfig
    path: Path
    problem: UserFacingError | None = None
    why: Why | None = None
    stand_in: str | None = None
    missing: bool = False

    @property
    def lost(self) -> bool:
        """Tell whether the running gateway takes the file for an accident."""
        return self.why in (Why.GONE, Why.ACCIDENT)


@frozen(kw_only=True)
class Aim:
    """A gateway to look at, and what to show it.

    Args:
        target: None where nothing says which gateway is meant; ``problem`` tells why.
        held_back: Why no secret is sent; the handshake is tried all the same.
        first, second: What is presented, and what if that is refused as stale.
    """

    configured: Configured
    running: Running | None
    port: Port | None = None
    holder: PortOwner | None = None
    target: Target | None = None
    problem: UserFacingError | None = None
    held_back: UserFacingError | None = None
    source: str | None = None
    losing: tuple[str, ...] = ()
    secrets: tuple[tuple[str, Secret], ...] = field(default=(), repr=False)
    identity: Identity | None = field(default=None, repr=False)
    first: Presented | None = field(default=None, repr=False)
    second: Presented | None = field(default=None, repr=False)

    @property
    def source_of_target(self) -> str:
        """Where the target comes from, in the words of published commands."""
        source = self.target.source if self.target is not None else ""
        if source == "loopback, port from the default":
            return "local loopback"
        return f"local {source}" if source.startswith("loopback") else source

    @property
    def local(self) -> bool:
        """Tell whether this machine's own gateway is meant."""
        return self.target is None or self.target.is_local_default


def take_aim(options: TargetOptions, here: Place) -> Aim:
    """Decide which gateway to look at and with what; no file that is broken ends it.

    Raises:
        UsageError: the words of the command line cannot be meant.
    """
    if options.port is not None and options.url is not None:
        raise UsageError("--port and --url each name a gateway", remedy="leave one of them out")
    running = read_running(here.paths.state_dir)
    configured = read_configuration(here, running)
    if options.port is not None and running is not None and running.port != options.port:
        running = None  # not the one that is asked about
    aim = Aim(configured=configured, running=running)
    try:
        paths, said = here.paths, options.port
        port = resolve_port(configured.loaded, here.env, port=said, default=paths.default_port)
        aim = evolve(aim, port=port, losing=port.losing)
        target = _target(options, here, aim)
    except ConfigError as error:
        return evolve(aim, problem=error)
    holder = port_owner(target.port) if target.is_local_default else None
    return _with_credentials(evolve(aim, target=target, holder=holder), options, here)


def read_configuration(here: Place, running: Running | None = None) -> Configured:
    """Return the configuration, or what a gateway runs with, or may, while it cannot be used.

    Args:
        running: The gateway that the state directory names: what it took in goes before the file.
    """
    found = config_in_use(here.paths, here.env, running)
    said = found.said
    missing = isinstance(said, LoadedConfig) and not said.exists
    path = said.path if isinstance(said, LoadedConfig) else here.paths.config_path
    problem = found.problem or (said if isinstance(said, UserFacingError) else None)
    if problem is None:
        return Configured(loaded=found.usable(), path=path, missing=missing)
    loaded, stand_in = _instead(here, found, path)
    return Configured(
        loaded=loaded, path=path, problem=problem, why=found.why, stand_in=stand_in, missing=missing
    )


def _instead(here: Place, found: InUse, path: Path) -> tuple[LoadedConfig, str]:
    """Return what stands in for a file that does not count, and what that is in words."""
    last = "the last one that a gateway ran with"
    if found.runs is not None:
        return found.runs, "that one" if found.why is Why.OTHER_FILE else last
    with contextlib.suppress(UserFacingError):
        good = load_last_known_good(here.paths, here.env)
        if good is not None:
            return good, last
    return interpret(path, None, {}), "the defaults"


def _target(options: TargetOptions, here: Place, aim: Aim) -> Target:
    loaded, env, paths = aim.configured.loaded, here.env, here.paths
    if options.port is not None:
        target, named = loopback_target(loaded, options.port), True
    else:
        port = own_port(options.url, env, paths)
        target = resolve_target(
            loaded, env, url=options.url, port=port, default_port=paths.default_port
        )
        named = options.url is not None or bool(env.get(URL_VARIABLE, "").strip())
    if target.is_local_default and not named:
        target = _where_it_runs(target, aim, here)
    if target.is_local_default:
        target = as_it_serves(target, loaded, env, paths)
    if options.tls_fingerprint is not None:
        target = pinned_by_flag(target, options.tls_fingerprint)
    return target


def _where_it_runs(target: Target, aim: Aim, here: Place) -> Target:
    """Return the port that the running gateway says it has, if that is not the one in force."""
    running = aim.running
    if running is None or not running.alive or running.port in (None, target.port):
        return target
    assert running.port is not None
    host, scheme = target.host, target.url.partition("://")[0]
    lock = here.paths.lock_path
    return evolve(
        target,
        url=f"{scheme}://{host}:{running.port}",
        port=running.port,
        source=f"loopback, port of the running gateway in {lock}",
    )


def _with_credentials(aim: Aim, options: TargetOptions, here: Place) -> Aim:
    """Add what may be presented; what keeps a secret back is noted, not raised."""
    loaded, env, target = aim.configured.loaded, here.env, aim.target
    assert target is not None
    flags = AuthFlags(
        token=options.token,
        token_file=options.token_file,
        password=options.password,
        password_file=options.password_file,
    )
    aim = evolve(aim, secrets=tuple(secrets_named(loaded, env, target, flags)))
    identity, own = _own_device(here.paths, target)
    try:
        aim = evolve(aim, target=refuse_plaintext(target, env))
        refuse_strangers(aim)
        credentials = resolve_client_credentials(loaded, env, target, flags)
        for warning in credentials.warnings:
            note(f"warning: {warning}")
        losing = (*aim.losing, *credentials.losing)
        aim = evolve(aim, source=credentials.source, losing=losing)
        refuse_without_credentials(credentials, target, device_token=own is not None)
    except UsageError:
        raise
    except UserFacingError as error:
        return evolve(aim, held_back=error)
    shared = _shared(credentials)
    if credentials.source is None and own is not None:
        return evolve(aim, identity=identity, first=own, source="this device's own token")
    second = own if flags == AuthFlags() else None
    return evolve(aim, identity=identity, first=shared, second=second)


def _shared(credentials: ClientCredentials) -> Presented:
    return Presented(
        token=credentials.token.value if credentials.token else None,
        password=credentials.password.value if credentials.password else None,
    )


def _own_device(paths: Paths, target: Target) -> tuple[Identity | None, Presented | None]:
    """Return this device and the token a gateway gave it; a status makes neither."""
    with contextlib.suppress(StoreError):
        identity = known_identity(paths.identity_dir)
        if identity is None:
            return None, None
        elsewhere = None if target.is_local_default else target.url
        kept = TokenCache(paths.identity_dir, identity.device_id, elsewhere).get(ROLE)
        return identity, None if kept is None else Presented(device_token=kept.token)
    return None, None


def refuse_strangers(aim: Aim) -> None:
    """Refuse to show this user's secret to a program of another user; root could read it anyway.

    Raises:
        HeldBackError: such a program holds the port.
    """
    holder, target = aim.holder, aim.target
    if holder is None or target is None or target.trust is not Trust.LOCAL:
        return
    if holder.uid in (0, os.geteuid()) or (aim.running and aim.running.uid == holder.uid):
        return
    raise HeldBackError(
        f"the port is held by {holder.in_words()}, and your secret is not meant for them",
        remedy="take another port with `openclaw config set gateway.port N`, or ask that user",
    )
