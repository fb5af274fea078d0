"""A client that says which request it waits for learns that it was rejected, and asks no more."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.builders import CLI
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, refused
from tests.wire import key_of, now_ms

KEY = key_of(1)
STRANGER: dict[str, Any] = {"remote": True, "key": KEY, "token": TOKEN}


async def asked(gateway: Serving, **wanted: Any) -> str:
    """Let a device ask from afar, and return the id of its request."""
    request_id: str = (await refused(gateway, **STRANGER | wanted))["details"]["requestId"]
    return request_id


async def reject(gateway: Serving, road: str, request_id: str) -> None:
    """Let an operator say no, over the wire or in the files."""
    if road == "files":
        gateway.store.reject(request_id, caller=CLI, now_ms=now_ms())
        await gateway.door.keeper.look()
        return
    async with admitted(gateway) as operator:
        await operator.result("device.pair.reject", {"requestId": request_id})


@pytest.mark.parametrize("road", ["ws", "files"])
async def test_who_waits_for_a_rejected_request_is_told_and_leaves_no_other(tmp_path, road):
    async with a_gateway(tmp_path) as gateway:
        request_id = await asked(gateway)
        await reject(gateway, road, request_id)

        told = [await refused(gateway, **STRANGER, awaiting=request_id) for _ in range(2)]

        assert [one["details"]["reason"] for one in told] == ["rejected", "rejected"]
        assert told[0]["details"]["code"] == "PAIRING_REQUIRED"
        assert told[0]["close"] == (1008, told[0]["message"])
        assert "retryable" not in told[0]
        assert gateway.runtime.store.book.pending == {}


async def test_who_does_not_say_so_asks_again_and_then_waits_for_that(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        request_id = await asked(gateway)
        await reject(gateway, "ws", request_id)

        again = await asked(gateway)
        waiting = await asked(gateway, awaiting=request_id)

        assert again == waiting == request_id  # the same wish has the same code


async def test_what_another_device_was_refused_is_nobody_elses_answer(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        request_id = await asked(gateway, key=key_of(2))
        await reject(gateway, "ws", request_id)

        assert await asked(gateway, awaiting=request_id) != request_id


@pytest.mark.parametrize("awaiting", ["ZZZZ-ZZZZ", "x" * 300])
async def test_a_request_that_nobody_knows_is_asked_anew(tmp_path, awaiting):
    async with a_gateway(tmp_path) as gateway:
        assert await asked(gateway, awaiting=awaiting)


@pytest.mark.slow
async def test_a_request_that_expired_is_asked_anew(tmp_path):
    async with a_gateway(tmp_path, {"pairing": {"requestTtlMs": 1000}}) as gateway:
        request_id = await asked(gateway)
        while gateway.runtime.store.book.pending:  # noqa: ASYNC110  # nothing tells a test
            await trio.sleep(0.02)

        assert await asked(gateway, awaiting=request_id) == request_id


async def test_who_was_let_in_meanwhile_comes_in(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        request_id = await asked(gateway)
        gateway.store.approve(request_id, caller=CLI, now_ms=now_ms())
        await gateway.door.keeper.look()

        async with admitted(gateway, **STRANGER, awaiting=request_id) as wire:
            assert wire.hello is not None
