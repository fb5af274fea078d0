from __future__ import annotations

import json
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from stores.errors import CorruptStoreError, StoreError
from stores.identity import CachedToken, Identity, TokenCache, open_identity
from stores.keys import verify

NOW_MS = 1_795_169_037_949
OTHER = "ab" * 32


def test_an_identity_is_made_once_and_then_kept(tmp_path: Path):
    folder = tmp_path / "identity"

    made = open_identity(folder, now_ms=NOW_MS)
    found = open_identity(folder, now_ms=NOW_MS + 1)

    assert found == made
    assert made.created_at_ms == NOW_MS


def test_the_file_has_the_published_shape_and_ends_with_a_newline(tmp_path: Path):
    identity = open_identity(tmp_path / "identity", now_ms=NOW_MS)

    text = (tmp_path / "identity" / "device.json").read_text()

    assert text.endswith("}\n")
    assert json.loads(text) == {
        "version": 1,
        "deviceId": identity.device_id,
        "publicKeyPem": identity.key.public_key_pem,
        "privateKeyPem": identity.key.private_key_pem,
        "createdAtMs": NOW_MS,
    }


def test_folder_and_file_are_private(tmp_path: Path):
    open_identity(tmp_path / "identity", now_ms=NOW_MS)

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "identity", tmp_path / "identity" / "device.json")
    }

    assert modes == {"identity": 0o700, "device.json": 0o600}


def test_the_key_in_the_file_signs_for_the_device(tmp_path: Path):
    open_identity(tmp_path, now_ms=NOW_MS)

    again = open_identity(tmp_path, now_ms=NOW_MS)

    assert verify(again.key.raw_public_key, b"message", again.key.sign(b"message"))


def test_two_programs_at_once_end_with_the_same_identity(tmp_path: Path):
    found: list[Identity] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_identity(tmp_path, now_ms=NOW_MS)))
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len({identity.device_id for identity in found}) == 1


def test_a_device_id_that_is_not_the_keys_is_corrected_in_the_file(tmp_path: Path):
    made = open_identity(tmp_path, now_ms=NOW_MS)
    change(tmp_path / "device.json", deviceId=OTHER)

    found = open_identity(tmp_path, now_ms=NOW_MS + 1)

    assert found == made
    assert json.loads((tmp_path / "device.json").read_text())["deviceId"] == made.device_id


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="no-key"),
        pytest.param(b'{"privateKeyPem": 1}', id="key-is-a-number"),
        pytest.param(b'{"privateKeyPem": "-----BEGIN PRIVATE KEY-----"}', id="half-a-key"),
    ],
)
def test_a_broken_identity_is_reported_and_never_overwritten(tmp_path: Path, content: bytes):
    (tmp_path / "device.json").write_bytes(content)

    with pytest.raises(CorruptStoreError) as caught:
        open_identity(tmp_path, now_ms=NOW_MS)

    assert "device.json" in caught.value.problem
    assert "`mv " in (caught.value.remedy or "")
    assert (tmp_path / "device.json").read_bytes() == content


def test_a_creation_time_that_is_none_is_forgiven(tmp_path: Path):
    open_identity(tmp_path, now_ms=NOW_MS)
    change(tmp_path / "device.json", createdAtMs="soon")

    assert open_identity(tmp_path, now_ms=NOW_MS).created_at_ms == 0


def test_a_token_is_kept_in_the_published_shape(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)

    changed = cache.save(a_token(scopes=("operator.read", "operator.admin")))

    text = (tmp_path / "device-auth.json").read_text()
    assert changed
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "version": 1,
        "deviceId": OTHER,
        "tokens": {
            "operator": {
                "token": "T0KEN",
                "role": "operator",
                "scopes": ["operator.admin", "operator.read"],
                "updatedAtMs": NOW_MS,
            }
        },
    }


def test_a_kept_token_is_found_again(tmp_path: Path):
    TokenCache(tmp_path, OTHER).save(a_token())

    assert TokenCache(tmp_path, OTHER).get("operator") == a_token()
    assert TokenCache(tmp_path, OTHER).get("node") is None


