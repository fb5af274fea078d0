"""What is decided before the event loop runs: which configuration, which secret, where to listen."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping

from attrs import evolve, field, frozen

from gateway.binding import addresses_of, open_sockets
from gateway.log import Redactor
from gateway.options import RunOptions
from gateway.settings import Settings, derive, secrets_of
from gateway.tls import refuse_broken_tls, tls_in_force
from stores.config.edit import ensure_token
from stores.config.history import last_known_good, load_last_known_good
from stores.config.load import LoadedConfig, load_config
from stores.config.model import AuthMode, Bind
from stores.config.startup import refuse_unsafe_start
from stores.credentials import AuthFlags, GatewayAuth, resolve_gateway_auth
from stores.errors import ConfigError, UsageError, UserFacingError
from stores.paths import Paths
from stores.target import resolve_port

#: A generated token: 24 random bytes in hex (protocol fact: 48 hex characters).
TOKEN_BYTES = 24


@frozen
class Start:
    """Everything that was decided before the event loop runs; ``generated`` names a new secret.

    ``fault`` is what is wrong with the file when the last-known-good runs in its place.
    """

    options: RunOptions
    env: Mapping[str, str]
    paths: Paths
    loaded: LoadedConfig
    auth: GatewayAuth
    bind: Bind
    sockets: list[socket.socket]
    port: int
    redactor: Redactor = field(factory=Redactor)
    generated: bool = False
    fault: UserFacingError | None = None


def find_config(
    options: RunOptions, env: Mapping[str, str], paths: Paths
) -> tuple[LoadedConfig, UserFacingError | None]:
    """Return the configuration to run with, and what is wrong with the file if it is not that.

    Raises:
        ConfigError: the file cannot be used, and nothing may or can take its place.
    """
    fault: UserFacingError
    try:
        loaded = load_config(paths, env)
    except ConfigError as error:
        fault = error
    else:
        if not options.last_known_good or (loaded.exists and loaded.document):
            return loaded, None
        if last_known_good(paths) is None:
            return loaded, None
        what = "says nothing any more" if loaded.exists else "is gone"
        fault = ConfigError(f"{loaded.path} {what}")
    good = load_last_known_good(paths, env) if options.last_known_good else None
    if good is None:
        raise _with_ways_out(fault, paths)
    return good, _with_ways_out(fault, paths)


def _with_ways_out(error: UserFacingError, paths: Paths) -> UserFacingError:
    """Add the commands that help with a file that cannot be used."""
    good = last_known_good(paths)
    ways = ["see every problem with `openclaw config validate`"]
    if good is not None:
        back = "`openclaw config rollback good --yes`"
        ways.append(f"go back to what a gateway ran with at {good.when}: {back}")
    first = error.remedy or ""
    said = "; ".join(ways)
    if first.endswith("?"):  # did you mean …?
        error.remedy = f"{first} {said[:1].upper()}{said[1:]}"
    else:
        error.remedy = f"{first}; {said}" if first else said
    return error


def with_secret(
    options: RunOptions, env: Mapping[str, str], paths: Paths
) -> tuple[LoadedConfig, GatewayAuth, bool, UserFacingError | None]:
    """Load under the lock, and make a token where one is needed and none is given."""
    loaded, fault = find_config(options, env, paths)
    auth = resolve_gateway_auth(loaded, env, flags_of(options))
    if auth.mode is not AuthMode.TOKEN or auth.token is not None:
        return loaded, auth, False, fault
    if fault is not None:
        raise fault  # a token cannot be put into a file that cannot be read
    ensure_token(paths, env=env, new_token=lambda: secrets.token_hex(TOKEN_BYTES))
    loaded = load_config(paths, env)
    return loaded, resolve_gateway_auth(loaded, env, flags_of(options)), True, None


def flags_of(options: RunOptions) -> AuthFlags:
    """Return what the command line says about secrets.

    Raises:
        UsageError: it names no mode there is.
    """
    try:
        mode = AuthMode(options.auth) if options.auth else None
    except ValueError as error:
        known = ", ".join(AuthMode)
        raise UsageError(f"--auth takes one of {known}, not {options.auth}") from error
    return AuthFlags(
        mode=mode,
        token=options.token,
        token_file=options.token_file,
        password=options.password,
        password_file=options.password_file,
    )


def bind_of(options: RunOptions, loaded: LoadedConfig) -> Bind:
    """Return where to listen.

    Raises:
        UsageError: the command line names no bind there is.
    """
    if options.bind is None:
        return loaded.config.gateway.bind
    try:
        return Bind(options.bind)
    except ValueError as error:
        raise UsageError(f"--bind takes one of {', '.join(Bind)}, not {options.bind}") from error


def settings_of(start: Start, loaded: LoadedConfig) -> Settings:
    """Return what connections are judged by under a configuration.

    Raises:
        ConfigError: a gateway would not start with it.
    """
    auth = resolve_gateway_auth(loaded, start.env, flags_of(start.options))
    refuse_unsafe_start(loaded.config, auth, bind=bind_of(start.options, loaded))
    token = auth.token.value if auth.token else None
    password = auth.password.value if auth.password else None
    if auth.mode in (AuthMode.TOKEN, AuthMode.PASSWORD) and not (token or password):
        raise ConfigError(
            f"{loaded.path} holds no {auth.mode} any more",
            remedy="put it back; the running gateway keeps the one it has",
        )
    start.redactor.learn(token, password)
    mode = secrets_of(str(auth.mode), token=token, password=password)
    settings = derive(loaded, mode, start.env, auto_approve=start.options.auto_approve)
    tls = tls_in_force(loaded, start.loaded, start.env, start.paths)
    return evolve(
        settings,
        secret_source=auth.secret.source if auth.secret else None,
        tls=tls,
        secret_files=settings.secret_files + (tls.files if tls else ()),
    )


def refuse_unstartable(start: Start, loaded: LoadedConfig) -> None:
    """Refuse a configuration that this process could not start anew with.

    Raises:
        UserFacingError: why it could not.
    """
    auth = resolve_gateway_auth(loaded, start.env, flags_of(start.options))
    bind = bind_of(start.options, loaded)
    refuse_unsafe_start(loaded.config, auth, bind=bind)
    refuse_broken_tls(loaded, start.env, start.paths)
    addresses = addresses_of(bind, loaded.config.gateway.custom_bind_host)
    default = start.paths.default_port
    port = resolve_port(loaded, start.env, port=start.options.port, default=default).number
    ours = {one.getsockname()[:2] for one in start.sockets}
    free = [address for address in addresses if port and (address, port) not in ours]
    if free and port not in {number for _, number in ours}:
        for one in open_sockets(free, port)[0]:
            one.close()
