"""Whole sessions with two published gateways, replayed: what of them goes another way here, and why.

Where something is meant to differ, `deviations.py` says so and why; the table in
``docs/reference/protocol.md`` is the same one.
"""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path

import pytest
import trio

from tests.deviations import B19, B96, F19, F96, TRANSCRIPTS, Seen
from tests.deviations_modes import (
    ALL_DEVIATIONS,
    C19,
    C96,
    N19,
    N96,
    P19,
    P96,
    SESSIONS,
    T96,
    Deviation,
)
from tests.serving import open_gateway
from tests.test_handshake_vectors import DOCUMENT, TOKENS
from tests.transcripts import Replay

pytestmark = pytest.mark.slow

#: So much of each transcript is compared at least: answers, closes and events.
COMPARED = {F19: 80, F96: 140, B19: 130, B96: 115, C19: 15, C96: 35}
COMPARED |= {N19: 13, N96: 11, P19: 13, P96: 13, T96: 35}

#: How the gateway of a session was set up there, where not with a token behind a proxy on loopback.
SET_UP: dict[str, dict[str, object]] = {
    "none": {"auth": {"mode": "none"}, "trustedProxies": []},
    "password": {"auth": {"mode": "password", "password": "pw-secret"}, "trustedProxies": []},
    "tp": {
        "auth": {
            "mode": "trusted-proxy",
            "trustedProxy": {
                "userHeader": "X-Forwarded-User",
                "requiredHeaders": ["X-Forwarded-Proto"],
                "allowUsers": ["alice@example.com"],
                "allowLoopback": True,
            },
        },
        "controlUi": {"allowedOrigins": ["https://gw.example.com"]},
    },
}

#: Longest replay of one transcript, s.
WITHIN_S = 60


@functools.cache
def replayed(name: str) -> tuple[int, frozenset[Seen]]:
    """Return how much was compared of a transcript, and what went another way."""
    session, _, version = name.rpartition("-")

    async def life(folder: Path) -> Replay:
        section: dict[str, object] = {"auth": {"mode": "token", "token": TOKENS[version]}}
        section |= {"trustedProxies": ["127.0.0.1"]} | SET_UP.get(session.rpartition("-")[2], {})
        with trio.fail_after(WITHIN_S):
            async with (
                open_gateway(folder, section) as gateway,
                trio.open_nursery() as nursery,
            ):
                replay = Replay(gateway, nursery)
                await replay.run(name)
                nursery.cancel_scope.cancel()
        return replay

    with tempfile.TemporaryDirectory() as folder:
        done = trio.run(life, Path(folder) / "s")
    return done.compared, frozenset(Seen(one.what, one.there, one.here) for one in done.found)


@pytest.mark.parametrize("name", [*TRANSCRIPTS, *SESSIONS])
def test_a_session_goes_as_it_went_there_or_as_documented(name: str):
    compared, found = replayed(name)

    assert found == {one.seen for one in ALL_DEVIATIONS if name in one.names}
    assert compared >= COMPARED[name]


def test_a_deviation_is_one():
    assert [one for one in ALL_DEVIATIONS if one.seen.there == one.seen.here] == []


def test_the_reference_lists_the_very_same_deviations():
    lines = DOCUMENT.read_text().splitlines()
    rows = {
        line
        for line in lines
        if re.match(r"\| (full|behaviour|auth-mode-\w+|config-writes)-2026", line)
    }

    assert rows == {row_of(one) for one in ALL_DEVIATIONS}


def row_of(one: Deviation) -> str:
    """Return a deviation as a line of the reference."""
    there, here = (text.replace("|", "\\|") for text in (one.seen.there, one.seen.here))
    return f"| {', '.join(one.names)} | {one.seen.what} | {there} | {here} | {one.why} |"
