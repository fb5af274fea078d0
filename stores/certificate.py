"""The certificate of a gateway that encrypts: which files, what is wrong with them, its fingerprint.

Named by the configuration, or made here: self-signed, once, and kept, so that a pin stays true.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from stores.config.load import LoadedConfig
from stores.errors import ConfigError, StoreError
from stores.files import ensure_private_dir, read_file, replace_file
from stores.fingerprint import fingerprint_of
from stores.plain_file import read_regular, who_may

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

FOLDER, CERTIFICATE, KEY = "tls", "gateway-cert.pem", "gateway-key.pem"

#: The longest that macOS and iOS take from a certificate that its user trusts by hand.
VALID_DAYS = 825
#: One that was made here and ends within this is made anew, with the same key.
RENEW_DAYS = 30
#: How far the clock of a client may be behind ours.
_SLACK = timedelta(hours=1)

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----")
_LOCKED = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE
)

# What the key may not be used for: all but signing the handshake.
_UNUSED = (
    *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)

Address = IPv4Address | IPv6Address


@frozen
class CertificateFiles:
    """Chain and private key, PEM; ``own`` are made here, ``ca`` holds who vouches for clients."""

    cert: Path
    key: Path
    ca: Path | None = None
    own: bool = False

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return (self.cert, self.key, *([self.ca] if self.ca else []))


@frozen
class Certificate:
    """What a certificate says; ``fingerprint`` is the SHA-256 of its DER form, 64 hex digits."""

    fingerprint: str
    not_before_ms: int
    not_after_ms: int
    self_signed: bool
    names: tuple[str, ...]


def certificate_files(
    loaded: LoadedConfig, env: Mapping[str, str], state_dir: Path
) -> CertificateFiles:
    """Return where certificate and key are, whether they are there or not.

    Raises:
        ConfigError: none is named, and none may be made.
    """
    tls = loaded.config.gateway.tls
    ca = loaded.resolve_file(tls.ca_path, env) if tls.ca_path else None
    if tls.cert_path and tls.key_path:
        cert, key = (loaded.resolve_file(name, env) for name in (tls.cert_path, tls.key_path))
        return CertificateFiles(cert, key, ca)
    if not tls.auto_generate:
        raise ConfigError(
            "gateway.tls.enabled is true, but gateway.tls.certPath is not set and "
            "gateway.tls.autoGenerate is false",
            remedy="let one be made with `openclaw config set gateway.tls.autoGenerate true`, or name "
            "certificate and key: `openclaw config set gateway.tls "
            """'{"enabled": true, "certPath": "FILE", "keyPath": "FILE"}'`""",
        )
    folder = state_dir / FOLDER
    return CertificateFiles(folder / CERTIFICATE, folder / KEY, ca, own=True)


def read_fingerprint(files: CertificateFiles) -> str:
    """Return the fingerprint of the certificate in force, without looking at anything else in it.

    Raises:
        ConfigError: there is no certificate to read.
    """
    return fingerprint_of(_first_der(files))


def read_certificate(files: CertificateFiles) -> Certificate:
    """Return what the certificate in force says.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    from cryptography import x509  # late: only those who show it need it

    der = _first_der(files)
    try:
        found = x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise _unusable(files, "certPath", "holds a damaged certificate") from error
    return Certificate(
        fingerprint_of(der),
        _ms(found.not_valid_before_utc),
        _ms(found.not_valid_after_utc),
        found.issuer == found.subject,
        _names_in(found),
    )


def check_key(files: CertificateFiles) -> None:
    """Refuse a key file that cannot serve, in words; whether it fits is for OpenSSL to say.

    Raises:
        ConfigError: it is not there, is none, or asks for a passphrase.
    """
    data = _read(files, "keyPath")
    if _LOCKED.search(data):
        out = shlex.quote(f"{files.key}.plain")
        raise ConfigError(
            f"gateway.tls.keyPath: {files.key} asks for a passphrase, which nobody can type here",
            remedy="write it without one, for your user alone: `umask 077; openssl pkey -in "
            f"{shlex.quote(str(files.key))} -out {out}`, and name that file",
        )
    if not _PRIVATE.search(data):
        what = "holds a certificate where the private key belongs" if _BLOCK.search(data) else ""
        raise _unusable(files, "keyPath", what or "holds no private key in PEM form")


def mismatch(files: CertificateFiles) -> ConfigError:
    """Return the refusal of a key and a certificate that do not belong together."""
    if files.own:
        return _unusable(files, "keyPath", f"does not belong to {files.cert}")
    return _unusable(
        files, "keyPath", f"is not the key of the certificate in gateway.tls.certPath, {files.cert}"
    )