def test_the_same_token_again_costs_no_write(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)
    cache.save(a_token())

    assert not cache.save(a_token(updated_at_ms=NOW_MS + 5))


def test_tokens_of_another_device_count_as_none_and_go(tmp_path: Path):
    TokenCache(tmp_path, OTHER).save(a_token())
    cache = TokenCache(tmp_path, "cd" * 32)

    before = cache.get("operator")
    cache.save(a_token(role="node"))

    assert before is None
    assert cache.get("operator") is None
    assert TokenCache(tmp_path, OTHER).get("operator") is None


def test_a_token_of_another_role_stays(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)
    cache.save(a_token(role="node"))

    cache.save(a_token())

    assert cache.get("node") is not None


def test_a_gateway_elsewhere_is_never_shown_the_token_of_this_machines(tmp_path: Path):
    own = TokenCache(tmp_path, OTHER)
    elsewhere = TokenCache(tmp_path, OTHER, "wss://gateway.example")
    own.save(a_token())

    before = elsewhere.get("operator")
    elsewhere.save(a_token(token="THEIRS"))

    assert before is None
    assert elsewhere.get("operator") == a_token(token="THEIRS")
    assert own.get("operator") == a_token()


def test_what_other_programs_keep_in_the_file_survives(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)
    cache.save(a_token())
    change(tmp_path / "device-auth.json", theirs=[1])

    cache.save(a_token(token="NEW"))

    assert json.loads((tmp_path / "device-auth.json").read_text())["theirs"] == [1]


def test_a_refused_token_is_forgotten(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)
    cache.save(a_token())

    cache.forget(a_token())

    assert cache.get("operator") is None


def test_a_token_that_was_replaced_meanwhile_is_not_forgotten(tmp_path: Path):
    cache = TokenCache(tmp_path, OTHER)
    cache.save(a_token(token="NEW"))

    cache.forget(a_token(token="OLD"))

    assert cache.get("operator") == a_token(token="NEW")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="array"),
        pytest.param(json.dumps({"deviceId": OTHER, "tokens": []}), id="tokens-array"),
        pytest.param(json.dumps({"deviceId": OTHER, "tokens": {"operator": 1}}), id="number"),
        pytest.param(
            json.dumps({"deviceId": OTHER, "tokens": {"operator": {"token": ""}}}), id="no-value"
        ),
    ],
)
def test_a_cache_that_makes_no_sense_counts_as_none(tmp_path: Path, content: str):
    (tmp_path / "device-auth.json").write_text(content)

    assert TokenCache(tmp_path, OTHER).get("operator") is None


def test_scopes_and_times_that_make_no_sense_are_left_out(tmp_path: Path):
    entry: dict[str, Any] = {"token": "T0KEN", "scopes": ["a", 1], "updatedAtMs": "now"}
    document = {"deviceId": OTHER, "tokens": {"operator": entry, "node": entry | {"scopes": "a"}}}
    (tmp_path / "device-auth.json").write_text(json.dumps(document))
    cache = TokenCache(tmp_path, OTHER)

    assert cache.get("operator") == CachedToken("T0KEN", "operator", ("a",), 0)
    assert cache.get("node") == CachedToken("T0KEN", "node", (), 0)


def test_a_cache_that_cannot_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "device-auth.json").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError):
        TokenCache(tmp_path, OTHER).get("operator")


def test_no_secret_is_in_a_repr(tmp_path: Path):
    identity = open_identity(tmp_path, now_ms=NOW_MS)

    assert identity.key.seed.hex() not in repr(identity)
    assert "T0KEN" not in repr(a_token())


def a_token(
    *,
    token: str = "T0KEN",
    role: str = "operator",
    scopes: tuple[str, ...] = (),
    updated_at_ms: int = NOW_MS,
) -> CachedToken:
    return CachedToken(token, role, scopes, updated_at_ms)


def change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
