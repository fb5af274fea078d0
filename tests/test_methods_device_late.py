"""What another program took away counts before its sessions end, and who proved what may still act."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import gateway.keeper
from stores.records import Role
from stores.scopes import ADMIN, PAIRING, READ
from stores.transition import Caller
from tests.serving import TOKEN
from tests.sessions import a_gateway, admitted, paired, refused
from tests.wire import key_of

PHONE, NEWCOMER = key_of(2), key_of(7)
OWNER = Caller("cli", uid=0)

TAKEN: dict[str, Any] = {
    "remove": lambda store: store.remove,
    "block": lambda store: store.block,
    "revoke": lambda store: partial(store.revoke, role=Role.OPERATOR),
}
CALLS: dict[str, dict[str, str]] = {
    "device.pair.unblock": {"deviceId": PHONE.device_id},
    "device.pair.rename": {"deviceId": PHONE.device_id, "label": "mine"},
    "device.token.rotate": {"deviceId": PHONE.device_id, "role": "operator"},
    "device.pair.approve": {"requestId": NEWCOMER.device_id},
    "device.pair.reject": {"requestId": NEWCOMER.device_id},
}


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the gateway from meeting what another program did before it is asked to decide."""
    monkeypatch.setattr(gateway.keeper, "LOOK_EVERY_S", 1000.0)


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("taken", TAKEN)
async def test_a_device_that_lost_everything_a_moment_ago_decides_nothing(tmp_path, taken, method):
    async with a_gateway(tmp_path) as served:
        token = await paired(served, PHONE, scopes=(ADMIN, PAIRING, READ))
        await refused(served, remote=True, key=NEWCOMER, token=TOKEN, scopes=(READ,))
        words: dict[str, Any] = {"key": PHONE, "device_token": token, "remote": True}
        async with admitted(served, scopes=(ADMIN, PAIRING, READ), **words) as phone:
            store = served.store
            TAKEN[taken](store)(PHONE.device_id, caller=OWNER, now_ms=served.runtime.now_ms())
            before = store.read()

            answer = await phone.call(method, CALLS[method])

            assert answer["error"]["message"] in ("device removed", "unknown deviceId")
            assert store.read() == before
            assert await phone.closed() == (4001, "device removed")


async def test_a_device_that_lost_nothing_decides_as_before(tmp_path):
    async with a_gateway(tmp_path) as served:
        token = await paired(served, PHONE, scopes=(ADMIN, PAIRING, READ))
        await refused(served, remote=True, key=NEWCOMER, token=TOKEN, scopes=(READ,))
        words: dict[str, Any] = {"key": PHONE, "device_token": token, "remote": True}
        async with admitted(served, scopes=(ADMIN, PAIRING, READ), **words) as phone:
            served.store.rename(
                PHONE.device_id, label="x", caller=OWNER, now_ms=served.runtime.now_ms()
            )

            answer = await phone.call("device.pair.approve", CALLS["device.pair.approve"])

            assert answer["ok"], answer