def key_is_exposed(files: CertificateFiles) -> bool:
    """Tell whether all users of the machine can read the private key."""
    try:
        return bool(files.key.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def day_of(at_ms: int) -> str:
    """Return the day of a moment, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def ensure_own(
    files: CertificateFiles, *, names: Sequence[str], addresses: Sequence[Address], now_ms: int
) -> bool:
    """Make the gateway's own certificate where there is none, or it ends soon; tell whether.

    One that ends keeps its key, so that a crash on the way never leaves two that do not fit.

    Locking: the caller holds the lock of the state directory.

    Raises:
        StoreError: the files cannot be written, or one of them is a symbolic link.
        ConfigError: what is there is no certificate.
    """
    assert files.own
    kept = read_file(files.key) if read_file(files.cert) else None
    if kept is not None and now_ms < renew_at_ms(read_certificate(files)):
        return False
    if files.cert.parent.is_symlink():
        raise StoreError(
            f"{files.cert.parent} is a symbolic link, and private keys are not put behind one",
            remedy=f"remove it: `rm {shlex.quote(str(files.cert.parent))}`",
        )
    ensure_private_dir(files.cert.parent)
    key, pem = _key_of(None if kept is None else kept[0])
    if pem is not None:
        replace_file(files.key, pem)
    replace_file(files.cert, _signed_by_itself(key, names, addresses, now_ms))
    return True


def renew_at_ms(certificate: Certificate) -> int:
    """Return when a certificate that was made here is made anew."""
    return certificate.not_after_ms - RENEW_DAYS * 86_400_000


def _key_of(pem: bytes | None) -> tuple[ec.EllipticCurvePrivateKey, bytes | None]:
    """Return the key to sign with, and its PEM form if it is a new one."""
    from cryptography.hazmat.primitives import serialization as form  # late: once in two years
    from cryptography.hazmat.primitives.asymmetric import ec

    if pem is not None:
        try:
            found = form.load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            found = None
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found, None
    key = ec.generate_private_key(ec.SECP256R1())
    how = form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    return key, key.private_bytes(*how)


def _signed_by_itself(
    key: ec.EllipticCurvePrivateKey, names: Sequence[str], addresses: Sequence[Address], now_ms: int
) -> bytes:
    from cryptography import x509  # late: once in two years
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openclaw-gateway")])
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    known: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(names)]
    known += [x509.IPAddress(address) for address in dict.fromkeys(addresses)]
    no = dict.fromkeys(_UNUSED, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now - _SLACK + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **no), critical=True)
        .add_extension(server, critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _first_der(files: CertificateFiles) -> bytes:
    """Return the server's own certificate: the first one in the file."""
    data = _read(files, "certPath")
    block = _BLOCK.search(data)
    if block is None:
        what = "holds a private key where the certificate belongs" if _PRIVATE.search(data) else ""
        raise _unusable(files, "certPath", what or "holds no certificate in PEM form")
    try:
        return base64.b64decode(b"".join(block[1].split()), validate=True)
    except binascii.Error as error:
        raise _unusable(files, "certPath", "holds a damaged certificate") from error


def _read(files: CertificateFiles, key: str) -> bytes:
    path = files.cert if key == "certPath" else files.key
    try:
        return read_regular(path)
    except FileNotFoundError as error:
        raise _unusable(files, key, "does not exist") from error
    except PermissionError as error:
        clause, remedy = who_may(path)
        text = f"gateway.tls.{key}: cannot read {path} ({clause})"
        raise ConfigError(text, remedy=remedy) from error
    except OSError as error:
        raise _unusable(files, key, f"cannot be read: {error.strerror or error}") from error


def _unusable(files: CertificateFiles, key: str, what: str) -> ConfigError:
    path = files.cert if key == "certPath" else files.key
    if files.own:
        both = " ".join(shlex.quote(str(one)) for one in (files.cert, files.key))
        return ConfigError(
            f"{path}, which the gateway makes itself, {what}",
            remedy=f"let the next start make it anew: `rm -f {both}`, then `openclaw gateway run`; "
            "whoever has pinned the old one must pin the new one",
        )
    return ConfigError(
        f"gateway.tls.{key}: {path} {what}",
        remedy=f"name the right file with `openclaw config set gateway.tls.{key} FILE`",
    )


def _names_in(found: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509  # late: only those who show it need it

    try:
        known = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    names = known.get_values_for_type(x509.DNSName)
    return (*names, *(str(one) for one in known.get_values_for_type(x509.IPAddress)))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
