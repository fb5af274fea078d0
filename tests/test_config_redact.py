"""Redaction: no secret shows, and nothing else is hidden."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.config.json5 import parse_json5
from stores.config.load import parse_document
from stores.config.model import Config, keys_of
from stores.config.redact import REDACTED, redact, redact_text


def secret_keys(record=Config, path=()):
    for key, attribute in keys_of(record).items():
        if attribute.metadata["secret"]:
            yield (*path, key)
        if "section" in attribute.metadata:
            yield from secret_keys(attribute.metadata["section"], (*path, key))


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


@pytest.mark.parametrize("path", list(secret_keys()), ids=".".join)
def test_every_secret_of_the_model_is_hidden(path):
    document = nested(path, "s3cret")

    assert redact(document) == nested(path, REDACTED)
    assert "s3cret" not in redact_text(json.dumps(document), document)


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        pytest.param(
            {"channels": {"botToken": "x"}}, {"channels": {"botToken": REDACTED}}, id="token"
        ),
        pytest.param({"m": {"apiKey": "x"}}, {"m": {"apiKey": REDACTED}}, id="api-key"),
        pytest.param(
            {"m": {"OPENAI_API_KEY": "x"}}, {"m": {"OPENAI_API_KEY": REDACTED}}, id="upper"
        ),
        pytest.param({"tokens": ["x", 1]}, {"tokens": [REDACTED, 1]}, id="array"),
        pytest.param({"secrets": {"a": "x"}}, {"secrets": {"a": REDACTED}}, id="below"),
        pytest.param({"env": {"vars": {"A": "x"}}}, {"env": {"vars": {"A": REDACTED}}}, id="env"),
        pytest.param({"token": "${T}"}, {"token": "${T}"}, id="reference"),
        pytest.param({"token": "a${T}"}, {"token": REDACTED}, id="half-reference"),
        pytest.param({"token": ""}, {"token": ""}, id="empty"),
        pytest.param({"tokenFile": "/run/t"}, {"tokenFile": "/run/t"}, id="file"),
        pytest.param({"maxTokens": 5}, {"maxTokens": 5}, id="number"),
        pytest.param({"mode": "token"}, {"mode": "token"}, id="value"),
        pytest.param({"url": "wss://u:p@h/x"}, {"url": f"wss://{REDACTED}@h/x"}, id="user-info"),
    ],
)
def test_secrets_are_known_by_the_name_of_their_key(document, shown):
    assert redact(document) == shown
    assert parse_json5(redact_text(json.dumps(document), document)) == shown


def test_the_document_itself_stays_as_it_was():
    document = {"gateway": {"auth": {"token": "s3cret"}}}

    redact(document)

    assert document == {"gateway": {"auth": {"token": "s3cret"}}}


def test_comments_and_layout_of_a_text_stay():
    raw = "// c\n{gateway: {auth: {token: 's3cret'}, /* d */ list: [1]}}\n"

    assert redact_text(raw, parse_json5(raw)) == raw.replace("'s3cret'", f'"{REDACTED}"')


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("{token: 'long-s3cret', // was: long-s3cret\n}", id="repeated-in-comment"),
        pytest.param("{a: 1, // token: 'other-s3cret'\n}", id="commented-out"),
        pytest.param('{a: 1, /* "apiKey": "s3cret" */}', id="commented-out-json"),
        pytest.param("{token: 's\\x33cret'}", id="escaped"),
        pytest.param("{token: 's3\\\ncret'}", id="continued"),
        pytest.param("{'tok\\u0065n': 's3cret'}", id="escaped-key"),
        pytest.param("{env: {vars: {A: 's3cret'}}}", id="environment"),
        pytest.param("{a: ['https://u:s3cret@h']}", id="user-info"),
        pytest.param("{token: 's3cret'", id="broken"),
        pytest.param("[gateway.auth]\ntoken = 's3cret' # c\n", id="toml"),
        pytest.param('[gateway.auth]\ntoken = "s\\u0033cret"\n', id="toml-escaped"),
        pytest.param("x = {password = 's3cret'}\n[[a]]\ntoken = 's3cret'\n", id="toml-inline"),
        pytest.param("token = 's3cret", id="toml-broken"),
    ],
)
def test_no_secret_survives_in_a_text(raw):
    try:
        document = parse_json5(raw)
    except ValueError:
        document = {}

    shown = redact_text(raw, document)

    assert "s3cret" not in shown
    assert "s\\x33cret" not in shown
    assert "u0033cret" not in shown
    assert REDACTED in shown


def test_toml_comments_stay(tmp_path):
    raw = "# top\n[gateway.auth]\ntoken = 's3cret' # mine\nmode = 'token'\n"

    shown = redact_text(raw, parse_document(tmp_path / "a.toml", raw))

    assert shown == raw.replace("'s3cret'", f'"{REDACTED}"')


@given(
    st.text(min_size=1),
    st.sampled_from(["{token: %s}", "{a: [{password: %s}]} // x", "{x: {secret: {y: %s}}}"]),
)
def test_whatever_the_secret_is_the_text_shows_only_the_mark(secret, form):
    raw = form % json.dumps(secret)

    shown = redact_text(raw, parse_json5(raw))

    assert REDACTED in shown
    assert parse_json5(shown) == redact(parse_json5(raw))
