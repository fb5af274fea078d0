"""What a device signs, and how its proof is judged."""

import json
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.connect import (
    AuthClaim,
    ClientInfo,
    ConnectParams,
    DeviceClaim,
    parse_connect_params,
)
from gateway.protocol.signature import (
    EXPIRED,
    ID_MISMATCH,
    KEY_INVALID,
    NONCE_MISMATCH,
    NONCE_REQUIRED,
    SIGNATURE_INVALID,
    ProofOk,
    SignedFields,
    candidates,
    check_freshness,
    judge_device_proof,
    payload_v1,
    payload_v2,
    payload_v3,
    signed_token,
)
from stores import keys

VECTORS = Path(__file__).parent / "vectors"
SIGNED = json.loads((VECTORS / "signed-connect.json").read_bytes())["vectors"]
SYNTHETIC = json.loads((VECTORS / "device-identity.json").read_bytes())["vectors"]

PAIR = keys.key_pair_of_seed(bytes(range(32)))
NONCE = "11111111-2222-4333-8444-555555555555"
NOW_MS = 1_700_000_000_000

PART = st.text(alphabet=st.characters(exclude_characters="|,", exclude_categories=["Cs"]))


def a_proof(*, version=3, pair=PAIR, nonce=NONCE, signed_at=NOW_MS, **changes):
    """Return parameters whose device signed payload ``version``."""
    device = DeviceClaim(
        id=pair.device_id,
        public_key=pair.public_key,
        signature="-",
        signed_at=signed_at,
        nonce=None if version == 1 else nonce,
    )
    client = ClientInfo(id="cli", version="1", platform=" Linux", mode="cli", device_family="PC")
    params = ConnectParams(
        min_protocol=3,
        max_protocol=4,
        client=client,
        scopes=("operator.write", "operator.read"),
        device=device,
        auth=AuthClaim(token="tok"),
    )
    params = evolve(params, **changes)
    payload = dict(candidates(params, protocol=3, local=True))[version]
    return evolve(params, device=evolve(device, signature=pair.sign(payload.encode())))


def judged(params, *, nonce_sent=NONCE, protocol=4, local=False, now_ms=NOW_MS):
    """Return the judgement of ``params``; what is not given is as for an honest remote client."""
    return judge_device_proof(
        params, nonce_sent=nonce_sent, protocol=protocol, local=local, now_ms=now_ms, keys=keys
    )


def fields_of(params):
    """Return what every payload of these wire parameters holds."""
    return SignedFields(
        device_id=params.device.id,
        client_id=params.client.id,
        client_mode=params.client.mode,
        role=params.role,
        scopes=params.scopes,
        signed_at_ms=params.device.signed_at,
        token=signed_token(params.auth),
    )


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["clientKind"])
def test_every_captured_payload_is_rebuilt(vector):
    params = parse_connect_params(vector["connectFrame"]["params"])
    assert params.device is not None
    version = int(vector["signatureVersion"].removeprefix("v"))

    built = dict(candidates(params, protocol=vector["protocolRange"][0], local=True))

    assert built[version] == vector["signaturePayload"]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["clientKind"])
def test_every_captured_proof_is_accepted(vector):
    params = parse_connect_params(vector["connectFrame"]["params"])
    assert params.device is not None

    proof = judged(
        params,
        nonce_sent=vector["challenge"]["nonce"],
        protocol=vector["protocolRange"][1],
        local=True,
        now_ms=params.device.signed_at,
    )

    version = int(vector["signatureVersion"].removeprefix("v"))
    assert proof == ProofOk(version, vector["publicKey"])


@pytest.mark.parametrize("vector", SYNTHETIC, ids=lambda vector: vector["seedHex"][:4])
def test_the_payload_builders_follow_the_synthetic_vectors(vector):
    fields = SignedFields(
        device_id=vector["deviceId"],
        client_id="cli",
        client_mode="cli",
        role="operator",
        scopes=["operator.read", "operator.write"],
        signed_at_ms=NOW_MS,
        token="tok",
    )
    expected = {name: item["payload"] for name, item in vector["signatures"].items()}

    assert {
        "v1": payload_v1(fields),
        "v2": payload_v2(fields, nonce=NONCE),
        "v3": payload_v3(fields, nonce=NONCE, platform=" Linux ", device_family="Linux"),
    } == expected


