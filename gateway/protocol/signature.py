"""The strings a device signs, and the judgement of its proof.

Source: protocol fact, the device auth payloads v1 to v3: fields joined by ``|``, nothing escaped.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Protocol

from attrs import field, frozen

from gateway.protocol.connect import AuthClaim, ConnectParams
from gateway.protocol.errors import DetailCode, ErrorCode, ErrorShape

# Protocol fact: 2026.2.19 allows ten minutes, everything from 2026.2.26 on two.
MAX_SKEW_MS = {3: 600_000, 4: 120_000}

# What ECMAScript's String.trim takes away, which is not what Python's strip does.
_ECMASCRIPT_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Keys(Protocol):
    """What the judgement needs to know of keys; a module may be one."""

    def decode_public_key(self, text: str) -> bytes | None:
        """Return the 32 raw bytes of a key, or None if it is none."""
        ...

    def device_id_of(self, raw: bytes) -> str:
        """Return the device id of a raw key."""
        ...

    def verify(self, raw_public_key: bytes, message: bytes, signature_text: str) -> bool:
        """Tell whether the key signed ``message``; never raise."""
        ...


@frozen
class SignedFields:
    """What every payload holds; ``scopes`` in the order sent, ``token`` as `signed_token` says."""

    device_id: str
    client_id: str
    client_mode: str
    role: str
    scopes: Sequence[str]
    signed_at_ms: int
    token: str = field(default="", repr=False)


@frozen
class ProofOk:
    """The device holds the key it shows.

    ``version`` is the payload signed: only 3 vouches for platform and device family.
    ``public_key`` is base64url without padding, however it was sent.
    """

    version: int
    public_key: str


@frozen
class ProofFailure:
    """The device did not prove what it claims; ``message`` is also the reason of the close."""

    message: str
    detail_code: DetailCode
    reason: str

    def to_error(self) -> ErrorShape:
        """Return what the peer is told."""
        details = {"code": self.detail_code.value, "reason": self.reason}
        return ErrorShape(ErrorCode.INVALID_REQUEST, self.message, details)


KEY_INVALID = ProofFailure(
    "device public key invalid", DetailCode.DEVICE_AUTH_PUBLIC_KEY_INVALID, "device-public-key"
)
ID_MISMATCH = ProofFailure(
    "device identity mismatch", DetailCode.DEVICE_AUTH_DEVICE_ID_MISMATCH, "device-id-mismatch"
)
EXPIRED = ProofFailure(
    "device signature expired", DetailCode.DEVICE_AUTH_SIGNATURE_EXPIRED, "device-signature-stale"
)
NONCE_REQUIRED = ProofFailure(
    "device nonce required", DetailCode.DEVICE_AUTH_NONCE_REQUIRED, "device-nonce-missing"
)
NONCE_MISMATCH = ProofFailure(
    "device nonce mismatch", DetailCode.DEVICE_AUTH_NONCE_MISMATCH, "device-nonce-mismatch"
)
SIGNATURE_INVALID = ProofFailure(
    "device signature invalid", DetailCode.DEVICE_AUTH_SIGNATURE_INVALID, "device-signature"
)


def payload_v1(fields: SignedFields) -> str:
    """Return the payload without a nonce."""
    return f"v1|{_common(fields)}"


def payload_v2(fields: SignedFields, *, nonce: str) -> str:
    """Return the payload that answers a challenge."""
    return f"v2|{_common(fields)}|{nonce}"


def payload_v3(
    fields: SignedFields, *, nonce: str, platform: str | None, device_family: str | None
) -> str:
    """Return the payload that answers a challenge and vouches for the hardware."""
    hardware = f"{_normalised(platform)}|{_normalised(device_family)}"
    return f"v3|{_common(fields)}|{nonce}|{hardware}"


def signed_token(auth: AuthClaim) -> str:
    """Return the credential that is part of the payload; the password never is.

    Presence decides: an empty ``token`` hides the others.
    """
    for token in (auth.token, auth.device_token, auth.bootstrap_token):
        if token is not None:
            return token
    return ""


def candidates(params: ConnectParams, *, protocol: int, local: bool) -> tuple[tuple[int, str], ...]:
    """Return the payloads ``params`` may have signed as (version, payload), likeliest first.

    A signature fits one of them at most, so the order decides only how often keys are asked.
    Empty when there is no device, or no nonce where one is needed.
    """
    device, client = params.device, params.client
    if device is None:
        return ()
    fields = SignedFields(
        device_id=device.id,
        client_id=client.id,
        client_mode=client.mode,
        role=params.role,
        scopes=params.scopes,
        signed_at_ms=device.signed_at,
        token=signed_token(params.auth),
    )
    nonce = device.nonce
    if nonce is None:
        return ((1, payload_v1(fields)),) if _nonce_optional(protocol, local=local) else ()
    v2 = (2, payload_v2(fields, nonce=nonce))
    family = client.device_family
    v3 = (3, payload_v3(fields, nonce=nonce, platform=client.platform, device_family=family))
    # Browsers and 2026.2.19 sign v2, other clients of protocol 4 v3.
    return (v2, v3) if protocol == 3 or client.mode == "webchat" else (v3, v2)


def check_freshness(signed_at_ms: int, now_ms: int, protocol: int) -> bool:
    """Tell whether a signature is young enough, or not too far in the future."""
    return abs(now_ms - signed_at_ms) <= MAX_SKEW_MS[protocol]


def judge_device_proof(
    params: ConnectParams,
    *,
    nonce_sent: str,
    protocol: int,
    local: bool,
    now_ms: int,
    keys: Keys,
) -> ProofOk | ProofFailure:
    """Return whether the device in ``params`` holds its key and signed this very challenge.

    Args:
        nonce_sent: The nonce of this connection's challenge.
        local: Whether the connection is local-direct; asked only for a missing nonce.
        keys: The arithmetic, which needs a library; `stores.keys` is one.
    """
    device = params.device
    assert device is not None  # who asks has looked
    raw_key = keys.decode_public_key(device.public_key)
    if raw_key is None:
        return KEY_INVALID
    if keys.device_id_of(raw_key) != device.id:
        return ID_MISMATCH
    if not check_freshness(device.signed_at, now_ms, protocol):
        return EXPIRED
    if device.nonce is None:
        if not _nonce_optional(protocol, local=local):
            return NONCE_REQUIRED
    elif device.nonce != nonce_sent:
        return NONCE_MISMATCH
    for version, payload in candidates(params, protocol=protocol, local=local):
        # "surrogatepass": whatever a peer named itself, this must not raise.
        if keys.verify(raw_key, payload.encode("utf-8", "surrogatepass"), device.signature):
            text = urlsafe_b64encode(raw_key).rstrip(b"=").decode("ascii")
            return ProofOk(version, text)
    return SIGNATURE_INVALID


def _common(fields: SignedFields) -> str:
    return (
        f"{fields.device_id}|{fields.client_id}|{fields.client_mode}|{fields.role}"
        f"|{','.join(fields.scopes)}|{fields.signed_at_ms}|{fields.token}"
    )


def _nonce_optional(protocol: int, *, local: bool) -> bool:
    # 2026.2.19 gives up waiting for the challenge after 750 ms and signs without it. What it
    # signs then can be replayed, so it is believed of a program on this machine only.
    return local and protocol == 3


def _normalised(text: str | None) -> str:
    trimmed = (text or "").strip(_ECMASCRIPT_SPACE)
    return trimmed.lower() if trimmed.isascii() else trimmed.translate(_ASCII_LOWER)
