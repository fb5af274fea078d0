"""Refusals as a peer gets to see them, and the situations that end in one."""

from __future__ import annotations

from typing import Any

from gateway.policy.access import Admit, Facts, Refuse, RequirePairing, decide_access
from gateway.policy.approval import explain_pairing
from gateway.policy.credentials import AuthMode, SharedSecrets, judge_credentials
from gateway.policy.remedy import CommandWords, Refused, explain
from gateway.protocol.close import truncate_reason
from gateway.protocol.connect import AuthClaim
from gateway.protocol.frames import response_error
from gateway.protocol.signature import SIGNATURE_INVALID
from tests.facts import facts

CODE = "K7QM-3FXR"
SECRET = "the gateway's own secret"
PLAIN = CommandWords()
INSTALLED = CommandWords(local="/opt/gateway/bin/openclaw")
DOCKER = CommandWords(local="docker exec 0123456789ab openclaw", in_container=True)
COMPOSE = CommandWords(local="docker compose exec openclaw-gateway openclaw", in_container=True)
WORDS = [PLAIN, INSTALLED, DOCKER, COMPOSE]


def told(wanted: Facts, *, words: CommandWords = PLAIN, request_id: str = CODE) -> Refused:
    """Return the refusal that follows from the facts."""
    match decide_access(wanted):
        case Refuse() as refusal:
            return explain(refusal, wanted, words=words)
        case RequirePairing() as pairing:
            return explain_pairing(pairing, wanted, request_id=request_id, words=words)
        case Admit():
            raise AssertionError("admitted")


def details_of(refused: Refused) -> dict[str, Any]:
    return dict(refused.error.details or {})


def on_the_wire(refused: Refused) -> bytes:
    """Return everything of a refusal that a peer gets to see."""
    text = response_error("1", refused.error)
    return f"{text} {refused.close_code} {truncate_reason(refused.close_reason)}".encode()


# Where a refused client of another machine meets a gateway that has much to hide.
BEHIND_A_PROXY: dict[str, Any] = {
    "peer": "10.0.0.7",
    "headers": (("X-Forwarded-For", "203.0.113.9"),),
    "host": "gw.example.com",
}
UNPROVEN: dict[str, dict[str, Any]] = {
    "protocol": {"protocol": None},
    "role": {"role": "admin"},
    "origin": {"origin": "https://evil.example"},
    "proof": {"proof": SIGNATURE_INVALID},
    "locked": {"locked_for_s": 3.0},
    "wrong-token": {"auth": AuthClaim(token="wrong")},
    "wrong-device-token": {"auth": AuthClaim(device_token="wrong")},
    "nothing": {"auth": AuthClaim()},
    "nobody": {"auth": AuthClaim(), "device": False},
}


def knocking(situation: dict[str, Any], paired: Any, **more: Any) -> Facts:
    """Return the facts of a connect whose credential is judged, not assumed."""
    wanted = {**BEHIND_A_PROXY, "auth": AuthClaim(token=SECRET), **situation, **more}
    credential = judge_credentials(
        SharedSecrets(AuthMode.TOKEN, SECRET),
        wanted["auth"],
        paired=paired if wanted.get("device", True) else None,
        role=wanted.get("role", "operator"),
    )
    return facts(credential=credential, paired=paired, **wanted)