@pytest.mark.parametrize(
    ("platform", "family", "tail"),
    [
        pytest.param(None, None, "||", id="absent"),
        pytest.param("", "  ", "||", id="blank"),
        pytest.param("\ufeff\u00a0MacOS\n", "Mac Pro", "|macos|mac pro", id="trimmed"),
        pytest.param("ÄBC İ", None, "|Äbc İ|", id="only-ascii-is-lowered"),
        pytest.param("\x1cLinux\x85", None, "|\x1clinux\x85|", id="what-ecmascript-keeps"),
    ],
)
def test_hardware_is_normalised_as_clients_do(platform, family, tail):
    fields = fields_of(a_proof())

    payload = payload_v3(fields, nonce="n", platform=platform, device_family=family)

    assert payload.endswith(f"|n{tail}")


@pytest.mark.parametrize(
    ("auth", "token"),
    [
        (AuthClaim(), ""),
        (AuthClaim(token="a", device_token="b", bootstrap_token="c"), "a"),
        (AuthClaim(device_token="b", bootstrap_token="c"), "b"),
        (AuthClaim(bootstrap_token="c"), "c"),
        (AuthClaim(token="", device_token="b"), ""),
        (AuthClaim(device_token="", bootstrap_token="c"), ""),
        (AuthClaim(password="secret"), ""),
    ],
    ids=["none", "token", "device", "bootstrap", "empty-hides", "empty-device-hides", "password"],
)
def test_the_first_token_present_is_signed(auth, token):
    assert signed_token(auth) == token


@pytest.mark.parametrize(
    ("version", "protocol", "local", "versions"),
    [
        pytest.param(3, 4, False, (3, 2), id="protocol-4"),
        pytest.param(2, 3, False, (2, 3), id="protocol-3"),
        pytest.param(1, 3, True, (1,), id="no-nonce-local-3"),
        pytest.param(1, 3, False, (), id="no-nonce-remote-3"),
        pytest.param(1, 4, True, (), id="no-nonce-local-4"),
    ],
)
def test_what_may_have_been_signed_depends_on_the_nonce(version, protocol, local, versions):
    params = a_proof(version=version)

    tried = candidates(params, protocol=protocol, local=local)

    assert tuple(number for number, _ in tried) == versions


def test_a_browser_is_expected_to_sign_without_hardware():
    params = a_proof()
    browser = evolve(params, client=evolve(params.client, mode="webchat"))

    assert [number for number, _ in candidates(browser, protocol=4, local=False)] == [2, 3]


def test_without_a_device_nothing_was_signed():
    assert candidates(evolve(a_proof(), device=None), protocol=4, local=True) == ()


@pytest.mark.parametrize(
    ("protocol", "age_ms", "fresh"),
    [
        (3, 600_000, True),
        (3, -600_000, True),
        (3, 600_001, False),
        (4, 120_000, True),
        (4, -120_000, True),
        (4, 120_001, False),
        (4, -120_001, False),
    ],
)
def test_a_signature_ages_by_protocol(protocol, age_ms, fresh):
    assert check_freshness(NOW_MS - age_ms, NOW_MS, protocol) is fresh


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("protocol", [3, 4])
def test_a_signed_challenge_proves_the_device(version, protocol):
    assert judged(a_proof(version=version), protocol=protocol) == ProofOk(version, PAIR.public_key)


def test_a_local_client_of_protocol_3_may_miss_the_challenge():
    assert judged(a_proof(version=1), protocol=3, local=True) == ProofOk(1, PAIR.public_key)


@pytest.mark.parametrize("form", [PAIR.public_key + "=", PAIR.public_key_pem], ids=["pad", "pem"])
def test_a_key_is_named_one_way_however_it_was_sent(form):
    params = a_proof()
    params = evolve(params, device=evolve(params.device, public_key=form))

    assert judged(params) == ProofOk(3, PAIR.public_key)


