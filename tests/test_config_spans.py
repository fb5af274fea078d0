"""Cutting and pasting: the text around a key is never written anew."""

import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores.config.json5 import parse_json5
from stores.config.json5_edit import put
from stores.config.keypath import leaves
from stores.config.spans import comments_in, scan
from stores.config.toml_spans import scan_toml

NAMES = st.sampled_from(["a", "b", "c", "x y", "é", "d"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers() | st.text(max_size=6) | st.none() | st.lists(st.integers(), max_size=3),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
GAPS = st.sampled_from(["", " ", "\n", " // x, } \" '\n", "/* ] , */", "\n    ", "\r\n\t"])


@st.composite
def written(draw, document):
    """Write a document as JSON5 in some odd way."""

    def write(value):
        if isinstance(value, dict):
            pairs = [
                f"{draw(GAPS)}{json.dumps(key)}{draw(GAPS)}:{draw(GAPS)}{write(item)}{draw(GAPS)}"
                for key, item in value.items()
            ]
            comma = "," if pairs and draw(st.booleans()) else ""
            return f"{{{','.join(pairs)}{comma}{draw(GAPS)}}}"
        return json.dumps(value)

    return draw(GAPS) + write(document) + draw(GAPS)


def part_at(text, path):
    """Return the part of the text that a path names."""
    part = None
    for key in path:
        part = (scan(text) if part is None else part.value).at(key)
    return part


@given(
    DOCUMENTS.flatmap(lambda document: st.tuples(st.just(document), written(document))),
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    st.integers(10) | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2),
)
@settings(deadline=None)
def test_everything_but_the_key_set_stays_byte_for_byte(case, path, value):
    document, text = case
    holder = document
    for key in path[:-1]:
        holder = holder.setdefault(key, {}) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        with pytest.raises(ValueError):
            put(text, path, value)
        return
    replaces = path[-1] in holder
    holder[path[-1]] = value

    edited = put(text, path, value)

    assert parse_json5(edited) == document
    if replaces:
        part = part_at(text, path)
        assert edited.startswith(text[: part.start])
        assert edited.endswith(text[part.end :])
        kept = comments_in(text)
        assert sorted(comments_in(edited)) == sorted(kept)
    else:
        # what is there is there still, in its order: the old text is what is left without the new
        rest = iter(edited)
        assert all(character in rest for character in text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1", "{a 1}", "{a: 1 b: 2}", "{]", "{:1}", "{1:", "}", ":"],
)
def test_a_text_that_is_no_json5_has_no_spans(text):
    with pytest.raises(ValueError):
        scan(text)


@pytest.mark.parametrize("text", ["= 1", "a", "a =", "a = [1 2]", "[a", "[]", "a = ["])
def test_a_text_that_is_no_toml_has_no_spans(text):
    with pytest.raises(ValueError):
        scan_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('\'a\' = 1\n"\\u0062" = 2 # x\n[c . "d"]\n', id="keys"),
        pytest.param("a = 1979-05-27 07:32:00Z\nb = [{c = 1}, [2, 3,], # y\n]\n", id="values"),
    ],
)
def test_every_key_of_a_toml_text_is_found(text):
    found = [(*section.path, *part.keys) for section in scan_toml(text) for part in section.parts]

    assert set(found) == set(leaves(tomllib.loads(text)))
