"""What every task and every method of one gateway shares."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import trio
from attrs import Factory, define, field, frozen

from gateway.hub import Hub
from gateway.metrics import Metrics
from gateway.nodes import Nodes
from gateway.notify import Supervisor
from gateway.peers import PeerNotes
from gateway.policy.remedy import CommandWords
from gateway.policy.throttle import Throttle
from gateway.policy.write_limit import WriteLimit
from gateway.presence import Presence
from gateway.protocol.hello import GatewayFacts
from gateway.pulse import Pulse
from gateway.readiness import Readiness
from gateway.refusal_ring import RefusalRing
from gateway.settings import Settings
from stores.config.load import LoadedConfig
from stores.devices import DeviceStore
from stores.node_store import NodeStore
from stores.paths import Paths

T = TypeVar("T")


class InThread(Protocol):
    """Run a blocking call off the event loop; cancelling the wait does not stop the call."""

    def __call__(self, sync_fn: Callable[..., T], *args: object) -> Awaitable[T]:
        """Return what ``sync_fn(*args)`` returns."""


def wall_clock_ms() -> int:
    """Return the wall time, epoch ms."""
    return time.time_ns() // 1_000_000


async def in_worker_thread(sync_fn: Callable[..., T], *args: object) -> T:
    """Run file work in a worker thread, to its end even if the task is cancelled."""
    return await trio.to_thread.run_sync(sync_fn, *args)


def _nodes_of(paths: Paths) -> Nodes:
    return Nodes(NodeStore(paths.state_dir / "nodes"))


@frozen
class Reloaded:
    """What came of loading the configuration again.

    Args:
        applied: Dotted keys that count from now on.
        restart_required: Dotted keys that count from the next start.
        problem: Why nothing was taken in, or None; ``remedy`` says what to do about it.
    """

    applied: tuple[str, ...] = ()
    restart_required: tuple[str, ...] = ()
    problem: str | None = None
    remedy: str | None = None


class Reloading(Protocol):
    """What takes a changed configuration in."""

    #: The keys that the command line decides, each with its option.
    fixed: Mapping[str, str]

    async def reload(self) -> Reloaded:
        """Load the files now, apply what can be applied, and return what came of it."""

    def refuse_unusable(self, loaded: LoadedConfig) -> None:
        """Refuse what the running gateway would not take in.

        Raises:
            UserFacingError: it would not.
        """

    def refuse_unstartable(self) -> None:
        """Refuse to start anew where the files would not let it; reads them.

        Raises:
            UserFacingError: they would not.
        """


@define(eq=False)
class Runtime:
    """The state of a running gateway; ``loaded`` and ``settings`` are replaced as one on reload.

    Args:
        now_ms: Wall time, epoch ms: records outlive processes. Sleeps use Trio's clock.
        restart_required: Dotted keys of the configuration that only a restart applies.
        config_problem: Why the configuration on disk is not the one in force, or None;
            ``config_remedy`` says what to do about it.
        stop: Set to end the gateway; with ``restart_wanted`` it then starts anew.
    """

    loaded: LoadedConfig
    settings: Settings
    facts: GatewayFacts
    paths: Paths
    store: DeviceStore
    words: CommandWords
    machine_names: frozenset[str]
    own_uid: int
    pid: int = field(factory=os.getpid)
    port: int = 0
    hub: Hub = field(factory=Hub)
    presence: Presence = field(factory=Presence)
    pulse: Pulse = field(factory=Pulse)
    metrics: Metrics = field(factory=Metrics)
    readiness: Readiness = field(factory=Readiness)
    nodes: Nodes = field(default=Factory(lambda self: _nodes_of(self.paths), takes_self=True))
    peers: PeerNotes = field(factory=PeerNotes)
    throttle: Throttle = field(factory=Throttle)
    refusals: RefusalRing = field(factory=RefusalRing)
    now_ms: Callable[[], int] = wall_clock_ms
    in_thread: InThread = in_worker_thread
    started_at_ms: int = 0
    health_version: int = 1
    restart_required: tuple[str, ...] = ()
    config_problem: str | None = None
    config_remedy: str | None = None
    config_writes: WriteLimit = field(factory=WriteLimit)
    env: Mapping[str, str] = field(factory=dict, repr=False)
    reloader: Reloading | None = None
    supervisor: Supervisor = field(factory=Supervisor)
    reload_wanted: trio.Event = field(factory=trio.Event)
    restart_wanted: bool = False
    stop: trio.Event = field(factory=trio.Event)

    @property
    def uptime_ms(self) -> int:
        """Milliseconds since the gateway was ready."""
        return max(0, self.now_ms() - self.started_at_ms)
