"""Remove, rename, rotate, revoke, block over the wire: what is answered, and who is cut off."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

from stores.records import Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.patience import within
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, paired, refused
from tests.wire import ADMIN_SCOPES, Wire, key_of

OPERATOR, PHONE = key_of(1), key_of(2)
REMOVED = (4001, "device removed")
OWNER = Caller("cli", uid=0)

PARAMS: dict[str, dict[str, Any]] = {
    "device.pair.remove": {},
    "device.pair.rename": {"label": "phone"},
    "device.pair.block": {},
    "device.pair.unblock": {},
    "device.token.rotate": {"role": "operator"},
    "device.token.revoke": {"role": "operator"},
}
ENDING = [name for name in PARAMS if name not in ("device.pair.rename", "device.pair.unblock")]


async def decide(wire: Wire, method: str, device_id: str = PHONE.device_id, **more: Any) -> Any:
    return await wire.call(method, {"deviceId": device_id} | PARAMS[method] | more)


async def decided(wire: Wire, method: str, device_id: str = PHONE.device_id, **more: Any) -> Any:
    answer = await decide(wire, method, device_id, **more)
    assert answer["ok"], answer
    return answer["payload"]


@pytest.mark.parametrize("method", PARAMS)
@pytest.mark.parametrize(
    "spelt",
    [
        pytest.param(lambda device_id: device_id, id="id"),
        pytest.param(lambda device_id: device_id[:8].upper(), id="beginning"),
    ],
)
async def test_the_answer_names_the_whole_device_and_no_token(tmp_path, method, spelt):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        token = await paired(gateway, PHONE, scopes=(READ,))

        answer = await decided(operator, method, spelt(PHONE.device_id))

        assert answer["deviceId"] == PHONE.device_id
        assert token not in str(answer)
        device = gateway.store.read().paired.get(PHONE.device_id)
        fresh = device.live_token(Role.OPERATOR) if device else None
        assert fresh is None or fresh.token not in str(answer)


async def test_what_each_answer_says(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ, WRITE))
        device_id = PHONE.device_id

        renamed = await decided(operator, "device.pair.rename", label="  My phone ")
        rotated = await decided(operator, "device.token.rotate", scopes=[READ])
        revoked = await decided(operator, "device.token.revoke")
        listed = await operator.result("device.pair.list")

        assert renamed == {"deviceId": device_id, "label": "My phone"}
        at_ms = rotated.pop("rotatedAtMs")
        assert rotated == {
            "deviceId": device_id,
            "role": "operator",
            "scopes": [READ],
            "tokenDelivery": "withheld-cross-device",
        }
        assert revoked["revokedAtMs"] >= at_ms
        assert revoked == revoked | {"deviceId": device_id, "role": "operator"}
        [phone] = [item for item in listed["paired"] if item["deviceId"] == device_id]
        assert phone["label"] == "My phone"
        assert phone["tokens"][0]["revokedAtMs"] == revoked["revokedAtMs"]


@pytest.mark.parametrize("method", ENDING)
async def test_what_a_decision_ends_is_cut_off_and_nobody_else(tmp_path, method):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        admitted(gateway, key=PHONE, scopes=(READ,)) as phone,
        admitted(gateway, key=key_of(3), scopes=(READ,)) as bystander,
    ):
        await decided(operator, method)

        assert await phone.closed() == REMOVED
        assert (await bystander.call("health"))["ok"]


@pytest.mark.parametrize("method", ENDING)
async def test_who_decides_about_itself_hears_the_answer_before_it_is_cut_off(tmp_path, method):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=PHONE, scopes=ADMIN_SCOPES) as phone,
    ):
        answer = await decided(phone, method)

        assert answer["deviceId"] == PHONE.device_id
        assert await phone.closed() == REMOVED


async def test_who_decides_about_itself_amid_events_hears_the_answer_too(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=PHONE, scopes=ADMIN_SCOPES) as phone,
    ):
        for number in range(30, 38):
            await refused(gateway, remote=True, key=key_of(number), token=TOKEN, scopes=(READ,))

        assert (await decided(phone, "device.pair.remove"))["deviceId"] == PHONE.device_id
        assert await phone.closed() == REMOVED


async def test_a_device_that_rotates_its_own_token_gets_it_and_comes_back_with_it(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        old = await paired(gateway, PHONE, scopes=(PAIRING, READ))
        come = partial(admitted, gateway, key=PHONE, scopes=(PAIRING, READ), remote=True)
        async with come(device_token=old) as phone:
            rotated = await decided(phone, "device.token.rotate")

            assert rotated["tokenDelivery"] == "in-band"
            assert rotated["scopes"] == [PAIRING, READ]
            assert await phone.closed() == REMOVED
        async with come(device_token=rotated["token"]) as phone:
            assert phone.hello is not None
            assert phone.hello["auth"]["method"] == "device-token"
        stale = await refused(gateway, key=PHONE, device_token=old, scopes=(READ,), remote=True)
        assert "device token mismatch" in stale["message"]


@pytest.mark.parametrize("method", PARAMS)
async def test_a_device_token_touches_only_its_own_device(tmp_path, method):
    denied = {
        "device.pair.remove": "device pairing removal denied",
        "device.token.rotate": "device token rotation denied",
        "device.token.revoke": "device token revocation denied",
    }
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, PHONE, scopes=(PAIRING, READ))
        await paired(gateway, key_of(3), scopes=(READ,))
        before = gateway.store.read()
        words: dict[str, Any] = {
            "key": PHONE,
            "device_token": token,
            "scopes": (PAIRING, READ),
            "remote": True,
        }
        async with admitted(gateway, **words) as phone:
            for reference in (key_of(3).device_id, key_of(9).device_id):
                error = (await decide(phone, method, reference))["error"]

                assert error["code"] == "INVALID_REQUEST"
                assert error["message"] == denied.get(method, error["message"])
                assert error["message"].endswith("denied")
                assert "details" not in error

        assert gateway.store.read().paired == before.paired
        assert gateway.store.read().notes == before.notes


@pytest.mark.parametrize("method", ENDING)
@pytest.mark.parametrize(
    ("protocols", "code"), [((3, 4), "FORBIDDEN"), ((3, 3), "INVALID_REQUEST")], ids=["4", "3"]
)
async def test_pairing_alone_ends_nothing_that_an_admin_has(tmp_path, method, protocols, code):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR, scopes=(PAIRING,), protocols=protocols) as operator,
        admitted(gateway, key=PHONE, scopes=(ADMIN,)) as phone,
    ):
        error = (await decide(operator, method))["error"]

        assert (error["code"], error["message"]) == (code, f"missing scope: {ADMIN}")
        assert error["details"]["missingScope"] == ADMIN
        assert (await phone.call("health"))["ok"]


@pytest.mark.parametrize("method", PARAMS)
async def test_who_lacks_operator_pairing_manages_nothing(tmp_path, method):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR, scopes=(WRITE, "operator.approvals")) as operator,
    ):
        error = (await decide(operator, method))["error"]

        assert error["message"] == f"missing scope: {PAIRING}"


@pytest.mark.parametrize("method", [*PARAMS])
async def test_an_unknown_device_is_told_with_where_to_look(tmp_path, method):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        error = (await decide(operator, method, "no-such-device"))["error"]

        assert (error["code"], error["message"]) == ("INVALID_REQUEST", "unknown deviceId")
        assert "`openclaw devices list`" in error["details"]["remedy"]["sentence"]


@pytest.mark.parametrize("method", ["device.token.rotate", "device.token.revoke"])
async def test_an_unknown_role_is_told(tmp_path, method):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))

        error = (await decide(operator, method, role="node"))["error"]

        assert error["message"] == "unknown deviceId/role"
        assert "it has: operator" in error["details"]["remedy"]["sentence"]


async def test_beyond_the_baseline_nothing_is_rotated_and_the_sentence_says_what_was_approved(
    tmp_path,
):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))

        error = (await decide(operator, "device.token.rotate", scopes=[ADMIN]))["error"]

        assert error["message"] == "device token rotation denied"
        assert "approved as operator: operator.read" in error["details"]["remedy"]["sentence"]


@pytest.mark.parametrize(
    ("method", "params", "fault"),
    [
        ("device.pair.remove", None, "must have required property 'deviceId'"),
        ("device.pair.rename", {"deviceId": "x"}, "must have required property 'label'"),
        ("device.pair.rename", {"deviceId": "x", "label": "y" * 65}, "at /label: must NOT have"),
        ("device.pair.rename", {"deviceId": PHONE.device_id, "label": " "}, "at /label: must be 1"),
        ("device.token.rotate", {"deviceId": "x"}, "must have required property 'role'"),
        (
            "device.token.rotate",
            {"deviceId": "x", "role": "node", "scopes": "y"},
            "at /scopes: must be array",
        ),
        ("device.token.revoke", {"deviceId": "x", "role": 1}, "at /role: must be string"),
        ("device.pair.block", {"deviceId": ""}, "at /deviceId: must NOT have fewer"),
        ("device.pair.unblock", {"deviceId": "x", "y": 1}, "at root: unexpected property 'y'"),
    ],
)
async def test_parameters_that_do_not_fit_are_named(tmp_path, method, params, fault):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))

        error = (await operator.call(method, params))["error"]

        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith(f"invalid {method} params: {fault}")


async def test_a_new_name_is_told_to_those_who_may_pair(tmp_path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=OPERATOR) as operator,
        admitted(gateway, key=key_of(3), scopes=(READ,)) as reader,
    ):
        await paired(gateway, PHONE, scopes=(READ,))

        await decided(operator, "device.pair.rename")

        assert (await operator.event("device.pair.changed"))["payload"] == {}
        await reader.result("health")
        assert [e for e in reader.events if e["event"].startswith("device.")] == []


async def test_a_blocked_device_gets_no_record_until_it_is_unblocked(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        stranger: dict[str, Any] = {"key": PHONE, "token": TOKEN, "scopes": (READ,), "remote": True}
        await refused(gateway, **stranger)
        await decided(operator, "device.pair.block")

        await refused(gateway, **stranger)
        assert (await operator.result("device.pair.list"))["pending"] == []
        await decided(operator, "device.pair.unblock")
        await refused(gateway, **stranger)
        assert len((await operator.result("device.pair.list"))["pending"]) == 1


async def test_a_blocked_device_comes_back_with_its_token_once_unblocked(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        token = await paired(gateway, PHONE, scopes=(READ,))
        words: dict[str, Any] = {
            "key": PHONE,
            "device_token": token,
            "scopes": (READ,),
            "remote": True,
        }
        await decided(operator, "device.pair.block")
        await refused(gateway, **words)

        await decided(operator, "device.pair.unblock")

        async with admitted(gateway, **words) as phone:
            assert phone.hello is not None


async def test_a_removed_device_asks_anew_and_is_not_brought_back_by_what_it_asked_before(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        stranger: dict[str, Any] = {
            "key": PHONE,
            "token": TOKEN,
            "scopes": (ADMIN,),
            "remote": True,
        }
        async with admitted(gateway, **stranger) as phone:
            assert phone.hello is not None
            request_id = phone.hello["auth"]["pendingUpgrade"]["requestId"]

        await decided(operator, "device.pair.remove")
        stale = await operator.call("device.pair.approve", {"requestId": request_id})

        assert stale["error"]["message"] == "unknown requestId"
        assert "was rejected" in stale["error"]["details"]["remedy"]["sentence"]
        again = await refused(gateway, **stranger)  # though what it asks for is the same
        assert again["details"]["reason"] == "not-paired"


DECISIONS = {
    "remove": lambda store: store.remove,
    "rotate": lambda store: partial(store.rotate, role=Role.OPERATOR),
    "revoke": lambda store: partial(store.revoke, role=Role.OPERATOR),
    "block": lambda store: store.block,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DECISIONS)
async def test_what_another_program_decides_in_the_files_cuts_off_within_a_second(tmp_path, name):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=PHONE, scopes=(READ,)) as phone,
        admitted(gateway, key=OPERATOR, scopes=(READ,)) as bystander,
    ):
        decision = DECISIONS[name](gateway.store)
        now_ms = gateway.runtime.now_ms()
        await trio.to_thread.run_sync(
            partial(decision, PHONE.device_id, caller=OWNER, now_ms=now_ms)
        )

        async with within(1.5):
            assert await phone.closed() == REMOVED
        assert (await bystander.call("health"))["ok"]


@pytest.mark.slow
async def test_a_name_that_another_program_gives_is_told(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=OPERATOR) as operator:
        await paired(gateway, PHONE, scopes=(READ,))
        rename = partial(
            gateway.store.rename,
            PHONE.device_id,
            "desk",
            caller=OWNER,
            now_ms=gateway.runtime.now_ms(),
        )

        await trio.to_thread.run_sync(rename)

        async with within(1.5):
            assert (await operator.event("device.pair.changed"))["payload"] == {}


async def widen_in_the_file(gateway: Serving) -> None:
    """Edit the file as an intruder would: the token gives more than was approved."""
    file = gateway.state_dir / "devices" / "paired.json"
    text = file.read_bytes()
    assert text.count(b'"operator.read"') == 3  # scopes, approvedScopes, the token's
    head, tokens = text.split(b'"tokens"')
    file.write_bytes(head + b'"tokens"' + tokens.replace(b"operator.read", b"operator.admin"))


async def test_a_token_that_the_file_widens_opens_no_more_than_was_approved(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        token = await paired(gateway, PHONE, scopes=(READ,))
        await widen_in_the_file(gateway)
        await gateway.door.keeper.look()

        async with admitted(
            gateway, key=PHONE, device_token=token, scopes=(ADMIN, READ), remote=True
        ) as phone:
            assert phone.hello is not None
            assert phone.hello["auth"]["scopes"] == [READ]
            assert (await phone.call("device.pair.list"))["error"]["code"] == "FORBIDDEN"
