"""What a long list of paired devices costs: a handshake nothing, an approval one file."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from attrs import evolve

from benchmarks.client import SCOPES, Client, key_of
from benchmarks.costs import KNOWN, cpu_of_handshakes, pair
from benchmarks.effort import Effort
from benchmarks.processes import Server, gateway, medians
from benchmarks.table import Row
from stores.devices import DeviceStore
from stores.keys import device_id_of, encode_key
from stores.records import DeviceBook, DeviceToken, PairedDevice, Role
from stores.transition import Change, Rules

FEW = 10
HANDSHAKE_TARGET = 1.1
APPROVAL_TARGET_MS = 100

#: An address for documentation (RFC 5737): a connection that names it is not local.
ELSEWHERE = "203.0.113.9"


def crowd_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield handshakes and approvals with many paired devices."""
    many = effort.devices
    fill(scratch / "few", FEW)
    fill(scratch / "many", many)
    with gateway(scratch / "few") as few, gateway(scratch / "many") as crowd:
        pair(few)
        pair(crowd)
        cost_s = partial(cpu_of_handshakes, count=effort.handshakes)
        cost_s(few), cost_s(crowd)
        found_s, least_s = medians(
            [partial(cost_s, crowd), partial(cost_s, few)], rounds=effort.rounds
        )
        name = f"CPU per handshake, {many} paired (floor: {FEW})"
        yield Row(name, found_s * 1e6, "µs", HANDSHAKE_TARGET, least_s * 1e6)
        taken_ms = approvals_ms(crowd, effort.approvals)
        name = f"approval with {many} paired"
        yield Row(f"{name}, median", statistics.median(taken_ms), "ms", APPROVAL_TARGET_MS)
        yield Row(f"{name}, slowest", max(taken_ms), "ms")


def fill(state_dir: Path, count: int) -> None:
    """Put ``count`` paired devices on file, with keys that nobody holds."""
    state_dir.mkdir(mode=0o700, parents=True)
    now_ms = time.time_ns() // 1_000_000
    paired = {device.device_id: device for device in map(partial(_stranger, now_ms), range(count))}

    def fill_book(book: DeviceBook, _rules: Rules) -> Change[None]:
        return Change(evolve(book, paired=paired), None)

    DeviceStore(state_dir / "devices").one(fill_book, now_ms=now_ms)


def _stranger(now_ms: int, number: int) -> PairedDevice:
    raw = hashlib.sha256(b"stranger %d" % number).digest()
    token = DeviceToken(raw.hex()[:43], Role.OPERATOR, SCOPES, created_at_ms=now_ms)
    return PairedDevice(
        device_id=device_id_of(raw),
        public_key=encode_key(raw),
        display_name=f"device {number}",
        platform="linux",
        client_id="cli",
        client_mode="cli",
        role=Role.OPERATOR,
        roles=(Role.OPERATOR,),
        scopes=SCOPES,
        approved_scopes=SCOPES,
        tokens={Role.OPERATOR: token},
        created_at_ms=now_ms,
        approved_at_ms=now_ms,
    )


def approvals_ms(server: Server, count: int) -> list[float]:
    """Return how long an operator waits for each of ``count`` approvals."""
    operator = Client(server.port)
    assert operator.connect(KNOWN)["ok"]
    taken_ms = []
    for number in range(count):
        knock = Client(server.port, forwarded_for=ELSEWHERE)
        refusal = knock.connect(key_of(100 + number))
        knock.drop()
        wanted = {"requestId": refusal["error"]["details"]["requestId"]}
        begun_s = time.perf_counter()
        answer = operator.call("device.pair.approve", wanted)
        taken_ms.append((time.perf_counter() - begun_s) * 1000)
        assert answer["ok"], answer
    operator.close()
    return taken_ms
