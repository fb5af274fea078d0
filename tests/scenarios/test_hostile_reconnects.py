"""A naive client that knocks again the moment it is refused, for as long as nobody stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.scenarios.clients import knocking, stranger
from tests.scenarios.siege import besieged, cpu_s

pytestmark = pytest.mark.slow

PER_SECOND, FOR_S = 50, 6


@pytest.mark.parametrize(
    ("wrong", "requests", "code"),
    [
        pytest.param({}, 1, "PAIRING_REQUIRED", id="not-paired"),
        pytest.param({"client_id": "node-host", "role": "node", "scopes": ()}, 1, "PAIRING_REQUIRED", id="node"),
        pytest.param({"token": "a-wrong-token"}, 0, "AUTH_RATE_LIMITED", id="wrong-token"),
        pytest.param({"token": None}, 0, "AUTH_TOKEN_MISSING", id="no-token"),
    ],
)  # fmt: skip
async def test_hundreds_of_reconnects_are_one_request_few_lines_and_little_work(
    tmp_path: Path, wrong: dict[str, Any], requests: int, code: str
) -> None:
    knocks, last = 0, {}

    async with besieged(tmp_path, grows_mib=24, lines=4) as siege:
        gateway = siege.gateway
        words = stranger(gateway.token) | wrong
        used_s = cpu_s(gateway)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def knock_once() -> None:
                nonlocal knocks, last
                refused = await knocking(gateway.port, **words)
                assert refused.close is not None
                assert refused.close[0] == 1008
                knocks, last = knocks + 1, refused.error

            for number in range(PER_SECOND * FOR_S):
                nursery.start_soon(knock_once)
                await trio.sleep_until(began + (number + 1) / PER_SECOND)
        took_s = trio.current_time() - began
        used_s = cpu_s(gateway) - used_s
        pending = gateway.kept("pending.json")
        asked = gateway.audit("device.requested")

    assert knocks == PER_SECOND * FOR_S
    assert last["details"]["code"] == code
    assert (len(pending), len(asked)) == (requests, requests)
    # Less than half of a processor for five times what the clients in question do.
    assert used_s < took_s / 2
    assert max(siege.waits_s) < 0.5
    if words.get("role") == "node":
        assert last["details"]["recommendedNextStep"] == "wait_then_retry"
