"""How a connection ends: every close code and reason the gateway sends.

Reasons are protocol facts matched by published clients, except where a line says otherwise.
"""

from __future__ import annotations

from attrs import frozen

# RFC 6455, section 5.5: a control frame holds 125 bytes, 2 of them the code. Published gateways
# stop at 120, and clients were written against that.
MAX_REASON_BYTES = 120

NORMAL = 1000
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011
SERVICE_RESTART_CODE = 1012
TRY_AGAIN_LATER = 1013
# RFC 6455, section 7.4.2: 4000-4999 is ours to define.
CLIENT_INVALIDATED = 4001


@frozen
class Close:
    """A close frame to send: the code, and a reason of at most `MAX_REASON_BYTES`."""

    code: int
    reason: str = ""


NOT_JSON = Close(NORMAL)
PROTOCOL_MISMATCH = Close(PROTOCOL_ERROR, "protocol mismatch")

INVALID_REQUEST_FRAME = Close(POLICY_VIOLATION, "invalid request frame")
CONNECT_FIRST = Close(POLICY_VIOLATION, "invalid handshake: first request must be connect")
INVALID_HANDSHAKE = Close(POLICY_VIOLATION, "invalid-handshake")
INVALID_ROLE = Close(POLICY_VIOLATION, "invalid role")
ORIGIN_NOT_ALLOWED = Close(
    POLICY_VIOLATION,
    "origin not allowed (open the Control UI from the gateway host or allow it in "
    "gateway.controlUi.allowedOrigins)",
)
CONTROL_UI_NEEDS_DEVICE = Close(
    POLICY_VIOLATION, "control ui requires HTTPS or localhost (secure context)"
)
DEVICE_IDENTITY_REQUIRED = Close(POLICY_VIOLATION, "device identity required")
TOO_MANY_HANDSHAKE_FRAMES = Close(POLICY_VIOLATION, "too many pending handshake frames")
SLOW_CONSUMER = Close(POLICY_VIOLATION, "slow consumer")
REPEATED_UNAUTHORIZED = Close(POLICY_VIOLATION, "repeated unauthorized calls")

MESSAGE_TOO_LARGE = Close(MESSAGE_TOO_BIG)
# The reason is free here; a crash tells its peer nothing.
INTERNAL = Close(INTERNAL_ERROR, "internal error")
SERVICE_RESTART = Close(SERVICE_RESTART_CODE, "service restart")
GATEWAY_STARTING = Close(TRY_AGAIN_LATER, "gateway starting")

DEVICE_REMOVED = Close(CLIENT_INVALIDATED, "device removed")
GATEWAY_AUTH_CHANGED = Close(CLIENT_INVALIDATED, "gateway auth changed")
GATEWAY_POLICY_CHANGED = Close(CLIENT_INVALIDATED, "gateway policy changed")


def truncate_reason(text: str) -> str:
    """Return the longest head of ``text`` that fits a close frame and splits no character."""
    if text.isascii():
        return text[:MAX_REASON_BYTES]
    # "replace": a lone surrogate cannot be sent, and a close frame must never fail.
    return text.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def refused(message: str) -> Close:
    """Return the close that follows an error response with ``message``."""
    return Close(POLICY_VIOLATION, truncate_reason(message))


def no_connect_within(timeout_ms: int) -> Close:
    """Return the close of a peer that did not finish ``connect`` in time.

    The code is a protocol fact, the reason is ours: ``no connect within 15 s``.
    """
    return Close(NORMAL, f"no connect within {timeout_ms / 1000:g} s")
