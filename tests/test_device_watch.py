"""What became of a request that waits no more, as far as a list of devices tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.device_watch import Told, Waiting, outcome_of
from cli.watch_runs import Runs

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
            "replaced",
            id="asks-for-something-else",
        ),
        pytest.param(
            waiting(), {"paired": [{"deviceId": "d", "approvedAtMs": "x"}]}, "rejected", id="junk"
        ),
        pytest.param(waiting("node"), {"paired": [{"deviceId": "d"}]}, "decided", id="commands"),
        pytest.param(waiting("node"), {}, "removed", id="node-gone"),
        pytest.param(
            waiting("node"),
            {"paired": [{"deviceId": "d", "pendingNodeSurface": {"requestId": "EF67-GH89"}}]},
            "replaced",
            id="other-commands",
        ),
        pytest.param(
            waiting(),
            {"pending": [{"deviceId": "d", "requestId": "AB23-CD45", "firstSeenAtMs": 5}]},
            "rejected",
            id="asks-for-the-same-again",
        ),
    ],
)
def test_the_list_tells_what_became_of_it(one: Waiting, listed: dict[str, Any], outcome: str):
    assert outcome_of(one, listed) == outcome


def request(code: str, first_seen_ms: int) -> dict[str, Any]:
    return {"requestId": code, "deviceId": code.lower(), "firstSeenAtMs": first_seen_ms}


def told_of(
    capsys: pytest.CaptureFixture[str], *lists: list[dict[str, Any]]
) -> list[tuple[str, str, str | None]]:
    """Take lists in one after the other; return event, code and outcome of each line."""
    told = Told(as_json=True, runs=Runs(()))
    for pending in lists:
        told.take_in({"pending": pending})
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return [(one["event"], one["requestId"], one.get("outcome")) for one in lines]


def test_those_of_one_look_are_told_in_the_order_they_came(capsys: pytest.CaptureFixture[str]):
    lines = told_of(capsys, [request("C", 30), request("A", 10), request("B", 20)])

    assert [code for _, code, _ in lines] == ["A", "B", "C"]


def test_a_request_is_told_once_and_its_end_too(capsys: pytest.CaptureFixture[str]):
    one = request("A", 10)

    lines = told_of(capsys, [one], [one | {"ts": 5}], [one], [], [])

    assert lines == [("requested", "A", None), ("ended", "A", "rejected")]


def test_the_same_asked_again_between_two_looks_is_another_request(
    capsys: pytest.CaptureFixture[str],
):
    lines = told_of(capsys, [request("A", 10)], [request("A", 20)])

    assert lines == [
        ("requested", "A", None),
        ("ended", "A", "rejected"),
        ("requested", "A", None),
    ]
