"""Editing: one key changes, every other byte stays, and a wrong result never reaches the disk."""

import json
import os
import stat
import tomllib

import json5
import pytest
import tomlkit
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stores.config.edit import set_value
from stores.config.load import load_config
from stores.errors import ConfigError, UsageError
from stores.paths import Paths


def paths_of(tmp_path, name="openclaw.json"):
    return Paths(tmp_path, tmp_path / name)


def edit(tmp_path, text, key, value, *, name="openclaw.json", env=None):
    (tmp_path / name).write_bytes(text.encode())
    set_value(paths_of(tmp_path, name), key, value, env=env or {})
    return (tmp_path / name).read_bytes().decode()


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


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        pytest.param("gateway.port", 4000, "port: 18789,", "port: 4000,", id="number"),
        pytest.param("gateway.auth.mode", "none", "'token'", '"none"', id="string"),
        pytest.param(
            "gateway.auth.token",
            "t",
            "mode: 'token' }",
            "mode: 'token', token: \"t\" }",
            id="one-line",
        ),
        pytest.param(
            "gateway.bind", "lan", "    ],\n  },", '    ],\n    bind: "lan",\n  },', id="new-line"
        ),
        pytest.param(
            "gateway.trustedProxies",
            ["10.0.0.1", "::1"],
            '[\n      "127.0.0.1", // nginx\n    ]',
            '[\n      "10.0.0.1", // nginx\n      "::1",\n    ]',
            id="array",
        ),
        pytest.param(
            "logging.level",
            "debug",
            "  }, // end\n}",
            '  }, // end\n  logging: {\n    level: "debug"\n  },\n}',
            id="new-section",
        ),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "a", "from": "10.0.0.1", "roles": ["node"]}],
            "    ],\n  },",
            '    ],\n    pairing: {\n      autoApprove: [{\n        name: "a",\n'
            '        from: "10.0.0.1",\n        roles: ["node"]\n      }]\n    },\n  },',
            id="records",
        ),
    ],
)
def test_only_the_key_changes(tmp_path, key, value, before, after):
    assert COMMENTED.count(before) == 1

    assert edit(tmp_path, COMMENTED, key, value) == COMMENTED.replace(before, after)


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        pytest.param("{}", '{\n  "gateway": {\n    "port": 1\n  }\n}', id="empty"),
        pytest.param("{ // c\n}", '{ // c\n  "gateway": {\n    "port": 1\n  }\n}', id="comment"),
        pytest.param('{"gateway": {}}', '{"gateway": {\n  "port": 1\n}}', id="empty-section"),
        pytest.param(
            '{"gateway": {"mode": "local",}}',
            '{"gateway": {"mode": "local", "port": 1,}}',
            id="comma",
        ),
        pytest.param(
            '{\r\n\t"gateway": {\r\n\t\t"mode": "local"\r\n\t}\r\n}\r\n',
            '{\r\n\t"gateway": {\r\n\t\t"mode": "local",\r\n\t\t"port": 1\r\n\t}\r\n}\r\n',
            id="tabs-crlf",
        ),
        pytest.param(
            '{"gateway": {\n  "mode": "local" // last  \n}}',
            '{"gateway": {\n  "mode": "local", // last  \n  "port": 1\n}}',
            id="comment-behind",
        ),
        pytest.param(
            '{"gateway": {"mode": "local"\n}}',
            '{"gateway": {"mode": "local",\n  "port": 1\n}}',
            id="no-line-of-its-own",
        ),
        pytest.param(
            "\ufeff{gateway: {mode: 'local'}}",
            "\ufeff{gateway: {mode: 'local', port: 1}}",
            id="byte-order-mark",
        ),
        pytest.param(
            '{"gateway": {"port": 2}, "gateway": {"port": 3}}',
            '{"gateway": {"port": 2}, "gateway": {"port": 1}}',
            id="twice",
        ),
        pytest.param(
            '{"gat\\u0065way": {"port": 3}}', '{"gat\\u0065way": {"port": 1}}', id="escape"
        ),
    ],
)
def test_a_new_key_is_written_like_its_neighbours(tmp_path, text, edited):
    assert edit(tmp_path, text, "gateway.port", 1) == edited


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


@given(DOCUMENTS.filter(bool), st.integers())
@example({"a": {"b": 1}}, 2)
@settings(deadline=None)
def test_toml_around_a_key_stays_byte_for_byte(document, value):
    document = json.loads(json.dumps(document).replace("null", "0"))
    text = (
        "# top\n\n" + tomlkit.dumps(document) + "\n[gateway] # section\nport = 1 # one\n\n# end\n"
    )
    before, after = text.split("port = 1 ")

    from stores.config.toml_edit import put_toml

    edited = put_toml(text, ("gateway", "port"), value)

    assert edited == f"{before}port = {value} {after}"


