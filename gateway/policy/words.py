"""The fixed texts of refusals: those that published clients match on, and our own sentences.

Source: protocol fact, the texts of failed authentication of 2026.2.19, used for both protocols.
"""

from __future__ import annotations

from gateway.policy.access import PairingReason
from gateway.policy.credentials import AuthReason
from gateway.protocol import signature
from gateway.protocol.errors import DetailCode

#: Longest part of a header that a sentence quotes; real origins and hosts are shorter.
MAX_QUOTED = 260

ORIGIN_TEXT = (
    "origin not allowed (open the Control UI from the gateway host or allow it in "
    "gateway.controlUi.allowedOrigins)"
)

REQUIREMENTS = {
    PairingReason.NOT_PAIRED: "this device is not approved yet",
    PairingReason.ROLE_UPGRADE: "this device is not approved as {role}",
    PairingReason.SCOPE_UPGRADE: "this device asks for scopes that it is not approved for",
    PairingReason.METADATA_UPGRADE: (
        "this device now says that it is of another platform or kind than the one approved"
    ),
}

CREDENTIAL_CODES = {
    AuthReason.TOKEN_MISSING: DetailCode.AUTH_TOKEN_MISSING,
    AuthReason.TOKEN_MISMATCH: DetailCode.AUTH_TOKEN_MISMATCH,
    AuthReason.PASSWORD_MISSING: DetailCode.AUTH_PASSWORD_MISSING,
    AuthReason.PASSWORD_MISMATCH: DetailCode.AUTH_PASSWORD_MISMATCH,
    AuthReason.DEVICE_TOKEN_MISMATCH: DetailCode.AUTH_DEVICE_TOKEN_MISMATCH,
    AuthReason.BOOTSTRAP_TOKEN_INVALID: DetailCode.AUTH_BOOTSTRAP_TOKEN_INVALID,
    AuthReason.PROXY_UNTRUSTED_SOURCE: DetailCode.AUTH_UNAUTHORIZED,
    AuthReason.PROXY_LOOPBACK_SOURCE: DetailCode.AUTH_UNAUTHORIZED,
    AuthReason.PROXY_MISSING_HEADER: DetailCode.AUTH_IDENTITY_HEADER_REQUIRED,
    AuthReason.PROXY_USER_MISSING: DetailCode.AUTH_IDENTITY_HEADER_REQUIRED,
    AuthReason.PROXY_USER_AMBIGUOUS: DetailCode.AUTH_IDENTITY_HEADER_REQUIRED,
    AuthReason.PROXY_USER_NOT_ALLOWED: DetailCode.AUTH_UNAUTHORIZED,
}

NEXT_STEP = {
    AuthReason.TOKEN_MISSING: "update_auth_configuration",
    AuthReason.TOKEN_MISMATCH: "update_auth_credentials",
    AuthReason.PASSWORD_MISSING: "update_auth_configuration",
    AuthReason.PASSWORD_MISMATCH: "update_auth_credentials",
    AuthReason.DEVICE_TOKEN_MISMATCH: "update_auth_credentials",
    AuthReason.BOOTSTRAP_TOKEN_INVALID: "review_auth_configuration",
    AuthReason.PROXY_UNTRUSTED_SOURCE: "review_auth_configuration",
    AuthReason.PROXY_LOOPBACK_SOURCE: "review_auth_configuration",
    AuthReason.PROXY_MISSING_HEADER: "review_auth_configuration",
    AuthReason.PROXY_USER_MISSING: "review_auth_configuration",
    AuthReason.PROXY_USER_AMBIGUOUS: "review_auth_configuration",
    AuthReason.PROXY_USER_NOT_ALLOWED: "review_auth_configuration",
}

