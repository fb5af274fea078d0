"""Certificate and key of a gateway: taken, made, warned of or refused before it serves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.tls import open_tls, refuse_broken_tls, tls_in_force
from stores.certificate import VALID_DAYS
from stores.config.load import LoadedConfig, interpret
from stores.errors import ConfigError
from stores.paths import Paths
from tests.pems import Pair, a_pair

NOW_MS = 1_795_000_000_000


def loaded_with(text: str, *, folder: Path = Path("/etc/gw")) -> LoadedConfig:
    return interpret(folder / "openclaw.json", f"{{gateway: {text}}}", {})


def paths_of(folder: Path) -> Paths:
    return Paths(folder, folder / "openclaw.json")


def test_the_certificate_that_is_made_knows_this_machines_names_and_origin(tmp_path: Path):
    loaded = loaded_with('{tls: {enabled: true}, publicOrigin: "https://gw.example:8443"}')

    tls = open_tls(loaded, {}, paths_of(tmp_path), names=("box", "bad name", "ü"), now_ms=NOW_MS)

    assert tls is not None
    names = tls.certificate.names
    assert names[:5] == ("gw.example", "localhost", "box", "127.0.0.1", "::1")
    assert tls.renew_at_ms is not None


@pytest.mark.parametrize("origin", ["https://10.0.0.1", "https://[fd00::1]:8443"])
def test_an_origin_that_is_an_address_is_no_name(tmp_path: Path, origin: str):
    loaded = loaded_with(f'{{tls: {{enabled: true}}, publicOrigin: "{origin}"}}')

    tls = open_tls(loaded, {}, paths_of(tmp_path), names=(), now_ms=NOW_MS)

    assert tls is not None
    assert tls.certificate.names[0] == "localhost"


def pair_config(pair: Pair, more: str = "") -> str:
    return f'{{tls: {{enabled: true, certPath: "{pair.cert}", keyPath: "{pair.key}"{more}}}}}'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"begins_days": -9, "ends_days": -2}, "expired on 20", id="expired"),
        pytest.param({"begins_days": 3}, "counts only from 20", id="not-yet"),
    ],
)
def test_a_certificate_whose_time_is_not_now_serves_with_a_warning(
    tmp_path: Path, changes: dict[str, float], words: str
):
    pair = a_pair(tmp_path, **changes)  # type: ignore[arg-type]  # numbers, as all that is given

    tls = tls_in_force(*2 * (loaded_with(pair_config(pair)),), {}, paths_of(tmp_path))

    assert tls is not None
    (warning,) = tls.warnings
    assert words in warning


def test_a_key_that_every_user_can_read_serves_with_a_warning(tmp_path: Path):
    pair = a_pair(tmp_path)
    pair.key.chmod(0o644)

    tls = tls_in_force(*2 * (loaded_with(pair_config(pair)),), {}, paths_of(tmp_path))

    assert tls is not None
    assert f"`chmod o-rwx {pair.key}`" in tls.warnings[0]


def test_the_key_of_another_certificate_is_refused_naming_both(tmp_path: Path):
    one, two = a_pair(tmp_path, "one"), a_pair(tmp_path, "two")
    os.replace(two.key, one.key)
    loaded = loaded_with(pair_config(one))

    with pytest.raises(ConfigError) as caught:
        tls_in_force(loaded, loaded, {}, paths_of(tmp_path))

    assert f"gateway.tls.keyPath: {one.key} is not the key" in caught.value.problem
    assert str(one.cert) in caught.value.problem


@pytest.mark.parametrize("text", ["nothing here", None])
def test_authorities_that_are_none_are_refused(tmp_path: Path, text: str | None):
    pair, file = a_pair(tmp_path), tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    loaded = loaded_with(pair_config(pair, f', caPath: "{file}"'))

    with pytest.raises(ConfigError, match=r"^gateway\.tls\.caPath: ") as caught:
        tls_in_force(loaded, loaded, {}, paths_of(tmp_path))

    assert "openclaw config unset gateway.tls.caPath" in str(caught.value.remedy)


def test_whether_to_encrypt_is_decided_at_the_start(tmp_path: Path):
    on, off = loaded_with("{tls: {enabled: true}}"), loaded_with("{}")
    paths = paths_of(tmp_path)

    assert tls_in_force(off, off, {}, paths) is None
    assert tls_in_force(on, off, {}, paths) is None
    assert not (tmp_path / "tls").exists()
    begun = tls_in_force(on, on, {}, paths)
    assert begun is not None
    kept = tls_in_force(off, on, {}, paths)
    assert kept is not None
    assert kept.fingerprint == begun.fingerprint


def test_files_that_the_next_start_would_stumble_over_are_refused_before(tmp_path: Path):
    on = loaded_with('{tls: {enabled: true, certPath: "nowhere", keyPath: "k"}}')
    off, paths = loaded_with("{}"), paths_of(tmp_path)

    with pytest.raises(ConfigError, match="certPath"):
        tls_in_force(on, off, {}, paths)
    with pytest.raises(ConfigError, match="certPath"):
        refuse_broken_tls(on, {}, paths)
    refuse_broken_tls(off, {}, paths)
    refuse_broken_tls(loaded_with("{tls: {enabled: true}}"), {}, paths)


def test_one_that_was_made_and_ends_is_made_anew(tmp_path: Path):
    loaded, paths = loaded_with("{tls: {enabled: true}}"), paths_of(tmp_path)
    first = open_tls(loaded, {}, paths, names=(), now_ms=NOW_MS)
    later_ms = NOW_MS + VALID_DAYS * 86_400_000

    second = open_tls(loaded, {}, paths, names=(), now_ms=later_ms)

    assert first is not None
    assert second is not None
    assert first.renew_at_ms is not None
    assert first.renew_at_ms < later_ms < (second.renew_at_ms or 0)
    assert first.fingerprint != second.fingerprint
