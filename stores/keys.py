"""Device keys: reading, naming, checking and making them.

Ed25519 (RFC 8032). On the wire a public key is base64url of its 32 raw bytes without padding, in
files it is PEM. Reading and naming a key needs no cryptography, so an offline command that only
looks at the store starts without loading it.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from binascii import a2b_base64
from functools import cache
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64

# RFC 8410: what precedes the raw key in an Ed25519 SubjectPublicKeyInfo and in a PKCS#8
# PrivateKeyInfo. Both are of fixed length, so the envelope is a constant.
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
_PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")

_PUBLIC_LABEL = "PUBLIC KEY"
_PRIVATE_LABEL = "PRIVATE KEY"

_TO_STANDARD = str.maketrans("-_", "+/")

# The y of every point of small order, encoded or over-encoded (RFC 8032, section 5.1.3). For such
# a key there are signatures that fit any message and need no secret: it identifies nobody.
_P = 2**255 - 19
_ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _P, _P + 1, _ORDER_8_Y, _P - _ORDER_8_Y})


@frozen
class KeyPair:
    """A private key and what follows from it; ``seed`` is the secret 32 bytes of RFC 8032."""

    seed: bytes = field(repr=False)
    raw_public_key: bytes

    @property
    def device_id(self) -> str:
        """The device id this key stands for."""
        return device_id_of(self.raw_public_key)

    @property
    def public_key(self) -> str:
        """The public key as it goes over the wire."""
        return encode_key(self.raw_public_key)

    @property
    def public_key_pem(self) -> str:
        """The public key as identity files hold it (SubjectPublicKeyInfo)."""
        return public_key_pem(self.raw_public_key)

    @property
    def private_key_pem(self) -> str:
        """The private key as identity files hold it (PKCS#8, unencrypted)."""
        return _pem(_PRIVATE_LABEL, _PKCS8_PREFIX + self.seed)

    def sign(self, message: bytes) -> str:
        """Return the signature of ``message`` as it goes over the wire."""
        # Late: offline commands sign nothing and should not wait for the import.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return _base64url(Ed25519PrivateKey.from_private_bytes(self.seed).sign(message))


def generate() -> KeyPair:
    """Return a new key pair from the system's randomness."""
    # Late: see `KeyPair.sign`.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return key_pair_of_seed(Ed25519PrivateKey.generate().private_bytes_raw())


def key_pair_of_seed(seed: bytes) -> KeyPair:
    """Return the key pair of a 32-byte seed.

    Raises:
        ValueError: ``seed`` is of another length.
    """
    # Late: see `KeyPair.sign`.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(seed)
    return KeyPair(seed, private.public_key().public_bytes_raw())


def load_private_key_pem(text: str) -> KeyPair | None:
    """Return the key pair of an unencrypted PKCS#8 PEM, or None if it is no Ed25519 key."""
    # Late: see `KeyPair.sign`.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(text.encode("utf-8", "replace"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        return None
    if not isinstance(private, Ed25519PrivateKey):
        return None
    return key_pair_of_seed(private.private_bytes_raw())


def decode_public_key(text: str) -> bytes | None:
    """Return the 32 raw bytes of a public key, or None if ``text`` is no usable key.

    Reads base64url, standard base64 and PEM. A key of small order is none: its signatures can be
    forged.
    """
    raw = _decode_spki(text) if "-----BEGIN" in text else _decode_base64(text)
    if raw is None or len(raw) != KEY_BYTES or _is_small_order(raw):
        return None
    return raw


def encode_key(raw: bytes) -> str:
    """Return a raw public key as it goes over the wire: 43 characters of base64url."""
    return _base64url(raw)


def public_key_pem(raw: bytes) -> str:
    """Return a raw public key as identity files hold it (SubjectPublicKeyInfo)."""
    return _pem(_PUBLIC_LABEL, _SPKI_PREFIX + raw)


def device_id_of(raw: bytes) -> str:
    """Return the device id of a raw public key: lower-case hex of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()


def verify(raw_public_key: bytes, message: bytes, signature_text: str) -> bool:
    """Tell whether the key signed ``message``; the signature is base64url or standard base64.

    Never raises: whatever cannot be checked is not valid.
    """
    signature = _decode_base64(signature_text)
    if signature is None or len(signature) != SIGNATURE_BYTES:
        return False
    public_key, invalid_signature = _cryptography()
    try:
        public_key.from_public_bytes(raw_public_key).verify(signature, message)
    except (invalid_signature, ValueError):  # ValueError: not 32 bytes
        return False
    return True


@cache
def _cryptography() -> tuple[type[Ed25519PublicKey], type[Exception]]:
    # Late: see `KeyPair.sign`. Once: even an import that is done already costs its look-up.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey, InvalidSignature


def _is_small_order(raw: bytes) -> bool:
    # The top bit is the sign of x.
    return int.from_bytes(raw, "little") & (2**255 - 1) in _SMALL_ORDER_Y


def _decode_spki(pem: str) -> bytes | None:
    body = pem.strip().removeprefix(f"-----BEGIN {_PUBLIC_LABEL}-----")
    der = _decode_base64("".join(body.removesuffix(f"-----END {_PUBLIC_LABEL}-----").split()))
    if der is None or not der.startswith(_SPKI_PREFIX):
        return None
    return der.removeprefix(_SPKI_PREFIX)


def _decode_base64(text: str) -> bytes | None:
    body = text.translate(_TO_STANDARD).rstrip("=")
    try:
        return a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    except ValueError:
        return None


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _pem(label: str, der: bytes) -> str:
    # RFC 7468: lines of 64 characters, which is what either key takes at most.
    return f"-----BEGIN {label}-----\n{b64encode(der).decode('ascii')}\n-----END {label}-----\n"
