from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import entries
from stores.errors import CorruptStoreError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


def written(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


@given(objects)
def test_an_object_is_put_together_as_it_would_be_written_whole(value):
    texts = [entries.join_one(key, item) for key, item in value.items()]

    assert entries.join(texts) == written(value)


@given(objects)
def test_what_is_split_is_what_the_parser_finds(value):
    found = entries.split(written(value))

    if found is not None:
        assert {key: entries.parse_one(key, text) for key, text in found.items()} == value
        assert entries.join(found.values()) == written(value)


@given(st.dictionaries(st.sampled_from("abc"), values, min_size=1))
def test_a_file_in_the_layout_of_the_stores_is_split(value):
    for data in (written(value), written(value) + b"\n", json.dumps(value, indent=2).encode()):
        found = entries.split(data)

        assert found is not None
        assert {key: entries.parse_one(key, text) for key, text in found.items()} == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="empty"),
        pytest.param("", id="nothing"),
        pytest.param("[]", id="array"),
        pytest.param('{"a": 1}', id="one-line"),
        pytest.param('{\n    "a": 1\n}', id="four-spaces"),
        pytest.param('{\r\n  "a": 1\r\n}', id="windows-lines"),
        pytest.param('{\n  "a": 1,\n  "a": 2\n}', id="a-key-twice"),
        pytest.param('{\n  "a\\"": 1\n}', id="an-escaped-key"),
        pytest.param('{\n  "é": 1\n}', id="a-key-that-is-not-ascii"),
        pytest.param('{\n  "a":1\n}', id="no-space"),
    ],
)
def test_any_other_layout_is_left_to_the_parser(text):
    assert entries.split(text.encode()) is None


@pytest.mark.parametrize(
    "text", [b'a": 1, "b": 2', b'a": ', b'a": {', b'b": 1'], ids=["two", "half", "open", "other"]
)
def test_a_text_that_is_not_one_entry_of_its_key_is_refused(text):
    with pytest.raises(ValueError):
        entries.parse_one("a", text)


def test_half_a_surrogate_pair_is_let_through_and_written_as_it_was(tmp_path):
    found = entries.parse(tmp_path, b'{"a": "\\ud83d", "b": 1}')

    assert found == {"a": "\ud83d", "b": 1}
    assert entries.join_one("a", found["a"]) == b'a": "\\ud83d"'


def test_the_mark_that_editors_put_first_is_no_fault(tmp_path):
    assert entries.parse(tmp_path, b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"null", b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe\xfd", b"[" * 100_000],
    ids=["zero-byte", "array", "torn", "null", "nan", "infinity", "binary", "deep"],
)  # fmt: skip
def test_what_is_not_a_json_object_is_corrupt(tmp_path, data):
    with pytest.raises(CorruptStoreError):
        entries.parse(tmp_path / "paired.json", data)
