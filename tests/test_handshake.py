"""One connect from frame to verdict: the order of checks, the throttle, and whose the peer is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from gateway.door import Visit, begin_visit
from gateway.handshake import decide, gather
from gateway.peer_uid import kernel_tells
from gateway.policy.access import Admit, Refusal, Refuse, RequirePairing
from gateway.policy.address import LocalityReason
from gateway.policy.seen import tier_of
from gateway.protocol.connect import parse_connect_params
from stores.scopes import ADMIN, READ
from tests.serving import TOKEN, Serving
from tests.sessions import a_gateway, admitted, knocking, paired, refused
from tests.wire import connect_params, key_of, now_ms

LIMIT: dict[str, object] = {
    "auth": {
        "mode": "token",
        "token": TOKEN,
        "rateLimit": {"maxAttempts": 3, "windowMs": 60_000, "lockoutMs": 300_000},
    }
}
OLD = now_ms() - 3_600_000


@pytest.mark.parametrize(
    ("message", "answer", "close"),
    [
        pytest.param("{nope", None, (1000, ""), id="no-json"),
        pytest.param(b"\xff\xfe", None, (1000, ""), id="no-text"),
        pytest.param("[]", None, (1008, "invalid request frame"), id="no-request"),
        pytest.param(
            '{"type":"req","id":"1","method":"health"}',
            "invalid handshake: first request must be connect",
            (1008, "invalid handshake: first request must be connect"),
            id="not-connect",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"connect"}',
            "invalid connect params: must be object",
            (1008, "invalid connect params: must be object"),
            id="no-parameters",
        ),
        pytest.param(
            '{"type":"req","id":"1","method":"connect","params":{"role":"worker"}}',
            None,
            (1008, "invalid-handshake"),
            id="worker",
        ),
    ],
)
async def test_a_first_message_that_is_no_connect_ends_the_connection(
    tmp_path, message, answer, close
):
    async with a_gateway(tmp_path) as gateway, knocking(gateway) as wire:
        await wire.send(message)

        if answer is not None:
            error = (await wire.answer("1"))["error"]
            assert (error["code"], error["message"]) == ("INVALID_REQUEST", answer)
        assert await wire.closed() == close


async def test_who_never_connects_is_told_for_how_long_it_was_waited(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        runtime = gateway.runtime
        runtime.settings = attrs.evolve(runtime.settings, handshake_timeout_ms=50)
        async with knocking(gateway) as wire:
            assert await wire.closed() == (1000, "no connect within 0.05 s")


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        pytest.param(
            {"token": "wrong"}, "AUTH_TOKEN_MISMATCH", "unauthorized: gateway token mis", id="token"
        ),
        pytest.param(
            {"key": key_of(1)}, "AUTH_TOKEN_MISSING", "unauthorized: gateway token miss", id="none"
        ),
        pytest.param({}, "DEVICE_IDENTITY_REQUIRED", "device identity required", id="nothing"),
        pytest.param(
            {"key": key_of(1), "device_token": "wrong"},
            "AUTH_DEVICE_TOKEN_MISMATCH",
            "unauthorized: device token mismatch",
            id="device-token",
        ),
        pytest.param(
            {"token": TOKEN, "origin": "https://evil.example"},
            "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "origin not allowed",
            id="origin",
        ),
        pytest.param(
            {"key": key_of(1), "token": TOKEN, "signed_at": OLD},
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
            "device signature expired",
            id="clock",
        ),
        pytest.param(
            {"key": key_of(1), "token": TOKEN, "nonce": "another"},
            "DEVICE_AUTH_NONCE_MISMATCH",
            "device nonce mismatch",
            id="replay",
        ),
        pytest.param(
            {"token": TOKEN, "protocols": (5, 6)},
            "PROTOCOL_MISMATCH",
            "protocol mismatch",
            id="protocol",
        ),
    ],
)
@pytest.mark.parametrize("remote", [True, False], ids=["remote", "local"])
async def test_a_refusal_has_its_code_and_its_text_on_both_roads(
    tmp_path, wanted, code, message, remote
):
    async with a_gateway(tmp_path) as gateway:
        error = await refused(gateway, remote=remote, **wanted)

        assert error["details"]["code"] == code
        assert error["message"].startswith(message)
        assert error["close"][1] == error["message"]
        local = not remote and "origin" not in wanted
        assert ("peer" in error["details"]["saw"]) is local
        assert gateway.runtime.store.book.pending == {}


@pytest.mark.parametrize(
    "guess",
    [
        pytest.param({"token": "wrong"}, id="token"),
        pytest.param({"password": "wrong"}, id="password"),
        pytest.param({"token": "wrong", "device_token": "bogus"}, id="beside-a-device-token"),
        pytest.param({"password": "wrong", "device_token": "bogus"}, id="password-beside-one"),
        pytest.param({"token": "wrong", "key": key_of(3)}, id="with-a-device"),
    ],
)
async def test_wrong_secrets_lock_their_address_whatever_else_was_sent(tmp_path, guess):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        for _ in range(3):
            error = await refused(gateway, remote=True, **guess)
            assert error["details"]["code"] == "AUTH_TOKEN_MISMATCH"

        for attempt in (guess, {"token": TOKEN}, {"token": TOKEN, "scopes": ()}):
            error = await refused(gateway, remote=True, **attempt)
            assert error["details"]["code"] == "AUTH_RATE_LIMITED"
            assert error["retryable"] is True
            assert 0 < error["retryAfterMs"] <= 300_000
            assert error["details"]["authenticated"] is False


async def test_a_lock_leaves_local_clients_and_paired_devices_alone(tmp_path):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))
        for _ in range(4):
            await refused(gateway, remote=True, token="wrong")

        async with admitted(gateway), admitted(gateway, remote=True, key=key_of(1), scopes=()):
            pass
        for _ in range(5):
            error = await refused(gateway, token="wrong")
            assert error["details"]["code"] == "AUTH_TOKEN_MISMATCH"


async def test_a_page_on_this_machine_is_throttled(tmp_path):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        origin = f"http://127.0.0.1:{gateway.port}"
        page: dict[str, Any] = {"origin": origin, "client_id": "openclaw-control-ui"}
        for _ in range(3):
            await refused(gateway, token="wrong", **page)

        error = await refused(gateway, token=TOKEN, key=key_of(1), **page)

        assert error["details"]["code"] == "AUTH_RATE_LIMITED"
        assert error["details"]["recommendedNextStep"] == "wait_then_retry"


async def test_a_missing_secret_is_no_wrong_one(tmp_path):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        for _ in range(5):
            await refused(gateway, remote=True, key=key_of(1))

        async with admitted(gateway, remote=True):
            pass


async def test_a_right_secret_forgives_the_wrong_ones_before(tmp_path):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        for _ in range(3):
            for _ in range(2):
                await refused(gateway, remote=True, token="wrong")
            async with admitted(gateway, remote=True):
                pass


@pytest.mark.parametrize(
    "early",
    [
        pytest.param({"origin": "https://evil.example"}, id="origin"),
        pytest.param({"key": key_of(1), "nonce": "another"}, id="proof"),
        pytest.param({"protocols": (5, 6)}, id="protocol"),
    ],
)
async def test_an_early_refusal_is_no_oracle_for_the_secret(tmp_path, early):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        right, wrong = [
            await refused(gateway, remote=True, token=token, **early) for token in (TOKEN, "wrong")
        ]

        assert right == wrong
        assert right["details"]["authenticated"] is False


async def test_no_secret_means_pairing_for_everybody(tmp_path):
    section: dict[str, object] = {"auth": {"mode": "none"}}
    async with a_gateway(tmp_path, section) as gateway:
        deviceless = await refused(gateway)
        remote = await refused(gateway, remote=True, key=key_of(1))

        assert deviceless["message"] == "device identity required"
        assert remote["details"]["reason"] == "not-paired"
        if kernel_tells():
            async with admitted(gateway, key=key_of(2), token="whatever") as wire:
                assert wire.hello is not None
                assert wire.hello["auth"]["method"] == "none"


@pytest.mark.parametrize(
    ("wanted", "local"),
    [
        pytest.param({"host": "127.0.1.1:{port}"}, True, id="other-loopback-address"),
        pytest.param({"host": "localhost:{port}"}, True, id="localhost"),
        pytest.param({"host": "{machine}:{port}"}, True, id="machine-name"),
        pytest.param({"host": "foo.ts.net"}, False, id="ts-net"),
        pytest.param({"host": "192.168.0.80"}, False, id="lan-address"),
    ],
)
async def test_a_host_keeps_or_loses_locality_and_never_gives_it(tmp_path, wanted, local):
    async with a_gateway(tmp_path) as gateway:
        machine = sorted(gateway.runtime.machine_names)[0]
        host = wanted["host"].format(port=gateway.port, machine=machine)
        async with knocking(gateway, host=host) as wire:
            response = await wire.connect(key=key_of(1), token=TOKEN)

            assert response["ok"] is local
            if not local:
                sentence = response["error"]["details"]["remedy"]["sentence"]
                assert f"the peer is loopback but the Host is {host}" in sentence
        async with knocking(gateway, remote=True, host=host) as wire:
            assert not (await wire.connect(key=key_of(2), token=TOKEN))["ok"]


async def test_a_rebound_name_ends_before_any_record(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        error = await refused(
            gateway, key=key_of(1), token=TOKEN, host="evil.example", origin="http://evil.example"
        )

        assert error["details"]["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
        assert gateway.runtime.store.book.pending == {}
        assert gateway.runtime.store.book.paired == {}


# Connections that look local but whose peer socket is nobody's here: what a proxy of another user
# looks like that forwards no address.
kernel_only = pytest.mark.skipif(not kernel_tells(), reason="this kernel does not tell")


def a_strangers_visit(gateway: Serving) -> Visit:
    """Return a visit from a loopback port that no socket of this machine holds."""
    headers = [(b"host", f"127.0.0.1:{gateway.port}".encode())]
    return begin_visit(gateway.door, "c", ("127.0.0.1", 1), ("127.0.0.1", gateway.port), headers)


def judged(gateway: Serving, visit: Visit, **wanted: Any) -> Any:
    params = parse_connect_params(connect_params("nonce", **wanted))
    return decide(gateway.door, visit, gather(gateway.door, visit, params, "nonce"))


@kernel_only
@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        pytest.param({"token": TOKEN, "scopes": (ADMIN,)}, Admit, id="scopes-without-device"),
        pytest.param({"token": TOKEN, "key": key_of(1)}, RequirePairing, id="silent-pairing"),
        pytest.param({"token": "wrong"}, Refuse, id="words"),
        pytest.param({"key": key_of(1)}, Refuse, id="missing-secret"),
    ],
)
async def test_the_kernel_is_asked_wherever_being_local_earns_something(tmp_path, wanted, kind):
    async with a_gateway(tmp_path) as gateway:
        facts, decision = judged(gateway, a_strangers_visit(gateway), **wanted)

        assert facts.locality.why is LocalityReason.OTHER_UID
        assert isinstance(decision, kind)
        assert tier_of(facts) < 2
        assert not isinstance(decision, Admit) or decision.scopes == ()


@kernel_only
async def test_a_strangers_right_guess_is_not_heard_while_it_is_locked_out(tmp_path):
    async with a_gateway(tmp_path, LIMIT) as gateway:
        visit = a_strangers_visit(gateway)
        for _ in range(3):
            judged(gateway, visit, token="wrong")

        _, right = judged(gateway, visit, token=TOKEN, scopes=())
        _, wrong = judged(gateway, visit, token="wrong", scopes=())

        assert right == wrong == Refuse(Refusal.THROTTLED)


@kernel_only
@pytest.mark.parametrize("paired_before", [True, False])
async def test_a_stranger_may_not_leave_the_nonce_out(tmp_path, paired_before):
    old: dict[str, Any] = {"version": 1, "protocols": (3, 3), "token": TOKEN, "key": key_of(1)}
    async with a_gateway(tmp_path) as gateway:
        if paired_before:
            await paired(gateway, key_of(1))
        params = parse_connect_params(connect_params(None, **old))
        visit = a_strangers_visit(gateway)

        facts, decision = decide(gateway.door, visit, gather(gateway.door, visit, params, "nonce"))

        assert decision == Refuse(Refusal.DEVICE_PROOF)
        assert not facts.authenticated
        async with knocking(gateway) as wire:
            assert (await wire.connect(nonce=None, **old))["ok"]


async def test_a_paired_device_that_wants_nothing_new_costs_no_question(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1))

        facts, decision = judged(
            gateway, a_strangers_visit(gateway), token=TOKEN, key=key_of(1), scopes=(READ,)
        )

        assert isinstance(decision, Admit)
        assert facts.locality.why is LocalityReason.LOOPBACK


async def test_what_differs_between_a_known_and_an_unknown_device_is_nothing(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        await paired(gateway, key_of(1), scopes=(READ,))
        answers = []
        for number in (1, 2):
            for secret in ({"token": "wrong"}, {"device_token": "wrong"}, {}):
                for mode in ("cli", "probe"):
                    error = await refused(
                        gateway, remote=True, key=key_of(number), mode=mode, **secret
                    )
                    answers.append(error)

        assert answers[:6] == answers[6:]


async def test_facts_carry_no_secret_into_a_log(tmp_path):
    async with a_gateway(tmp_path) as gateway:
        visit = a_strangers_visit(gateway)
        facts, _ = judged(gateway, visit, token=TOKEN, device_token="device-secret")

        assert TOKEN not in repr(facts)
        assert "device-secret" not in repr(facts)
        assert TOKEN not in repr(attrs.evolve(visit))
