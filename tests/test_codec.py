from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import codec
from stores.records import DeviceNote, DeviceToken, PairedDevice, PendingRequest
from tests.builders import a_device, a_request

VECTORS = Path(__file__).parent / "vectors" / "stores" / "2026.2.19"
FILES = sorted(VECTORS.glob("*-devices/*.json"))

TOKEN = {"token": "t", "role": "operator"}
PAIRED: dict[str, Any] = {"deviceId": "d", "publicKey": "k"}

texts = st.text(max_size=8)
maybe_texts = st.none() | texts
text_tuples = st.lists(texts, max_size=3).map(tuple)
times = st.integers(min_value=-(2**53), max_value=2**53)
extras = st.dictionaries(
    st.sampled_from(["browserOrigin", "approvedVia", "x_y"]),
    st.none() | st.booleans() | times | texts | st.lists(texts, max_size=2),
    max_size=2,
)
tokens = st.builds(
    DeviceToken,
    token=texts,
    role=texts,
    scopes=text_tuples,
    created_at_ms=times,
    rotated_at_ms=st.none() | times,
    last_used_at_ms=st.none() | times,
    revoked_at_ms=st.none() | times,
    previous_token_sha256=maybe_texts,
    extra=extras,
)
devices = st.builds(
    PairedDevice,
    device_id=texts,
    public_key=texts,
    display_name=maybe_texts,
    device_family=maybe_texts,
    role=maybe_texts,
    roles=text_tuples,
    scopes=text_tuples,
    approved_scopes=st.none() | text_tuples,
    tokens=st.dictionaries(texts, tokens, max_size=2),
    created_at_ms=times,
    approved_at_ms=times,
    last_seen_at_ms=st.none() | times,
    extra=extras,
)


def test_there_are_vectors():
    assert len(FILES) == 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_published_store_is_written_back_byte_for_byte(path):
    kind = PairedDevice if path.stem == "paired" else PendingRequest
    raw = orjson.loads(path.read_bytes())

    records = {key: codec.load(value, kind) for key, value in raw.items()}
    again = {key: codec.dump(record) for key, record in records.items()}

    assert orjson.dumps(again, option=orjson.OPT_INDENT_2) == path.read_bytes()


@given(devices)
def test_every_device_survives_the_way_to_json_and_back(device):
    plain = orjson.loads(orjson.dumps(codec.dump(device)))

    assert codec.load(plain, PairedDevice) == device


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("device_id", "deviceId"),
        ("ts", "ts"),
        ("first_seen_at_ms", "firstSeenAtMs"),
        ("previous_token_sha256", "previousTokenSha256"),
        ("remote_ip", "remoteIp"),
    ],
)
def test_attributes_are_spelled_as_on_the_wire(name, spelling):
    assert codec.camel(name) == spelling


def test_keys_come_in_the_order_of_published_files():
    keys = list(codec.dump(a_request(display_name="desk", remote_ip="192.0.2.1")))

    assert keys == [
        *("requestId", "deviceId", "publicKey", "displayName", "platform", "clientId"),
        *("clientMode", "role", "roles", "scopes", "remoteIp", "silent", "isRepair", "ts"),
    ]


def test_an_optional_key_that_is_absent_stays_absent():
    dumped = codec.dump(codec.load(PAIRED, PairedDevice))

    assert not {"displayName", "approvedScopes", "lastSeenAtMs", "role"} & set(dumped)
    assert dumped["tokens"] == {}


def test_an_empty_list_is_not_an_absent_one():
    device = codec.load(PAIRED | {"approvedScopes": []}, PairedDevice)

    assert device.approved_scopes == ()
    assert codec.dump(device)["approvedScopes"] == []


def test_null_counts_as_absent():
    device = codec.load(PAIRED | {"displayName": None, "scopes": None}, PairedDevice)

    assert device.display_name is None
    assert device.scopes == ()
    assert "displayName" not in codec.dump(device)


