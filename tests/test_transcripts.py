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

from tests.deviations import B19, B96, DEVIATIONS, F19, F96, TRANSCRIPTS, Seen
from tests.serving import open_gateway
from tests.test_handshake_vectors import DOCUMENT, TOKENS
from tests.transcripts import Replay

pytestmark = pytest.mark.slow

#: So much of each transcript is compared at least: answers, closes and events.
COMPARED = {F19: 80, F96: 140, B19: 130, B96: 115}

#: Longest replay of one transcript, s.
WITHIN_S = 60


@functools.cache
def replayed(name: str) -> tuple[int, frozenset[Seen]]:
    """Return how much was compared of a transcript, and what went another way."""
    version = name.partition("-")[2]

    async def life(folder: Path) -> Replay:
        section: dict[str, object] = {"auth": {"mode": "token", "token": TOKENS[version]}}
        with trio.fail_after(WITHIN_S):
            async with (
                open_gateway(folder, section | {"trustedProxies": ["127.0.0.1"]}) as gateway,
                trio.open_nursery() as nursery,
            ):
                replay = Replay(gateway, nursery)
                await replay.run(name)
                nursery.cancel_scope.cancel()
        return replay

    with tempfile.TemporaryDirectory() as folder:
        done = trio.run(life, Path(folder) / "s")
    return done.compared, frozenset(Seen(one.what, one.there, one.here) for one in done.found)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_session_goes_as_it_went_there_or_as_documented(name: str):
    compared, found = replayed(name)

    assert found == {seen for seen, (names, _) in DEVIATIONS.items() if name in names}
    assert compared >= COMPARED[name]


def test_a_deviation_is_one():
    assert [seen for seen in DEVIATIONS if seen.there == seen.here] == []


def test_the_reference_lists_the_very_same_deviations():
    lines = DOCUMENT.read_text().splitlines()
    rows = {line for line in lines if re.match(r"\| (full|behaviour)-2026", line)}

    assert rows == {row_of(seen) for seen in DEVIATIONS}


def row_of(seen: Seen) -> str:
    """Return a deviation as a line of the reference."""
    names, why = DEVIATIONS[seen]
    there, here = (text.replace("|", "\\|") for text in (seen.there, seen.here))
    return f"| {', '.join(names)} | {seen.what} | {there} | {here} | {why} |"
