"""Variables and includes: filled in where they are ours, left alone everywhere else."""

from ipaddress import ip_network

import pytest

from stores.config.load import load_config
from stores.config.model import AuthMode, Bind
from stores.errors import ConfigError
from stores.paths import Paths


def load(tmp_path, text, env=None, *, name="openclaw.json"):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(Paths(tmp_path, tmp_path / name), env or {})


def refused(tmp_path, text, env=None, *, name="openclaw.json"):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, env, name=name)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${A}", "one", id="whole"),
        pytest.param("x-${A}-${B_2}", "x-one-two", id="inside"),
        pytest.param("$${A}", "${A}", id="literal"),
        pytest.param("$$${A}", "$${A}", id="literal-after-dollar"),
        pytest.param("${a}", "${a}", id="lower-case"),
        pytest.param("$A ${} ${1}", "$A ${} ${1}", id="not-names"),
    ],
)
def test_variables_are_filled_in(tmp_path, text, value):
    loaded = load(
        tmp_path, f'{{gateway: {{auth: {{token: "{text}"}}}}}}', {"A": "one", "B_2": "two"}
    )

    assert loaded.config.gateway.auth.token == value
    assert loaded.document["gateway"]["auth"]["token"] == text


def test_variables_in_arrays_are_filled_in(tmp_path):
    loaded = load(tmp_path, '{gateway: {trustedProxies: ["${P}"]}}', {"P": "10.0.0.1"})

    assert loaded.config.gateway.trusted_proxies == (ip_network("10.0.0.1"),)


@pytest.mark.parametrize("env", [{}, {"NOPE": ""}], ids=["unset", "empty"])
def test_a_missing_variable_is_an_error_that_names_it(tmp_path, env):
    error = refused(tmp_path, '{gateway: {auth: {\ntoken: "${NOPE}"}}}', env)

    assert ":2: gateway.auth.token: the environment variable NOPE is not set" in error.problem


def test_files_are_included_in_order_and_siblings_win(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.json").write_text(
        '{gateway: {port: 1, bind: "lan", trustedProxies: ["10.0.0.1"]}, agents: {a: 1}}'
    )
    (tmp_path / "sub" / "two.toml").write_text(
        '[gateway]\nport = 2\nauth = {"$include" = "three.json"}\ntrustedProxies = []\n'
    )
    (tmp_path / "sub" / "three.json").write_text('{mode: "none"}')
    text = '{$include: ["one.json", "./sub/two.toml"], gateway: {bind: "auto"}}'

    loaded = load(tmp_path, text)

    gateway = loaded.config.gateway
    assert (gateway.port, gateway.bind, gateway.auth.mode) == (2, Bind.AUTO, AuthMode.NONE)
    assert gateway.trusted_proxies == ()
    assert loaded.document["agents"] == {"a": 1}
    assert [path.name for path in loaded.sources] == [
        "openclaw.json",
        "one.json",
        "two.toml",
        "three.json",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{$include: "gone.json"}', "$include: the included file", id="missing"),
        pytest.param(
            "{gateway: {\n$include: 7}}", ":2: gateway.$include: expected the name", id="type"
        ),
        pytest.param('{$include: "list.json"}', "list.json:1: expected an object", id="array"),
        pytest.param('{$include: "loop.json"}', "more than 10 files", id="loop"),
    ],
)
def test_an_include_that_cannot_be_followed_is_an_error(tmp_path, text, problem):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "loop.json").write_text('{$include: "loop.json"}')

    assert problem in refused(tmp_path, text).problem
