"""Which of the secrets a client sent is right, judged without saying which was nearly right.

Source: protocol fact, the authentication texts and precedence of both published versions.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from typing import TypeAlias

from attrs import field, frozen

from gateway.protocol.connect import AuthClaim
from stores.records import PairedDevice


class AuthMode(StrEnum):
    """What the gateway asks of everybody: ``gateway.auth.mode``."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"


class Method(StrEnum):
    """How a client proved its right to ask: ``auth.method`` of hello-ok."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"
    DEVICE_TOKEN = "device-token"


class AuthReason(StrEnum):
    """Why no secret was accepted: ``details.authReason``."""

    TOKEN_MISSING = "token_missing"
    TOKEN_MISMATCH = "token_mismatch"
    PASSWORD_MISSING = "password_missing"
    PASSWORD_MISMATCH = "password_mismatch"
    DEVICE_TOKEN_MISMATCH = "device_token_mismatch"
    BOOTSTRAP_TOKEN_INVALID = "bootstrap_token_invalid"


@frozen
class SharedSecrets:
    """What the gateway accepts: one mode and its secret."""

    mode: AuthMode
    secret: str | None = field(default=None, repr=False)


@frozen
class Accepted:
    """A secret was right (or none is needed)."""

    method: Method

    @property
    def shared(self) -> bool:
        """Whether the gateway-wide secret was proven, the only thing that earns silence."""
        return self.method in (Method.TOKEN, Method.PASSWORD)


@frozen
class Rejected:
    """No secret was right; ``wrong`` tells a wrong one (which counts) from a missing one."""

    reason: AuthReason
    wrong: bool


Verdict: TypeAlias = Accepted | Rejected

_MISSING = {
    AuthMode.TOKEN: AuthReason.TOKEN_MISSING,
    AuthMode.PASSWORD: AuthReason.PASSWORD_MISSING,
}
_MISMATCH = {
    AuthMode.TOKEN: AuthReason.TOKEN_MISMATCH,
    AuthMode.PASSWORD: AuthReason.PASSWORD_MISMATCH,
}
_METHOD = {AuthMode.TOKEN: Method.TOKEN, AuthMode.PASSWORD: Method.PASSWORD}


def same_secret(presented: str | None, expected: str | None) -> bool:
    """Compare two secrets in a time that tells nothing; an empty secret matches nothing."""
    if not presented or not expected:
        return False
    mine, theirs = (
        hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (presented, expected)
    )
    return hmac.compare_digest(mine, theirs)


def judge_credentials(
    secrets: SharedSecrets, auth: AuthClaim, *, paired: PairedDevice | None, role: str
) -> Verdict:
    """Judge what a client sent: one right secret is enough, whatever else came with it.

    What is wrong is named in the order shared secret, bootstrap token, device token.

    Args:
        paired: The record of the device whose signature was verified, or None.
        role: The role asked for: a device token opens its own role only.
    """
    if secrets.mode is AuthMode.NONE:
        return Accepted(Method.NONE)
    if any(same_secret(sent, secrets.secret) for sent in (auth.token, auth.password)):
        return Accepted(_METHOD[secrets.mode])
    live = paired.live_token(role) if paired else None
    if live and any(same_secret(sent, live.token) for sent in (auth.device_token, auth.token)):
        return Accepted(Method.DEVICE_TOKEN)
    if auth.bootstrap_token:
        return Rejected(AuthReason.BOOTSTRAP_TOKEN_INVALID, wrong=True)
    if auth.token and _once_ours(auth.token, paired):
        return Rejected(AuthReason.DEVICE_TOKEN_MISMATCH, wrong=True)
    if auth.token or auth.password:
        return Rejected(_MISMATCH[secrets.mode], wrong=True)
    if auth.device_token:
        return Rejected(AuthReason.DEVICE_TOKEN_MISMATCH, wrong=True)
    return Rejected(_MISSING[secrets.mode], wrong=False)


def _once_ours(sent: str, paired: PairedDevice | None) -> bool:
    """Tell whether a value is, or was, a token of this very device.

    Published clients delete their stored token on reading "device token mismatch", so it is said
    only of a value that was meant as one.
    """
    if paired is None:
        return False
    digest = hashlib.sha256(sent.encode("utf-8", "replace")).hexdigest()
    return any(
        same_secret(sent, token.token)
        or hmac.compare_digest(digest, token.previous_token_sha256 or "")
        for token in paired.tokens.values()
    )
