"""A refused client that knocks as fast as it can is one request, few lines, and nobody else's trouble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.patience import Stopwatch
from tests.scenarios.clients import knocking, new_key, stranger
from tests.scenarios.programs import Gateway, running_gateway
from tests.wire import Wire, open_wire

pytestmark = pytest.mark.slow

KNOCKS, AT_ONCE = 200, 8


def cpu_s(gateway: Gateway) -> float:
    """Return how much processor time a gateway has used, s."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch_health(gateway: Gateway, wire: Wire, slowest: list[float]) -> None:
    """Ask for health again and again, and note how long each answer took both programs."""
    while True:
        watch = Stopwatch(gateway.process.pid, os.getpid())
        await wire.result("health")
        slowest.append(watch.read_s())
        await trio.sleep(0.02)


async def test_a_storm_of_refused_knocks_is_one_request_and_few_lines(tmp_path: Path) -> None:
    slowest: list[float] = []
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway, trio.fail_after(60):
        storm, known = stranger(gateway.token), stranger(gateway.token)
        first = await knocking(gateway.port, **storm)
        waiting = await knocking(gateway.port, **known)
        async with open_wire(gateway.port) as operator, trio.open_nursery() as nursery:
            assert (await operator.connect(key=new_key(), token=gateway.token))["ok"]
            await operator.result("device.pair.approve", {"requestId": waiting.request_id})
            file = gateway.devices / "pending.json"
            before, used_s, lines = file.stat(), cpu_s(gateway), len(gateway.logged())

            nursery.start_soon(watch_health, gateway, operator, slowest)
            ids: set[str] = set()

            async def knock_on() -> None:
                for _ in range(KNOCKS // AT_ONCE):
                    refused = await knocking(gateway.port, **storm)
                    ids.add(refused.request_id)
                    assert refused.close is not None
                    assert refused.close[0] == 1008

            async with trio.open_nursery() as knockers:
                for _ in range(AT_ONCE):
                    knockers.start_soon(knock_on)
                others = [await knocking(gateway.port, "status", **known) for _ in range(5)]
            nursery.cancel_scope.cancel()
        after, used_s = file.stat(), cpu_s(gateway) - used_s
        new_lines = gateway.logged()[lines:]

    assert ids == {first.request_id}
    assert list(gateway.kept("pending.json")) == [first.request_id]
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(gateway.audit("device.requested")) == 2
    assert len(new_lines) <= 3, new_lines
    assert all(other.answers[0]["ok"] for other in others)
    assert max(slowest) < 0.5
    assert used_s < KNOCKS * 0.02


async def test_a_storm_of_wrong_tokens_leaves_no_request_and_locks_only_its_sender_out(
    tmp_path: Path,
) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway, trio.fail_after(60):
        guesser = stranger("a-wrong-token")
        codes = [(await knocking(gateway.port, **guesser)).details["code"] for _ in range(14)]
        newcomer = await knocking(gateway.port, key=new_key(), token=gateway.token)
        lines = [line for line in gateway.logged() if "closed before connect" in line["message"]]

    assert codes == ["AUTH_TOKEN_MISMATCH"] * 10 + ["AUTH_RATE_LIMITED"] * 4
    assert newcomer.admitted
    assert gateway.kept("pending.json") == {}
    assert len(lines) <= 3
