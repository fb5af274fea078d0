"""Editing, whatever the document and whatever the edits: no comment and no other byte is lost."""

import re
from collections import Counter
from datetime import date

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores.config.document import drop_key, put_key
from stores.config.json5_edit import drop, put
from stores.config.keypath import MISSING, look_up, parse_key, same
from stores.config.load import parse_document
from stores.config.toml_edit import drop_toml, put_toml
from stores.errors import ConfigError

SPELLINGS = {
    "json5": ["0x1F", "'single'", '"d\\u0041"', "+1", ".5", "[1, 'a', ]", "true", "null", "{a: 1}"],
    "toml": [
        *("0x1F", "'literal'", '"b\\u0041"', "1_000", "[1, 2, ]", "{ a = 1 }", "1979-05-27"),
        '"""several\n# lines\n"""',
        "[ # in\n  1, # one\n  2 # two\n]",
    ],
}
NEW = st.recursive(
    st.integers() | st.booleans() | st.text("ab#/\n\"'", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=5,
)
QUOTED = r'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
COMMENT = {"json5": re.compile(rf"{QUOTED}|(//[^\n]*)"), "toml": re.compile(rf"{QUOTED}|(#[^\n]*)")}


@attrs.frozen
class Line:
    """A key of a document: its path, and the text that must stay unless the path is touched."""

    path: tuple[str, ...]
    text: str


@st.composite
def documents(draw, kind):
    """Write a document in which every key and every comment is another one."""
    count = 0
    lines: list[str] = []
    keys: list[Line] = []
    sections: list[tuple[str, ...]] = []

    def number():
        nonlocal count
        count += 1
        return count

    def remark(indent=""):
        if draw(st.booleans()):
            lines.append(f"{indent}{'//' if kind == 'json5' else '#'} above {number()}")
        elif draw(st.integers(0, 4)) == 0:
            lines.append("")

    def behind():
        mark = "//" if kind == "json5" else "#"
        return f" {mark} behind {number()}" if draw(st.booleans()) else ""

    def fill(path, depth):
        indent = "  " * depth if kind == "json5" else draw(st.sampled_from(["", "  "]))
        for _ in range(draw(st.integers(1 if not path else 0, 3))):
            remark(indent)
            key = f"k{number()}"
            name = f"{key}.in{number()}" if kind == "toml" and draw(st.booleans()) else key
            text = draw(st.sampled_from(SPELLINGS[kind]))
            equals = ": " if kind == "json5" else " = "
            keys.append(Line((*path, *name.split(".")), f"{indent}{name}{equals}{text}"))
            comma = "," if kind == "json5" else ""
            lines.append(f"{keys[-1].text}{comma}{behind()}")
        for _ in range(draw(st.integers(0, 2 if depth < 3 else 0))):
            key = f"s{number()}"
            inside = (*path, key)
            sections.append(inside)
            remark(indent)
            if kind == "json5":
                lines.append(f"{indent}{key}: {{{behind()}")
                fill(inside, depth + 1)
                remark(indent + "  ")
                lines.append(f"{indent}}},{behind()}")
            else:
                lines.append(f"[{'.'.join(inside)}]{behind()}")
                fill(inside, depth + 1)

    remark()
    if kind == "json5":
        lines.append("{" + behind())
    fill((), 1)
    remark()
    if kind == "json5":
        lines.append("}")
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"])) if kind == "json5" else "\n"
    return newline.join(lines) + newline, keys, sections


@st.composite
def edits(draw, kind):
    """Write a document and what is done to it."""
    text, keys, sections = draw(documents(kind))
    places = [line.path for line in keys] + sections
    new = [(*path, f"n{at}") for at, path in enumerate([(), *sections, ("new",), ("new", "deep")])]
    doing = st.tuples(st.sampled_from(["set", "unset"]), st.sampled_from(places + new), NEW)
    return text, keys, draw(st.lists(doing, min_size=1, max_size=6))


def comments(kind, text):
    return Counter(found.strip() for found in COMMENT[kind].findall(text) if found)


def related(one, other):
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


@pytest.mark.parametrize("kind", ["json5", "toml"])
@given(data=st.data())
@settings(deadline=None, max_examples=settings().max_examples // 4)
def test_every_comment_and_every_untouched_byte_stays(tmp_path_factory, kind, data):
    text, keys, doing = data.draw(edits(kind))
    file = tmp_path_factory.getbasetemp() / f"openclaw.{'json' if kind == 'json5' else 'toml'}"
    touched = []
    edited = text
    for verb, path, value in doing:
        document = parse_document(file, edited)
        if verb == "unset" and look_up(document, path) is MISSING:
            continue
        above = [look_up(document, path[:depth]) for depth in range(len(path))]
        if verb == "set" and not all(
            found is MISSING or isinstance(found, dict) for found in above
        ):
            with pytest.raises(ConfigError, match=r"is not a section|out of reach"):
                put_key(file, edited, path, value)
            continue
        if verb == "set":
            edited = put_key(file, edited, path, value)
        else:
            edited = drop_key(file, edited, path)
        touched.append(path)
        found = look_up(parse_document(file, edited), path)
        assert found is MISSING if verb == "unset" else same(found, value)

    assert comments(kind, text) == comments(kind, edited)
    rest = iter(edited.splitlines())
    for line in keys:
        if not any(related(line.path, path) for path in touched):
            # in its order, and only the comma behind it may have come or gone
            assert all(
                any(seen == text or seen.startswith((f"{text},", f"{text} ")) for seen in rest)
                for text in line.text.splitlines()
            ), line


@pytest.mark.parametrize(
    ("key", "value", "text", "edited"),
    [
        pytest.param(
            "a.b", 2, "a.b = 1 # b\na.c = 3\n", "a.b = 2 # b\na.c = 3\n", id="dotted"
        ),
        pytest.param("a.d", 2, "a.b = 1 # b\n\nx = 1\n", "a.b = 1 # b\na.d = 2\n\nx = 1\n", id="beside-dotted"),
        pytest.param("a.d", 2, "a = { b = 1 } # a\n", "a = { b = 1, d = 2 } # a\n", id="inline"),
        pytest.param("a.d", 2, "a = {}\n", "a = { d = 2 }\n", id="empty-inline"),
        pytest.param("a.d.e", 2, "a = { d.f = 1 }\n", "a = { d.f = 1, d.e = 2 }\n", id="dotted-inline"),
        pytest.param("a.d", 2, "[a.b]\nx = 1", "[a.b]\nx = 1\n\n[a]\nd = 2\n", id="implied-section"),
        pytest.param("a.d.e", 2, "[a] # a\nx = 1\n# y = 2\n\n[z]\n", "[a] # a\nx = 1\n# y = 2\n\n[a.d]\ne = 2\n\n[z]\n", id="new-section"),
        pytest.param("a.d", {}, "[a]\n", "[a]\n\n[a.d]\n", id="empty-section"),
        pytest.param("a[2]", {"n": 3}, "[[a]]\nn = 1\n[[a]]\nn = 2\n", "[[a]]\nn = 1\n[[a]]\nn = 2\n\n[[a]]\nn = 3\n", id="element"),
        pytest.param("a[0].m", 5, "[[a]]\nn = 1\n[[a]]\nn = 2\n", "[[a]]\nn = 1\nm = 5\n[[a]]\nn = 2\n", id="in-element"),
        pytest.param("a", [{"n": 2}], "[[a]] # 1\nn = 1\n[[a]] # 2\nn = 2\n", "[[a]] # 1\nn = 2\n# 2\n", id="fewer-elements"),
        pytest.param("a", [1, {"n": 1}], "[[a]] # 1\nn = 1\n", "a = [1, { n = 1 }]\n# 1\n", id="mixed"),
        pytest.param("a[1]", 5, "[[a]]\nn = 1\n", "a = [{ n = 1 }, 5]\n", id="mixed-element"),
        pytest.param("a[0]", 5, "[[a]]\nn = 1\n", "a = [5]\n", id="plain-element"),
        pytest.param("a", 5, "x = 1\n[a.b]\ny = 1 # y\n", "x = 1\na = 5\n# y\n", id="section-becomes-value"),
        pytest.param("a", {"b": 1}, "a = 5 # a\n", "a = { b = 1 } # a\n", id="value-becomes-section"),
        pytest.param("a", [1, 3], "a = [\n  1, # one\n  2, # two\n  3, # three\n]\n", "a = [\n  1, # one\n  # two\n  3, # three\n]\n", id="array"),
        pytest.param("a", "x", "a = [ # c\n  1\n]\n", '# c\na = "x"\n', id="hoisted"),
        pytest.param("b", 1, "\ufeffa = 1\r\n", "\ufeffa = 1\r\nb = 1\r\n", id="crlf"),
        pytest.param("b", 1, "# top\n", "b = 1\n# top\n", id="nothing-yet"),
        pytest.param("b", 1.5, "", "b = 1.5\n", id="empty"),
        pytest.param("a", [2, 3, 1], "a = [1]\n", "a = [2, 3, 1]\n", id="insert"),
        pytest.param("a", [9, 1], "a = [8, 1]\n", "a = [9, 1]\n", id="replace-item"),
        pytest.param("a[1]", 2, "a = [1]\n", "a = [1, 2]\n", id="append"),
        pytest.param("a.b.c", 2, "a = { x = 1 }\n", "a = { x = 1, b = { c = 2 } }\n", id="deep-inline"),
        pytest.param("b", float("nan"), "", "b = nan\n", id="nan"),
        pytest.param("b", [date(2026, 1, 2)], "", "b = [2026-01-02]\n", id="date"),
        pytest.param("b", float("inf"), "", "b = inf\n", id="infinity"),
        pytest.param('b["x y"]', "é\x7f", "", '\n'.join(['[b]', '"x y" = "é\\u007F"', '']), id="odd-names"),
    ],
)  # fmt: skip
def test_toml_is_edited_the_way_it_is_written(tmp_path, key, value, text, edited):
    assert put_key(tmp_path / "a.toml", text, parse_key(key), value) == edited


@pytest.mark.parametrize(
    ("key", "text", "edited"),
    [
        pytest.param("a.b", "a.b = 1 # b\n", "# b\n", id="last-dotted"),
        pytest.param("a", "a.b = 1 # b\na.c.d = 2\nx = 1\n", "# b\nx = 1\n", id="all-dotted"),
        pytest.param("a.d", "a = { d.f = 1, d.g = 2 }\n", "a = { }\n", id="dotted-inline"),
        pytest.param("a", "[a] # a\n[a.b] # b\nx = 1\n[z]\n", "# a\n# b\n[z]\n", id="sections"),
        pytest.param("a[0]", "[[a]]\nn = 1\n[[a]]\nn = 2\n", "[[a]]\nn = 2\n", id="element"),
        pytest.param("a[0]", "[[a]]\nn = 1\n", "a = []\n", id="last-element"),
        pytest.param("a[0]", "a = [1, 2] # a\n", "a = [2] # a\n", id="item"),
        pytest.param("a", "a = [ # c\n1 ]\nb = 1\n", "# c\nb = 1\n", id="comment-inside"),
        pytest.param("a.b", "a = { b = [ # c\n1 ], d = 1 }\n", "# c\na = { d = 1 }\n", id="hoisted"),
    ],
)  # fmt: skip
def test_toml_loses_only_what_is_unset(tmp_path, key, text, edited):
    assert drop_key(tmp_path / "a.toml", text, parse_key(key)) == edited


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        pytest.param("a.b", 1, "is not a section", id="json5"),
        pytest.param("b[3]", 1, "out of reach", id="index"),
        pytest.param("b.x", 1, "out of reach", id="no-index"),
        pytest.param("b[0].x.y", 1, "is not a section", id="below-an-item"),
        pytest.param("b[7].x", 1, "is not a section", id="below-nothing"),
    ],
)
def test_what_has_no_place_is_refused(tmp_path, key, value, problem):
    for name, text in (("a.json", '{"a": 1, "b": [1]}'), ("a.toml", "a = 1\nb = [1]\n")):
        with pytest.raises(ConfigError, match=problem):
            put_key(tmp_path / name, text, parse_key(key), value)


