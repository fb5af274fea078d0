from __future__ import annotations

import pytest

from stores.timespan import in_words, ms_of


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (7_199_000, "119 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_span_is_told_in_words(ms: int, words: str):
    assert in_words(ms) == words


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90d", 7_776_000_000),
        (" 12 H ", 43_200_000),
        ("5m", 300_000),
        ("5min", 300_000),
        ("2w", 1_209_600_000),
        ("30s", 30_000),
        ("250ms", 250),
    ],
)
def test_a_span_is_read_as_people_write_it(text: str, ms: int):
    assert ms_of(text) == ms


@pytest.mark.parametrize(
    "text", ["", "90", "d", "1.5h", "-1d", "1y", "1d 2h", "9" * 10 + "d", "१d"]
)
def test_what_is_no_span_is_none(text: str):
    assert ms_of(text) is None
