"""One row a refusal: error code, wire text, close code, details, and our sentence.

The rows are the table that tests are generated from; `remedy` adds what was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import frozen

from gateway.policy.access import Facts, Refusal
from gateway.policy.credentials import AuthReason, Rejected
from gateway.policy.words import (
    CREDENTIAL_CODES,
    CREDENTIAL_SENTENCES,
    NEXT_STEP,
    ORIGIN_TEXT,
    credential_text,
)
from gateway.protocol.close import POLICY_VIOLATION, PROTOCOL_ERROR
from gateway.protocol.connect import OLDEST_PROTOCOL, PREFERRED_PROTOCOL
from gateway.protocol.errors import DetailCode, ErrorCode
from gateway.protocol.signature import ProofFailure

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


def row_of(refusal: Refusal, facts: Facts) -> Row:
    """Return the row of a refusal, filled with the client's own words."""
    return _ROWS[refusal](facts)


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
    return Row(
        ORIGIN_TEXT,
        f"The page's origin is {facts.origin or 'not given'} and the Host is "
        f"{facts.host or 'not given'}; to allow it, add the origin to "
        "gateway.controlUi.allowedOrigins in the gateway's configuration.",
        {
            "code": DetailCode.CONTROL_UI_ORIGIN_NOT_ALLOWED,
            "reason": facts.origin_verdict.reason,
        },
        where="gateway-host",
    )


def _device_proof(facts: Facts) -> Row:
    failure = facts.proof
    assert isinstance(failure, ProofFailure)
    clock = failure.detail_code is DetailCode.DEVICE_AUTH_SIGNATURE_EXPIRED
    said = (
        "The signature was made at another time than the gateway's clock shows: set this "
        "device's clock."
        if clock
        else "The device did not prove that it holds its key for this very connection."
    )
    return Row(failure.message, said, {"code": failure.detail_code, "reason": failure.reason})


def _throttled(_facts: Facts) -> Row:
    return Row(
        "unauthorized: too many failed authentication attempts (retry later)",
        "Too many wrong credentials came from there: wait, then try the right one.",
        {
            "code": DetailCode.AUTH_RATE_LIMITED,
            "authReason": "rate_limited",
            "canRetryWithDeviceToken": False,
            "recommendedNextStep": "wait_then_retry",
        },
    )


def _credentials(facts: Facts) -> Row:
    assert isinstance(facts.credential, Rejected)
    reason, client = facts.credential.reason, facts.params.client
    # A client with a device may hold a device token that is still good (protocol fact).
    retry = facts.device_id is not None and reason is AuthReason.TOKEN_MISMATCH
    return Row(
        credential_text(reason, client_id=client.id, client_mode=client.mode),
        CREDENTIAL_SENTENCES[reason],
        {
            "code": CREDENTIAL_CODES[reason],
            "authReason": reason,
            "canRetryWithDeviceToken": retry,
            "recommendedNextStep": "retry_with_device_token" if retry else NEXT_STEP[reason],
        },
    )


def _control_ui_device(_facts: Facts) -> Row:
    return Row(
        "control ui requires HTTPS or localhost (secure context)",
        "Browsers make a device key only on HTTPS or on localhost: open the page by one of the "
        "two, or through `ssh -L`.",
        {"code": DetailCode.CONTROL_UI_DEVICE_IDENTITY_REQUIRED},
        where="browser",
    )


def _no_device(_facts: Facts) -> Row:
    return Row(
        "device identity required",
        "The client sent no device key, and it is not a local operator with the shared secret.",
        {"code": DetailCode.DEVICE_IDENTITY_REQUIRED},
        code=ErrorCode.NOT_PAIRED,
    )


def _blocked(_facts: Facts) -> Row:
    return Row(
        "pairing required: this device is blocked",
        "An operator blocked this device.",
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
