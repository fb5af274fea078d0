"""From the words of a command line to a gateway that runs, and to its exit code."""

from __future__ import annotations

import gc
import logging
import os
import resource
import secrets
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import attrs
import trio
from attrs import field, frozen

from gateway.app import obey_signals, run_gateway, services_of
from gateway.binding import addresses_of, open_sockets
from gateway.door import Door
from gateway.instance import InstanceLock, take_instance_lock
from gateway.keeper import Keeper
from gateway.lobby import MAX_WAITING, MAX_WAITING_PER_ADDRESS, PER_ADDRESS_VARIABLE, Lobby
from gateway.log import Redactor, log_file, open_log
from gateway.methods.table import ADVERTISED_EVENTS, ADVERTISED_METHODS
from gateway.options import RunOptions
from gateway.policy.throttle import Throttle
from gateway.presence import Presence
from gateway.protocol.hello import GatewayFacts
from gateway.reload import Reloader
from gateway.runtime import Runtime, wall_clock_ms
from gateway.settings import Settings, command_words, derive, machine_names, secrets_of
from gateway.version import VERSION
from stores.config.edit import ensure_token
from stores.config.load import LoadedConfig, load_config
from stores.config.model import AuthMode, Bind
from stores.config.startup import refuse_unsafe_start
from stores.credentials import AuthFlags, GatewayAuth, resolve_gateway_auth
from stores.devices import DeviceStore
from stores.errors import ConfigError, StoreError, UsageError
from stores.paths import Paths, refuse_foreign_state, resolve_paths
from stores.target import resolve_port

logger = logging.getLogger("gateway.main")

#: Descriptors wanted; each connection is one.
MAX_DESCRIPTORS = 65_536

#: A generated token: 24 random bytes in hex (protocol fact: 48 hex characters).
TOKEN_BYTES = 24


#: Variables whose values may appear in no output, whether they are in force or not.
SECRET_VARIABLES = ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD")


@frozen
class Start:
    """Everything that was decided before the event loop runs; ``generated`` names a new secret."""

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


def run(options: RunOptions) -> int:
    """Run the gateway until it is told to stop; return the exit code.

    Raises:
        ConfigError: the configuration or the ownership of the state directory forbids it
            (exit code 78).
        StoreError: the state directory cannot be used (exit code 78).
        UserFacingError: the port is taken by something else (exit code 1).
    """
    env = dict(os.environ)
    paths = resolve_paths(env, profile=options.profile, dev=options.dev, config=options.config)
    refuse_foreign_state(paths)
    loaded = load_config(paths, env)
    bind = _bind_of(options, loaded)
    refuse_unsafe_start(
        loaded.config, resolve_gateway_auth(loaded, env, _flags(options)), bind=bind
    )
    lock = take_instance_lock(paths.lock_path)
    try:
        return _run_locked(options, env, paths, bind, lock)
    finally:
        lock.release()


def _run_locked(
    options: RunOptions, env: Mapping[str, str], paths: Paths, bind: Bind, lock: InstanceLock
) -> int:
    loaded, auth, generated = _with_secret(options, env, paths)
    port = resolve_port(loaded, env, port=options.port, default=paths.default_port)
    redactor = Redactor()
    redactor.learn(*(env.get(name) for name in SECRET_VARIABLES))
    redactor.learn(loaded.config.gateway.remote.token, loaded.config.gateway.remote.password)
    redactor.learn(auth.secret.value if auth.secret else None)
    with ExitStack() as cleanup:
        # Before the log: what cannot start says so in one sentence, where it was started.
        addresses = addresses_of(bind, loaded.config.gateway.custom_bind_host)
        sockets, number = open_sockets(addresses, port.number)
        for one in sockets:
            cleanup.callback(one.close)
        start = Start(options, env, paths, loaded, auth, bind, sockets, number, redactor, generated)
        close_log = _open_log(start)
        cleanup.callback(close_log)
        lock.describe(_note(start))
        _log_warnings(start, port.losing)
        return _serve(start, close_log)


def _open_log(start: Start) -> Callable[[], None]:
    config, verbose = start.loaded.config.logging, start.options.verbose
    return open_log(
        start.paths.logs_dir,
        start.redactor,
        level="debug" if verbose else config.level,
        console_level="debug" if verbose else config.console_level or config.level,
        max_file_bytes=config.max_file_bytes,
    )


def _with_secret(
    options: RunOptions, env: Mapping[str, str], paths: Paths
) -> tuple[LoadedConfig, GatewayAuth, bool]:
    """Load again under the lock, and make a token where one is needed and none is given."""
    loaded = load_config(paths, env)
    auth = resolve_gateway_auth(loaded, env, _flags(options))
    if auth.mode is AuthMode.TRUSTED_PROXY:
        raise ConfigError(
            "gateway.auth.mode trusted-proxy is not served by this version",
            remedy='set `gateway.auth.mode` to `"token"`',
        )
    if auth.mode is not AuthMode.TOKEN or auth.token is not None:
        return loaded, auth, False
    ensure_token(paths, env=env, new_token=lambda: secrets.token_hex(TOKEN_BYTES))
    loaded = load_config(paths, env)
    return loaded, resolve_gateway_auth(loaded, env, _flags(options)), True


def _flags(options: RunOptions) -> AuthFlags:
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


def _bind_of(options: RunOptions, loaded: LoadedConfig) -> Bind:
    if options.bind is None:
        return loaded.config.gateway.bind
    try:
        return Bind(options.bind)
    except ValueError as error:
        raise UsageError(f"--bind takes one of {', '.join(Bind)}, not {options.bind}") from error


