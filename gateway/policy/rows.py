"""One row a refusal: error code, wire text, close code, details, and our sentence.

The rows are the table that tests are generated from; `remedy` adds what was seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from attrs import frozen

from gateway.policy.access import Facts, Refusal
from gateway.policy.credentials import Accepted, AuthReason, Method, Rejected
from gateway.policy.origin import Origin, parse_origin
from gateway.policy.words import (
    CREDENTIAL_CODES,
    CREDENTIAL_SENTENCES,
    NEXT_STEP,
    ORIGIN_TEXT,
    PROOF_SENTENCES,
    PROXY_PASSED_BY,
    credential_text,
    quoted,
)
from gateway.protocol.close import POLICY_VIOLATION, PROTOCOL_ERROR
from gateway.protocol.connect import CONTROL_UI_ID, OLDEST_PROTOCOL, PREFERRED_PROTOCOL
from gateway.protocol.errors import DetailCode, ErrorCode
from gateway.protocol.signature import ProofFailure
from stores.records import Role

Where = Literal["gateway-host", "container", "this-device", "browser"]


@frozen
class Row:
    """What a refused client is told, whatever was seen; ``text`` is message and close reason."""

    text: str
    sentence: str
    details: dict[str, Any]
    code: ErrorCode = ErrorCode.INVALID_REQUEST
    close_code: int = POLICY_VIOLATION
    where: Where = "this-device"
    #: The command that helps, without the program's name in front.
    command: str | None = None


def row_of(refusal: Refusal, facts: Facts) -> Row:
    """Return the row of a refusal, filled with the client's own words."""
    return _ROWS[refusal](facts)


def is_page(facts: Facts) -> bool:
    """Tell whether a client calls itself a page that operators open in a browser."""
    client = facts.params.client
    return client.id in (CONTROL_UI_ID, "webchat-ui") or client.mode == "webchat"


def keeps_knocking(facts: Facts) -> bool:
    """Tell whether the client tries again by itself: pages and nodes do, a command would hang."""
    client = facts.params.client
    return is_page(facts) or client.mode == "node" or facts.role == Role.NODE


def _protocol(facts: Facts) -> Row:
    oldest, newest = facts.params.min_protocol, facts.params.max_protocol
    return Row(
        "protocol mismatch",
        f"The client speaks protocol {oldest} to {newest}, the gateway {OLDEST_PROTOCOL} and "
        f"{PREFERRED_PROTOCOL}: update the older of the two.",
        {
            "code": DetailCode.PROTOCOL_MISMATCH,
            "clientMinProtocol": oldest,
            "clientMaxProtocol": newest,
            "expectedProtocol": PREFERRED_PROTOCOL,
            "minimumProbeProtocol": OLDEST_PROTOCOL,
        },
        close_code=PROTOCOL_ERROR,
    )


def _role(_facts: Facts) -> Row:
    return Row("invalid role", "A role is operator or node.", {})


def _origin(facts: Facts) -> Row:
    if facts.origin is None:
        said = (
            "A client that calls itself a browser page must send an Origin, and none came: a "
            "proxy on the way dropped it, or this is no browser."
        )
    else:
        said = (
            f"The page comes from {quoted(facts.origin)} and the Host is {quoted(facts.host)}. "
            "If the page is yours, add its origin to gateway.controlUi.allowedOrigins in the "
            "configuration on the gateway's machine; what is set replaces the whole list."
        )
    page = parse_origin(facts.origin)
    return Row(
        ORIGIN_TEXT,
        said,
        {
            "code": DetailCode.CONTROL_UI_ORIGIN_NOT_ALLOWED,
            "reason": facts.origin_verdict.reason,
        },
        where="gateway-host",
        # The page chose its origin: only one that is an address and nothing else is repeated.
        command=_allow(page) if page is not None else None,
    )


def _allow(page: Origin) -> str:
    """Return the command that lets a page in; quoted for a shell, and safe in one."""
    text = json.dumps([page.text])
    return f"config set gateway.controlUi.allowedOrigins '{text}'"


def _device_proof(facts: Facts) -> Row:
    failure = facts.proof
    assert isinstance(failure, ProofFailure)
    details = {"code": failure.detail_code, "reason": failure.reason}
    return Row(failure.message, PROOF_SENTENCES[failure], details)