@pytest.mark.parametrize(
    ("key", "value", "text", "edited"),
    [
        pytest.param("a[1]", 2, "{a: [1]}", "{a: [1, 2]}", id="append"),
        pytest.param("a", [0, 1], "{a: [1]}", "{a: [0, 1]}", id="insert"),
        pytest.param(
            "a", [0, 1], "{a: [\n  1 // x\n]}", "{a: [\n  0,\n  1 // x\n]}", id="insert-line"
        ),
        pytest.param("a", [1], "{a: [ /* none */ ]}", "{a: [ /* none */1 ]}", id="after-comment"),
        pytest.param("a", 2, "{a: [1 /* x */], b: 1}", "{/* x */ a: 2, b: 1}", id="hoisted-block"),
        pytest.param("a", {"c": 1}, "{a: {b: 1, c: 1}}", "{a: {c: 1}}", id="object"),
        pytest.param("a", 2, "{\n  a: { // x\n  }\n}", "{\n  // x\n  a: 2\n}", id="hoisted-line"),
    ],
)
def test_json5_is_edited_the_way_it_is_written(tmp_path, key, value, text, edited):
    assert put_key(tmp_path / "a.json", text, parse_key(key), value) == edited


@pytest.mark.parametrize(
    ("key", "text", "edited"),
    [
        pytest.param("a", "{a: [1 /* x */], b: 1}", "{/* x */ b: 1}", id="block-inside"),
        pytest.param("a", "{a: [ // x\n1], b: 1}", "{// x\nb: 1}", id="line-inside"),
        pytest.param("a", "{ a: 1,\n  b: 2 }", "{\n  b: 2 }", id="line-left-open"),
        pytest.param("a", "{\n  a: 1, b: 2\n}", "{\n  b: 2\n}", id="first-on-a-line"),
        pytest.param("a[0]", "{a: [1]}", "{a: []}", id="only-element"),
    ],
)
def test_json5_loses_only_what_is_unset(tmp_path, key, text, edited):
    assert drop_key(tmp_path / "a.json", text, parse_key(key)) == edited


