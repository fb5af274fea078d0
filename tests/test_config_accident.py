"""Edits that nobody wished for are told from those that somebody did."""

from pathlib import Path

import pytest

from stores.config.accident import looks_like_accident
from stores.config.load import interpret
from stores.errors import ConfigError

PATH = Path("/state/openclaw.json")
FULL = (
    '{gateway: {mode: "local", port: 1, bind: "lan", auth: {token: "t"}}, logging: {level: "info"}}'
)


def loaded(text, path=PATH):
    return interpret(path, text, {})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(FULL, None, "is gone", id="removed"),
        pytest.param(FULL, "{}", "says nothing any more", id="nothing"),
        pytest.param(FULL, "{ui: {}}", "says nothing about the gateway", id="no-gateway"),
        pytest.param(FULL, FULL.replace('mode: "local", ', ""), "gateway.mode is gone", id="mode"),
        pytest.param(FULL, FULL.replace('token: "t"', ""), "auth.token is gone", id="secret"),
        pytest.param(FULL, FULL.replace('"t"', '""'), "auth.token is gone", id="blank-secret"),
        pytest.param(
            '{gateway: {mode: "local", auth: {password: "p"}}}',
            '{gateway: {mode: "local"}}',
            "auth.password is gone",
            id="password",
        ),
        pytest.param(
            FULL,
            '{gateway: {mode: "local", auth: {token: "t"}}}',
            "3 of 5 keys are gone",
            id="more-than-half",
        ),
    ],
)
def test_an_edit_that_loses_too_much_is_not_believed(old, new, reason):
    found = looks_like_accident(loaded(old), loaded(new))

    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(None, FULL, id="a-first-file"),
        pytest.param(FULL, FULL, id="the-same"),
        pytest.param(FULL, FULL.replace('"t"', '"u"'), id="another-secret"),
        pytest.param(FULL, FULL.replace('token: "t"', 'tokenFile: "/t"'), id="secret-in-a-file"),
        pytest.param(FULL, FULL.replace('token: "t"', 'password: "p"'), id="password-instead"),
        pytest.param(
            FULL, FULL.replace('token: "t"', 'mode: "none"').replace('"lan"', '"loopback"'), id="no-secret-wished"
        ),
        pytest.param(
            '{gateway: {auth: {password: "p"}}}', '{gateway: {auth: {token: "t"}}}', id="token-instead"
        ),
        pytest.param(FULL, FULL.replace("port: 1, ", ""), id="one-key-less"),
        pytest.param("{gateway: {port: 1, bind: 'lan'}}", "{gateway: {mode: 'local'}}", id="small-file"),
        pytest.param("{}", "{}", id="nothing-before"),
    ],
)  # fmt: skip
def test_an_edit_that_keeps_what_matters_is_believed(old, new):
    assert looks_like_accident(loaded(old), loaded(new)) is None


@pytest.mark.parametrize("text", ["", "{gateway: {po", '{gateway: {port: "x"}}'])
def test_a_text_that_cannot_be_used_is_never_believed(text):
    with pytest.raises(ConfigError) as caught:
        loaded(text)

    assert looks_like_accident(loaded(FULL), caught.value) == caught.value.problem


def test_an_error_of_another_kind_is_never_believed_either():
    assert looks_like_accident(loaded(FULL), ConfigError("one\ntwo")) == "one"


def test_an_emptied_toml_file_is_an_accident():
    path = Path("/state/openclaw.toml")
    old = loaded('[gateway]\nmode = "local"\n', path)

    assert looks_like_accident(old, loaded("", path)) == f"{path} says nothing any more"
