"""A throttle that somebody's wrong credentials have reached."""

from __future__ import annotations

from gateway.policy.throttle import Throttle

KEY = "shared-secret address:203.0.113.9"


def fail(throttle: Throttle, times: int, now_s: float = 0.0, key: str | None = KEY) -> None:
    """Present a wrong credential this many times, where the throttle lets it be looked at."""
    for _ in range(times):
        if throttle.reserve(key, now_s) is None:
            throttle.record_failure(key, now_s)