def test_what_an_edit_cannot_do_exactly_is_left_to_an_editor(tmp_path):
    odd = "{\\u0061b: {y: 1}}"  # a bare key that is spelt with an escape

    with pytest.raises(ConfigError, match="is written in a way"):
        drop_key(tmp_path / "a.json", odd, ("ab", "y"))
    with pytest.raises(ConfigError, match="is written in a way"):
        put_key(tmp_path / "a.json", odd, ("ab", "x"), 1)


def test_half_a_character_has_no_form_in_toml(tmp_path):
    with pytest.raises(ConfigError, match="half a character"):
        put_key(tmp_path / "a.toml", "", ("a",), "\ud800")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda: put("{a: 1}", ("a", "b"), 1), id="put-below-a-value"),
        pytest.param(lambda: put("{a: [1]}", ("a", "7"), 1), id="put-beyond"),
        pytest.param(lambda: drop("{a: 1}", ("b",)), id="drop"),
        pytest.param(lambda: drop("{a: 1}", ("b", "c")), id="drop-below-nothing"),
        pytest.param(lambda: put_toml("a = 1\n", ("a", "b"), 1), id="toml-put-below-a-value"),
        pytest.param(lambda: put_toml("a = [1]\n", ("a", "7"), 1), id="toml-put-beyond"),
        pytest.param(lambda: put_toml("[[a]]\n", ("a", "7"), {}), id="toml-put-beyond-sections"),
        pytest.param(lambda: drop_toml("a = 1\n", ("b",)), id="toml-drop"),
    ],
)
def test_a_place_that_is_not_there_is_an_error(change):
    with pytest.raises(ValueError, match=r"is not|has no place|cannot be set"):
        change()
