"""A whole file put in place of another: earlier versions, and the other format."""

import pytest

from stores.config.edit import set_value
from stores.config.exchange import convert_file, roll_back
from stores.config.history import find_version, versions
from stores.config.load import load_config
from stores.errors import ConfigError
from stores.paths import Paths

TEXT = '{gateway: {port: 1, auth: {token: "${T}"}}} // mine\n'
ENV = {"T": "s3cret"}


def paths_of(tmp_path, name="openclaw.json", source="state directory"):
    return Paths(tmp_path, tmp_path / name, source)


def written(tmp_path, text=TEXT, name="openclaw.json"):
    (tmp_path / name).write_text(text)
    return paths_of(tmp_path, name)


def test_an_earlier_version_comes_back_byte_for_byte(tmp_path):
    paths = written(tmp_path)
    set_value(paths, "gateway.port", 2, env=ENV)
    second = (tmp_path / "openclaw.json").read_text()

    done = roll_back(paths, find_version(paths, "1"), env=ENV)

    assert done.written
    assert (tmp_path / "openclaw.json").read_text() == TEXT
    roll_back(paths, find_version(paths, "1"), env=ENV)  # and it can be undone
    assert (tmp_path / "openclaw.json").read_text() == second


def test_a_version_that_is_not_valid_any_more_is_refused(tmp_path):
    paths = written(tmp_path)
    set_value(paths, "gateway.auth.token", "x", env=ENV)
    before = (tmp_path / "openclaw.json").read_bytes()

    with pytest.raises(ConfigError, match="the environment variable T is not set"):
        roll_back(paths, find_version(paths, "1"), env={})

    assert (tmp_path / "openclaw.json").read_bytes() == before


def test_the_other_format_takes_the_place_of_the_file(tmp_path):
    paths = written(tmp_path)

    done = convert_file(paths, "toml", env=ENV)

    assert done is not None
    assert done.removed == tmp_path / "openclaw.json"
    assert not (tmp_path / "openclaw.json").exists()
    assert '"${T}"' in (tmp_path / "openclaw.toml").read_text()
    assert (tmp_path / "openclaw.toml").stat().st_mode & 0o777 == 0o600
    assert load_config(paths, ENV).config.gateway.port == 1
    assert [version.read() for version in versions(paths)] == [TEXT]


def test_a_version_in_the_other_format_brings_its_file_back(tmp_path):
    paths = written(tmp_path)
    convert_file(paths, "toml", env=ENV)

    done = roll_back(paths, find_version(paths, "1"), env=ENV)

    assert done.written
    assert (tmp_path / "openclaw.json").read_text() == TEXT
    assert not (tmp_path / "openclaw.toml").exists()
    assert load_config(paths, ENV).path.name == "openclaw.json"


def test_a_dry_run_writes_nothing(tmp_path):
    paths = written(tmp_path)

    done = convert_file(paths, "toml", env=ENV, dry_run=True)

    assert done is not None
    assert "port = 1" in done.text
    assert not done.written
    assert [file.name for file in tmp_path.iterdir()] == ["openclaw.json"]


def test_a_file_that_has_the_format_already_is_left_alone(tmp_path):
    assert convert_file(written(tmp_path), "json5", env=ENV) is None


def test_without_a_file_there_is_nothing_to_convert(tmp_path):
    with pytest.raises(ConfigError, match="nothing to convert"):
        convert_file(paths_of(tmp_path), "toml", env=ENV)


def test_a_file_in_the_way_is_replaced_only_when_told(tmp_path):
    (tmp_path / "openclaw.json").write_text("{ui: {}}")
    paths = written(tmp_path, "[gateway]\nport = 2\n", "openclaw.toml")

    with pytest.raises(ConfigError, match=r"openclaw\.json is in the way"):
        convert_file(paths, "json5", env=ENV)
    convert_file(paths, "json5", env=ENV, replace=True)

    assert load_config(paths, ENV).config.gateway.port == 2
    assert {version.read() for version in versions(paths)} == {"{ui: {}}", "[gateway]\nport = 2\n"}


def test_a_file_named_outright_stays_in_force(tmp_path):
    (tmp_path / "my.json").write_text(TEXT)
    paths = paths_of(tmp_path, "my.json", "--config")

    done = convert_file(paths, "toml", env=ENV)

    assert done is not None
    assert done.removed is None
    assert (tmp_path / "my.json").exists()
    assert (tmp_path / "my.toml").exists()


def test_a_read_only_configuration_is_not_exchanged(tmp_path):
    with pytest.raises(ConfigError, match="read-only"):
        convert_file(written(tmp_path), "toml", env=ENV | {"OPENCLAW_NIX_MODE": "1"})


def test_a_broken_file_can_be_rolled_back(tmp_path):
    paths = written(tmp_path)
    set_value(paths, "gateway.port", 2, env=ENV)
    (tmp_path / "openclaw.json").write_text("{broken")

    done = roll_back(paths, find_version(paths, "1"), env=ENV)

    assert (done.before, done.old_document) == (None, {})
    assert (tmp_path / "openclaw.json").read_text() == TEXT
    assert versions(paths)[0].read() == "{broken"
