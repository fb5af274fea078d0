"""A reader that stops reading: it is ended by the rule, counted, and nobody else notices."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.protocol.hello import MAX_BUFFERED_BYTES
from tests.nodes import NODE, node_params, question, serve_node
from tests.scenarios.programs import Gateway, running_gateway
from tests.wire import Wire, key_of, open_wire

pytestmark = pytest.mark.slow

#: One answer of the node, bytes; as many as the outbox holds, and more than the kernel's buffers.
ANSWER_BYTES = 4_000_000
ANSWERS = MAX_BUFFERED_BYTES // ANSWER_BYTES + 6

#: Longest wait of somebody else for an answer meanwhile, s: 4 MB are parsed and copied in between.
ANSWERS_WITHIN_S = 1.0


def metrics_of(gateway: Gateway) -> dict[str, float]:
    """Return what a scrape finds, without labels."""
    line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    return {name: float(value) for name, value in re.findall(r"^(openclaw_\w+) (\S+)$", text, re.M)}


async def _ask_without_reading(wire: Wire) -> None:
    for number in range(ANSWERS):
        params = question(idempotencyKey=f"k{number}")
        frame = {"type": "req", "id": str(number), "method": "node.invoke", "params": params}
        await wire.send(frame)


async def test_a_reader_that_stops_reading_is_ended_and_nobody_else_notices(tmp_path: Path):
    waits_s: list[float] = []

    async def watch(other: Wire) -> None:
        while True:
            began_s = trio.current_time()
            await other.result("health")
            waits_s.append(trio.current_time() - began_s)
            await trio.sleep(0.01)

    def large(_asked: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "payloadJSON": json.dumps("x" * ANSWER_BYTES)}

    with running_gateway(tmp_path / "home" / ".openclaw") as gateway, trio.fail_after(60):
        token = gateway.token
        async with (
            open_wire(gateway.port) as node,
            open_wire(gateway.port) as deaf,
            open_wire(gateway.port) as other,
            trio.open_nursery() as nursery,
        ):
            params = node_params(node.challenge["nonce"], token=token)
            await node.send({"type": "req", "id": "1", "method": "connect", "params": params})
            assert (await node.answer("1"))["ok"]
            for number, wire in enumerate((deaf, other)):
                assert (await wire.connect(key=key_of(number + 1), token=token))["ok"]
            await other.result("node.pair.approve", {"requestId": NODE.device_id})
            nursery.start_soon(serve_node, node, large)
            nursery.start_soon(watch, other)
            await _ask_without_reading(deaf)

            found = await trio.to_thread.run_sync(metrics_of, gateway)
            while not found["openclaw_outbox_overflows_total"]:
                await trio.sleep(0.1)
                found = await trio.to_thread.run_sync(metrics_of, gateway)
            nursery.cancel_scope.cancel()

        assert found["openclaw_outbox_overflows_total"] == 1
        assert len(waits_s) > 10
        assert max(waits_s) < ANSWERS_WITHIN_S
        assert "reads too slowly" in gateway.said_by_now()
