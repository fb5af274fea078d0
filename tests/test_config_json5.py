"""The short cut through JSON: it must never say anything the full reader does not say."""

import json

import json5
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stores.config.json5 import Json5Error, parse_json5, plain_json

FRAGMENTS = [
    *'{}[]:,"',
    "'",
    "//",
    "/*",
    "*/",
    "\n",
    "\r",
    " ",
    "\\",
    "/",
    "a",
    "1",
    "-",
    "null",
    "true",
    '"a"',
    '"//"',
    '"/*"',
    '"\\""',
    "'\"'",
    "// c\n",
    "/* , */",
    ",}",
    ",]",
    "\u2028",
    "\u00a0",
    "NaN",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
GAPS = st.sampled_from(["", " ", "\n", "// x, } \" ' \n", "/* ] \" // ' , */", "\t\r\n"])


@st.composite
def commented(draw, value):
    """Write a value as JSON with comments in every gap and trailing commas."""

    def write(item):
        gap = draw(GAPS)
        if isinstance(item, dict) and item:
            inner = [f"{draw(GAPS)}{json.dumps(k)}{draw(GAPS)}:{write(v)}" for k, v in item.items()]
            return f"{gap}{{{','.join(inner)}{draw(st.sampled_from(['', ',']))}{draw(GAPS)}}}{gap}"
        if isinstance(item, list) and item:
            comma = draw(st.sampled_from(["", ","]))
            return f"{gap}[{','.join(map(write, item))}{comma}{draw(GAPS)}]{gap}"
        return f"{gap}{json.dumps(item)}{draw(GAPS)}"

    return write(value)


@given(VALUES.flatmap(lambda value: st.tuples(st.just(value), commented(value))))
def test_comments_and_trailing_commas_need_no_full_reader(case):
    value, text = case

    assert json.loads(plain_json(text)) == value
    assert plain_json(text).count("\n") == text.count("\n")


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
@example("[,]")
@example("{,}")
@example("[1,,]")
@example('{"a":,}')
@example(',["a"]')
@example("// x\r[1]")
@example("['// ']")
@settings(max_examples=400, deadline=None)
def test_the_short_cut_accepts_only_what_the_full_reader_accepts(text):
    try:
        short = json.loads(plain_json(text))
    except ValueError:
        return

    # compared as text, for NaN does not equal itself
    assert repr(short) == repr(json5.loads(text))


def test_a_comment_whose_end_is_disputed_is_left_to_the_full_reader():
    with pytest.raises(ValueError):
        json.loads(plain_json("// x\r[1]"))
    assert json.loads(plain_json("// x\r\n[1]")) == [1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": 1}', {"a": 1}, id="json"),
        pytest.param('{"a": "// no",} // yes', {"a": "// no"}, id="comment"),
        pytest.param(
            "{a: 'x', b: [1,], /* c */ c: 0x1F}", {"a": "x", "b": [1], "c": 31}, id="json5"
        ),
        pytest.param("\ufeff{a: 1}", {"a": 1}, id="byte-order-mark"),
        pytest.param(
            '{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}, id="big"
        ),
    ],
)
def test_a_text_is_read(text, value):
    assert parse_json5(text) == value


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        pytest.param("", "the file is empty", None, id="empty"),
        pytest.param("// only this", "the file is empty", None, id="comment-only"),
        pytest.param('{"a": 1\n"b": 2}', "not valid JSON5, expected `,` or `}`", 2, id="comma"),
        pytest.param("{\n\n,}", "not valid JSON5, expected `}` or key", 3, id="lone-comma"),
        pytest.param("{a: 1} x", "not valid JSON5", 1, id="rest"),
        pytest.param("/* never closed", "not valid JSON5", None, id="comment-open"),
        pytest.param("[" * 100_000 + "]" * 100_000, "nested too deep", None, id="deep"),
        pytest.param("[" * 1500 + "'a'" + "]" * 1500, "nested too deep", None, id="deep-json5"),
    ],
)
def test_what_is_not_json5_is_refused_with_its_line(text, problem, line):
    with pytest.raises(Json5Error) as caught:
        parse_json5(text)

    assert (str(caught.value), caught.value.line) == (problem, line)