def test_a_key_that_is_none_is_refused():
    params = a_proof()

    assert judged(evolve(params, device=evolve(params.device, public_key="AAAA"))) == KEY_INVALID


def test_somebody_elses_id_is_refused():
    params = a_proof()
    stolen = evolve(params, device=evolve(params.device, id="0" * 64))

    assert judged(stolen) == ID_MISMATCH


def test_an_old_signature_is_refused():
    assert judged(a_proof(), now_ms=NOW_MS + 120_001) == EXPIRED


@pytest.mark.parametrize(("protocol", "local"), [(3, False), (4, False), (4, True)])
def test_a_missing_nonce_is_refused_unless_local_and_old(protocol, local):
    assert judged(a_proof(version=1), protocol=protocol, local=local) == NONCE_REQUIRED


def test_a_signature_for_another_connection_is_refused():
    assert judged(a_proof(), nonce_sent="another") == NONCE_MISMATCH


def test_a_nonce_is_compared_even_where_it_may_be_missing():
    assert judged(a_proof(), protocol=3, local=True, nonce_sent="another") == NONCE_MISMATCH


def test_a_version_2_signature_without_nonce_is_refused():
    params = a_proof(version=2)
    silent = evolve(params, device=evolve(params.device, nonce=None))

    assert judged(silent, protocol=3, local=True) == SIGNATURE_INVALID


def test_a_version_1_signature_with_a_nonce_is_refused():
    params = a_proof(version=1)
    replayed = evolve(params, device=evolve(params.device, nonce=NONCE))

    assert judged(replayed, protocol=3, local=True) == SIGNATURE_INVALID


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "node"},
        {"scopes": ("operator.admin",)},
        {"scopes": ("operator.read", "operator.write")},
        {"auth": AuthClaim(token="other")},
        {"auth": AuthClaim()},
    ],
    ids=["role", "scopes", "order-of-scopes", "token", "no-token"],
)
def test_what_was_signed_cannot_be_changed_afterwards(changes):
    assert judged(evolve(a_proof(), **changes)) == SIGNATURE_INVALID


def test_hardware_is_vouched_for_by_version_3_alone():
    vouched, silent = a_proof(version=3), a_proof(version=2)
    other = evolve(vouched.client, platform="android")

    assert judged(evolve(vouched, client=other)) == SIGNATURE_INVALID
    assert judged(evolve(silent, client=other)) == ProofOk(2, PAIR.public_key)


def test_a_name_that_cannot_be_encoded_does_not_crash_the_judge():
    assert judged(evolve(a_proof(), role="\ud800")) == SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (KEY_INVALID, "DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key"),
        (ID_MISMATCH, "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch"),
        (EXPIRED, "DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale"),
        (NONCE_REQUIRED, "DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing"),
        (NONCE_MISMATCH, "DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch"),
        (SIGNATURE_INVALID, "DEVICE_AUTH_SIGNATURE_INVALID", "device-signature"),
    ],
    ids=lambda value: getattr(value, "message", None),
)
def test_a_failure_is_told_by_text_and_by_code(failure, code, reason):
    assert failure.to_error().to_wire() == {
        "code": "INVALID_REQUEST",
        "message": failure.message,
        "details": {"code": code, "reason": reason},
    }


@given(st.lists(PART, min_size=6, max_size=6), st.lists(PART, min_size=6, max_size=6))
def test_different_fields_give_different_payloads(mine, yours):
    texts = []
    for device_id, client_id, mode, role, scope, token in (mine, yours):
        fields = SignedFields(device_id, client_id, mode, role, (scope, "s"), NOW_MS, token)
        texts.append(payload_v2(fields, nonce="n"))

    assert (texts[0] == texts[1]) == (mine == yours)


@given(PART, PART)
def test_no_payload_of_one_version_reads_as_another(nonce, platform):
    fields = fields_of(a_proof())
    v3 = payload_v3(fields, nonce=nonce, platform=platform, device_family=None)

    assert {text[:3] for text in (payload_v1(fields), payload_v2(fields, nonce=nonce), v3)} == {
        "v1|",
        "v2|",
        "v3|",
    }