def test_a_new_key_goes_into_its_toml_section(tmp_path):
    text = '# mine\n[gateway] # ours\nport = 1 # p\n\n[logging]\nlevel = "info"\n'

    edited = edit(tmp_path, text, "gateway.auth.token", "t", name="openclaw.toml")

    assert tomllib.loads(edited)["gateway"] == {"port": 1, "auth": {"token": "t"}}
    assert all(line in edited for line in text.splitlines())


def test_the_same_value_leaves_the_file_untouched(tmp_path):
    path = tmp_path / "openclaw.json"
    path.write_text(COMMENTED)
    before = path.stat().st_ino

    loaded = set_value(paths_of(tmp_path), "gateway.port", 18789, env={}).loaded

    assert loaded.config.gateway.port == 18789
    assert path.stat().st_ino == before


def test_the_configuration_as_it_is_now_comes_back(tmp_path):
    loaded = set_value(paths_of(tmp_path), "gateway.port", 4000, env={}).loaded

    assert loaded == load_config(paths_of(tmp_path), {})
    assert loaded.config.gateway.port == 4000


@pytest.mark.parametrize("name", ["openclaw.json", "openclaw.toml"])
def test_without_a_file_one_is_made(tmp_path, name):
    set_value(Paths(tmp_path, tmp_path / name, "--config"), "gateway.port", 4000, env={})

    assert load_config(Paths(tmp_path, tmp_path / name, "--config"), {}).document == {
        "gateway": {"port": 4000}
    }


def test_a_reference_is_written_as_it_is(tmp_path):
    edited = edit(tmp_path, "{}", "gateway.auth.token", "${T}", env={"T": "s3cret"})

    assert '"${T}"' in edited
    assert "s3cret" not in edited


def test_a_reference_elsewhere_stays_a_reference(tmp_path):
    text = '{gateway: {auth: {token: "${T}"}, port: 1}}'

    assert edit(tmp_path, text, "gateway.port", 2, env={"T": "s"}) == text.replace("1", "2")


@pytest.mark.parametrize(
    ("text", "key", "value", "problem"),
    [
        pytest.param(COMMENTED, "gateway.auth.allowInsecureAuth", True, "never was", id="unknown"),
        pytest.param(COMMENTED, "gateway.port", "x", "a port number", id="value"),
        pytest.param(COMMENTED, "gateway.port.x", 1, "is not a section", id="not-a-section"),
        pytest.param(COMMENTED, "gateway.auth.token", "__OPENCLAW_REDACTED__", "hides", id="mark"),
        pytest.param(
            COMMENTED,
            "gateway.trustedProxies",
            [{"a": "__OPENCLAW_REDACTED__"}],
            "hides a secret",
            id="mark-inside",
        ),
        pytest.param("{", "gateway.port", 1, "not valid JSON5", id="broken"),
    ],
)
def test_a_refused_change_leaves_the_file_byte_identical(tmp_path, text, key, value, problem):
    path = tmp_path / "openclaw.json"
    path.write_bytes(text.encode())

    with pytest.raises(ConfigError, match=problem):
        set_value(paths_of(tmp_path), key, value, env={})

    assert path.read_bytes() == text.encode()


def test_what_toml_cannot_say_is_refused(tmp_path):
    path = tmp_path / "openclaw.toml"
    path.write_text("[gateway]\n")

    with pytest.raises(ConfigError, match=r"channels\.x: TOML has no form for null"):
        set_value(paths_of(tmp_path, "openclaw.toml"), "channels.x", None, env={})

    assert path.read_text() == "[gateway]\n"


@pytest.mark.parametrize("key", ["", ".", "gateway.", "a..b"])
def test_what_is_not_a_key_path_is_refused(tmp_path, key):
    with pytest.raises(UsageError, match="not the path of a key"):
        set_value(paths_of(tmp_path), key, 1, env={})


@pytest.mark.parametrize("name", ["OPENCLAW_CONFIG_READONLY", "OPENCLAW_NIX_MODE"])
def test_a_read_only_configuration_is_not_written(tmp_path, name):
    with pytest.raises(ConfigError, match=f"read-only, as env {name} says"):
        set_value(paths_of(tmp_path), "gateway.port", 1, env={name: "1"})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_file_is_private_whatever_the_umask(tmp_path, umask):
    path = tmp_path / "openclaw.json"
    path.write_text("{}")
    path.chmod(0o644)
    before = os.umask(umask)
    try:
        set_value(paths_of(tmp_path), "gateway.port", 1, env={})
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_to_a_file_of_ours_stays_a_link(tmp_path):
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "claw.json"
    real.write_text("{}")
    (tmp_path / "openclaw.json").symlink_to(real)

    set_value(paths_of(tmp_path), "gateway.port", 1, env={})

    assert (tmp_path / "openclaw.json").is_symlink()
    assert json5.loads(real.read_text()) == {"gateway": {"port": 1}}
