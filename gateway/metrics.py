"""What the gateway counts, and how a scrape shows it.

Rule: counting is arithmetic on our own numbers, in the event loop, without a lock or a library;
the library that knows the format is loaded by the first scrape, and works in a thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from gateway.door import Door

#: Upper bounds of the buckets, s: an answer from memory takes some 50 µs, one that syncs a file
#: some ms, and what takes longer than 5 s is stuck.
BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)

#: Values of one label at most. They are names of ours; the bound is for the day one is not.
MAX_VALUES = 100
OTHER = "other"

#: Measurements of the event loop, one a second, that the largest recent lag is taken from.
RECENT_LAGS = 60


@define(eq=False)
class Histogram:
    """How many observations fell into each bucket, not cumulated; the last one has no bound."""

    counts: list[int] = field(factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


@define(eq=False)
class Metrics:
    """The counters of one gateway; all but `answered` are off the path of requests."""

    requests: dict[str, Histogram] = field(factory=dict)
    handshakes: dict[str, int] = field(factory=dict)
    refusals: dict[str, int] = field(factory=dict)
    store_writes: Histogram = field(factory=Histogram)
    store_syncs: Histogram = field(factory=Histogram)
    loop_lags: Histogram = field(factory=Histogram)
    recent_lags_s: deque[float] = field(factory=lambda: deque(maxlen=RECENT_LAGS))

    def answered(self, method: str, seconds: float) -> None:
        """Count a request that was answered; ``method`` is one of ours, never a peer's word."""
        found = self.requests.get(method)
        if found is None:
            found = self.requests[method] = Histogram()
        found.observe(seconds)

    def admitted(self, role: str) -> None:
        """Count a connection that became a session."""
        _count(self.handshakes, role)

    def refused(self, code: str) -> None:
        """Count a connection, or a request of plain HTTP, that was refused."""
        _count(self.refusals, code)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self.loop_lags.observe(seconds)
        self.recent_lags_s.append(seconds)

    def event_loop(self) -> dict[str, float]:
        """Return how late the event loop was, now and at most in the last minute, ms."""
        lags = self.recent_lags_s or (0.0,)
        return {"lagMs": round(lags[-1] * 1000, 1), "maxLagMs": round(max(lags) * 1000, 1)}


def _count(counts: dict[str, int], value: str) -> None:
    key = value if value in counts or len(counts) < MAX_VALUES else OTHER
    counts[key] = counts.get(key, 0) + 1


Value = int | float | Histogram


@frozen
class Family:
    """One metric as it is shown: its values by the values of its labels."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    values: Sequence[tuple[tuple[str, ...], Value]]
    labels: tuple[str, ...] = ()


def families(door: Door) -> list[Family]:
    """Return everything that a scrape shows, copied in one moment."""
    return [*_about_connections(door), *_about_the_rest(door)]


def _about_connections(door: Door) -> Iterator[Family]:
    runtime = door.runtime
    hub, metrics = runtime.hub, runtime.metrics
    by_role: dict[str, int] = {}
    for session in hub:
        by_role[str(session.role)] = by_role.get(str(session.role), 0) + 1
    connections: list[tuple[tuple[str, ...], Value]] = [
        ((role, "admitted"), count) for role, count in by_role.items()
    ]
    connections.append((("none", "waiting"), len(door.lobby)))
    yield Family(
        "openclaw_connections",
        "gauge",
        "Open connections; those that wait have proven nothing yet.",
        connections,
        ("role", "state"),
    )
    yield _by_value(
        "openclaw_handshakes", "Connections that became sessions.", "role", metrics.handshakes
    )
    yield _by_value(
        "openclaw_refusals", "Refused connections and HTTP requests.", "code", metrics.refusals
    )
    yield Family(
        "openclaw_request_seconds",
        "histogram",
        "Time from a request read to its answer made.",
        [((name,), _copy(one)) for name, one in metrics.requests.items()],
        ("method",),
    )
    dropped = hub.dropped_events + sum(session.dropped_events for session in hub)
    yield _one("openclaw_outbox_drops", "Events that slow readers missed.", dropped, "counter")
    yield _one(
        "openclaw_outbox_overflows", "Sessions ended as too slow.", hub.ended_slow, "counter"
    )


def _about_the_rest(door: Door) -> Iterator[Family]:
    runtime = door.runtime
    metrics, book = runtime.metrics, runtime.store.book
    yield Family(
        "openclaw_event_loop_lag_seconds",
        "histogram",
        "How late the event loop was, measured once a second.",
        [((), _copy(metrics.loop_lags))],
    )
    yield Family(
        "openclaw_store_write_seconds",
        "histogram",
        "Time to lock, write and sync the device store.",
        [((), _copy(metrics.store_writes))],
    )
    yield Family(
        "openclaw_store_sync_seconds",
        "histogram",
        "Time of one sync of a file or folder of the device store to the disk.",
        [((), _copy(metrics.store_syncs))],
    )
    locked = len(runtime.throttle.lockouts(door.clock()))
    yield _one("openclaw_lockouts", "Callers locked out after wrong secrets.", locked)
    yield _one("openclaw_pending_requests", "Devices that wait for approval.", len(book.pending))
    yield _one("openclaw_paired_devices", "Devices that were approved.", len(book.paired))
    problems = len(runtime.store.problems) + len(runtime.nodes.store.problems)
    told = "Faults of the files of the device store and of the node store."
    yield _one("openclaw_store_problems", told, problems)
    asked = runtime.nodes.in_flight
    yield _one("openclaw_node_questions", "Questions to nodes that wait for an answer.", asked)
    off = int(runtime.config_problem is not None)
    yield _one("openclaw_config_invalid", "1 while the configuration on disk is not in force.", off)
    keys = len(runtime.restart_required)
    yield _one("openclaw_restart_required", "Changed keys that wait for a restart.", keys)
    yield Family(
        "openclaw_build_info",
        "gauge",
        "The version that runs.",
        [((runtime.presence.server_version,), 1)],
        ("version",),
    )


def _one(name: str, text: str, value: Value, kind: Literal["gauge", "counter"] = "gauge") -> Family:
    return Family(name, kind, text, [((), value)])


def _by_value(name: str, text: str, label: str, counts: dict[str, int]) -> Family:
    return Family(name, "counter", text, [((key,), n) for key, n in counts.items()], (label,))


def _copy(one: Histogram) -> Histogram:
    return Histogram(list(one.counts), one.sum_s)


def render(found: Sequence[Family], accept: str) -> tuple[bytes, bytes]:
    """Return a scrape's body and content type, as its ``Accept`` header asks; for a thread.

    The process's own numbers (memory, descriptors, CPU time) come along where the kernel has them.
    """
    # late: it costs tens of ms, and most gateways are never scraped
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    class Ours:
        def collect(self) -> Iterator[Metric]:
            return map(_in_their_words, found)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ours())
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind.encode("ascii", "replace")


def _in_their_words(family: Family) -> Metric:
    from prometheus_client import core  # late, as above

    if family.kind != "histogram":
        sort = core.GaugeMetricFamily if family.kind == "gauge" else core.CounterMetricFamily
        plain = sort(family.name, family.help, labels=family.labels)
        for labels, value in family.values:
            assert not isinstance(value, Histogram)
            plain.add_metric(labels, value)
        return plain
    metric = core.HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in family.values:
        assert isinstance(value, Histogram)
        total, buckets = 0, []
        for bound, count in zip((*BUCKETS_S, inf), value.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == inf else str(bound), float(total)))
        metric.add_metric(labels, buckets, value.sum_s)
    return metric
