"""What became of a request that waits no more, as far as a list of devices tells."""

from __future__ import annotations

from typing import Any

import pytest

from cli.device_watch import Waiting, outcome_of

ASKED_MS = 1_000
LATER = 10**15


def waiting(kind: str = "device", *, ends_ms: int = LATER) -> Waiting:
    item = {"requestId": "AB23-CD45", "deviceId": "d", "ts": ASKED_MS, "expiresAtMs": ends_ms}
    return Waiting(kind, "AB23-CD45", "d", "openclaw devices approve AB23-CD45", item)


@pytest.mark.parametrize(
    ("one", "listed", "outcome"),
    [
        pytest.param(
            waiting(), {"paired": [{"deviceId": "d", "approvedAtMs": 1_000}]}, "approved", id="new"
        ),
        pytest.param(
            waiting(),
            {"paired": [{"deviceId": "d", "approvedAtMs": 999}]},
            "rejected",
            id="was-in-before",
        ),
        pytest.param(
            waiting(),
            {"paired": [{"deviceId": "e", "approvedAtMs": 2_000}]},
            "rejected",
            id="somebody-else",
        ),
        pytest.param(waiting(), {}, "rejected", id="gone"),
        pytest.param(waiting(ends_ms=1), {}, "expired", id="too-late"),
        pytest.param(
            waiting(ends_ms=1),
            {"paired": [{"deviceId": "d", "approvedAtMs": 1_500}]},
            "approved",
            id="just-in-time",
        ),
        pytest.param(
            waiting(),
            {"pending": [{"deviceId": "d", "requestId": "EF67-GH89"}]},
            "replaced by another request",
            id="asks-for-something-else",
        ),
        pytest.param(
            waiting(), {"paired": [{"deviceId": "d", "approvedAtMs": "x"}]}, "rejected", id="junk"
        ),
        pytest.param(waiting("node"), {"paired": [{"deviceId": "d"}]}, "decided", id="commands"),
        pytest.param(waiting("node"), {}, "removed", id="node-gone"),
    ],
)
def test_the_list_tells_what_became_of_it(one: Waiting, listed: dict[str, Any], outcome: str):
    assert outcome_of(one, listed) == outcome
