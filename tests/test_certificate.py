"""Which certificate a gateway has, what is wrong with it, and the one it makes itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from attrs import evolve

from stores.certificate import (
    RENEW_DAYS,
    VALID_DAYS,
    CertificateFiles,
    certificate_files,
    check_key,
    day_of,
    ensure_own,
    key_is_exposed,
    mismatch,
    read_certificate,
    read_fingerprint,
    renew_at_ms,
)
from stores.config.load import interpret
from stores.errors import ConfigError, StoreError, UserFacingError
from stores.fingerprint import in_pairs
from tests.pems import a_pair

NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
NOBODY = 65_534
ADDRESSES = (ip_address("127.0.0.1"), ip_address("::1"))


def own(folder: Path) -> CertificateFiles:
    return CertificateFiles(folder / "tls" / "c.pem", folder / "tls" / "k.pem", own=True)


def make(files: CertificateFiles, *, now_ms: int = NOW_MS) -> bool:
    return ensure_own(files, names=["localhost", "box"], addresses=ADDRESSES, now_ms=now_ms)


def files_of(text: str, folder: Path) -> CertificateFiles:
    loaded = interpret(Path("/etc/gw/openclaw.json"), f"{{gateway: {{tls: {text}}}}}", {})
    return certificate_files(loaded, {"HOME": "/home/u"}, folder)


def test_the_files_named_are_looked_for_beside_the_configuration(tmp_path):
    files = files_of('{certPath: "c.pem", keyPath: "~/k.pem", caPath: "/ca.pem"}', tmp_path)

    assert files == CertificateFiles(
        Path("/etc/gw/c.pem"), Path("/home/u/k.pem"), Path("/ca.pem"), own=False
    )


def test_without_names_they_are_in_the_state_directory(tmp_path):
    files = files_of("{}", tmp_path)

    assert (files.cert, files.key) == (
        tmp_path / "tls" / "gateway-cert.pem",
        tmp_path / "tls" / "gateway-key.pem",
    )
    assert files.own


def test_none_named_and_none_to_be_made_is_refused_with_both_keys(tmp_path):
    with pytest.raises(ConfigError, match=r"certPath is not set and gateway\.tls\.autoGenerate"):
        files_of("{enabled: true, autoGenerate: false}", tmp_path)


def test_one_is_made_once_and_kept(tmp_path):
    files = own(tmp_path)

    assert make(files)
    first = files.cert.read_bytes(), files.key.read_bytes()
    assert not make(files)

    assert (files.cert.read_bytes(), files.key.read_bytes()) == first
    made = (files.cert.parent, files.cert, files.key)
    modes = [stat.S_IMODE(os.stat(one).st_mode) for one in made]
    assert modes == [0o700, 0o600, 0o600]


def test_the_one_that_is_made_says_who_and_until_when(tmp_path):
    files = own(tmp_path)
    make(files)

    found = read_certificate(files)

    assert found.names == ("localhost", "box", "127.0.0.1", "::1")
    assert found.self_signed
    assert found.not_before_ms < NOW_MS < found.not_after_ms
    assert found.not_after_ms - found.not_before_ms == VALID_DAYS * DAY_MS
    assert found.fingerprint == read_fingerprint(files)


@pytest.mark.real("openssl")
def test_openssl_sees_the_same_fingerprint_and_a_key_that_fits(tmp_path):
    files = own(tmp_path)
    make(files)

    def openssl(*words: str) -> str:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    said = openssl("x509", "-in", str(files.cert), "-noout", "-fingerprint", "-sha256")
    of_key = openssl("pkey", "-in", str(files.key), "-pubout")
    assert said.rpartition("=")[2] == in_pairs(read_fingerprint(files))
    assert openssl("x509", "-in", str(files.cert), "-noout", "-pubkey") == of_key


def test_one_that_ends_soon_is_made_anew_with_the_same_key(tmp_path):
    files = own(tmp_path)
    make(files)
    old, key = read_certificate(files), files.key.read_bytes()
    due_ms = renew_at_ms(old)
    assert due_ms == old.not_after_ms - RENEW_DAYS * DAY_MS

    assert not make(files, now_ms=due_ms - 1)
    assert make(files, now_ms=due_ms)

    assert read_certificate(files).not_after_ms > old.not_after_ms
    assert files.key.read_bytes() == key


@pytest.mark.parametrize("gone", ["cert", "key"])
def test_half_a_pair_is_made_anew(tmp_path, gone):
    files = own(tmp_path)
    make(files)
    (files.cert if gone == "cert" else files.key).unlink()

    assert make(files)

    check_key(files)
    assert files.cert.exists()


def test_a_damaged_key_is_replaced_when_the_certificate_is_made_anew(tmp_path):
    files = own(tmp_path)
    make(files)
    files.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")

    assert make(files, now_ms=NOW_MS + VALID_DAYS * DAY_MS)

    assert b"AAAA\n-----END" not in files.key.read_bytes()


@pytest.mark.parametrize("what", ["folder", "key", "cert"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path, what):
    files = own(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if what == "folder":
        files.cert.parent.symlink_to(elsewhere)
    else:
        files.cert.parent.mkdir()
        (files.key if what == "key" else files.cert).symlink_to(elsewhere / "target")

    with pytest.raises(StoreError, match="symbolic link"):
        make(files)

    assert list(elsewhere.iterdir()) == []


def broken(folder: Path, case: str) -> CertificateFiles:
    """Return files of which one cannot be used."""
    good = a_pair(folder)
    files = CertificateFiles(good.cert, good.key)
    text = folder / "text"
    text.write_text("no PEM in here")
    cut = folder / "cut.pem"
    cut.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    odd = folder / "odd.pem"
    odd.write_text("-----BEGIN CERTIFICATE-----\nA!A\n-----END CERTIFICATE-----\n")
    return {
        "no-cert": evolve(files, cert=folder / "nowhere.pem"),
        "no-key": evolve(files, key=folder / "nowhere.pem"),
        "folder": evolve(files, cert=folder),
        "cert-text": evolve(files, cert=text),
        "key-text": evolve(files, key=text),
        "swapped": evolve(files, cert=good.key),
        "key-is-cert": evolve(files, key=good.cert),
        "cut": evolve(files, cert=cut),
        "odd": evolve(files, cert=odd),
    }[case]


@pytest.mark.parametrize(
    ("case", "key", "words"),
    [
        pytest.param("no-cert", "certPath", "does not exist", id="no-certificate"),
        pytest.param("no-key", "keyPath", "does not exist", id="no-key"),
        pytest.param("folder", "", "a folder", id="folder"),
        pytest.param("cert-text", "certPath", "holds no certificate", id="no-pem"),
        pytest.param("key-text", "keyPath", "holds no private key", id="key-no-pem"),
        pytest.param("swapped", "certPath", "holds a private key where", id="swapped"),
        pytest.param("key-is-cert", "keyPath", "holds a certificate where", id="key-is-cert"),
        pytest.param("cut", "certPath", "damaged", id="cut"),
        pytest.param("odd", "certPath", "damaged", id="odd"),
    ],
)
def test_what_cannot_serve_is_refused_naming_key_and_file(tmp_path, case, key, words):
    files = broken(tmp_path, case)

    with pytest.raises(ConfigError) as caught:
        _ = read_certificate(files), check_key(files)  # type: ignore[func-returns-value]  # in order

    assert words in caught.value.problem
    assert str(tmp_path) in caught.value.problem
    if key:
        assert caught.value.problem.startswith(f"gateway.tls.{key}: ")
        assert f"openclaw config set gateway.tls.{key} FILE" in str(caught.value.remedy)


def test_a_key_with_a_passphrase_is_refused_with_the_way_to_write_it_without(tmp_path):
    pair = a_pair(tmp_path, passphrase=b"secret words")

    with pytest.raises(ConfigError, match="asks for a passphrase") as caught:
        check_key(CertificateFiles(pair.cert, pair.key))

    assert f"openssl pkey -in {pair.key} -out {pair.key}.plain" in str(caught.value.remedy)


def test_what_the_gateway_made_and_somebody_broke_is_made_anew_by_removing_it(tmp_path):
    files = own(tmp_path)
    make(files)
    files.cert.write_text("nothing")

    with pytest.raises(ConfigError, match="which the gateway makes itself") as caught:
        make(files)

    assert f"rm -f {files.cert} {files.key}" in str(caught.value.remedy)
    assert str(files.cert) in mismatch(files).problem


@contextlib.contextmanager
def without_root() -> Iterator[None]:
    """Give up what lets root read everything, and take it back."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path):
    pair = a_pair(tmp_path)
    pair.key.chmod(0)

    with without_root(), pytest.raises(UserFacingError, match="cannot read"):
        check_key(CertificateFiles(pair.cert, pair.key))


def test_every_file_that_is_read_is_named(tmp_path):
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"

    assert CertificateFiles(one, two).all == (one, two)
    assert CertificateFiles(one, two, three).all == (one, two, three)


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_key_that_everybody_may_read_is_known(tmp_path, mode, exposed):
    pair = a_pair(tmp_path)
    pair.key.chmod(mode)

    assert key_is_exposed(CertificateFiles(pair.cert, pair.key)) is exposed


def test_a_key_that_is_gone_is_not_exposed(tmp_path):
    pair = a_pair(tmp_path)
    shutil.rmtree(tmp_path)

    assert not key_is_exposed(CertificateFiles(pair.cert, pair.key))


def test_a_certificate_without_names_has_none_to_tell(tmp_path):
    pair = a_pair(tmp_path, names=())

    assert read_certificate(CertificateFiles(pair.cert, pair.key)).names == ()


def test_days_are_told_in_utc():
    assert day_of(0) == "1970-01-01"
