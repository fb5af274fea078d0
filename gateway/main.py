"""From the words of a command line to a gateway that runs, and to its exit code."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import attrs
import trio

from gateway.app import obey_signals, run_gateway, services_of
from gateway.binding import addresses_of, open_sockets
from gateway.door import Door
from gateway.first_process import refuse_shut_volume
from gateway.instance import InstanceLock, take_instance_lock
from gateway.keeper import Keeper
from gateway.lobby import MAX_WAITING, MAX_WAITING_PER_ADDRESS, PER_ADDRESS_VARIABLE, Lobby
from gateway.log import Log, Redactor, log_file, open_log
from gateway.log_levels import levels, unheeded
from gateway.methods.table import ADVERTISED_EVENTS, ADVERTISED_METHODS
from gateway.notify import ON_EARLIER, supervisor_of
from gateway.options import RunOptions
from gateway.peers import PeerNotes
from gateway.policy.remedy import CommandWords
from gateway.policy.throttle import Throttle
from gateway.presence import Presence
from gateway.protocol.hello import GatewayFacts
from gateway.refusal_ring import RefusalRing
from gateway.reload import Reloader
from gateway.runtime import Runtime, wall_clock_ms
from gateway.settings import command_words, machine_names
from gateway.starting import (
    Start,
    bind_of,
    find_config,
    flags_of,
    refuse_unstartable,
    settings_of,
    with_secret,
)
from gateway.takeover import take_over
from gateway.tls import ServerTls, refuse_broken_tls, tls_in_force, told
from gateway.version import VERSION
from stores.config.load import LoadedConfig, load_config
from stores.config.model import AuthMode, Bind
from stores.config.startup import refuse_unsafe_start
from stores.credentials import resolve_gateway_auth
from stores.devices import DeviceStore
from stores.errors import StoreError, UserFacingError
from stores.fingerprint import secret_fingerprint
from stores.own_gateway import port_variable
from stores.paths import Paths, refuse_foreign_state, resolve_paths
from stores.target import resolve_port

logger = logging.getLogger("gateway.main")

#: Descriptors wanted; each connection is one.
MAX_DESCRIPTORS = 65_536

#: Variables whose values may appear in no output, whether they are in force or not.
SECRET_VARIABLES = ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD")


def run(options: RunOptions) -> int:
    """Run the gateway until it is told to stop; return the exit code.

    Raises:
        ConfigError: the configuration or the ownership of the state directory forbids it
            (exit code 78).
        StoreError: the state directory cannot be used (exit code 78).
        UserFacingError: the port is taken by something else (exit code 1).
    """
    env = dict(os.environ)
    try:
        return _run(options, env)
    except UserFacingError as error:
        supervisor_of(env).failed(str(error))
        raise


def _run(options: RunOptions, env: Mapping[str, str]) -> int:
    paths = resolve_paths(env, profile=options.profile, dev=options.dev, config=options.config)
    refuse_shut_volume(paths.state_dir)
    refuse_foreign_state(paths)
    loaded, _ = find_config(options, env, paths)
    auth = resolve_gateway_auth(loaded, env, flags_of(options))
    refuse_unsafe_start(loaded.config, auth, bind=bind_of(options, loaded))
    if options.force:
        refuse_broken_tls(loaded, env, paths)
        addresses = addresses_of(bind_of(options, loaded), loaded.config.gateway.custom_bind_host)
        port = resolve_port(loaded, env, port=options.port, default=paths.default_port)
        take_over(paths, addresses, port.number)
    lock = take_instance_lock(paths.lock_path)
    # Whoever asks for a reload while nothing serves yet, or not again, must not end it.
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        while _run_locked(options, env, paths, lock):
            lock.describe({})  # a restart was asked for: the same process listens anew
        return 0
    finally:
        signal.signal(signal.SIGHUP, hangup)
        lock.release()


def _run_locked(
    options: RunOptions, env: Mapping[str, str], paths: Paths, lock: InstanceLock
) -> bool:
    """Run until stopped; tell whether that was to start again."""
    loaded, auth, generated, fault = with_secret(options, env, paths)
    bind = bind_of(options, loaded)
    refuse_unsafe_start(loaded.config, auth, bind=bind)
    port = resolve_port(loaded, env, port=options.port, default=paths.default_port)
    redactor = Redactor()
    redactor.learn(*(env.get(name) for name in SECRET_VARIABLES))
    redactor.learn(loaded.config.gateway.remote.token, loaded.config.gateway.remote.password)
    redactor.learn(auth.secret.value if auth.secret else None)
    with ExitStack() as cleanup:
        # Before the log: what cannot start says so in one sentence, where it was started.
        tls = tls_in_force(loaded, loaded, env, paths)
        addresses = addresses_of(bind, loaded.config.gateway.custom_bind_host)
        sockets, number = open_sockets(addresses, port.number)
        for one in sockets:
            cleanup.callback(one.close)
        start = Start(
            options, env, paths, loaded, auth, bind, sockets, number, redactor, generated, fault
        )
        spelt = _words_of(start).spelt

        def clean(text: str) -> str:
            return redactor.clean(spelt(text))

        log = open_log(paths.logs_dir, clean, **levels(options, loaded, env))
        cleanup.callback(log.close)
        note = _note(start) | {"portSource": port.source, "commandLine": options.decides}

        def describe(in_force: dict[str, object]) -> None:
            lock.describe(note | in_force)

        secret = auth.secret.value if auth.secret else None
        describe(_in_force(loaded, str(auth.mode), secret, tls))
        _log_warnings(start, (*port.losing, *unheeded(options, loaded, env)))
        return _serve(start, log, describe)


def _note(start: Start) -> dict[str, object]:
    now_ms = wall_clock_ms()
    since = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")
    return {
        "startedAtMs": now_ms,
        "startedAt": since.replace("+00:00", "Z"),
        "stateDir": str(start.paths.state_dir),
        "port": start.port,
        "bind": str(start.bind),
        "version": VERSION,
        "secretSource": start.auth.secret.source if start.auth.secret else None,
    }


def _in_force(
    loaded: LoadedConfig, mode: str, secret: str | None, tls: ServerTls | None
) -> dict[str, object]:
    """Return the part of the note that a reload may change; of the secret only a fingerprint."""
    return {
        "configPath": str(loaded.path),
        "configDigest": loaded.digest,
        "authMode": mode,
        "secretFingerprint": secret_fingerprint(secret) if secret else None,
        "tls": told(tls),
    }


def _log_warnings(start: Start, losing: tuple[str, ...]) -> None:
    if start.fault is not None:
        logger.error(
            "running on the last-known-good configuration, for the file cannot be used: %s",
            start.fault,
        )
    for text in (*start.loaded.warnings, *start.auth.losing, *start.auth.warnings, *losing):
        logger.warning("%s", text)
    if start.loaded.ignored_path is not None:
        logger.warning(
            "%s is in force; %s is ignored (`openclaw config file` says why, "
            "`openclaw config convert` makes one of them)",
            start.loaded.path,
            start.loaded.ignored_path,
        )
    if start.bind is Bind.AUTO is not start.loaded.config.gateway.bind:
        logger.warning("gateway.bind auto means loopback here: a bind is never widened by a guess")
    if start.auth.mode is AuthMode.NONE:
        logger.warning(
            "auth mode=none explicitly configured; all gateway connections are unauthenticated."
        )


def _words_of(start: Start) -> CommandWords:
    started_as, port = start.options.command_words, _port_to_name(start)
    return command_words(started_as, start.env, start.paths, port=port)


def _port_to_name(start: Start) -> str | None:
    """Return what names the port, if a command that is not told of it would look at another one."""
    usual = resolve_port(start.loaded, start.env, default=start.paths.default_port).number
    if start.port == usual:
        return None
    secure = start.loaded.config.gateway.tls.enabled
    return port_variable(start.port, start.loaded, secure=secure)


def build(
    start: Start,
    log: Log | None = None,
    describe: Callable[[dict[str, object]], None] = lambda _: None,
) -> tuple[Door, Reloader]:
    """Put a gateway together without starting it: what its tasks share, and its reloader.

    Args:
        describe: Told after each reload what is in force now.
    """
    settings = settings_of(start, start.loaded)
    store = DeviceStore(start.paths.devices_dir, via="ws", limits=settings.limits)
    try:
        store.read()
    except StoreError:  # told by `_announce`, `health` and `/readyz`
        if store.lost:
            raise
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
        words=_words_of(start),
        machine_names=machine_names(),
        own_uid=os.getuid(),
        port=start.port,
        presence=Presence(server_version=VERSION),
        throttle=Throttle(**attrs.asdict(settings.throttle)),
        refusals=RefusalRing(start.redactor.clean),
        peers=PeerNotes(start.redactor.clean),
        started_at_ms=wall_clock_ms(),
        env=start.env,
        supervisor=supervisor_of(start.env),
        config_problem=start.fault.problem if start.fault else None,
        config_remedy=start.fault.remedy if start.fault else None,
    )
    keeper = Keeper(runtime, announced=store.book)

    def applied(loaded: LoadedConfig) -> None:
        if log is not None:
            log.adjust(**levels(start.options, loaded, start.env))
        now = runtime.settings
        found = _in_force(loaded, str(now.secrets.mode), now.secrets.secret, now.tls)
        describe(found | {"secretSource": now.secret_source})

    reloader = Reloader(
        runtime,
        load=partial(load_config, start.paths, start.env),
        derive=partial(settings_of, start),
        applied=applied,
        startable=partial(refuse_unstartable, start),
        fixed=start.options.decides,
    )
    return Door(runtime, keeper, _lobby(start.env)), reloader


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


def _serve(start: Start, log: Log, describe: Callable[[dict[str, object]], None]) -> bool:
    """Serve until stopped; tell whether that was to start again."""
    _allow_many_connections()
    door, reloader = build(start, log, describe)

    def end_now(number: int) -> None:
        logger.warning("second signal: ending at once")
        log.close()
        os._exit(128 + number)

    async def life() -> None:
        stop = door.runtime.stop
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
    again = door.runtime.restart_wanted
    logger.info("starting again" if again else "stopped")
    return again


def _announce(start: Start, door: Door) -> None:
    """Say where everything is, as somebody who has just started the gateway wants to know."""
    command = door.runtime.words.local
    hosts = [_shown(one) for one in start.sockets]
    tls = door.runtime.settings.tls
    secure = f" (wss, fingerprint sha256 {tls.fingerprint})" if tls else ""
    logger.info("openclaw-gateway %s listening on %s%s", VERSION, ", ".join(hosts), secure)
    page = next((host for host in hosts if host.startswith("127.")), hosts[0])
    page = page.replace("0.0.0.0:", "127.0.0.1:")  # every address means this machine's own too
    logger.info("Control UI: http%s://%s/", "s" if tls else "", page)
    for text in tls.warnings if tls else ():
        logger.warning("%s", text)
    if start.generated:
        logger.info("a token was made for you: it is gateway.auth.token in %s", start.loaded.path)
    elif start.auth.secret is not None:
        logger.info("auth mode %s, from %s", start.auth.mode, start.auth.secret.source)
    for rule in door.runtime.settings.rules:
        logger.info("let in without approval by the rule %s: %s", rule.name, rule.in_words)
    logger.info("devices that wait:  %s devices list", command)
    logger.info("let one in:         %s devices approve CODE", command)
    logger.info("state %s, log %s", start.paths.state_dir, log_file(start.paths.logs_dir))
    for fault in door.runtime.store.problems:
        logger.error("%s %s: %s; %s", fault.file, fault.path, fault.problem, fault.remedy)
    waiting = len(door.runtime.store.book.pending)
    if waiting:
        logger.info("%d devices wait for approval", waiting)
    where = f"listening on {', '.join(hosts)}"
    door.runtime.supervisor.ready(where if start.fault is None else ON_EARLIER)


def _shown(one: socket.socket) -> str:
    address, port = one.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
