"""What a device store of thousands costs a running gateway: to list, to decide, to be knocked at."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.client import Client, key_of
from benchmarks.costs import KNOWN, pair
from benchmarks.crowd import ELSEWHERE, FEW, fill
from benchmarks.effort import Effort
from benchmarks.processes import Server, gateway
from benchmarks.table import Row

LIST_TARGET_MS = 50
APPROVAL_TARGET_MS = 20
#: 500 new devices a second on one core.
KNOCK_TARGET_MS = 2
RECORD_TARGET_KIB = 2

#: Strangers that knock at the same time.
AT_ONCE = 16

#: The first of the keys that knock; those below belong to other measures.
_FIRST = 10_000

#: Every stranger comes through a proxy that is believed, so that each has an address of its own.
_OPEN_DOOR = {"trustedProxies": ["127.0.0.1"], "pairing": {"maxPending": 10_000}}


def device_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield the CPU time of list, approve and knock, and the memory of a record."""
    many = effort.devices
    few_dir, many_dir = scratch / "devices-few", scratch / "devices-many"
    fill(few_dir, FEW)
    fill(many_dir, many)
    with gateway(few_dir) as few, gateway(many_dir, _OPEN_DOOR) as crowd:
        yield _weight(few, crowd, many, many_dir)
        pair(crowd)
        operator = Client(crowd.port)
        assert operator.connect(KNOWN)["ok"]
        list_ms = [_list_ms(crowd, operator) for _ in range(effort.approvals)]
        name = f"CPU per device.pair.list, {many} paired"
        yield Row(name, statistics.median(list_ms), "ms", LIST_TARGET_MS)
        approve_ms = [_approve_ms(crowd, operator, number) for number in range(effort.approvals)]
        name = f"CPU per approval, {many} paired"
        yield Row(name, statistics.median(approve_ms), "ms", APPROVAL_TARGET_MS)
        operator.close()
        name = f"CPU per new pairing request, {AT_ONCE} at once"
        yield Row(name, _knock_ms(crowd, effort.handshakes), "ms", KNOCK_TARGET_MS)


def _weight(few: Server, crowd: Server, count: int, state_dir: Path) -> Row:
    """Return what a record weighs in memory beyond its own text."""
    text = state_dir.joinpath("devices", "paired.json").stat().st_size
    held = crowd.private_bytes() - few.private_bytes() - text
    return Row("memory per device beyond its text", held / count / 1024, "KiB", RECORD_TARGET_KIB)


def _list_ms(server: Server, operator: Client) -> float:
    before_s = server.cpu_s()
    assert operator.call("device.pair.list")["ok"]
    return (server.cpu_s() - before_s) * 1000


def _approve_ms(server: Server, operator: Client, number: int) -> float:
    knock = Client(server.port, forwarded_for=ELSEWHERE)
    refusal = knock.connect(key_of(_FIRST + number))
    knock.drop()
    wanted = {"requestId": refusal["error"]["details"]["requestId"]}
    before_s = server.cpu_s()
    assert operator.call("device.pair.approve", wanted)["ok"]
    return (server.cpu_s() - before_s) * 1000


def _knock_ms(server: Server, count: int) -> float:
    """Return the CPU milliseconds of one stranger, from accept to the request on disk."""
    numbers = range(_FIRST + 5000, _FIRST + 5000 + count)
    before_s = server.cpu_s()
    with ThreadPoolExecutor(AT_ONCE) as strangers:
        list(strangers.map(partial(_knock, server.port), numbers))
    return (server.cpu_s() - before_s) * 1000 / count


def _knock(port: int, number: int) -> None:
    stranger = Client(port, forwarded_for=f"198.51.{number // 250 % 250}.{number % 250 + 1}")
    refusal = stranger.connect(key_of(number))
    stranger.drop()
    assert refusal["error"]["details"]["requestId"]
