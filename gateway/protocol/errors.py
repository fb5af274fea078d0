"""The ``error`` object of a response: its codes and its closed shape."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen


class ErrorCode(StrEnum):
    """What ``error.code`` may say (protocol fact)."""

    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_PAIRED = "NOT_PAIRED"
    UNAVAILABLE = "UNAVAILABLE"
    FORBIDDEN = "FORBIDDEN"
    NOT_LINKED = "NOT_LINKED"
    AGENT_TIMEOUT = "AGENT_TIMEOUT"


class DetailCode(StrEnum):
    """What ``error.details.code`` may say; newer clients decide by it (protocol fact)."""

    AUTH_REQUIRED = "AUTH_REQUIRED"
    AUTH_UNAUTHORIZED = "AUTH_UNAUTHORIZED"
    AUTH_TOKEN_MISSING = "AUTH_TOKEN_MISSING"
    AUTH_TOKEN_MISMATCH = "AUTH_TOKEN_MISMATCH"
    AUTH_TOKEN_NOT_CONFIGURED = "AUTH_TOKEN_NOT_CONFIGURED"
    AUTH_PASSWORD_MISSING = "AUTH_PASSWORD_MISSING"
    AUTH_PASSWORD_MISMATCH = "AUTH_PASSWORD_MISMATCH"
    AUTH_PASSWORD_NOT_CONFIGURED = "AUTH_PASSWORD_NOT_CONFIGURED"
    AUTH_BOOTSTRAP_TOKEN_INVALID = "AUTH_BOOTSTRAP_TOKEN_INVALID"
    AUTH_DEVICE_TOKEN_MISMATCH = "AUTH_DEVICE_TOKEN_MISMATCH"
    AUTH_SCOPE_MISMATCH = "AUTH_SCOPE_MISMATCH"
    AUTH_RATE_LIMITED = "AUTH_RATE_LIMITED"
    AUTH_TAILSCALE_IDENTITY_MISSING = "AUTH_TAILSCALE_IDENTITY_MISSING"
    AUTH_TAILSCALE_PROXY_MISSING = "AUTH_TAILSCALE_PROXY_MISSING"
    AUTH_TAILSCALE_WHOIS_FAILED = "AUTH_TAILSCALE_WHOIS_FAILED"
    AUTH_TAILSCALE_IDENTITY_MISMATCH = "AUTH_TAILSCALE_IDENTITY_MISMATCH"
    AUTH_IDENTITY_HEADER_REQUIRED = "AUTH_IDENTITY_HEADER_REQUIRED"
    AUTH_VERIFIED_USER_REQUIRED = "AUTH_VERIFIED_USER_REQUIRED"
    AUTHENTICATED_PROFILE_UNAVAILABLE = "AUTHENTICATED_PROFILE_UNAVAILABLE"
    CONTROL_UI_BUILD_MISMATCH = "CONTROL_UI_BUILD_MISMATCH"
    CONTROL_UI_ORIGIN_NOT_ALLOWED = "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    CONTROL_UI_DEVICE_IDENTITY_REQUIRED = "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
    PROTOCOL_MISMATCH = "PROTOCOL_MISMATCH"
    DEVICE_IDENTITY_REQUIRED = "DEVICE_IDENTITY_REQUIRED"
    DEVICE_AUTH_INVALID = "DEVICE_AUTH_INVALID"
    DEVICE_AUTH_DEVICE_ID_MISMATCH = "DEVICE_AUTH_DEVICE_ID_MISMATCH"
    DEVICE_AUTH_SIGNATURE_EXPIRED = "DEVICE_AUTH_SIGNATURE_EXPIRED"
    DEVICE_AUTH_NONCE_REQUIRED = "DEVICE_AUTH_NONCE_REQUIRED"
    DEVICE_AUTH_NONCE_MISMATCH = "DEVICE_AUTH_NONCE_MISMATCH"
    DEVICE_AUTH_SIGNATURE_INVALID = "DEVICE_AUTH_SIGNATURE_INVALID"
    DEVICE_AUTH_PUBLIC_KEY_INVALID = "DEVICE_AUTH_PUBLIC_KEY_INVALID"
    PAIRING_REQUIRED = "PAIRING_REQUIRED"
    CLIENT_VERSION_MISMATCH = "CLIENT_VERSION_MISMATCH"
    # Not of the handshake: a request after it.
    MISSING_SCOPE = "MISSING_SCOPE"
    NOT_CONNECTED = "NOT_CONNECTED"
    PAIRING_CHANGED = "PAIRING_CHANGED"


@frozen
class ErrorShape:
    """Why a request was refused, as a peer is told.

    What is new goes into ``details``: published clients drop a response whose ``error`` has a
    property they do not know.
    """

    code: ErrorCode
    message: str
    details: Mapping[str, Any] | None = None
    retryable: bool | None = None
    retry_after_ms: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the ``error`` object; what is not set is left out, never null."""
        wire: dict[str, Any] = {"code": self.code.value, "message": self.message}
        if self.details is not None:
            wire["details"] = dict(self.details)
        if self.retryable is not None:
            wire["retryable"] = self.retryable
        if self.retry_after_ms is not None:
            wire["retryAfterMs"] = self.retry_after_ms
        return wire


def invalid_params(method: str, fault: str) -> ErrorShape:
    """Return the refusal of parameters that do not fit ``method``; see `schema.fault`."""
    return ErrorShape(ErrorCode.INVALID_REQUEST, f"invalid {method} params: {fault}")
