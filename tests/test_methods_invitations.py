"""Setup codes over the wire: as published clients ask for them and redeem them, step by step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.setup_code import LOOPBACK_ONLY, decode
from tests.imports import ROOT
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, knocking, refused
from tests.wire import Wire, key_of

TRANSCRIPT = ROOT / "tests/vectors/transcripts/setup-code-bootstrap-2026.9.6.jsonl"
OWNER = (ADMIN, PAIRING, READ)
GUEST = key_of(41)
#: Of a code that is for a node alone the published gateway asks for an approval all the same.
OURS_ALONE = "'bootstrapProfile': 'node'"


def steps() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return (case, request, response) of every call of the transcript, in order."""
    lines = [json.loads(line) for line in TRANSCRIPT.read_text().splitlines()]
    frames = [(line["case"], line["frame"]) for line in lines if line["kind"] == "frame"]
    answers = {frame["id"]: frame for _, frame in frames if frame["type"] == "res"}
    return [(c, f, answers[f["id"]]) for c, f in frames if f["type"] == "req"]


async def code_of(wire: Wire, **params: Any) -> str:
    """Return the secret of a new setup code."""
    params = {"publicUrl": "wss://gw.example.com", "includeQr": False} | params
    told = await wire.result("device.pair.setupCode", params)
    return decode(told["setupCode"]).token


async def test_the_published_transcript_comes_out_the_same(tmp_path):
    keys, secret, told = dict[str, Any](), "", 0
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        for case, request, was in steps():
            if request["method"] != "connect":
                ours = await admin.call(request["method"], request.get("params"))
                if request["method"] == "device.pair.setupCode":
                    secret = _same_code(ours, was) or secret
                    told += 1
                continue
            if case == "admin" or OURS_ALONE in case:
                continue
            asked = request["params"]
            async with knocking(gateway, remote=True) as wire:
                ours = await wire.connect(
                    key=keys.setdefault(asked["device"]["id"], key_of(50 + len(keys))),
                    bootstrap_token=secret,
                    role=asked["role"],
                    scopes=tuple(asked["scopes"]),
                    client_id=asked["client"]["id"],
                    mode=asked["client"]["mode"],
                    platform="ios",
                    family="iPhone",
                )
            _same_welcome(ours, was)
            if ours["ok"]:
                done = (await admin.event("device.pair.setup.completed"))["payload"]
                resolved = (await admin.event("device.pair.resolved"))["payload"]
                assert done["access"] == ("limited" if "limited" in case else "full")
                assert done["deviceId"] == resolved["deviceId"]
                assert resolved["decision"] == "approved"
                note = gateway.runtime.store.book.notes[done["deviceId"]]
                assert note.approved_via == "bootstrap"
    assert (told, len(keys)) == (4, 2)


def _same_code(ours: dict[str, Any], was: dict[str, Any]) -> str | None:
    assert ours["ok"] == was["ok"]
    if not ours["ok"]:
        beginning = "Gateway is only bound to loopback. "
        assert ours["error"]["code"] == was["error"]["code"]
        assert ours["error"]["message"].startswith(beginning)
        assert was["error"]["message"].startswith(beginning)
        return None
    payload = ours["payload"]
    assert set(payload) == set(was["payload"]["topLevelKeys"])
    assert payload["qrDataUrl"].startswith("data:image/png;base64,")
    return decode(payload["setupCode"]).token


def _same_welcome(ours: dict[str, Any], was: dict[str, Any]) -> None:
    assert ours["ok"] == was["ok"], ours
    if not was["ok"]:
        assert ours["error"]["message"] == was["error"]["message"]
        assert was["error"]["details"].items() <= ours["error"]["details"].items()
        return
    mine, theirs = ours["payload"]["auth"], was["payload"]["auth"]
    assert set(mine) == set(theirs)
    assert {**mine, **_FRESH} == {**theirs, **_FRESH}
    [handed], [published] = mine["deviceTokens"], theirs["deviceTokens"]
    assert set(handed) == set(published)
    assert (handed["role"], handed["scopes"]) == (published["role"], published["scopes"])


_FRESH = {"deviceToken": "", "issuedAtMs": 0, "deviceTokens": []}


