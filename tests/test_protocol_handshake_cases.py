"""Handshakes provoked at two published gateways, through the layers of the protocol package.

Origin, credentials and pairing are judged elsewhere: a case that fails there passes here.
"""

import json
from pathlib import Path

import pytest

from gateway.protocol import close
from gateway.protocol.connect import (
    claims_worker,
    negotiate,
    parse_connect_params,
    protocol_mismatch,
)
from gateway.protocol.errors import invalid_params
from gateway.protocol.frames import InvalidFrame, NotJson, Request, parse_request
from gateway.protocol.schema import InvalidParamsError
from gateway.protocol.signature import ProofFailure, judge_device_proof
from stores import keys

VECTORS = Path(__file__).parent / "vectors"

# The texts of later layers: what is refused with one of them passes here.
LATER = (
    "unauthorized",
    "pairing required",
    "origin not allowed",
    "control ui requires",
    "device identity required",
    "invalid role",
    "protocol mismatch: Control UI",
)

# What our layers say of a client they have nothing against.
PASSES = (None, None, None)

ONE_OF = "invalid connect params: at /client/id: must be equal to one of the allowed values"

# Where both protocols on one socket answer otherwise than the gateway of one of them did.
OURS = {
    ("2026.2.19", "proto 4-4"): PASSES,
    ("2026.9.6", "proto 3-3 cli"): PASSES,
    ("2026.2.19", "auth.deviceToken prop"): PASSES,
    ("2026.2.19", "v3 sig"): PASSES,
    ("2026.2.19", "bad client id"): (ONE_OF, 1008, ONE_OF),
}


def cases():
    """Return every case that got as far as a frame the WebSocket layer lets through."""
    found = []
    for version in ("2026.2.19", "2026.9.6"):
        for line in (VECTORS / f"handshake-cases-{version}.jsonl").read_text().splitlines():
            case = json.loads(line)
            if frames(case, "c2s") and case["case"] != "handshake 70KB":
                found.append(pytest.param(version, case, id=f"{version}-{case['case']}"))
    return found


def frames(case, direction):
    """Return the steps that carry a frame in one direction."""
    steps = case["steps"]
    return [step for step in steps if step["dir"] == direction and step["kind"] == "frame"]


def text_of(frame):
    """Return a frame as it was sent."""
    return frame["_raw"] if "_raw" in frame else json.dumps(frame)


def published(case):
    """Return what the published gateway answered: message, close code, close reason."""
    answers = [step["frame"] for step in frames(case, "s2c") if step["frame"]["type"] == "res"]
    if answers and answers[0]["ok"]:
        return PASSES
    message = answers[0]["error"]["message"] if answers else None
    if message is not None and message.startswith(LATER):
        return PASSES
    ending = next(step for step in case["steps"] if step["kind"] == "close")
    return message, ending["code"], ending["reason"]


def ours(case):
    """Return what our layers answer: message, close code, close reason."""
    step = frames(case, "c2s")[0]
    parsed = parse_request(text_of(step["frame"]))
    if isinstance(parsed, NotJson):
        return None, close.NOT_JSON.code, close.NOT_JSON.reason
    if isinstance(parsed, InvalidFrame):
        return None, close.INVALID_REQUEST_FRAME.code, close.INVALID_REQUEST_FRAME.reason
    assert isinstance(parsed, Request)
    if parsed.method != "connect":
        return close.CONNECT_FIRST.reason, close.CONNECT_FIRST.code, close.CONNECT_FIRST.reason
    if claims_worker(parsed.params):
        return None, close.INVALID_HANDSHAKE.code, close.INVALID_HANDSHAKE.reason
    try:
        params = parse_connect_params(parsed.params)
    except InvalidParamsError as refusal:
        return refusal_of(invalid_params("connect", str(refusal)).message)
    protocol = negotiate(params.min_protocol, params.max_protocol)
    if protocol is None:
        ending = close.PROTOCOL_MISMATCH
        return protocol_mismatch(params).message, ending.code, ending.reason
    if params.device is None:
        return PASSES
    proof = judge_device_proof(
        params,
        nonce_sent=frames(case, "s2c")[0]["frame"]["payload"]["nonce"],
        protocol=protocol,
        local=host_of(case).startswith("127.0.0.1:"),
        now_ms=step["t"],
        keys=keys,
    )
    return refusal_of(proof.message) if isinstance(proof, ProofFailure) else PASSES


def refusal_of(message):
    """Return an error response and the close after it."""
    ending = close.refused(message)
    return message, ending.code, ending.reason


def host_of(case):
    """Return the Host header; in these cases it decides alone who is local."""
    head = next(step["head"] for step in case["steps"] if step["kind"] == "upgrade")
    return next(line for line in head if line.startswith("Host: ")).removeprefix("Host: ")


@pytest.mark.parametrize(("version", "case"), cases())
def test_a_provoked_handshake_is_answered_as_published(version, case):
    expected = OURS.get((version, case["case"])) or published(case)

    assert ours(case) == expected


def test_the_exceptions_are_cases_that_exist():
    names = {(item.values[0], item.values[1]["case"]) for item in cases()}

    assert OURS.keys() <= names
