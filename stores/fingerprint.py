"""The fingerprint of a certificate: what people compare, and what a pin holds."""

from __future__ import annotations

import hashlib


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate, 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def in_pairs(fingerprint: str) -> str:
    """Return a fingerprint as other programs show it: upper case, colons between."""
    text = fingerprint.upper()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))
