"""Each way in which a request ends, as the sessions that may pair hear it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, paired, refused
from tests.wire import Wire, key_of

PHONE = key_of(2)
OWNER = Caller("cli", uid=0)


async def knock(gateway: Serving, *scopes: str) -> str:
    """Let the phone ask from afar; return its request id."""
    error = await refused(gateway, remote=True, key=PHONE, token=TOKEN, scopes=scopes)
    request_id: str = error["details"]["requestId"]
    return request_id


async def in_files(gateway: Serving, act: Callable[..., Any]) -> None:
    """Do something in the files as another program, and let the gateway look."""
    act(caller=OWNER, now_ms=gateway.runtime.now_ms())
    await gateway.door.keeper.look()


async def superseded(gateway: Serving, _: Wire) -> None:
    await knock(gateway, READ, WRITE)


async def let_in_here(gateway: Serving, _: Wire) -> None:
    await paired(gateway, PHONE, scopes=(READ,))


async def approved(_: Serving, operator: Wire) -> None:
    await operator.result("device.pair.approve", {"requestId": PHONE.device_id})


async def rejected(_: Serving, operator: Wire) -> None:
    await operator.result("device.pair.reject", {"requestId": PHONE.device_id})


async def blocked(_: Serving, operator: Wire) -> None:
    await operator.result("device.pair.block", {"deviceId": PHONE.device_id})


async def approved_in_files(gateway: Serving, _: Wire) -> None:
    await in_files(gateway, lambda **by: gateway.store.approve(PHONE.device_id, **by))


async def rejected_in_files(gateway: Serving, _: Wire) -> None:
    await in_files(gateway, lambda **by: gateway.store.reject(PHONE.device_id, **by))


async def blocked_in_files(gateway: Serving, _: Wire) -> None:
    await in_files(gateway, lambda **by: gateway.store.block(PHONE.device_id, **by))


@pytest.mark.parametrize(
    ("ends", "decision", "reason"),
    [
        pytest.param(approved, "approved", None, id="approved"),
        pytest.param(rejected, "rejected", None, id="rejected"),
        pytest.param(superseded, "rejected", "superseded", id="superseded"),
        pytest.param(let_in_here, "approved", None, id="let-in-silently-here"),
        pytest.param(blocked, "rejected", None, id="blocked"),
        pytest.param(approved_in_files, "approved", None, id="approved-in-the-files"),
        pytest.param(rejected_in_files, "rejected", None, id="rejected-in-the-files"),
        pytest.param(blocked_in_files, "rejected", None, id="blocked-in-the-files"),
    ],
)
async def test_the_end_of_a_request_is_told_once_and_to_those_who_may_pair(
    tmp_path: Any,
    ends: Callable[[Serving, Wire], Awaitable[None]],
    decision: str,
    reason: str | None,
) -> None:
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, scopes=(ADMIN, PAIRING)) as operator,
        admitted(gateway, scopes=(READ,)) as reader,
        admitted(gateway, key=key_of(5), role="node", mode="node", scopes=()) as node,
    ):
        request_id = await knock(gateway, READ)
        await operator.result("health")
        operator.events.clear()  # of those who came before
        await ends(gateway, operator)
        told = (await operator.event("device.pair.resolved"))["payload"]
        for wire in (operator, reader, node):
            await wire.result("health")

        assert (told["requestId"], told["deviceId"]) == (request_id, PHONE.device_id)
        assert (told["decision"], told.get("reason")) == (decision, reason)
        assert [e for e in operator.events if e["event"] == "device.pair.resolved"] == []
        for deaf in (reader, node):
            assert [e for e in deaf.events if e["event"].startswith("device.")] == []


async def test_a_device_that_is_let_in_without_having_asked_is_told_too(tmp_path: Any) -> None:
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(PAIRING,)) as operator:
        await paired(gateway, PHONE, scopes=(READ,))

        told = (await operator.event("device.pair.resolved"))["payload"]

        assert (told["deviceId"], told["decision"]) == (PHONE.device_id, "approved")
