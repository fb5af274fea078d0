"""The task tree: what starts in which order, and what stops first."""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from gateway.door import Door
from gateway.listener import serve_stream
from gateway.methods.system import health_of
from gateway.node_watch import watch_nodes
from gateway.protocol.close import SERVICE_RESTART
from gateway.protocol.frames import StateVersion
from gateway.pulse import measure_lag, tell_health, tell_presence, tick
from gateway.reload import Reloader
from gateway.session import shutdown_event
from stores.peers_seen import FILE_NAME

logger = logging.getLogger("gateway.main")

#: Supervisors tell a process and then its group: the same wish, twice within an instant.
SAME_SIGNAL_WITHIN_S = 0.3

#: How long sessions may take to hear that the gateway stops.
DRAIN_S = 5.0

Service = Callable[[], Awaitable[None]]


def services_of(door: Door, reloader: Reloader) -> list[Service]:
    """Return the tasks that run beside the listener for the gateway's whole life."""
    runtime, keeper = door.runtime, door.keeper

    def public_health() -> dict[str, object]:
        health = health_of(runtime)
        del health["problems"]
        return health

    def version() -> StateVersion:
        return StateVersion(runtime.presence.version, runtime.health_version)

    def new_version() -> StateVersion:
        runtime.health_version += 1
        return version()

    return [
        keeper.write_queued,
        keeper.watch,
        keeper.expire_pending,
        partial(watch_nodes, runtime),
        reloader.watch,
        door.keep_refusals,
        runtime.pulse.ping_sessions,
        partial(measure_lag, runtime.metrics),
        runtime.supervisor.feed_watchdog,
        partial(
            runtime.peers.keep,
            runtime.paths.logs_dir / FILE_NAME,
            runtime.in_thread,
            now_ms=runtime.now_ms,
        ),
        partial(tick, runtime.hub, now_ms=runtime.now_ms),
        partial(tell_health, runtime.hub, public_health, new_version),
        partial(
            tell_presence, runtime.hub, runtime.presence, now_ms=runtime.now_ms, version=version
        ),
    ]


async def run_gateway(
    door: Door,
    listeners: Sequence[trio.SocketListener],
    services: Sequence[Service],
    *,
    stop: trio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Serve until ``stop``, then say goodbye to every session and return.

    Cancellation: the background is cancelled first, so nothing new comes in while sessions drain;
    a store write under way runs to its end.
    """
    async with trio.open_nursery() as sessions:
        async with trio.open_nursery() as background:
            await background.start(
                partial(
                    trio.serve_listeners,
                    partial(serve_stream, door),
                    list(listeners),
                    handler_nursery=sessions,
                )
            )
            for service in services:
                background.start_soon(service)
            on_ready()
            await stop.wait()
            _tell_supervisor(door)
            background.cancel_scope.cancel()
        door.lobby.close()
        door.runtime.hub.broadcast(shutdown_event(restarts=door.runtime.restart_wanted))
        door.runtime.hub.end_all(SERVICE_RESTART)
        sessions.cancel_scope.deadline = trio.current_time() + DRAIN_S


def _tell_supervisor(door: Door) -> None:
    """Tell the service manager that the gateway ends, or that it starts anew as the same process."""
    runtime = door.runtime
    if runtime.restart_wanted:
        runtime.supervisor.reloading()
    else:
        runtime.supervisor.stopping()


async def obey_signals(door: Door, stop: trio.Event, end_now: Callable[[int], None]) -> None:
    """Serve for ever: stop on SIGTERM or SIGINT, end at once on the second, reload on SIGHUP."""
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    told_s = -SAME_SIGNAL_WITHIN_S
    with trio.open_signal_receiver(*wanted) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                door.runtime.reload_wanted.set()
            elif not stop.is_set() or door.runtime.restart_wanted:
                door.runtime.restart_wanted = False  # a restart under way becomes a stop
                logger.info("stopping (%s)", signal.Signals(number).name)
                told_s = trio.current_time()
                stop.set()
            elif trio.current_time() - told_s >= SAME_SIGNAL_WITHIN_S:
                end_now(number)
