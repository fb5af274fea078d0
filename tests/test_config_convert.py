"""From JSON5 to TOML and back: the same keys, the same comments."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores.config.convert import convert
from stores.config.keypath import same
from stores.config.load import parse_document
from stores.config.spans import comments_in
from stores.config.toml_spans import toml_comments_in
from stores.errors import ConfigError

JSON5 = """\
// about the file
{ // opened
  gateway: { // ours
    port: 18789, // the usual one
    /* the
     * mode */
    auth: { mode: 'token' /* inline */ }, // auth
    trustedProxies: [
      "127.0.0.1", // nginx
      // end
    ],
    pairing: {
      autoApprove: [ // rules
        { name: "a", from: "10.0.0.1" }, // first
        // second comes
        { name: "b", /* n */ from: "10.0.0.2" },
      ],
    },
  }, // gateway ends
  logging: {},
  // last
}
// after
"""
TOML = """\
# about the file

# about the gateway
[gateway] # ours
port = 18_789 # the usual one
auth.mode = "token" # mode
auth.rateLimit = { maxAttempts = 3 } # limit
trustedProxies = [ # in front
  "127.0.0.1", # nginx
  # end
]
# left over

# rules
[[gateway.pairing.autoApprove]] # first
name = "a"
[[gateway.pairing.autoApprove]] # second
name = "b"

[agents]
x = { a.b = [ # deep
  1 ] }

# after
"""


def document_of(text, kind):
    return parse_document(Path("a.toml" if kind == "toml" else "a.json"), text)


def words_of(text, kind):
    found = (toml_comments_in if kind == "toml" else comments_in)(text)
    plain = " ".join(found)
    for mark in ("/*", "*/", "//", "#", "*"):
        plain = plain.replace(mark, " ")
    return Counter(plain.split())


@pytest.mark.parametrize(
    ("text", "kind", "other"),
    [
        pytest.param(JSON5, "json5", "toml", id="json5"),
        pytest.param(TOML, "toml", "json5", id="toml"),
    ],
)
def test_there_and_back_keeps_keys_and_comments(text, kind, other):
    there = convert(text, other)
    back = convert(there, kind)

    assert same(document_of(there, other), document_of(text, kind))
    assert same(document_of(back, kind), document_of(text, kind))
    assert words_of(there, other) == words_of(text, kind)
    assert words_of(back, kind) == words_of(text, kind)
    assert convert(convert(back, other), kind) == back


def test_a_comment_stays_with_its_key():
    lines = convert(JSON5, "toml").splitlines()

    assert "port = 18789 # the usual one" in lines
    assert '  "127.0.0.1", # nginx' in lines
    assert "[gateway.auth] # auth" in lines
    at = lines.index("[gateway.auth] # auth")
    assert lines[at - 2 : at] == ["# the", "# mode"]


def test_a_comment_of_toml_stays_with_its_key():
    lines = [line.strip() for line in convert(TOML, "json5").splitlines()]

    assert '"port": 18789, // the usual one' in lines
    assert lines[lines.index('"gateway": { // ours') - 1] == "// about the gateway"
    assert lines[0] == "// about the file"


VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
@settings(deadline=None)
def test_every_document_that_toml_can_say_comes_back(document):
    text = json.dumps(document)

    assert same(document_of(convert(convert(text, "toml"), "json5"), "json5"), document)


@pytest.mark.parametrize(
    ("text", "to", "problem"),
    [
        pytest.param("{a: {b: null}}", "toml", "a.b: TOML has no form for null", id="null"),
        pytest.param("{a: [1, null]}", "toml", "a.1: TOML has no form for null", id="null-item"),
        pytest.param('{a: "\\ud800"}', "toml", "a: TOML has no form for half", id="half"),
        pytest.param("a = 1979-05-27\n", "json5", "a: JSON5 has no form for a date", id="date"),
        pytest.param("[a]\nb = [07:32:00]\n", "json5", "a.b.0: JSON5 has no form", id="time"),
    ],
)
def test_what_the_other_format_cannot_say_is_named(text, to, problem):
    with pytest.raises(ConfigError) as caught:
        convert(text, to)

    assert caught.value.problem.startswith(problem)
    assert "openclaw config unset a" in (caught.value.remedy or "")


def test_a_text_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match="not valid JSON5"):
        convert("{", "toml")


def test_infinity_and_dates_keep_their_form():
    assert convert("{a: Infinity, b: -Infinity}", "toml") == "a = inf\nb = -inf\n"
    assert convert("a = inf\nb = -inf\n", "json5") == '{\n  "a": Infinity,\n  "b": -Infinity\n}\n'
