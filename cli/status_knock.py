"""Knocking at a gateway as a probe does, step by step, with the time each step took.

A probe is admitted or refused like anybody else and leaves no record.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Any

from attrs import frozen

from cli.client import Answer, Presented, knock
from cli.failures import GatewayRefusedError, GatewayUnreachableError
from cli.refused_here import put_in_place
from cli.status_aim import Aim
from stores.errors import UserFacingError

#: Protocol fact: a gateway sends its challenge within this.
CHALLENGE_WITHIN_MS = 750


class Stage(StrEnum):
    """The steps of a connection, in order."""

    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    CHALLENGE = "challenge"
    CONNECT = "connect"
    RPC = "rpc"


#: What a wire says it waits for -> the step that is.
_WAITS = {
    "the connection": Stage.TCP,
    "the TLS handshake": Stage.TLS,
    "the answer to the WebSocket upgrade": Stage.UPGRADE,
    "its challenge": Stage.CHALLENGE,
    "the answer to connect": Stage.CONNECT,
    "the answer to status": Stage.RPC,
}
_END = "the end"


@frozen(kw_only=True)
class Knock:
    """How far a probe got.

    Args:
        took_ms: The steps that were begun and how long each took; the last one failed if there
            is an ``error``.
        first_error: What was answered to the secret, when this device's own token did better.
    """

    took_ms: dict[Stage, int]
    answer: Answer | None = None
    error: UserFacingError | None = None
    first_error: UserFacingError | None = None

    @property
    def failed_at(self) -> Stage | None:
        """The step that failed."""
        return list(self.took_ms)[-1] if self.error is not None and self.took_ms else None

    @property
    def shook_hands(self) -> bool:
        """Tell whether a gateway answered, whatever it then said."""
        if isinstance(self.error, GatewayUnreachableError):
            return self.failed_at in (Stage.CONNECT, Stage.RPC)
        return True

    @property
    def admitted(self) -> bool:
        """Tell whether it let us in."""
        refused = isinstance(self.error, GatewayRefusedError) and self.error.admitted
        return self.answer is not None or refused

    @property
    def scopes(self) -> tuple[str, ...]:
        """What we may do there."""
        scopes = self.answer.auth.get("scopes") if self.answer else None
        return tuple(map(str, scopes)) if isinstance(scopes, list) else ()

    @property
    def server(self) -> dict[str, Any]:
        """What the gateway says of itself in ``status``; empty if it does not."""
        payload = self.answer.payload if self.answer else None
        told = payload.get("gateway") if isinstance(payload, dict) else None
        return told if isinstance(told, dict) else {}


def knock_at(aim: Aim, *, timeout_s: float, headers: tuple[tuple[str, str], ...] = ()) -> Knock:
    """Knock with what an aim holds; what it holds back is not sent.

    Args:
        headers: More headers for the upgrade.

    Returns:
        How far it got: failing is an outcome, not an error.
    """
    first = _knock(aim, aim.first, timeout_s=timeout_s, headers=headers)
    error = first.error
    if aim.second is None or not isinstance(error, GatewayRefusedError) or error.admitted:
        return first
    if error.details.get("canRetryWithDeviceToken") is not True:
        return first
    second = _knock(aim, aim.second, timeout_s=timeout_s, headers=headers)
    if second.error is not None:
        return first
    return Knock(took_ms=second.took_ms, answer=second.answer, first_error=error)


def _knock(
    aim: Aim,
    presented: Presented | None,
    *,
    timeout_s: float,
    headers: tuple[tuple[str, str], ...],
) -> Knock:
    assert aim.target is not None
    marks: dict[str, float] = {}
    identity = aim.identity if presented is not None else None
    try:
        answer = knock(
            aim.target, presented, identity, timeout_s=timeout_s, marks=marks, headers=headers
        )
    except UserFacingError as error:
        if isinstance(error, GatewayRefusedError):
            put_in_place(error, aim.target, aim.source)
        return Knock(took_ms=_took(marks), error=error)
    return Knock(took_ms=_took(marks), answer=answer)


def _took(marks: dict[str, float]) -> dict[Stage, int]:
    """Return how long each step took, ms, from when each thing began to be awaited."""
    times = sorted(marks.items(), key=lambda mark: mark[1])
    return {
        _WAITS[name]: round((after - since) * 1000)
        for (name, since), (_, after) in pairwise(times)
        if name in _WAITS and name != _END
    }
