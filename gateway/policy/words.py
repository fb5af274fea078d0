"""The fixed texts of refusals: those that published clients match on, and our own sentences.

Source: protocol fact, the texts of failed authentication of 2026.2.19, used for both protocols.
"""

from __future__ import annotations

from gateway.policy.access import PairingReason
from gateway.policy.credentials import AuthReason
from gateway.protocol.errors import DetailCode

ORIGIN_TEXT = (
    "origin not allowed (open the Control UI from the gateway host or allow it in "
    "gateway.controlUi.allowedOrigins)"
)

REQUIREMENTS = {
    PairingReason.NOT_PAIRED: "the device is not approved yet",
    PairingReason.ROLE_UPGRADE: "the device asks for a role it was not approved for",
    PairingReason.SCOPE_UPGRADE: "the device asks for scopes it was not approved for",
    PairingReason.METADATA_UPGRADE: "the device now says it is another platform or kind of device",
}

CREDENTIAL_CODES = {
    AuthReason.TOKEN_MISSING: DetailCode.AUTH_TOKEN_MISSING,
    AuthReason.TOKEN_MISMATCH: DetailCode.AUTH_TOKEN_MISMATCH,
    AuthReason.PASSWORD_MISSING: DetailCode.AUTH_PASSWORD_MISSING,
    AuthReason.PASSWORD_MISMATCH: DetailCode.AUTH_PASSWORD_MISMATCH,
    AuthReason.DEVICE_TOKEN_MISMATCH: DetailCode.AUTH_DEVICE_TOKEN_MISMATCH,
    AuthReason.BOOTSTRAP_TOKEN_INVALID: DetailCode.AUTH_BOOTSTRAP_TOKEN_INVALID,
}

NEXT_STEP = {
    AuthReason.TOKEN_MISSING: "update_auth_configuration",
    AuthReason.TOKEN_MISMATCH: "update_auth_credentials",
    AuthReason.PASSWORD_MISSING: "update_auth_configuration",
    AuthReason.PASSWORD_MISMATCH: "update_auth_credentials",
    AuthReason.DEVICE_TOKEN_MISMATCH: "update_auth_credentials",
    AuthReason.BOOTSTRAP_TOKEN_INVALID: "update_auth_credentials",
}

CREDENTIAL_SENTENCES = {
    AuthReason.TOKEN_MISSING: (
        "No token was sent; the gateway's own is gateway.auth.token in its configuration."
    ),
    AuthReason.TOKEN_MISMATCH: (
        "A token was sent, and it is not the gateway's; the right one is gateway.auth.token in "
        "the gateway's configuration."
    ),
    AuthReason.PASSWORD_MISSING: (
        "No password was sent; the gateway's own is gateway.auth.password in its configuration."
    ),
    AuthReason.PASSWORD_MISMATCH: (
        "A password was sent, and it is not the gateway's; the right one is "
        "gateway.auth.password in the gateway's configuration."
    ),
    AuthReason.DEVICE_TOKEN_MISMATCH: (
        "The device's own token is not valid any more; connect with the gateway's token, or let "
        "an operator approve the device again."
    ),
    AuthReason.BOOTSTRAP_TOKEN_INVALID: (
        "The setup code is unknown, expired or used: ask for a new one."
    ),
}

_TOKEN_HINTS = {
    "cli": "set gateway.remote.token to match gateway.auth.token",
    "ui": "open the dashboard URL and paste the token in Control UI settings",
    "other": "provide gateway auth token",
}
_PASSWORD_HINTS = {
    "cli": "set gateway.remote.password to match gateway.auth.password",
    "ui": "enter the password in Control UI settings",
    "other": "provide gateway auth password",
}
_FIXED = {
    AuthReason.DEVICE_TOKEN_MISMATCH: (
        "unauthorized: device token mismatch (rotate/reissue device token)"
    ),
    AuthReason.BOOTSTRAP_TOKEN_INVALID: (
        "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; "
        "review `openclaw devices list`)"
    ),
}


def credential_text(reason: AuthReason, *, client_id: str, client_mode: str) -> str:
    """Return the message and close reason of a failed authentication, hint by kind of client."""
    if reason in _FIXED:
        return _FIXED[reason]
    kind = "other"
    if client_mode == "cli":
        kind = "cli"
    elif client_id in ("openclaw-control-ui", "webchat-ui") or client_mode == "webchat":
        kind = "ui"
    secret, problem = reason.split("_")
    hint = (_TOKEN_HINTS if secret == "token" else _PASSWORD_HINTS)[kind]
    return f"unauthorized: gateway {secret} {problem} ({hint})"
