"""Which of the secrets a client sent is right, judged without saying which was nearly right.

Source: protocol fact, the authentication texts and precedence of both published versions.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from typing import TypeAlias

from attrs import evolve, field, frozen

from gateway.protocol.connect import AuthClaim
from stores.records import Invitation, PairedDevice


class AuthMode(StrEnum):
    """What the gateway asks of everybody: ``gateway.auth.mode``."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"
    TRUSTED_PROXY = "trusted-proxy"


class Method(StrEnum):
    """How a client proved its right to ask: ``auth.method`` of hello-ok."""

    NONE = "none"
    TOKEN = "token"
    PASSWORD = "password"
    DEVICE_TOKEN = "device-token"
    BOOTSTRAP_TOKEN = "bootstrap-token"
    TRUSTED_PROXY = "trusted-proxy"


class AuthReason(StrEnum):
    """Why no secret was accepted: ``details.authReason``."""

    TOKEN_MISSING = "token_missing"
    TOKEN_MISMATCH = "token_mismatch"
    PASSWORD_MISSING = "password_missing"
    PASSWORD_MISMATCH = "password_mismatch"
    DEVICE_TOKEN_MISMATCH = "device_token_mismatch"
    BOOTSTRAP_TOKEN_INVALID = "bootstrap_token_invalid"
    PROXY_UNTRUSTED_SOURCE = "trusted_proxy_untrusted_source"
    PROXY_LOOPBACK_SOURCE = "trusted_proxy_loopback_source"
    PROXY_MISSING_HEADER = "trusted_proxy_missing_header"
    PROXY_USER_MISSING = "trusted_proxy_user_missing"
    PROXY_USER_AMBIGUOUS = "trusted_proxy_user_ambiguous"
    PROXY_USER_NOT_ALLOWED = "trusted_proxy_user_not_allowed"


@frozen
class SharedSecrets:
    """What the gateway accepts: one mode and its secret."""

    mode: AuthMode
    secret: str | None = field(default=None, repr=False)


@frozen
class Accepted:
    """A secret was right (or none is needed), or a proxy said which ``user`` is there.

    Args:
        invitation: What the setup code that was accepted gives.
        let_back: An operator let the device back in by its key alone, once.
    """

    method: Method
    user: str | None = None
    invitation: Invitation | None = None
    let_back: bool = False

    @property
    def shared(self) -> bool:
        """Whether the gateway-wide secret was proven, the only thing that earns silence."""
        return self.method in (Method.TOKEN, Method.PASSWORD)


@frozen
class Rejected:
    """No secret was right; ``wrong`` tells a wrong one (which counts) from a missing one.

    Args:
        header: The header that is missing, for `AuthReason.PROXY_MISSING_HEADER`.
        claimed: It came from the proxy that signs users in, or named a user: then nothing else
            that was sent can stand in for the user.
        flaw: Why the setup code that was sent does not count: for the log, never for a stranger.
    """

    reason: AuthReason
    wrong: bool
    header: str | None = None
    claimed: bool = False
    flaw: str | None = None

    @property
    def by_proxy(self) -> bool:
        """Whether it is the word of the proxy that did not count."""
        return self.reason.startswith("trusted_proxy_")

    @property
    def wire_reason(self) -> str:
        """``details.authReason``: with the header that is missing, if one is."""
        return f"{self.reason}_{self.header}" if self.header else self.reason.value


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
    secrets: SharedSecrets,
    auth: AuthClaim,
    *,
    paired: PairedDevice | None,
    role: str,
    identity: Verdict | None = None,
    invited: Invitation | str | None = None,
) -> Verdict:
    """Judge what a client sent: one right secret is enough, whatever else came with it.

    What is wrong is named in the order shared secret, bootstrap token, device token. A setup code
    goes before a secret where no device is on file, for it lets one in and a secret only asks.

    Args:
        paired: The record of the device whose signature was verified, or None.
        role: The role asked for: a device token opens its own role only.
        identity: What the proxy's word came to, in mode trusted-proxy.
        invited: What the setup code gives, or why it does not count; None if none was sent.
    """
    by_code = None
    if isinstance(invited, Invitation):
        by_code = Accepted(Method.BOOTSTRAP_TOKEN, invitation=invited)
    if secrets.mode is AuthMode.TRUSTED_PROXY:
        return _by_proxy(identity, auth, paired, role, by_code)
    if by_code is not None and paired is None:
        return by_code
    if secrets.mode is AuthMode.NONE:
        return Accepted(Method.NONE)
    if any(same_secret(sent, secrets.secret) for sent in (auth.token, auth.password)):
        return Accepted(_METHOD[secrets.mode])
    if _is_device_token(auth, paired, role):
        return Accepted(Method.DEVICE_TOKEN)
    if by_code is not None:
        return by_code
    if auth.bootstrap_token:
        flaw = invited if isinstance(invited, str) else None
        return Rejected(AuthReason.BOOTSTRAP_TOKEN_INVALID, wrong=True, flaw=flaw)
    if auth.token and _once_ours(auth.token, paired):
        return Rejected(AuthReason.DEVICE_TOKEN_MISMATCH, wrong=True)
    if auth.token or auth.password:
        return Rejected(_MISMATCH[secrets.mode], wrong=True)
    if auth.device_token:
        return Rejected(AuthReason.DEVICE_TOKEN_MISMATCH, wrong=True)
    return Rejected(_MISSING[secrets.mode], wrong=False)


def _by_proxy(
    identity: Verdict | None,
    auth: AuthClaim,
    paired: PairedDevice | None,
    role: str,
    by_code: Accepted | None,
) -> Verdict:
    """Judge a client of mode trusted-proxy, where there is no shared secret.

    A device token, or a setup code, counts only for who comes past the proxy without naming a user: behind the
    proxy it would let in a user who was taken off the list, by a device that user once had.
    """
    if isinstance(identity, Accepted):
        return identity
    refused = identity or Rejected(AuthReason.PROXY_UNTRUSTED_SOURCE, wrong=False)
    if refused.claimed:
        return refused
    if _is_device_token(auth, paired, role):
        return Accepted(Method.DEVICE_TOKEN)
    if by_code is not None:
        return by_code
    if auth.device_token or (auth.token and _once_ours(auth.token, paired)):
        return Rejected(AuthReason.DEVICE_TOKEN_MISMATCH, wrong=True)
    # Any other secret is a wrong one; the identity is what was missing.
    return evolve(refused, wrong=bool(auth.token or auth.password or auth.bootstrap_token))


def _is_device_token(auth: AuthClaim, paired: PairedDevice | None, role: str) -> bool:
    """Tell whether the live token of the verified device was sent, for the role asked for."""
    live = paired.live_token(role) if paired else None
    return live is not None and any(
        same_secret(sent, live.token) for sent in (auth.device_token, auth.token)
    )


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
