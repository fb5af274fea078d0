from __future__ import annotations

import io
import json
from unicodedata import combining, east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import Colour, json_text, printable, table, wrapped
from stores.timespan import in_words

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("laptop", "laptop", id="ascii"),
        pytest.param("büro 電腦", "büro 電腦", id="letters-of-the-world"),
        pytest.param("a\x1b[31mb", "a\\x1b[31mb", id="ansi"),
        pytest.param("a\nb\tc", "a\\x0ab\\x09c", id="lines"),
        pytest.param("\x9b2J", "\\x9b2J", id="c1"),
        pytest.param("a\u202eb", "a\\u202eb", id="right-to-left-override"),
        pytest.param("a\ud800b", "a\\ud800b", id="lone-surrogate"),
    ],
)
def test_text_of_strangers_is_shown_and_not_obeyed(text: str, shown: str):
    assert printable(text) == shown


def test_a_cut_shows_as_an_ellipsis():
    assert printable("x" * 9, limit=9) == "x" * 9
    assert printable("x" * 10, limit=9) == "x" * 8 + "…"


@given(ANY_TEXT)
def test_printable_text_is_printable(text: str):
    assert printable(text).isprintable()


@given(st.none() | st.integers() | ANY_TEXT | st.lists(ANY_TEXT))
def test_json_reads_back_and_holds_nothing_a_terminal_obeys(value: object):
    text = json_text(value)

    assert json.loads(text) == value
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        pytest.param(-5, "0 s", id="clock-went-back"),
        pytest.param(59_999, "59 s", id="seconds"),
        pytest.param(60_000, "1 min", id="a-minute"),
        pytest.param(7_199_999, "119 min", id="under-two-hours"),
        pytest.param(7_200_000, "2 h", id="hours"),
        pytest.param(172_800_000, "2 d", id="days"),
    ],
)
def test_times_are_told_roughly(ms: int, words: str):
    assert in_words(ms) == words


def test_a_table_lines_up_its_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")

    drawn = table(("A", "BB"), [("1", "2"), ("333", "")])

    assert drawn.splitlines() == ["A    BB", "1    2", "333"]


def test_wide_characters_take_two_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")

    drawn = table(("A", "B"), [("電腦", "x"), ("e\u0301", "y")])

    assert drawn.splitlines() == ["A     B", "電腦  x", "e\u0301     y"]


def test_long_cells_wrap_at_words_and_short_ids_stay_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "40")

    drawn = table(("ID", "WORDS"), [("ABCD-EFGH", "one two three four five six seven")])

    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[1].startswith("ABCD-EFGH  one two")
    assert len(lines) == 3


def test_a_word_longer_than_the_screen_is_broken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "40")

    drawn = table(("NAME", "ID"), [("n" * 60, "x" * 30)])

    assert max(map(len, drawn.splitlines())) <= 40
    assert drawn.count("n") == 60


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=5))
def test_no_table_is_wider_than_its_screen_or_obeyed(rows: list[tuple[str, str, str]]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "60")

        drawn = table(("ONE", "TWO", "THREE"), rows)

    assert all(line.isprintable() and columns(line) <= 60 for line in drawn.split("\n"))


def columns(text: str) -> int:
    """Return how many columns of a terminal a text fills."""
    wide = {"W": 2, "F": 2}
    return sum(0 if combining(c) else wide.get(east_asian_width(c), 1) for c in text)


@pytest.mark.parametrize(
    ("env", "wanted", "terminal", "on"),
    [
        pytest.param({}, None, True, True, id="terminal"),
        pytest.param({}, None, False, False, id="pipe"),
        pytest.param({"TERM": "dumb"}, None, True, False, id="dumb-terminal"),
        pytest.param({"NO_COLOR": "1"}, None, True, False, id="no-color"),
        pytest.param({"NO_COLOR": "1", "FORCE_COLOR": "1"}, None, True, False, id="no-color-wins"),
        pytest.param({"FORCE_COLOR": "1"}, None, False, True, id="force-color"),
        pytest.param({"FORCE_COLOR": "0"}, None, False, False, id="force-color-0"),
        pytest.param({"FORCE_COLOR": "1"}, False, True, False, id="option-wins"),
    ],
)
def test_colour_is_for_terminals_unless_something_is_said(
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    wanted: bool | None,
    terminal: bool,
    on: bool,
):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    colour = Colour()
    colour.wanted = wanted

    assert colour.on(Terminal() if terminal else io.StringIO()) is on


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        pytest.param("take it with `do it now`", 20, ["take it with", "`do it now`"], id="whole"),
        pytest.param("`do it now` or `be it` .", 20, ["`do it now` or", "`be it` ."], id="two"),
        pytest.param(
            "with `do it now and then`", 9, ["with `do", "it now", "and then`"], id="long"
        ),
        pytest.param("a ` b c d", 5, ["a ` b", "c d"], id="no-pair"),
    ],
)
def test_a_command_that_fits_on_a_line_is_not_broken(text: str, width: int, lines: list[str]):
    assert wrapped(text, width) == lines
