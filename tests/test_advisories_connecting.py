"""What published advisories about connecting forbid, tried over a real socket; ids are theirs.

`docs/explanation/advisories.md` says which test holds which of them; most are held elsewhere too.
"""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.policy import credentials
from gateway.policy.access import PairingReason, RequirePairing, decide_access
from stores.records import DeviceToken
from tests.bare_compare import OURS_AGAINST_OURS, compared_bare
from tests.facts import LOCAL, facts
from tests.imports import ROOT
from tests.serving import TOKEN, Serving, open_gateway
from tests.wire import ADMIN_SCOPES, Wire, connect_params, key_of, open_wire

READ = ("operator.read",)
FROM_AFAR = (("X-Forwarded-For", "203.0.113.9"),)
KEY = key_of(77)


def advisory(*ids: str) -> pytest.MarkDecorator:
    """Mark a test with the advisories that it holds."""
    return pytest.mark.parametrize("held", [pytest.param(None, id=" ".join(ids))])


async def knock(gateway: Serving, *, opening: dict[str, Any] | None = None, **words: Any) -> Any:
    """Connect once and return the response."""
    async with open_wire(gateway.port, **(opening or {})) as wire:
        return await wire.connect(**words)


def scopes_of(response: Any) -> list[str]:
    """Return the scopes of an admitted connection; a refused one holds none."""
    return list(response["payload"]["auth"]["scopes"]) if response["ok"] else []


def code_of(response: Any) -> str:
    assert not response["ok"], response
    return str(response["error"]["details"]["code"])


async def paired(gateway: Serving, scopes: tuple[str, ...] = READ) -> str:
    """Pair the test's device from this machine and return its device token."""
    response = await knock(gateway, key=KEY, token=TOKEN, scopes=scopes)
    assert response["ok"], response
    return str(response["payload"]["auth"]["deviceToken"])


async def rewrite(gateway: Serving, **changes: Any) -> None:
    """Change the device's record in the file, as another program would."""
    file = gateway.state_dir / "devices" / "paired.json"
    book = json.loads(file.read_bytes())
    book[KEY.device_id] |= changes
    file.write_bytes(orjson.dumps(book))
    await gateway.door.keeper.look()


