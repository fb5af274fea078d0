"""Whole texts and merge patches, as clients send them."""

import pytest

from stores.config.edit import ConflictError
from stores.config.kinds import REDACTED
from stores.config.load import load_config
from stores.config.patch import merge, replace_all
from stores.errors import ConfigError
from stores.paths import Paths

TEXT = '{ // mine\n  gateway: {port: 1, auth: {token: "s3cret"}}, // ours\n  ui: {a: 1},\n}\n'


def paths_of(tmp_path, name="openclaw.json"):
    return Paths(tmp_path, tmp_path / name)


def written(tmp_path, text=TEXT, name="openclaw.json"):
    (tmp_path / name).write_text(text)
    return paths_of(tmp_path, name)


def test_a_text_with_marks_keeps_the_secrets_and_its_comments(tmp_path):
    paths = written(tmp_path)

    replace_all(paths, TEXT.replace("s3cret", REDACTED).replace("port: 1", "port: 2"), env={})

    assert (tmp_path / "openclaw.json").read_text() == TEXT.replace("port: 1", "port: 2")


def test_a_reference_comes_back_as_a_reference(tmp_path):
    paths = written(tmp_path, '{gateway: {auth: {token: "${T}"}}}')

    replace_all(paths, f'{{gateway: {{port: 1, auth: {{token: "{REDACTED}"}}}}}}', env={"T": "x"})

    assert '"${T}"' in (tmp_path / "openclaw.json").read_text()


def test_a_toml_file_gets_the_text_as_toml(tmp_path):
    paths = written(tmp_path, "[gateway]\nport = 1\n", "openclaw.toml")

    replace_all(paths, "{gateway: {port: 2}} // sent", env={})

    assert (tmp_path / "openclaw.toml").read_text() == "[gateway]\nport = 2\n\n# sent\n"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        pytest.param(f'{{ui: {{b: "{REDACTED}"}}}}', "hides nothing here", id="mark"),
        pytest.param(f'{{ui: ["{REDACTED}"]}}', "hides nothing here", id="mark-in-array"),
        pytest.param("{gateway: {prot: 1}}", "unknown key", id="invalid"),
        pytest.param("{", "not valid JSON5", id="syntax"),
    ],
)
def test_a_text_that_is_refused_changes_nothing(tmp_path, raw, problem):
    paths = written(tmp_path)

    with pytest.raises(ConfigError, match=problem):
        replace_all(paths, raw, env={})

    assert (tmp_path / "openclaw.json").read_text() == TEXT


@pytest.mark.parametrize(
    ("patch", "document"),
    [
        pytest.param({}, {"gateway": {"port": 1}, "ui": {"a": 1}}, id="nothing"),
        pytest.param({"ui": None}, {"gateway": {"port": 1}}, id="remove"),
        pytest.param({"x": None}, {"gateway": {"port": 1}, "ui": {"a": 1}}, id="remove-nothing"),
        pytest.param(
            {"gateway": {"port": 2, "bind": "lan"}},
            {"gateway": {"port": 2, "bind": "lan"}, "ui": {"a": 1}},
            id="merge",
        ),
        pytest.param(
            {"ui": {"a": {"b": [1], "c": None}}},
            {"gateway": {"port": 1}, "ui": {"a": {"b": [1]}}},
            id="object-over-value",
        ),
    ],
)
def test_a_patch_merges(tmp_path, patch, document):
    paths = written(tmp_path, "{gateway: {port: 1}, ui: {a: 1}}")

    assert merge(paths, patch, env={}).loaded.document == document


def test_a_patch_makes_a_file_and_keeps_comments_and_secrets(tmp_path):
    merge(paths_of(tmp_path), {"gateway": {"port": 3}}, env={})
    assert load_config(paths_of(tmp_path), {}).config.gateway.port == 3
    paths = written(tmp_path)

    merge(paths, {"gateway": {"port": 2, "auth": {"token": REDACTED}}}, env={})

    assert (tmp_path / "openclaw.json").read_text() == TEXT.replace("port: 1", "port: 2")


def test_a_patch_of_another_text_is_a_conflict(tmp_path):
    with pytest.raises(ConflictError):
        merge(written(tmp_path), {"ui": None}, env={}, base_digest="0" * 64)


def test_a_patch_does_not_shadow_an_included_key(tmp_path):
    (tmp_path / "gw.json").write_text("{port: 1}")

    with pytest.raises(ConfigError, match=r"is set in .*gw\.json"):
        merge(
            written(tmp_path, '{gateway: {$include: "gw.json"}}'), {"gateway": {"port": 2}}, env={}
        )


def test_arrays_of_objects_with_ids_merge_by_them(tmp_path):
    paths = written(tmp_path, '{agents: {list: [{id: "a", x: 1, y: {z: 1}}, {id: "b", x: 2}]}}')
    patch = {"agents": {"list": [{"id": "a", "x": None, "y": {"w": 2}}, {"id": "c"}]}}

    merged = merge(paths, patch, env={}).loaded.document["agents"]["list"]
    replaced = merge(paths, patch, env={}, replace=["agents.list"]).loaded.document["agents"]

    assert merged == [{"id": "a", "y": {"z": 1, "w": 2}}, {"id": "b", "x": 2}, {"id": "c"}]
    assert [item["id"] for item in replaced["list"]] == ["a", "c"]


def test_whoever_judges_a_change_may_refuse_it(tmp_path):
    paths = written(tmp_path)

    def refuse(loaded):
        raise ConfigError(f"port {loaded.config.gateway.port}")

    with pytest.raises(ConfigError, match="port 2"):
        merge(paths, {"gateway": {"port": 2}}, env={}, judge=refuse)

    assert (tmp_path / "openclaw.json").read_text() == TEXT


def test_a_whole_text_repairs_a_broken_file(tmp_path):
    paths = written(tmp_path, "{gateway: ")

    replace_all(paths, "{gateway: {port: 2}}", env={})

    assert (tmp_path / "openclaw.json").read_text() == "{gateway: {port: 2}}"
