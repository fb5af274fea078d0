"""The parameters of `connect` and the choice of the protocol."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol.connect import (
    CLIENT_IDS,
    CLIENT_MODES,
    AuthClaim,
    ClientInfo,
    ConnectParams,
    DeviceClaim,
    claims_worker,
    negotiate,
    parse_connect_params,
    protocol_mismatch,
)
from gateway.protocol.schema import InvalidParamsError
from gateway.protocol.signature import ProofFailure, ProofOk, judge_device_proof
from stores import keys

VECTORS = Path(__file__).parent / "vectors"
SIGNED = json.loads((VECTORS / "signed-connect.json").read_bytes())["vectors"]
PUBLISHED = json.loads((VECTORS / "schema/fields-2026.9.6.json").read_bytes())["types"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def wire(**changes):
    """Return parameters that fit; None takes a property away."""
    value = {
        "minProtocol": 3,
        "maxProtocol": 4,
        "client": {"id": "cli", "version": "dev", "platform": "linux", "mode": "cli"},
        **changes,
    }
    return {name: item for name, item in value.items() if item is not None}


def a_client(**changes):
    """Return a client that fits."""
    return {"id": "cli", "version": "dev", "platform": "linux", "mode": "cli", **changes}


def a_device(**changes):
    """Return a device claim that fits; None takes a property away."""
    value = {"id": "d", "publicKey": "k", "signature": "s", "signedAt": 1, "nonce": "n", **changes}
    return {name: item for name, item in value.items() if item is not None}


def test_the_least_a_client_may_send_asks_for_nothing():
    assert parse_connect_params(wire()) == ConnectParams(
        min_protocol=3,
        max_protocol=4,
        client=ClientInfo(id="cli", version="dev", platform="linux", mode="cli"),
        caps=(),
        commands=(),
        permissions={},
        path_env=None,
        role="operator",
        scopes=(),
        device=None,
        auth=AuthClaim(),
        locale=None,
        user_agent=None,
        awaiting=None,
    )


def test_everything_a_client_may_send_is_kept_or_known():
    params = parse_connect_params(
        wire(
            client=a_client(
                displayName="Ada's laptop",
                deviceFamily="Linux",
                modelIdentifier="x64",
                instanceId="i",
                buildId="b",
                timeZone="UTC",
            ),
            caps=["camera"],
            commands=["system.which"],
            permissions={"camera": True},
            pathEnv="",
            role="node",
            scopes=["operator.read", "operator.read"],
            device=a_device(),
            auth={
                "token": "",
                "password": "p",
                "deviceToken": "d",
                "bootstrapToken": "b",
                "approvalRuntimeToken": "a",
                "agentRuntimeIdentityToken": "a",
            },
            locale="",
            userAgent="",
            awaiting="AB23-CD45",
            computerUse={"any": 1},
            workerRuns={
                "bundleHash": "a" * 64,
                "openclawVersion": "1",
                "protocolFeatures": [],
                "bundlePrewarm": 1,
            },
            modelCatalog={"agentId": "main"},
        )
    )

    assert params == ConnectParams(
        min_protocol=3,
        max_protocol=4,
        client=ClientInfo(
            id="cli",
            version="dev",
            platform="linux",
            mode="cli",
            display_name="Ada's laptop",
            device_family="Linux",
            model_identifier="x64",
            instance_id="i",
            build_id="b",
            time_zone="UTC",
        ),
        caps=("camera",),
        commands=("system.which",),
        permissions={"camera": True},
        path_env="",
        role="node",
        scopes=("operator.read", "operator.read"),
        device=DeviceClaim(id="d", public_key="k", signature="s", signed_at=1, nonce="n"),
        auth=AuthClaim(token="", password="p", device_token="d", bootstrap_token="b"),
        locale="",
        user_agent="",
        awaiting="AB23-CD45",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "must be object", id="missing"),
        pytest.param(
            {},
            "must have required property 'minProtocol'; must have required property 'maxProtocol'; "
            "must have required property 'client'",
            id="empty",
        ),
        pytest.param(wire(foo=1), "at root: unexpected property 'foo'", id="extra"),
        pytest.param(
            wire(auth={"apiKey": "x"}), "at /auth: unexpected property 'apiKey'", id="extra-auth"
        ),
        pytest.param(
            wire(client=a_client(id="nope")),
            "at /client/id: must be equal to one of the allowed values",
            id="client-id",
        ),
        pytest.param(
            wire(client=a_client(mode="nope")),
            "at /client/mode: must be equal to one of the allowed values",
            id="client-mode",
        ),
        pytest.param(wire(minProtocol="3"), "at /minProtocol: must be integer", id="integer"),
        pytest.param(wire(minProtocol=0), "at /minProtocol: must be >= 1", id="zero"),
        pytest.param(wire(minProtocol=True), "at /minProtocol: must be integer", id="true"),
        pytest.param(wire(scopes="operator.admin"), "at /scopes: must be array", id="scopes"),
        pytest.param(
            wire(scopes=[""]),
            "at /scopes/0: must NOT have fewer than 1 characters",
            id="empty-scope",
        ),
        pytest.param(
            wire(permissions={"camera": "yes"}),
            "at /permissions/camera: must be boolean",
            id="permission",
        ),
        pytest.param(wire(device={}), None, id="empty-device"),
        pytest.param(
            wire(device=a_device(signedAt=-1)), "at /device/signedAt: must be >= 0", id="signed-at"
        ),
        pytest.param(
            wire(device=a_device(nonce="")),
            "at /device/nonce: must NOT have fewer than 1 characters",
            id="empty-nonce",
        ),
        pytest.param(
            wire(client=a_client(timeZone="x" * 65)),
            "at /client/timeZone: must NOT have more than 64 characters",
            id="time-zone",
        ),
    ],
)
def test_a_misfit_is_refused_in_the_published_words(value, text):
    with pytest.raises(InvalidParamsError) as caught:
        parse_connect_params(value)

    assert text is None or str(caught.value) == text


@pytest.mark.parametrize("name", ["role", "scopes", "device", "auth", "caps", "permissions"])
def test_null_is_not_a_way_to_leave_out(name):
    with pytest.raises(InvalidParamsError, match=f"^at /{name}: must be "):
        parse_connect_params(wire() | {name: None})


@pytest.mark.parametrize("oldest", [1, 3])
def test_a_nonce_may_be_missing_while_protocol_3_is_possible(oldest):
    params = parse_connect_params(wire(minProtocol=oldest, device=a_device(nonce=None)))

    assert params.device is not None
    assert params.device.nonce is None


@pytest.mark.parametrize("oldest", [4, 5])
def test_a_nonce_may_not_be_missing_from_protocol_4_on(oldest):
    with pytest.raises(
        InvalidParamsError, match=r"^at /device: must have required property 'nonce'$"
    ):
        parse_connect_params(wire(minProtocol=oldest, device=a_device(nonce=None)))


@pytest.mark.parametrize("name", ["token", "password", "deviceToken", "bootstrapToken"])
def test_a_credential_never_shows(name):
    params = parse_connect_params(wire(auth={name: "very-secret"}))

    assert "very-secret" not in repr(params)


def test_the_client_names_are_the_published_ones():
    client = PUBLISHED["ConnectParams"]["client"]

    assert set(client["id"].removeprefix("one of ").replace('"', "").split("|")) == CLIENT_IDS
    assert set(client["mode"].removeprefix("one of ").replace('"', "").split("|")) == CLIENT_MODES


@pytest.mark.parametrize("place", [None, "client", "device", "auth"])
def test_every_published_property_is_known(place):
    table = PUBLISHED["ConnectParams"]
    names = {
        name.removesuffix("?")
        for name in (
            table if place is None else table[f"{place}?"] if f"{place}?" in table else table[place]
        )
    }
    odd = dict.fromkeys(names, object())

    with pytest.raises(InvalidParamsError) as caught:
        parse_connect_params(odd if place is None else wire() | {place: odd})

    assert "unexpected property" not in str(caught.value)


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: f"{vector['clientKind']}")
def test_every_captured_connect_fits(vector):
    params = parse_connect_params(vector["connectFrame"]["params"])

    assert [params.min_protocol, params.max_protocol] == vector["protocolRange"]
    assert params.device is not None
    assert params.device.id == vector["deviceId"]


@pytest.mark.parametrize(
    ("oldest", "newest", "picked"),
    [
        (3, 3, 3),
        (4, 4, 4),
        (3, 4, 4),
        (2, 5, 4),
        (1, 3, 3),
        (4, 9, 4),
        (1, 2, None),
        (5, 6, None),
        (4, 3, None),
    ],
)
def test_the_newest_common_protocol_is_picked(oldest, newest, picked):
    assert negotiate(oldest, newest) == picked


def test_a_mismatch_echoes_the_range_and_names_ours():
    params = parse_connect_params(wire(minProtocol=5, maxProtocol=6))

    assert protocol_mismatch(params).to_wire() == {
        "code": "INVALID_REQUEST",
        "message": "protocol mismatch",
        "details": {
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": 5,
            "clientMaxProtocol": 6,
            "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        },
    }


@pytest.mark.parametrize(
    ("value", "worker"),
    [
        pytest.param({"role": "worker"}, True, id="role"),
        pytest.param({"client": {"id": "openclaw-worker"}}, True, id="client-id"),
        pytest.param({"client": {"mode": "worker"}}, True, id="client-mode"),
        pytest.param(wire(), False, id="cli"),
        pytest.param({"role": ["worker"], "client": "worker"}, False, id="misshapen"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_a_worker_is_known_before_the_schema(value, worker):
    assert claims_worker(value) is worker


@given(JSON)
def test_any_other_value_is_refused_in_words(value):
    claims_worker(value)

    with pytest.raises(InvalidParamsError) as caught:
        parse_connect_params(value)

    assert str(caught.value).isprintable()


@settings(max_examples=50)
@given(
    st.sampled_from([vector["connectFrame"]["params"] for vector in SIGNED]),
    st.dictionaries(st.sampled_from([*wire(), "role", "scopes", "auth", "device"]), JSON),
    st.dictionaries(st.sampled_from([*a_device()]), JSON | st.text()),
    st.sampled_from([3, 4]),
    st.booleans(),
)
def test_a_spoilt_connect_is_never_more_than_refused(base, changes, spoilt, protocol, local):
    value = {**base, "device": {**base["device"], **spoilt}, **changes}
    try:
        params = parse_connect_params(value)
    except InvalidParamsError:
        return
    if params.device is None:
        return

    proof = judge_device_proof(
        params,
        nonce_sent=base["device"].get("nonce") or "-",
        protocol=protocol,
        local=local,
        now_ms=base["device"]["signedAt"],
        keys=keys,
    )

    assert isinstance(proof, ProofOk | ProofFailure)