def _note(start: Start) -> dict[str, object]:
    now_ms = wall_clock_ms()
    since = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")
    return {
        "startedAtMs": now_ms,
        "startedAt": since.replace("+00:00", "Z"),
        "stateDir": str(start.paths.state_dir),
        "configPath": str(start.loaded.path),
        "port": start.port,
        "bind": str(start.bind),
        "version": VERSION,
    }


def _log_warnings(start: Start, losing: tuple[str, ...]) -> None:
    for text in (*start.loaded.warnings, *start.auth.losing, *start.auth.warnings, *losing):
        logger.warning("%s", text)
    if start.loaded.ignored_path is not None:
        logger.warning(
            "%s is in force; %s is ignored", start.loaded.path, start.loaded.ignored_path
        )
    if start.bind is Bind.AUTO:
        logger.warning("gateway.bind auto means loopback here: a bind is never widened by a guess")
    if start.auth.mode is AuthMode.NONE:
        logger.warning(
            "auth mode=none explicitly configured; all gateway connections are unauthenticated."
        )


def _settings(start: Start, loaded: LoadedConfig) -> Settings:
    auth = resolve_gateway_auth(loaded, start.env, _flags(start.options))
    token = auth.token.value if auth.token else None
    password = auth.password.value if auth.password else None
    if auth.mode is not AuthMode.NONE and not (token or password):
        raise ConfigError(
            f"{loaded.path} holds no {auth.mode} any more",
            remedy="put it back; the running gateway keeps the one it has",
        )
    start.redactor.learn(token, password)
    mode = secrets_of(str(auth.mode), token=token, password=password)
    return derive(loaded, mode, start.env)


def build(start: Start) -> tuple[Door, Reloader]:
    """Put a gateway together without starting it: what its tasks share, and its reloader."""
    settings = _settings(start, start.loaded)
    store = DeviceStore(start.paths.devices_dir, via="ws", limits=settings.limits)
    store.read()
    runtime = Runtime(
        loaded=start.loaded,
        settings=settings,
        facts=GatewayFacts(
            version=VERSION,
            boot_id=str(uuid.uuid4()),
            methods=ADVERTISED_METHODS,
            events=ADVERTISED_EVENTS,
            auth_mode=str(start.auth.mode),
            config_path=str(start.loaded.path),
            state_dir=str(start.paths.state_dir),
        ),
        paths=start.paths,
        store=store,
        words=command_words(start.options.command_words, start.env, start.paths),
        machine_names=machine_names(),
        own_uid=os.getuid(),
        port=start.port,
        presence=Presence(server_version=VERSION),
        throttle=Throttle(**attrs.asdict(settings.throttle)),
        started_at_ms=wall_clock_ms(),
    )
    keeper = Keeper(runtime, announced=store.book)

    def load() -> tuple[LoadedConfig, Settings]:
        loaded = load_config(start.paths, start.env)
        return loaded, _settings(start, loaded)

    return Door(runtime, keeper, _lobby(start.env)), Reloader(runtime, load)


def _lobby(env: Mapping[str, str]) -> Lobby:
    """Return the budget of connections that have proven nothing."""
    said = env.get(PER_ADDRESS_VARIABLE, "")
    per_address = int(said) if said.isdigit() and int(said) else MAX_WAITING_PER_ADDRESS
    # Half of the descriptors at most: sessions and files must not starve on strangers.
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = min(MAX_WAITING, descriptors // 2) if descriptors > 0 else MAX_WAITING
    return Lobby(max_waiting=waiting, max_per_address=per_address)


def _allow_many_connections() -> None:
    """Raise the soft limit of descriptors, often 1024 for the sake of programs that use select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(start: Start, close_log: Callable[[], None]) -> int:
    _allow_many_connections()
    door, reloader = build(start)

    def end_now(number: int) -> None:
        logger.warning("second signal: ending at once")
        close_log()
        os._exit(128 + number)

    async def life() -> None:
        stop = trio.Event()
        listeners = [
            trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in start.sockets
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_signals, door, stop, end_now)
            await run_gateway(
                door,
                listeners,
                services_of(door, reloader),
                stop=stop,
                on_ready=partial(_announce, start, door),
            )
            nursery.cancel_scope.cancel()

    gc.collect()
    gc.freeze()  # what the imports made lives as long as the process
    trio.run(life)
    try:
        door.runtime.store.flush(now_ms=wall_clock_ms())
    except StoreError as error:
        logger.warning("last-seen times were not written: %s", error)
    logger.info("stopped")
    return 0


def _announce(start: Start, door: Door) -> None:
    """Say where everything is, as somebody who has just started the gateway wants to know."""
    command = door.runtime.words.local
    hosts = [_shown(one) for one in start.sockets]
    logger.info("openclaw-gateway %s listening on %s", VERSION, ", ".join(hosts))
    page = next((host for host in hosts if host.startswith("127.")), hosts[0])
    page = page.replace("0.0.0.0:", "127.0.0.1:")  # every address means this machine's own too
    logger.info("Control UI: http://%s/", page)
    if start.generated:
        logger.info("a token was made for you: it is gateway.auth.token in %s", start.loaded.path)
    elif start.auth.secret is not None:
        logger.info("auth mode %s, from %s", start.auth.mode, start.auth.secret.source)
    logger.info("devices that wait:  %s devices list", command)
    logger.info("let one in:         %s devices approve CODE", command)
    logger.info("state %s, log %s", start.paths.state_dir, log_file(start.paths.logs_dir))
    for fault in door.runtime.store.problems:
        logger.error("%s %s: %s; %s", fault.file, fault.path, fault.problem, fault.remedy)
    waiting = len(door.runtime.store.book.pending)
    if waiting:
        logger.info("%d devices wait for approval", waiting)


def _shown(one: socket.socket) -> str:
    address, port = one.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
