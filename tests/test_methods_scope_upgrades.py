"""A session that asks for more scopes, waits for the decision, and goes on with what it got."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import trio

from stores import pairing
from stores.scopes import ADMIN, KNOWN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.patience import wait_until
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, paired
from tests.wire import Wire, key_of

OPERATOR, PHONE, OTHER = key_of(1), key_of(2), key_of(3)
OWNER = Caller("cli", uid=0)
REQUEST, WAIT = "device.scopes.requestUpgrade", "device.scopes.waitUpgrade"


async def asked(phone: Wire, *scopes: str) -> str:
    """Ask for scopes that wait for a decision; return the id of the request."""
    pending = await phone.result(REQUEST, {"scopes": list(scopes)})
    assert pending.keys() == {"requestId"}
    request_id: str = pending["requestId"]
    return request_id


def a_phone(gateway: Serving) -> Any:
    """Open the session of a paired device that may read."""
    return admitted(gateway, remote=True, key=PHONE, token=TOKEN, scopes=(READ,))


async def waited(phone: Wire, request_id: str, into: list[dict[str, Any]]) -> None:
    """Wait for the decision and keep what is answered."""
    into.append(await phone.result(WAIT, {"requestId": request_id}))


async def test_what_is_approved_is_held_at_once_on_the_same_connection(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="gateway.ws")
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        token = await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            before = await phone.call("device.pair.list")
            request_id = await asked(phone, PAIRING)
            listed = (await operator.result("device.pair.list"))["pending"]
            await operator.result("device.pair.approve", {"requestId": request_id})
            approved = await phone.result(WAIT, {"requestId": request_id.lower()})
            after = await phone.call("device.pair.list")

    assert before["error"]["message"] == "missing scope: operator.pairing"
    assert [(item["requestId"], item["reason"]) for item in listed] == [
        (request_id, "scope-upgrade")
    ]
    assert (listed[0]["scopes"], listed[0]["remoteIp"]) == ([PAIRING], "127.0.0.1")
    assert approved == {
        "status": "approved",
        "requestId": request_id.lower(),
        "deviceToken": token,
        "scopes": [PAIRING, READ],
    }
    assert after["ok"]
    assert f"device={PHONE.device_id} scopes=operator.read,operator.pairing" in caplog.text


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_who_waits_hears_of_the_decision_and_holds_nothing_up(tmp_path, decision):
    answers: list[dict[str, Any]] = []
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, WRITE)
            await phone.send(
                {"type": "req", "id": "w", "method": WAIT, "params": {"requestId": request_id}}
            )
            health = await phone.call("health")
            await operator.result(f"device.pair.{decision}", {"requestId": request_id})
            answers.append((await phone.answer("w"))["payload"])
            writes = await phone.call("node.invoke", {})

    assert health["ok"]
    (answer,) = answers
    assert answer["status"] == {"approve": "approved", "reject": "rejected"}[decision]
    assert ("scopes" in answer) is (decision == "approve")
    missing = "missing scope: operator.write" in writes["error"]["message"]
    assert missing is (decision == "reject")


async def test_a_decision_by_another_program_counts_too(tmp_path):
    answers: list[dict[str, Any]] = []
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, WRITE)
            approve = partial(
                gateway.store.approve, request_id, caller=OWNER, now_ms=gateway.runtime.now_ms()
            )
            await trio.to_thread.run_sync(approve)
            answers.append(await phone.result(WAIT, {"requestId": request_id}))

    assert answers[0]["status"] == "approved"


@pytest.mark.slow
async def test_a_request_nobody_decides_expires(tmp_path):
    limits: dict[str, object] = {"pairing": {"requestTtlMs": 1000}}
    async with a_gateway(tmp_path, limits) as gateway:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, WRITE)
            answer = await phone.result(WAIT, {"requestId": request_id})

    assert answer == {"status": "expired", "requestId": request_id}


async def test_what_the_device_has_already_is_approved_at_once(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, PHONE, scopes=(READ, WRITE))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, WRITE)
            answer = await phone.result(WAIT, {"requestId": request_id})
            pending = gateway.store.read().pending
            writes = await phone.call("node.invoke", {})

    approved = {"status": "approved", "requestId": request_id, "deviceToken": token}
    assert answer == approved | {"scopes": [READ, WRITE]}
    assert "missing scope" not in writes["error"]["message"]
    assert pending == {}


async def test_no_more_scopes_are_told_than_clients_take(tmp_path):
    every = tuple(sorted(KNOWN))
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, PHONE, scopes=every)
        async with a_phone(gateway) as phone:
            answer = await phone.result(WAIT, {"requestId": await asked(phone, WRITE)})

    assert len(every) > 8
    assert answer["scopes"] == [ADMIN]


async def test_who_asks_for_more_is_answered_by_the_request_that_took_the_place(tmp_path):
    answers: list[dict[str, Any]] = []
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone, a_phone(gateway) as same:
            first = await asked(phone, WRITE)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(waited, phone, first, answers)
                second = await asked(same, PAIRING)
                await operator.result("device.pair.approve", {"requestId": second})

    assert first != second
    (answer,) = answers
    assert (answer["status"], answer["requestId"]) == ("approved", first)
    assert answer["scopes"] == [PAIRING, READ, WRITE]


async def test_a_rejected_wish_that_is_asked_again_waits_again(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, WRITE)
            await operator.result("device.pair.reject", {"requestId": request_id})
            rejected = await phone.result(WAIT, {"requestId": request_id})
            again = await asked(phone, WRITE)
            await operator.result("device.pair.approve", {"requestId": again})
            approved = await phone.result(WAIT, {"requestId": again})

    assert request_id == again  # the code of a wish stays
    assert (rejected["status"], approved["status"]) == ("rejected", "approved")


async def test_asking_again_and_again_costs_no_write_and_more_and_more_ends(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            ids = {await asked(phone, WRITE)}
            stamp = (gateway.state_dir / "devices" / "pending.json").stat()
            ids |= {await asked(phone, WRITE) for _ in range(5)}
            same = (gateway.state_dir / "devices" / "pending.json").stat()
            lists = [[f"operator.x{at}{number}" for number in range(8)] for at in range(5)]
            last = [await phone.call(REQUEST, {"scopes": one}) for one in lists][-1]

    assert len(ids) == 1
    assert (stamp.st_ino, stamp.st_mtime_ns) == (same.st_ino, same.st_mtime_ns)
    assert not last["ok"]
    assert len(next(iter(gateway.store.read().pending.values())).scopes) <= pairing.MAX_SCOPES


async def test_nobody_hears_of_the_request_of_another_device(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        await paired(gateway, OTHER, scopes=(READ,))
        async with (
            a_phone(gateway) as phone,
            admitted(gateway, remote=True, key=OTHER, token=TOKEN, scopes=(READ,)) as other,
        ):
            request_id = await asked(phone, WRITE)
            waiting = await other.call(WAIT, {"requestId": request_id})
            await operator.result("device.pair.reject", {"requestId": request_id})
            await phone.result(WAIT, {"requestId": request_id})
            ended = await other.call(WAIT, {"requestId": request_id})
            unknown = await phone.call(WAIT, {"requestId": "ABCD-2345"})

    for response in (waiting, ended, unknown):
        assert response["error"]["message"] == "unknown requestId"


async def test_a_session_without_a_device_has_nothing_to_widen(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, scopes=(READ,)) as wire:
        for method, params in ((REQUEST, {"scopes": [WRITE]}), (WAIT, {"requestId": "A"})):
            response = await wire.call(method, params)
            assert response["error"] == {
                "code": "INVALID_REQUEST",
                "message": "device identity required",
            }


@pytest.mark.parametrize(
    ("scopes", "fault"),
    [
        ([], "must NOT have fewer than 1 items"),
        ([f"operator.x{number}" for number in range(9)], "must NOT have more than 8 items"),
        ([WRITE, WRITE], "must NOT have duplicate items"),
        ([7], "must be string"),
        ("operator.write", "must be array"),
    ],
)
async def test_what_is_asked_for_is_one_to_eight_scopes(tmp_path, scopes, fault):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            response = await phone.call(REQUEST, {"scopes": scopes})

    assert fault in response["error"]["message"]
    assert gateway.store.read().pending == {}


async def test_a_device_that_is_removed_while_it_waits_is_cut_off_and_gets_nothing(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        async with a_phone(gateway) as phone:
            request_id = await asked(phone, ADMIN)
            wait = {"type": "req", "id": "w", "method": WAIT, "params": {"requestId": request_id}}
            await phone.send(wait)
            await operator.result("device.pair.remove", {"deviceId": PHONE.device_id})

            assert await phone.closed() == (4001, "device removed")
        await wait_until(lambda: len(gateway.runtime.hub) == 1)
        assert gateway.store.read().pending == {}