def test_unknown_keys_survive_at_every_level():
    raw = PAIRED | {
        "tokens": {"operator": TOKEN | {"mintedBy": {"a": [1]}}},
        "approvedVia": "owner",
        "nothing": None,
    }

    device = codec.load(raw, PairedDevice)
    dumped = codec.dump(attrs.evolve(device, display_name="desk"))

    assert device.extra == {"approvedVia": "owner", "nothing": None}
    assert dumped["approvedVia"] == "owner"
    assert dumped["nothing"] is None
    assert dumped["tokens"]["operator"]["mintedBy"] == {"a": [1]}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        pytest.param({"publicKey": "k"}, "required field missing @ $.deviceId", id="missing"),
        pytest.param(
            PAIRED | {"publicKey": None}, "required field missing @ $.publicKey", id="null-required"
        ),
        pytest.param(
            PAIRED | {"createdAtMs": True}, "expected int, got bool @ $.createdAtMs", id="bool"
        ),
        pytest.param(
            PAIRED | {"createdAtMs": 1.5}, "expected int, got float @ $.createdAtMs", id="float"
        ),
        pytest.param(
            PAIRED | {"lastSeenAtMs": "1"}, "expected int, got str @ $.lastSeenAtMs", id="text"
        ),
        pytest.param(
            PAIRED | {"displayName": 1}, "expected str, got int @ $.displayName", id="number"
        ),
        pytest.param(
            PAIRED | {"roles": "operator"}, "expected list, got str @ $.roles", id="no-list"
        ),
        pytest.param(PAIRED | {"scopes": [1]}, "expected str, got int @ $.scopes", id="in-list"),
        pytest.param(PAIRED | {"tokens": []}, "expected object, got list @ $.tokens", id="tokens"),
        pytest.param(
            PAIRED | {"tokens": {"operator": 1}},
            "expected object, got int @ $.tokens.operator",
            id="token",
        ),
        pytest.param(
            PAIRED | {"tokens": {"my_role": TOKEN | {"revokedAtMs": "x"}}},
            "expected int, got str @ $.tokens.my_role.revokedAtMs",
            id="in-token",
        ),
        pytest.param([], "expected object, got list @ $", id="no-object"),
        pytest.param(None, "expected object, got NoneType @ $", id="null"),
    ],
)
def test_a_fault_is_refused_and_told_with_its_path(raw, fault):
    with pytest.raises(ValueError) as caught:
        codec.load(raw, PairedDevice)

    assert str(caught.value) == fault


def test_every_fault_is_told():
    with pytest.raises(ValueError) as caught:
        codec.load({"publicKey": 1, "approvedAtMs": ""}, PairedDevice, at="$.d1")

    assert sorted(str(caught.value).split("; ")) == [
        "expected int, got str @ $.d1.approvedAtMs",
        "expected str, got int @ $.d1.publicKey",
        "required field missing @ $.d1.deviceId",
    ]


@pytest.mark.parametrize("value", ["true", 1, 0, []], ids=repr)
def test_a_flag_is_true_or_false_and_nothing_like_it(value):
    with pytest.raises(ValueError, match=r"expected bool, got \w+ @ \$\.blocked"):
        codec.load({"blocked": value}, DeviceNote)


def test_a_note_may_be_empty():
    assert codec.load({}, DeviceNote) == DeviceNote()


def test_a_device_with_two_roles_is_written_with_both_tokens():
    dumped = codec.dump(a_device(roles=["operator", "node"]))

    assert list(dumped["tokens"]) == ["operator", "node"]
    assert dumped["tokens"]["node"]["scopes"] == []


def test_thousands_of_devices_share_the_names_they_have_in_common():
    one, other = (
        codec.load(json.loads(json.dumps(codec.dump(a_device(1)))), PairedDevice) for _ in "ab"
    )

    assert one.scopes is other.scopes
    assert one.platform is other.platform
    assert one.tokens["operator"].role is other.tokens["operator"].role
    assert one.device_id is not other.device_id
