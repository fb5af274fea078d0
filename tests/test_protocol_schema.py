"""Closed-object validation and the words of its faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.schema import (
    ANY,
    BOOLEAN,
    COUNT,
    EMPTY_OK,
    NAME,
    NAMES,
    POSITIVE,
    Closed,
    Integer,
    InvalidParamsError,
    ListOf,
    MapOf,
    OneOf,
    Text,
    fault,
    require,
    shown,
)

ROOT = Closed(
    {
        "id": NAME,
        "count?": COUNT,
        "inner?": Closed({"key": NAME, "mode?": OneOf(frozenset({"a", "b"}))}),
        "list?": NAMES,
        "map?": MapOf(BOOLEAN),
        "any?": ANY,
    }
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "must be object", id="missing"),
        pytest.param([], "must be object", id="array"),
        pytest.param({}, "must have required property 'id'", id="required"),
        pytest.param({"id": "1", "foo": 1}, "at root: unexpected property 'foo'", id="unexpected"),
        pytest.param({"id": ""}, "at /id: must NOT have fewer than 1 characters", id="empty"),
        pytest.param({"id": 1}, "at /id: must be string", id="not-string"),
        pytest.param({"id": "1", "count": "1"}, "at /count: must be integer", id="not-integer"),
        pytest.param({"id": "1", "count": True}, "at /count: must be integer", id="bool-is-no-int"),
        pytest.param({"id": "1", "count": 1.0}, "at /count: must be integer", id="float-is-no-int"),
        pytest.param({"id": "1", "count": -1}, "at /count: must be >= 0", id="too-small"),
        pytest.param(
            {"id": "1", "count": 2**53}, "at /count: must be <= 9007199254740991", id="too-big"
        ),
        pytest.param({"id": "1", "inner": 1}, "at /inner: must be object", id="inner-no-object"),
        pytest.param(
            {"id": "1", "inner": {}}, "at /inner: must have required property 'key'", id="inner"
        ),
        pytest.param(
            {"id": "1", "inner": {"key": "k", "x": 1}},
            "at /inner: unexpected property 'x'",
            id="inner-unexpected",
        ),
        pytest.param(
            {"id": "1", "inner": {"key": "k", "mode": "c"}},
            "at /inner/mode: must be equal to one of the allowed values",
            id="enum",
        ),
        pytest.param(
            {"id": "1", "inner": {"key": "k", "mode": []}},
            "at /inner/mode: must be equal to one of the allowed values",
            id="enum-unhashable",
        ),
        pytest.param({"id": "1", "list": {}}, "at /list: must be array", id="not-array"),
        pytest.param({"id": "1", "list": ["a", 2]}, "at /list/1: must be string", id="item"),
        pytest.param({"id": "1", "map": []}, "at /map: must be object", id="not-map"),
        pytest.param({"id": "1", "map": {"a": 1}}, "at /map/a: must be boolean", id="map-value"),
        pytest.param(
            {"count": "x", "foo": 1},
            "must have required property 'id'; at /count: must be integer; "
            "at root: unexpected property 'foo'",
            id="several",
        ),
    ],
)
def test_a_misfit_is_named(value, text):
    assert fault(ROOT, value) == text


@pytest.mark.parametrize(
    "value",
    [
        {"id": "1"},
        {"id": "1", "count": 0, "any": None},
        {"id": "1", "inner": {"key": "k", "mode": "a"}, "list": ["x"], "map": {"camera": True}},
    ],
)
def test_what_fits_has_no_fault(value):
    assert fault(ROOT, value) is None


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        pytest.param(OneOf(frozenset({"req"})), "res", "must be equal to constant", id="constant"),
        pytest.param(Text(max_chars=2), "abc", "must NOT have more than 2 characters", id="long"),
        pytest.param(POSITIVE, 0, "must be >= 1", id="positive"),
        pytest.param(Integer(maximum=5), 6, "must be <= 5", id="at-most"),
        pytest.param(ListOf(NAME, min_items=1), [], "must NOT have fewer than 1 items", id="few"),
        pytest.param(
            ListOf(NAME, max_items=1), ["a", "b"], "must NOT have more than 1 items", id="many"
        ),
        pytest.param(
            ListOf(NAME, unique=True), ["a", "a"], "must NOT have duplicate items", id="duplicate"
        ),
    ],
)
def test_a_bound_is_named(schema, value, text):
    assert fault(schema, value) == text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param(EMPTY_OK, "", id="empty-allowed"),
        pytest.param(Text(max_chars=1), "🦞", id="characters-not-bytes"),
        pytest.param(ListOf(ANY, unique=True), [1, 1.0, True, "1", [1]], id="unique-of-any-kind"),
    ],
)
def test_a_bound_is_reached_but_not_crossed(schema, value):
    assert fault(schema, value) is None


def test_requiring_raises_the_same_words():
    with pytest.raises(InvalidParamsError, match=r"^must have required property 'id'$"):
        require(ROOT, {})

    require(ROOT, {"id": "1"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("a\x1b[2Jb", "a\\u001b[2Jb", id="terminal-escape"),
        pytest.param("a\r\nb", "a\\u000d\\u000ab", id="new-line"),
        pytest.param("a\u202eb", "a\\u202eb", id="right-to-left"),
        pytest.param("\ud800", "\\ud800", id="lone-surrogate"),
        pytest.param("x" * 65, "x" * 64 + "...", id="long"),
    ],
)
def test_a_hostile_name_is_shown_harmlessly(name, text):
    assert shown(name) == text
    assert fault(ROOT, {"id": "1", name: 1}) == f"at root: unexpected property '{text}'"
    assert fault(MapOf(BOOLEAN), {name: 1}) == f"at /{text}: must be boolean"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (ROOT, {f"x{index}": 1 for index in range(100_000)}),
        (NAMES, [0] * 100_000),
        (MapOf(BOOLEAN), {f"x{index}": 1 for index in range(100_000)}),
    ],
    ids=["object", "array", "map"],
)
def test_a_flood_of_faults_is_named_in_part(schema, value):
    text = fault(schema, value)

    assert text is not None
    assert text.count(";") == 7


@given(JSON)
def test_any_value_is_judged_in_bounded_printable_words(value):
    text = fault(ROOT, value)

    assert text is None or (text.isprintable() and len(text) < 2_000)
