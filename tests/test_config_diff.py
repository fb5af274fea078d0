"""Differences: every change shows, no secret does."""

from stores.config.diff import Side, redacted_diff


def test_the_same_text_has_no_difference():
    assert redacted_diff(Side("a", "{}"), Side("b", "{}")) == ""


def test_a_changed_line_shows_between_its_neighbours():
    text = redacted_diff(Side("old", "{\n  port: 1,\n}\n"), Side("new", "{\n  port: 2,\n}\n"))

    assert text == "--- old\n+++ new\n@@ -1,3 +1,3 @@\n {\n-  port: 1,\n+  port: 2,\n }"


def test_a_secret_that_changed_shows_as_a_change_and_not_as_a_secret():
    old = '{auth: {\n  token: "s3cret-one",\n  password: "same-s3cret",\n}} // was s3cret-one\n'
    new = old.replace("s3cret-one", "s3cret-two")

    text = redacted_diff(Side("old", old), Side("new", new))

    assert "s3cret" not in text
    assert '-  token: "__OPENCLAW_REDACTED__",' in text
    assert '+  token: "__OPENCLAW_REDACTED__",' in text
    assert '   password: "__OPENCLAW_REDACTED__",' in text


def test_a_text_that_cannot_be_read_is_hidden_whole():
    text = redacted_diff(Side("old", '{token: "s3cret-one"}'), Side("new", '{token: "s3cret-one"'))

    assert "s3cret" not in text
    assert "+__OPENCLAW_REDACTED__" in text


def test_toml_hides_its_secrets_too():
    old = Side("old", '[gateway.auth]\ntoken = """s3cret\none"""\n', toml=True)
    new = Side("new", '{gateway: {auth: {token: "s3cret\\none"}}}')

    text = redacted_diff(old, new)

    assert "s3cret" not in text
    assert '-token = "__OPENCLAW_REDACTED__"' in text


def test_a_secret_does_not_show_in_a_representation():
    assert "s3cret" not in repr(Side("a", "s3cret"))
