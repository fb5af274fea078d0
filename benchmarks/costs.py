"""CPU time of a handshake and of a request, against the floor that does the same for the same load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson

from benchmarks.client import Client, key_of
from benchmarks.effort import Effort
from benchmarks.processes import Server, floor, gateway, medians
from benchmarks.table import Row

TARGET = 1.3

#: Requests that wait for their answers at the same time.
IN_FLIGHT = 16

#: The device that shakes hands. It is paired first, so that a handshake writes nothing.
KNOWN = key_of(1)


def cost_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield the cost of handshakes and requests."""
    with gateway(scratch / "cost") as ours:
        answers = scratch / "answers.json"
        answers.write_bytes(orjson.dumps(_payloads(ours)))
        with floor(answers) as bare:
            compare = partial(_compare, ours, bare, rounds=effort.rounds)
            handshakes = partial(cpu_of_handshakes, count=effort.handshakes)
            yield compare("CPU per signed handshake", handshakes)
            for in_flight in (1, IN_FLIGHT):
                requests = partial(cpu_of_requests, count=effort.requests, in_flight=in_flight)
                yield compare(f"CPU per health request, {in_flight} in flight", requests)


def _compare(
    ours: Server, bare: Server, name: str, cost_s: Callable[[Server], float], *, rounds: int
) -> Row:
    cost_s(ours), cost_s(bare)  # what is done once only is not what is asked
    found_s, least_s = medians([partial(cost_s, ours), partial(cost_s, bare)], rounds=rounds)
    return Row(name, found_s * 1e6, "µs", TARGET, least_s * 1e6)


def _payloads(ours: Server) -> dict[str, object]:
    """Return what the gateway answers, for the floor to answer the same, byte for byte."""
    pair(ours)
    client = Client(ours.port)
    payloads = {
        "connect": client.connect(KNOWN)["payload"],
        "health": client.call("health")["payload"],
    }
    client.close()
    return payloads


def pair(ours: Server) -> None:
    """Pair the device that shakes hands: it is local, so one connection does it."""
    client = Client(ours.port)
    assert client.connect(KNOWN)["ok"]
    client.close()


def cpu_of_handshakes(server: Server, *, count: int) -> float:
    """Return the server's CPU seconds for one connection, from accept to the end of its close."""
    before_s = server.cpu_s()
    for _ in range(count):
        client = Client(server.port)
        assert client.connect(KNOWN)["ok"]
        client.close()
    return (server.cpu_s() - before_s) / count


def cpu_of_requests(server: Server, *, count: int, in_flight: int) -> float:
    """Return the server's CPU seconds for one ``health`` request of a session."""
    client = Client(server.port)
    client.connect(KNOWN)
    before_s = server.cpu_s()
    for _ in range(count // in_flight):
        client.calls("health", {}, count=in_flight)
    cost_s = (server.cpu_s() - before_s) / (count // in_flight * in_flight)
    client.close()
    return cost_s
