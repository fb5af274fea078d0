"""Fingerprints: of a certificate, which people compare and pins hold; of a secret, to tell two apart."""

from __future__ import annotations

import hashlib

#: Keeps the fingerprint of a secret from being one that other programs publish of it.
_SECRET_PREFIX = b"openclaw-gateway secret\0"
_SECRET_DIGITS = 8


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate, 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def in_pairs(fingerprint: str) -> str:
    """Return a fingerprint as other programs show it: upper case, colons between."""
    text = fingerprint.upper()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


def secret_fingerprint(secret: str) -> str:
    """Return 8 hex digits that tell whether two secrets are the same, and not what they are."""
    data = secret.encode("utf-8", "surrogatepass")
    return hashlib.sha256(_SECRET_PREFIX + data).hexdigest()[:_SECRET_DIGITS]