CREDENTIAL_SENTENCES = {
    AuthReason.TOKEN_MISSING: (
        "No token was sent. Give this client the gateway's own: gateway.auth.token in the "
        "configuration on the gateway's machine, unless it was started with another."
    ),
    AuthReason.TOKEN_MISMATCH: (
        "The token that was sent is not the gateway's. The right one is gateway.auth.token in the "
        "configuration on the gateway's machine, unless it was started with another."
    ),
    AuthReason.PASSWORD_MISSING: (
        "No password was sent. Give this client the gateway's own: gateway.auth.password in the "
        "configuration on the gateway's machine, unless it was started with another."
    ),
    AuthReason.PASSWORD_MISMATCH: (
        "The password that was sent is not the gateway's. The right one is gateway.auth.password "
        "in the configuration on the gateway's machine, unless it was started with another."
    ),
    AuthReason.DEVICE_TOKEN_MISMATCH: (
        "The device token that was sent is not valid, or not any more. Connect with the gateway's "
        "own token or password: the device then gets a new one, or a request that an operator "
        "approves."
    ),
    AuthReason.BOOTSTRAP_TOKEN_INVALID: (
        "The setup code or link is unknown, expired, revoked or used. Ask for a new one: it is "
        "made on the gateway's machine."
    ),
    AuthReason.PROXY_UNTRUSTED_SOURCE: (
        "This gateway lets in whom its proxy signs in, and this connection does not come from that "
        "proxy. Connect through the proxy; if this is it, its address must be in "
        "gateway.trustedProxies."
    ),
    AuthReason.PROXY_LOOPBACK_SOURCE: (
        "This gateway lets in whom its proxy signs in, and a program of the gateway's own machine "
        "does not count as that proxy. Connect through the proxy; if it runs on that machine, "
        "gateway.auth.trustedProxy.allowLoopback must say so."
    ),
    AuthReason.PROXY_MISSING_HEADER: (
        "The proxy must send each header of gateway.auth.trustedProxy.requiredHeaders once and "
        "not empty, and {header} is not. Correct the proxy, or the list."
    ),
    AuthReason.PROXY_USER_MISSING: (
        "The proxy names no user: the header that gateway.auth.trustedProxy.userHeader says is "
        "missing, empty or too long. Sign in at the proxy, and see that it sends that header."
    ),
    AuthReason.PROXY_USER_AMBIGUOUS: (
        "The header with the user came more than once: the proxy passes on what the client wrote. "
        "Let the proxy replace that header, and never append to it."
    ),
    AuthReason.PROXY_USER_NOT_ALLOWED: (
        "The proxy signed in a user who is not in gateway.auth.trustedProxy.allowUsers. Sign in as "
        "another one, or add this user there."
    ),
}

#: What a client of the gateway's own machine is told besides, in mode trusted-proxy.
PROXY_PASSED_BY = (
    "On the gateway's own machine the commands of its user work without the proxy, on the files."
)

PROOF_SENTENCES = {
    signature.KEY_INVALID: "The device's public key cannot be read. Let it make a new identity.",
    signature.ID_MISMATCH: (
        "The device id does not belong to the key that was sent: the device's identity file is "
        "damaged. Let it make a new identity."
    ),
    signature.EXPIRED: (
        "The signature was made at another time than the gateway's clock shows. Set the clock of "
        "this device, or of the gateway's machine."
    ),
    signature.NONCE_REQUIRED: (
        "The device did not answer the gateway's challenge; only a local one of protocol 3 may."
    ),
    signature.NONCE_MISMATCH: (
        "The device answered the challenge of another connection: something on the way repeats "
        "old messages, or the client is broken."
    ),
    signature.SIGNATURE_INVALID: (
        "The signature does not fit the key and what was sent with it: something on the way "
        "changed the message, or the client is broken."
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
#: Of these the wire says nothing but that it is so; the details say why (protocol fact).
_BY_PROXY = "trusted_proxy_"
_FIXED = {
    AuthReason.DEVICE_TOKEN_MISMATCH: (
        "unauthorized: device token mismatch (rotate/reissue device token)"
    ),
    AuthReason.BOOTSTRAP_TOKEN_INVALID: (
        "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; "
        "review `openclaw devices list`)"
    ),
}


def quoted(text: str | None, *, missing: str = "not given") -> str:
    """Return a header's value as a sentence may hold it: cut, and nothing unprintable in it."""
    if not text:
        return missing
    cut = text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in cut)


def credential_text(reason: AuthReason, *, client_id: str, client_mode: str) -> str:
    """Return the message and close reason of a failed authentication, hint by kind of client."""
    if reason in _FIXED:
        return _FIXED[reason]
    if reason.startswith(_BY_PROXY):
        return "unauthorized"
    kind = "other"
    if client_mode == "cli":
        kind = "cli"
    elif client_id in ("openclaw-control-ui", "webchat-ui") or client_mode == "webchat":
        kind = "ui"
    secret, problem = reason.split("_")
    hint = (_TOKEN_HINTS if secret == "token" else _PASSWORD_HINTS)[kind]
    return f"unauthorized: gateway {secret} {problem} ({hint})"