async def test_only_an_admin_makes_lists_and_ends_setup_codes(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        async with admitted(gateway, key=key_of(2), scopes=(PAIRING, WRITE)) as operator:
            for method in ("setupCode", "invitations.list", "invitations.revoke"):
                answer = await operator.call(f"device.pair.{method}", {})
                assert answer["error"]["message"].startswith(f"missing scope: {ADMIN}"), method
        assert gateway.runtime.store.book.invitations == {}


@pytest.mark.parametrize(
    ("params", "url", "source"),
    [
        pytest.param(
            {"preferRemoteUrl": True}, "wss://out.example", "gateway.remote.url", id="yes"
        ),
        pytest.param({}, "wss://in.example", "gateway.publicOrigin", id="not-asked"),
        pytest.param(
            {"preferRemoteUrl": True, "publicUrl": "wss://said.example"},
            "wss://said.example",
            "publicUrl",
            id="said-outright",
        ),
    ],
)
async def test_the_address_that_other_machines_use_goes_first_where_asked_for(
    tmp_path, params, url, source
):
    section: dict[str, object] = {
        "remote": {"url": "wss://out.example"},
        "publicOrigin": "https://in.example",
    }
    async with a_gateway(tmp_path, section) as gateway, admitted(gateway, key=key_of(1)) as admin:
        told = await admin.result("device.pair.setupCode", params | {"includeQr": False})

    assert (told["gatewayUrl"], told["urlSource"]) == (url, source)
    assert decode(told["setupCode"]).url == url


@pytest.mark.parametrize(
    ("params", "says"),
    [
        pytest.param({}, LOOPBACK_ONLY, id="loopback-alone"),
        pytest.param({"publicUrl": "nowhere"}, "invalid publicUrl", id="no-address"),
        pytest.param({"bootstrapProfile": "root"}, "allowed values", id="no-profile"),
        pytest.param({"publicUrl": "ws://h", "scopes": [ADMIN]}, "need a role", id="scopes-alone"),
        pytest.param(
            {"publicUrl": "ws://h", "role": "operator", "uses": 2}, "counts once", id="twice"
        ),
        pytest.param(
            {"publicUrl": "ws://h", "role": "operator", "lastsMs": 90_000_000}, "24 h", id="long"
        ),
    ],
)
async def test_a_setup_code_that_cannot_be(tmp_path, params, says):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        answer = await admin.call("device.pair.setupCode", params)

    assert says in answer["error"]["message"]


async def test_the_list_has_no_secret_and_an_ended_code_opens_nothing(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, bootstrapProfile="node")
        [listed] = (await admin.result("device.pair.invitations.list"))["invitations"]

        await admin.result("device.pair.invitations.revoke", {"setupId": listed["setupId"]})
        error = await refused(gateway, remote=True, key=GUEST, bootstrap_token=secret, role="node")

        assert secret not in str(listed)
        assert error["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        assert (await admin.result("device.pair.invitations.list"))["invitations"] == []


async def test_a_stranger_is_not_told_what_is_wrong_with_a_code_and_who_is_local_is(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, role="operator", scopes=[READ])
        words: dict[str, Any] = {"bootstrap_token": secret, "scopes": (READ,)}
        async with knocking(gateway, remote=True) as first:
            assert (await first.connect(key=GUEST, **words))["ok"]

        afar = await refused(gateway, remote=True, key=key_of(42), **words)
        unknown = await refused(
            gateway, remote=True, key=key_of(43), bootstrap_token="x", scopes=(READ,)
        )
        near = await refused(gateway, key=key_of(44), **words)

        assert "This one is" not in str(afar)
        assert afar["details"] | {"saw": 0} == unknown["details"] | {"saw": 0}
        assert "This one is used." in near["details"]["remedy"]["sentence"]


async def test_a_probe_and_a_client_without_a_key_use_nothing_up(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, role="operator", scopes=[READ])

        await refused(gateway, remote=True, key=GUEST, bootstrap_token=secret, mode="probe")
        keyless = await refused(gateway, remote=True, bootstrap_token=secret)

        assert keyless["details"]["code"] == "DEVICE_IDENTITY_REQUIRED"
        [kept] = gateway.runtime.store.book.invitations.values()
        assert kept.uses_left == 1


async def test_a_probe_of_a_paired_device_uses_nothing_up(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, bootstrapProfile="owner")

        await refused(gateway, remote=True, key=key_of(1), bootstrap_token=secret, mode="probe")

        [kept] = gateway.runtime.store.book.invitations.values()
        assert (kept.uses_left, kept.bound_device_ids) == (1, ())


async def test_a_code_goes_before_a_secret_that_could_only_ask(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, bootstrapProfile="owner")

        async with knocking(gateway, remote=True) as wire:
            hello = await wire.connect(key=GUEST, token=TOKEN, bootstrap_token=secret, scopes=OWNER)

        assert hello["ok"], hello
        assert hello["payload"]["auth"]["method"] == "bootstrap-token"


async def test_a_code_for_less_does_not_tell_a_paired_device_its_token(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        secret = await code_of(admin, role="operator", scopes=[READ])

        error = await refused(
            gateway, remote=True, key=key_of(1), bootstrap_token=secret, scopes=(READ,)
        )

        assert error["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"


async def _rotated(gateway: Serving, admin: Wire) -> str:
    """Pair a guest, replace its token behind its back, and return the stale one."""
    secret = await code_of(admin, role="operator", scopes=[READ])
    async with knocking(gateway, remote=True) as wire:
        hello = await wire.connect(key=GUEST, bootstrap_token=secret, scopes=(READ,))
    await admin.result("device.token.rotate", {"deviceId": GUEST.device_id, "role": "operator"})
    stale: str = hello["payload"]["auth"]["deviceToken"]
    return stale


async def test_a_stale_token_leaves_a_request_that_only_who_is_local_hears_of(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        words: dict[str, Any] = {"key": GUEST, "device_token": await _rotated(gateway, admin)}

        afar = await refused(gateway, remote=True, scopes=(READ, ADMIN), **words)
        [item] = gateway.runtime.store.book.pending.values()
        near = await refused(gateway, scopes=(READ,), **words)

        assert afar["message"].startswith("unauthorized: device token mismatch")
        assert item.request_id not in str(afar)
        assert (item.stale_token, item.scopes) == (True, (READ,))
        assert near["details"]["requestId"] == item.request_id
        assert near["details"]["remedy"]["command"].endswith(f"devices approve {item.request_id}")
        assert near["message"] == afar["message"]


async def test_an_approved_device_comes_back_by_its_key_once(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        words: dict[str, Any] = {
            "key": GUEST,
            "device_token": await _rotated(gateway, admin),
            "scopes": (READ,),
        }
        await refused(gateway, remote=True, **words)
        await admin.result("device.pair.approve", {"requestId": GUEST.device_id})

        probe = await refused(gateway, remote=True, mode="probe", **words)
        async with knocking(gateway, remote=True) as wire:
            hello = await wire.connect(**words)
        again = await refused(gateway, remote=True, **words)

        live = gateway.runtime.store.book.paired[GUEST.device_id].live_token("operator")
        assert live is not None
        assert hello["payload"]["auth"]["deviceToken"] == live.token
        assert probe["details"]["code"] == again["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


@pytest.mark.parametrize("end", ["revoke", "block"])
async def test_who_was_turned_away_leaves_no_request_by_a_stale_token(tmp_path, end):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        words: dict[str, Any] = {
            "key": GUEST,
            "device_token": await _rotated(gateway, admin),
            "scopes": (READ,),
        }
        one = {"deviceId": GUEST.device_id}
        if end == "block":
            await admin.result("device.pair.block", one)
        else:
            await admin.result("device.token.revoke", one | {"role": "operator"})

        await refused(gateway, remote=True, **words)

        assert gateway.runtime.store.book.pending == {}


async def test_a_wrong_token_that_was_never_the_devices_leaves_no_request(tmp_path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as admin:
        await _rotated(gateway, admin)

        error = await refused(gateway, remote=True, key=GUEST, token="guess", scopes=(READ,))

        assert error["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        assert gateway.runtime.store.book.pending == {}
