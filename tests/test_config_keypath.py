"""The paths of keys: what users write, what messages show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.config.keypath import MISSING, dotted, leaves, look_up, parse_key, same
from stores.errors import UsageError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("gateway.port", ("gateway", "port"), id="dots"),
        pytest.param("a[0].b", ("a", "0", "b"), id="index"),
        pytest.param("a.0.b", ("a", "0", "b"), id="index-as-a-key"),
        pytest.param('a["b.c"].d', ("a", "b.c", "d"), id="quoted"),
        pytest.param("a['b c'][1]", ("a", "b c", "1"), id="single-quotes"),
        pytest.param('["b.c"]', ("b.c",), id="begins-with-a-bracket"),
        pytest.param("$schema", ("$schema",), id="sign"),
    ],
)
def test_a_path_is_read_the_way_it_is_written(text, path):
    assert parse_key(text) == path


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[0]b", "a b", "a.[0", '"a']
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(UsageError, match="not the path of a key"):
        parse_key(text)


@given(st.lists(st.text("ab0.[] \"é'", min_size=1).filter(lambda key: '"' not in key), min_size=1))
def test_what_is_shown_can_be_typed(path):
    assert parse_key(dotted(tuple(path))) == tuple(path)


def test_a_document_is_looked_up_through_objects_and_arrays():
    document = {"a": [{"b": None}], "c": 1}

    assert look_up(document, ("a", "0", "b")) is None
    assert look_up(document, ()) == document
    for path in (("a", "1"), ("a", "x"), ("c", "d"), ("e",)):
        assert look_up(document, path) is MISSING


def test_values_are_compared_as_readers_do():
    assert same({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    assert not same(1, True)
    assert not same(1, 1.0)


def test_an_array_is_one_leaf():
    assert list(leaves({"a": {"b": 1, "c": {}}, "d": [1, 2]})) == [("a", "b"), ("d",)]
