"""Changing a file as a whole: unset, includes, conflicts, dry runs, and what a refusal says."""

import pytest

from stores.config.edit import ConflictError, set_value, unset_value
from stores.config.load import InvalidConfigError, load_config
from stores.errors import ConfigError
from stores.paths import Paths


def paths_of(tmp_path, name="openclaw.json"):
    return Paths(tmp_path, tmp_path / name)


def edit(tmp_path, text, key, value):
    (tmp_path / "openclaw.json").write_text(text)
    set_value(paths_of(tmp_path), key, value, env={})
    return (tmp_path / "openclaw.json").read_text()


COMMENTED = """\
// my gateway
{
  gateway: {
    port: 18789, // the usual one
    auth: { mode: 'token' },
    /* proxies */
    trustedProxies: [
      "127.0.0.1", // nginx
    ],
  }, // end
}
"""


def test_a_key_beside_an_include_is_changed_and_the_include_stays(tmp_path):
    (tmp_path / "gw.json").write_text('{"bind": "lan"}')

    edited = edit(tmp_path, '{gateway: {$include: "gw.json"}}', "gateway.port", 2)

    assert edited == '{gateway: {$include: "gw.json", port: 2}}'


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda paths: set_value(paths, "gateway.port", 2, env={}), id="set"),
        pytest.param(lambda paths: unset_value(paths, "gateway.port", env={}), id="unset"),
    ],
)
def test_a_key_of_an_included_file_is_refused_and_the_file_named(tmp_path, change):
    (tmp_path / "gw.json").write_text('{"port": 1}')
    text = '{gateway: {$include: "gw.json"}}'
    (tmp_path / "openclaw.json").write_text(text)

    with pytest.raises(ConfigError, match=r"gateway\.port is set in .*gw\.json, which") as caught:
        change(paths_of(tmp_path))

    assert "gw.json" in (caught.value.remedy or "")
    assert (tmp_path / "openclaw.json").read_text() == text


def test_a_section_that_includes_a_file_is_not_flattened(tmp_path):
    (tmp_path / "gw.json").write_text('{"port": 1}')
    text = '{gateway: {$include: "gw.json", bind: "lan"}}'

    with pytest.raises(ConfigError, match="includes another file, which would be lost"):
        edit(tmp_path, text, "gateway", {"port": 2})

    assert (tmp_path / "openclaw.json").read_text() == text
    kept = edit(tmp_path, text, "gateway", {"$include": "gw.json", "bind": "loopback"})
    assert kept == '{gateway: {$include: "gw.json", bind: "loopback"}}'


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        pytest.param(
            "gateway.port", "port: 18789, // the usual one", "// the usual one", id="line"
        ),
        pytest.param("gateway.auth.mode", "{ mode: 'token' }", "{ }", id="only-one"),
        pytest.param("gateway.auth", "    auth: { mode: 'token' },\n", "", id="whole-line"),
        pytest.param(
            "gateway.trustedProxies",
            'trustedProxies: [\n      "127.0.0.1", // nginx\n    ],\n',
            "// nginx\n",
            id="comment-inside",
        ),
        pytest.param(
            "gateway.trustedProxies[0]", '"127.0.0.1", // nginx', "// nginx", id="element"
        ),
    ],
)
def test_unset_takes_the_key_and_leaves_the_comments(tmp_path, key, before, after):
    assert COMMENTED.count(before) == 1
    (tmp_path / "openclaw.json").write_text(COMMENTED)

    unset_value(paths_of(tmp_path), key, env={})

    assert (tmp_path / "openclaw.json").read_text() == COMMENTED.replace(before, after)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(
            '{"gateway": {"port": 1, "bind": "lan"}}', '{"gateway": {"bind": "lan"}}', id="first"
        ),
        pytest.param(
            '{"gateway": {"bind": "lan", "port": 1}}', '{"gateway": {"bind": "lan"}}', id="last"
        ),
        pytest.param(
            '{"gateway": { "bind": "lan", "port": 1 }}',
            '{"gateway": { "bind": "lan" }}',
            id="blanks",
        ),
        pytest.param(
            '{"gateway": {\n  "bind": "lan", // b\n  "port": 1\n}}',
            '{"gateway": {\n  "bind": "lan" // b\n}}',
            id="no-trailing-comma-is-left",
        ),
        pytest.param("{gateway: {port: 1, port: 2}}", "{gateway: {}}", id="twice"),
    ],
)
def test_what_is_left_after_unset_is_as_strict_as_before(tmp_path, text, left):
    (tmp_path / "openclaw.json").write_text(text)

    unset_value(paths_of(tmp_path), "gateway.port", env={})

    assert (tmp_path / "openclaw.json").read_text() == left


