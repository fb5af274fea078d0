"""What a method gets and what it may raise."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from gateway.hub import Session
from gateway.keeper import Keeper
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.runtime import Runtime


class CallError(Exception):
    """A request that is answered with an error.

    Args:
        error: What the peer is told.
    """

    def __init__(self, error: ErrorShape) -> None:
        super().__init__(error.message)
        self.error = error


def invalid_request(message: str, details: dict[str, Any] | None = None) -> CallError:
    """Return the error of a request that is wrong in itself."""
    return CallError(ErrorShape(ErrorCode.INVALID_REQUEST, message, details))


def unavailable(message: str, details: dict[str, Any] | None = None) -> CallError:
    """Return the error of a request that would be right if this were possible now."""
    return CallError(ErrorShape(ErrorCode.UNAVAILABLE, message, details))


@frozen
class Call:
    """One request of one session; ``params`` as sent, None if there were none."""

    runtime: Runtime
    keeper: Keeper
    session: Session
    params: Any