@advisory("CVE-2026-25593", "GHSA-g55j-c2v4-pjcg")
async def test_no_method_is_called_before_connect(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        async with open_wire(gateway.port) as wire:
            names = (await wire.connect(token=TOKEN))["payload"]["features"]["methods"]
        for name in [*names, "config.apply", "Connect", "connect ", "hello-ok", "\x00"]:
            async with open_wire(gateway.port) as wire:
                answer = await wire.call(name, {})
                assert answer["error"]["code"] == "INVALID_REQUEST", name
                assert "payload" not in answer
                ending = (1008, "invalid handshake: first request must be connect")
                assert await wire.closed() == ending, name


@advisory("GHSA-rv39-79c4-7459")
@pytest.mark.parametrize("token", ["wrong", " ", TOKEN + "x", TOKEN[:-1], TOKEN.upper()])
async def test_having_some_token_stands_in_for_nothing(tmp_path: Path, token: str, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        for opening in ({}, {"headers": FROM_AFAR}):
            response = await knock(gateway, opening=opening, token=token)

            assert code_of(response) == "AUTH_TOKEN_MISMATCH"


@advisory("fixed in 2026.2.9")
@pytest.mark.parametrize("scopes", [None, ()])
async def test_who_names_no_scopes_holds_none(
    tmp_path: Path, scopes: tuple[str, ...] | None, held: None
):
    async with open_gateway(tmp_path / "s") as gateway:
        for key in (None, key_of(78)):
            response = await knock(gateway, key=key, token=TOKEN, scopes=scopes)

            assert response["ok"]
            assert scopes_of(response) == []


@advisory("CVE-2026-32042", "GHSA-553v-f69r-656j")
async def test_the_secret_alone_gives_a_new_device_no_scopes_from_afar(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        response = await knock(
            gateway, opening={"headers": FROM_AFAR}, key=KEY, token=TOKEN, scopes=ADMIN_SCOPES
        )

        assert code_of(response) == "PAIRING_REQUIRED"
        assert gateway.store.read().paired == {}


@advisory("CVE-2026-22172", "GHSA-rqpp-rjj8-7wv8", "GHSA-48vw-m3qc-wr99", "CVE-2026-53821")
@pytest.mark.parametrize(
    "opening",
    [
        pytest.param({"headers": FROM_AFAR}, id="forwarded"),
        pytest.param({"host": "gw.example.com"}, id="foreign-host"),
        pytest.param({"headers": (("x-openclaw-scopes", "operator.admin"), *FROM_AFAR)}, id="header"),
    ],
)  # fmt: skip
async def test_without_a_device_nobody_from_afar_holds_scopes(
    tmp_path: Path, opening: dict[str, Any], held: None
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port, **opening) as wire:
        response = await wire.connect(token=TOKEN, scopes=ADMIN_SCOPES)
        refused = await wire.call("device.pair.list", {})

        assert scopes_of(response) == []
        assert refused["error"]["message"].startswith("missing scope: ")


CLAIMS = [
    (("X-Forwarded-For", "127.0.0.1"),),
    (("X-Forwarded-For", "::1"),),
    (("X-Forwarded-For", "::ffff:127.0.0.1"),),
    (("X-Forwarded-For", "203.0.113.9, 127.0.0.1"),),
    (("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1")),
    (("X-Forwarded-For", ""),),
    (("Forwarded", "for=127.0.0.1"),),
    (("X-Real-IP", "127.0.0.1"),),
    (("X-Forwarded-Host", "localhost"),),
    (("Via", "1.1 localhost"),),
    (("CF-Connecting-IP", "127.0.0.1"),),
]


@advisory("CVE-2026-35656", "CVE-2026-53817", "GHSA-chr9-m4q2-76hw")
@pytest.mark.parametrize("trusted", [[], ["127.0.0.1"]], ids=["untrusted", "trusted"])
async def test_nothing_that_is_forwarded_is_local_whatever_it_claims(
    tmp_path: Path, trusted: list[str], held: None
):
    async with open_gateway(tmp_path / "s", {"trustedProxies": trusted}) as gateway:
        for headers in CLAIMS:
            opening = {"headers": headers, "host": "localhost"}
            response = await knock(gateway, opening=opening, key=KEY, token=TOKEN, scopes=READ)

            assert code_of(response) == "PAIRING_REQUIRED", headers
            bare = await knock(gateway, opening=opening, token=TOKEN, scopes=READ)
            assert scopes_of(bare) == [], headers


@advisory("GHSA-5wcw-8jjv-m286", "GHSA-gxg4-2rrr-jhc7")
@pytest.mark.parametrize("client_id", ["openclaw-control-ui", "cli", "gateway-client", "node-host"])
async def test_every_origin_is_checked_whoever_sends_it_by_whatever_way(
    tmp_path: Path, client_id: str, held: None
):
    origins = ["https://evil.example", "null", "http://gw.example.com.", "http://x@gw.example.com"]
    config = {"controlUi": {"allowedOrigins": ["http://gw.example.com"]}}
    async with open_gateway(tmp_path / "s", config | {"trustedProxies": ["127.0.0.1"]}) as gateway:
        for origin in origins:
            for headers in ((), FROM_AFAR):
                opening = {"origin": origin, "headers": headers}
                response = await knock(
                    gateway, opening=opening, key=KEY, token=TOKEN, client_id=client_id
                )

                assert code_of(response) == "CONTROL_UI_ORIGIN_NOT_ALLOWED", opening
        book = gateway.store.read()
        assert (book.paired, book.pending) == ({}, {})


@advisory("localhost takeover, fixed in 2026.2.25")
async def test_a_page_of_another_local_server_is_never_paired_silently(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        opening = {"origin": "http://localhost:3000"}
        with_device = await knock(gateway, opening=opening, key=KEY, token=TOKEN, scopes=READ)
        without = await knock(gateway, opening=opening, token=TOKEN, scopes=ADMIN_SCOPES)

        assert code_of(with_device) == "PAIRING_REQUIRED"
        assert scopes_of(without) == []


@advisory("localhost takeover, fixed in 2026.2.25")
def test_being_local_is_not_enough_for_a_page_of_another_server(held: None):
    page = facts(locality=LOCAL, origin="http://localhost:3000")

    assert decide_access(page) == RequirePairing(PairingReason.NOT_PAIRED)


@advisory("CVE-2026-28475", "CVE-2026-28464", "GHSA-jmm5-fvh5-gf4p")
def test_secrets_are_compared_in_constant_time_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, held: None
):
    compared: list[tuple[int, int]] = []
    original = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for sent in ("a", "x" * 5_000, TOKEN, TOKEN[:-1]):
        credentials.same_secret(sent, TOKEN)

    assert compared == [(32, 32)] * 4
    files = [file for part in ("gateway", "stores") for file in (ROOT / part).rglob("*.py")]
    bare = {text for file in files for text in compared_bare(file)}
    assert bare == OURS_AGAINST_OURS


@advisory("GHSA-2pwv-x786-56f8")
async def test_a_token_never_holds_more_than_what_was_approved(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        device_token = await paired(gateway)
        record = gateway.store.read().paired[KEY.device_id]
        wide: DeviceToken = record.tokens["operator"]
        tokens = {"operator": {"token": wide.token, "role": "operator", "createdAtMs": 1}}
        tokens["operator"]["scopes"] = list(ADMIN_SCOPES)
        await rewrite(gateway, tokens=tokens)
        response = await knock(
            gateway,
            opening={"headers": FROM_AFAR},
            key=KEY,
            device_token=device_token,
            scopes=(*ADMIN_SCOPES, *READ),
        )

        assert scopes_of(response) == list(READ)


async def all_said(wire: Wire, **words: Any) -> str:
    """Return every word of a refusal that may depend on what the gateway knows."""
    response = await wire.connect(**words)
    assert not response["ok"]
    return json.dumps([response["error"], await wire.closed()], sort_keys=True)


@advisory("GHSA-7jrw-x62h-64p8")
async def test_a_refusal_without_a_right_credential_tells_nothing_of_any_device(
    tmp_path: Path, held: None
):
    said = set()
    async with open_gateway(tmp_path / "s") as gateway:
        await paired(gateway)
        for key in (KEY, key_of(79)):
            for scopes in (READ, ADMIN_SCOPES, ("no.such.scope",)):
                for role in ("operator", "node"):
                    opening: dict[str, Any] = {"headers": FROM_AFAR, "host": "gw.example.com"}
                    async with open_wire(gateway.port, **opening) as wire:
                        words = {"device_token": "wrong", "scopes": scopes, "role": role}
                        said.add(await all_said(wire, key=key, **words))
                    gateway.runtime.throttle.clear()

    assert len(said) == 1, said


@advisory("CVE-2026-35663", "GHSA-9hjh-fr4f-gxc4", "upstream 72418")
@pytest.mark.parametrize("mode", ["backend", "cli", "probe", "ui", "test", "node"])
async def test_what_a_client_calls_itself_gives_nothing(tmp_path: Path, mode: str, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        for client_id in ("gateway-client", "cli", "test", "openclaw-macos", "openclaw-probe"):
            words = {"client_id": client_id, "mode": mode, "token": TOKEN, "scopes": ADMIN_SCOPES}
            bare = await knock(gateway, opening={"headers": FROM_AFAR}, **words)
            device = await knock(gateway, opening={"headers": FROM_AFAR}, key=KEY, **words)

            assert scopes_of(bare) == []
            assert scopes_of(device) == []
        assert gateway.store.read().paired == {}


@advisory("fixed in 2026.2.25")
async def test_a_control_ui_that_says_it_is_a_node_goes_round_nothing(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        words = {"client_id": "openclaw-control-ui", "role": "node", "token": TOKEN, "scopes": ()}
        page = f"http://127.0.0.1:{gateway.port}"
        bare = await knock(gateway, opening={"origin": page}, **words)
        afar = {"origin": page, "headers": FROM_AFAR}
        device = await knock(gateway, opening=afar, key=KEY, **words)

        assert code_of(bare) == "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
        assert not device["ok"]
        assert gateway.store.read().paired == {}


@advisory("CVE-2026-53852", "GHSA-8mg9-j9cf-54cj")
async def test_nothing_approved_means_nothing_may_be_held(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        device_token = await paired(gateway)
        await rewrite(gateway, scopes=[], approvedScopes=[])
        response = await knock(
            gateway, opening={"headers": FROM_AFAR}, key=KEY, device_token=device_token, scopes=READ
        )

        assert scopes_of(response) == []


@advisory("CVE-2026-53843", "GHSA-q99w-vh6v-q3v7")
async def test_a_revoked_token_stays_dead_and_a_record_without_tokens_opens_nothing(
    tmp_path: Path, held: None
):
    async with open_gateway(tmp_path / "s") as gateway:
        device_token = await paired(gateway)
        token = json.loads((gateway.state_dir / "devices" / "paired.json").read_bytes())
        operator = token[KEY.device_id]["tokens"]["operator"]
        words: dict[str, Any] = {"key": KEY, "scopes": READ}
        for tokens in ({"operator": operator | {"revokedAtMs": 5}}, {}):
            await rewrite(gateway, tokens=tokens)
            by_token = await knock(
                gateway, opening={"headers": FROM_AFAR}, device_token=device_token, **words
            )
            by_secret = await knock(gateway, opening={"headers": FROM_AFAR}, token=TOKEN, **words)

            assert code_of(by_token) == "AUTH_DEVICE_TOKEN_MISMATCH"
            assert code_of(by_secret) == "PAIRING_REQUIRED"


@advisory("fixed in 2026.2.26")
@pytest.mark.parametrize("changes", [{"platform": "windows"}, {"family": "phone"}])
async def test_other_hardware_with_the_same_key_waits_for_an_operator(
    tmp_path: Path, changes: dict[str, Any], held: None
):
    async with open_gateway(tmp_path / "s") as gateway:
        first = await knock(gateway, key=KEY, token=TOKEN, scopes=READ, family="desktop")
        again = await knock(
            gateway, key=KEY, token=TOKEN, scopes=READ, **({"family": "desktop"} | changes)
        )

        assert first["ok"]
        assert again["error"]["details"]["reason"] == "metadata-upgrade"


@advisory("replay: signatures of protocol versions 1 and 2")
@pytest.mark.parametrize("version", [2, 3])
async def test_what_was_signed_for_one_socket_opens_no_other(
    tmp_path: Path, version: int, held: None
):
    async with open_gateway(tmp_path / "s") as gateway:
        await paired(gateway)
        async with open_wire(gateway.port) as one, open_wire(gateway.port) as other:
            nonce = one.challenge["nonce"]
            signed = connect_params(nonce, key=KEY, token=TOKEN, scopes=READ, version=version)
            renamed = signed | {"device": signed["device"] | {"nonce": other.challenge["nonce"]}}
            first = await one.call("connect", signed)
            replayed = await other.call("connect", signed)
        async with open_wire(gateway.port) as third:
            renamed["device"]["nonce"] = third.challenge["nonce"]
            forged = await third.call("connect", renamed)

        assert first["ok"]
        assert code_of(replayed) == "DEVICE_AUTH_NONCE_MISMATCH"
        assert code_of(forged) == "DEVICE_AUTH_SIGNATURE_INVALID"


@advisory("DNS rebinding")
async def test_a_page_under_a_rebound_name_opens_nothing(tmp_path: Path, held: None):
    async with open_gateway(tmp_path / "s") as gateway:
        rebound = f"evil.example:{gateway.port}"
        opening = {"host": rebound, "origin": f"http://{rebound}"}
        response = await knock(gateway, opening=opening, key=KEY, token=TOKEN)

        assert code_of(response) == "CONTROL_UI_ORIGIN_NOT_ALLOWED"
        assert gateway.store.read().pending == {}