def test_what_is_not_set_cannot_be_unset(tmp_path):
    with pytest.raises(ConfigError, match=r"gateway\.port is not set"):
        unset_value(paths_of(tmp_path), "gateway.port", env={})


def test_an_older_spelling_is_changed_where_it_stands(tmp_path):
    text = '{gateway: {nodes: {allowCommands: ["a"]}}}'

    edited = edit(tmp_path, text, "gateway.nodes.commands.allow", ["b"])

    assert edited == text.replace('"a"', '"b"')


def test_a_broken_key_can_be_unset(tmp_path):
    (tmp_path / "openclaw.json").write_text("{gateway: {port: 1, auth: {allowInsecureAuth: true}}}")

    done = unset_value(paths_of(tmp_path), "gateway.auth.allowInsecureAuth", env={})

    assert done.before is None
    assert done.loaded.config.gateway.port == 1


def test_a_change_decided_on_another_text_is_a_conflict_with_the_difference(tmp_path):
    (tmp_path / "openclaw.json").write_text('{gateway: {port: 1, auth: {token: "s3cret-one"}}}')
    base = load_config(paths_of(tmp_path), {}).digest
    set_value(paths_of(tmp_path), "gateway.port", 2, env={}, base_digest=base)
    before = (tmp_path / "openclaw.json").read_bytes()

    with pytest.raises(ConflictError, match="changed by somebody else") as caught:
        set_value(paths_of(tmp_path), "gateway.port", 3, env={}, base_digest=base)

    assert (tmp_path / "openclaw.json").read_bytes() == before
    assert "-{gateway: {port: 1" in caught.value.diff
    assert "+{gateway: {port: 2" in caught.value.diff
    assert "s3cret" not in caught.value.diff


def test_a_conflict_with_a_text_nobody_kept_has_no_difference_to_show(tmp_path):
    (tmp_path / "openclaw.json").write_text("{}")

    with pytest.raises(ConflictError) as caught:
        set_value(paths_of(tmp_path), "gateway.port", 3, env={}, base_digest="0" * 64)

    assert caught.value.diff == ""


def test_a_dry_run_checks_everything_and_writes_nothing(tmp_path):
    done = set_value(paths_of(tmp_path / "new"), "gateway.port", 3, env={}, dry_run=True)

    assert (done.loaded.config.gateway.port, done.written) == (3, False)
    assert done.changes
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="a port number"):
        set_value(paths_of(tmp_path), "gateway.port", "x", env={}, dry_run=True)


def test_a_refusal_names_no_line_of_a_text_that_was_never_written(tmp_path):
    (tmp_path / "openclaw.json").write_text('{gateway: {\n\nbind: "x"}}')

    with pytest.raises(InvalidConfigError) as caught:
        set_value(paths_of(tmp_path), "gateway.port", "x", env={})

    assert caught.value.problem.startswith(f"{tmp_path}/openclaw.json: gateway.port: ")
    assert caught.value.faults[1].line == 3


@pytest.mark.parametrize("key", ["gatway.port", "port"])
def test_a_slip_in_the_name_of_a_section_is_not_carried_silently(tmp_path, key):
    with pytest.raises(ConfigError, match="unknown key") as caught:
        set_value(paths_of(tmp_path), key, 1, env={})

    assert "did you mean `gateway.port`" in (caught.value.remedy or "")


def test_sections_of_other_programs_can_be_set(tmp_path):
    done = set_value(paths_of(tmp_path), "channels.telegram.enabled", True, env={})

    assert done.loaded.document == {"channels": {"telegram": {"enabled": True}}}


def test_one_is_not_true(tmp_path):
    assert edit(tmp_path, "{ui: {a: 1}}", "ui.a", True) == "{ui: {a: true}}"