def _throttled(facts: Facts) -> Row:
    wait_s = max(1, round(facts.locked_for_s or 0))
    return Row(
        "unauthorized: too many failed authentication attempts (retry later)",
        f"Too many wrong credentials came from there. Wait {wait_s} s, then try the right one.",
        {
            "code": DetailCode.AUTH_RATE_LIMITED,
            "authReason": "rate_limited",
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": "wait_then_retry"
            if keeps_knocking(facts)
            else "update_auth_credentials",
        },
    )


def _credentials(facts: Facts) -> Row:
    assert isinstance(facts.credential, Rejected)
    rejected, client = facts.credential, facts.params.client
    reason = rejected.reason
    # A client with a device may hold a device token that is still good (protocol fact).
    retry = facts.device_id is not None and reason is AuthReason.TOKEN_MISMATCH
    return Row(
        credential_text(reason, client_id=client.id, client_mode=client.mode),
        _credentials_sentence(facts, rejected),
        {
            "code": CREDENTIAL_CODES[reason],
            "authReason": rejected.wire_reason,
            "canRetryWithDeviceToken": retry,
            "recommendedNextStep": "retry_with_device_token" if retry else NEXT_STEP[reason],
        },
        # Only who is local hears of the way past the proxy, and only there it works.
        command=OFFLINE_LIST if _passes_by_the_proxy(facts, rejected) else None,
    )


#: For want of these a page is let in by a link that an operator makes.
LINK_HELPS = (
    *(AuthReason.TOKEN_MISSING, AuthReason.TOKEN_MISMATCH),
    *(AuthReason.PASSWORD_MISSING, AuthReason.PASSWORD_MISMATCH),
)

#: What always works for the gateway's own user on its own machine.
OFFLINE_LIST = "devices list --offline"


def _passes_by_the_proxy(facts: Facts, rejected: Rejected) -> bool:
    return facts.locality.local and rejected.reason in (
        AuthReason.PROXY_UNTRUSTED_SOURCE,
        AuthReason.PROXY_LOOPBACK_SOURCE,
    )


def _credentials_sentence(facts: Facts, rejected: Rejected) -> str:
    sentence = CREDENTIAL_SENTENCES[rejected.reason].format(header=rejected.header)
    if is_page(facts) and rejected.reason in LINK_HELPS:
        return f"{sentence} A browser gets in without it by the link of the command."
    return f"{sentence} {PROXY_PASSED_BY}" if _passes_by_the_proxy(facts, rejected) else sentence


def _control_ui_device(_facts: Facts) -> Row:
    return Row(
        "control ui requires HTTPS or localhost (secure context)",
        "Browsers make a device key only on HTTPS or on localhost. Open the page over HTTPS, or "
        "bring the gateway's port to this computer with `ssh -L` and open it on 127.0.0.1.",
        {"code": DetailCode.CONTROL_UI_DEVICE_IDENTITY_REQUIRED},
        where="browser",
    )


def _no_device(facts: Facts) -> Row:
    return Row(
        "device identity required",
        _why_no_device(facts),
        {"code": DetailCode.DEVICE_IDENTITY_REQUIRED},
        code=ErrorCode.NOT_PAIRED,
    )


def _why_no_device(facts: Facts) -> str:
    if facts.role == Role.NODE:
        return "A node needs a device key, and none counts here."
    if isinstance(facts.credential, Accepted) and facts.credential.method is Method.NONE:
        return "This gateway asks for no secret, so every client needs a device key of its own."
    return (
        "Neither a secret nor a device key was sent. Give this client the gateway's token "
        "(gateway.auth.token in the configuration on the gateway's machine), or let it make a "
        "device key."
    )


def _blocked(_facts: Facts) -> Row:
    return Row(
        "pairing required: this device is blocked",
        "An operator blocked this device. Until one lifts the block, it is not let in and no "
        "request of it is kept.",
        {"code": DetailCode.PAIRING_REQUIRED, "reason": "blocked"},
        code=ErrorCode.NOT_PAIRED,
        where="gateway-host",
    )


_ROWS: dict[Refusal, Callable[[Facts], Row]] = {
    Refusal.PROTOCOL: _protocol,
    Refusal.ROLE: _role,
    Refusal.ORIGIN: _origin,
    Refusal.DEVICE_PROOF: _device_proof,
    Refusal.THROTTLED: _throttled,
    Refusal.CREDENTIALS: _credentials,
    Refusal.CONTROL_UI_DEVICE: _control_ui_device,
    Refusal.NO_DEVICE: _no_device,
    Refusal.BLOCKED: _blocked,
}
