"""Earlier versions: kept before each replacement, bounded, private, and found again."""

import os
import stat
import time

import pytest

from stores.config.edit import set_value
from stores.config.history import (
    MAX_VERSIONS,
    find_version,
    keep,
    last_known_good,
    load_last_known_good,
    record_good,
    versions,
    with_digest,
)
from stores.config.load import digest_of, load_config
from stores.errors import ConfigError, StoreError, UsageError
from stores.paths import Paths


def paths_of(tmp_path, name="openclaw.json"):
    return Paths(tmp_path, tmp_path / name)


def write(tmp_path, text, name="openclaw.json"):
    (tmp_path / name).write_text(text)
    return load_config(paths_of(tmp_path), {})


def good_of(tmp_path):
    good = last_known_good(paths_of(tmp_path))
    assert good is not None
    return good


def test_what_a_change_replaces_is_kept(tmp_path):
    write(tmp_path, "{gateway: {port: 1}} // mine")

    set_value(paths_of(tmp_path), "gateway.port", 2, env={})

    [kept] = versions(paths_of(tmp_path))
    assert kept.read() == "{gateway: {port: 1}} // mine"
    assert kept.format == "json5"
    assert abs(kept.at_ms - time.time() * 1000) < 60_000


def test_a_new_file_has_nothing_to_keep(tmp_path):
    set_value(paths_of(tmp_path), "gateway.port", 2, env={})

    assert versions(paths_of(tmp_path)) == ()


def test_only_the_last_twenty_are_kept(tmp_path):
    paths = paths_of(tmp_path)
    for number in range(MAX_VERSIONS + 5):
        keep(paths, paths.config_path, f"// {number}")

    kept = versions(paths)

    assert [version.read() for version in kept] == [
        f"// {number}" for number in range(MAX_VERSIONS + 4, 4, -1)
    ]


def test_the_same_text_is_kept_once_in_a_row(tmp_path):
    paths = paths_of(tmp_path)
    for text in ("a", "a", "b", "a"):
        keep(paths, paths.config_path, text)

    assert [version.read() for version in versions(paths)] == ["a", "b", "a"]


def test_a_clock_that_was_set_back_keeps_the_order(tmp_path, monkeypatch):
    paths = paths_of(tmp_path)
    keep(paths, paths.config_path, "old")
    monkeypatch.setattr(time, "time_ns", lambda: 1_600_000_000_000_000_000)

    keep(paths, paths.config_path, "new")

    assert [version.read() for version in versions(paths)] == ["new", "old"]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_every_file_is_private_whatever_the_umask(tmp_path, umask):
    loaded = write(tmp_path, "{gateway: {port: 1}}")
    before = os.umask(umask)
    try:
        set_value(paths_of(tmp_path), "gateway.port", 2, env={})
        record_good(paths_of(tmp_path), loaded)
    finally:
        os.umask(before)

    folder = tmp_path / "config-history"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_history_that_cannot_be_written_stops_the_change(tmp_path):
    write(tmp_path, "{gateway: {port: 1}}")
    (tmp_path / "config-history").write_text("in the way")

    with pytest.raises(StoreError, match="config-history is not a directory"):
        set_value(paths_of(tmp_path), "gateway.port", 2, env={})

    assert (tmp_path / "openclaw.json").read_text() == "{gateway: {port: 1}}"


def test_what_else_is_in_the_folder_is_left_alone(tmp_path):
    keep(paths_of(tmp_path), tmp_path / "openclaw.json", "a")
    (tmp_path / "config-history" / "notes.txt").write_text("mine")

    assert len(versions(paths_of(tmp_path))) == 1


def test_a_version_is_named_by_number_or_time(tmp_path, monkeypatch):
    paths = paths_of(tmp_path)
    for hour, text in ((10, "ten"), (12, "twelve")):
        monkeypatch.setattr(time, "time_ns", lambda h=hour: (1_767_225_600 + h * 3600) * 10**9)
        keep(paths, paths.config_path, text)

    def named(reference):
        return find_version(paths, reference).read()

    assert (named("1"), named("2")) == ("twelve", "ten")
    # what was replaced at ten was in force before ten
    assert named("2026-01-01T09:00") == "ten"
    assert named("2026-01-01T10:30:00+00:00") == "twelve"
    assert find_version(paths, "1").when == "2026-01-01 12:00:00 UTC"


@pytest.mark.parametrize("reference", ["0", "3", "good", "2030-01-01"])
def test_a_version_that_is_not_there_is_refused(tmp_path, reference):
    keep(paths_of(tmp_path), tmp_path / "openclaw.json", "a")

    with pytest.raises(UsageError, match="there is no version"):
        find_version(paths_of(tmp_path), reference)


def test_words_that_name_no_version_are_refused(tmp_path):
    with pytest.raises(UsageError, match="names no version"):
        find_version(paths_of(tmp_path), "yesterday")


def test_a_version_that_went_meanwhile_is_told(tmp_path):
    keep(paths_of(tmp_path), tmp_path / "openclaw.json", "a")
    [kept] = versions(paths_of(tmp_path))
    kept.path.unlink()

    with pytest.raises(StoreError, match="is gone"):
        kept.read()
    assert with_digest(paths_of(tmp_path), digest_of("a")) is None


def test_a_text_is_found_by_its_digest(tmp_path):
    keep(paths_of(tmp_path), tmp_path / "openclaw.json", "a")

    assert with_digest(paths_of(tmp_path), digest_of("a")) == "a"
    assert with_digest(paths_of(tmp_path), digest_of("")) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [("openclaw.json", "{gateway: {port: 1}}"), ("openclaw.toml", "[gateway]\nport = 1\n")],
    ids=["json5", "toml"],
)
def test_what_a_gateway_ran_with_is_the_last_known_good(tmp_path, name, text):
    loaded = write(tmp_path, text, name)

    record_good(paths_of(tmp_path), loaded)

    assert good_of(tmp_path).read() == text
    assert find_version(paths_of(tmp_path), "good") == good_of(tmp_path)
    assert [version.read() for version in versions(paths_of(tmp_path))] == [text]


def test_the_last_known_good_is_loaded_for_the_file_in_force(tmp_path):
    record_good(paths_of(tmp_path), write(tmp_path, "{gateway: {port: 7}}"))
    (tmp_path / "openclaw.json").write_text("{gateway: {")

    loaded = load_last_known_good(paths_of(tmp_path), {})

    assert loaded is not None
    assert loaded.config.gateway.port == 7
    assert loaded.path == tmp_path / "openclaw.json"


def test_the_last_known_good_may_have_the_other_format(tmp_path):
    record_good(paths_of(tmp_path), write(tmp_path, "{gateway: {port: 7}}"))
    (tmp_path / "openclaw.toml").write_text("[gateway")

    loaded = load_last_known_good(paths_of(tmp_path), {})

    assert loaded is not None
    assert (loaded.config.gateway.port, loaded.path.name) == (7, "openclaw.toml")
    (tmp_path / "openclaw.toml").write_text("[gateway]\nport = 8\n")
    record_good(paths_of(tmp_path), load_config(paths_of(tmp_path), {}))
    assert good_of(tmp_path).format == "toml"
    assert not (tmp_path / "config-history" / "last-known-good.json").exists()


def test_included_files_are_part_of_what_ran(tmp_path):
    (tmp_path / "gw.json").write_text('{port: 7, auth: {token: "${T}"}}')
    (tmp_path / "openclaw.json").write_text("{gateway: {$include: 'gw.json'}}")
    env = {"T": "s3cret"}
    record_good(paths_of(tmp_path), load_config(paths_of(tmp_path), env))
    (tmp_path / "gw.json").unlink()

    loaded = load_last_known_good(paths_of(tmp_path), env)

    assert loaded is not None
    assert loaded.config.gateway.port == 7
    assert "s3cret" not in "".join(f.read_text() for f in (tmp_path / "config-history").iterdir())
    record_good(paths_of(tmp_path), write(tmp_path, "{gateway: {port: 9}}"))
    loaded = load_last_known_good(paths_of(tmp_path), env)
    assert loaded is not None
    assert loaded.config.gateway.port == 9


def test_noting_the_same_again_writes_nothing(tmp_path):
    loaded = write(tmp_path, "{}")
    record_good(paths_of(tmp_path), loaded)
    before = good_of(tmp_path).path.stat()

    record_good(paths_of(tmp_path), loaded)

    assert good_of(tmp_path).path.stat().st_ino == before.st_ino


def test_without_a_file_there_is_nothing_to_go_back_to(tmp_path):
    record_good(paths_of(tmp_path), load_config(paths_of(tmp_path), {}))

    assert last_known_good(paths_of(tmp_path)) is None
    assert load_last_known_good(paths_of(tmp_path), {}) is None


def test_a_last_known_good_that_cannot_be_used_any_more_says_why(tmp_path):
    (tmp_path / "openclaw.json").write_text('{gateway: {auth: {token: "${T}"}}}')
    record_good(paths_of(tmp_path), load_config(paths_of(tmp_path), {"T": "x"}))

    with pytest.raises(ConfigError, match="the environment variable T is not set"):
        load_last_known_good(paths_of(tmp_path), {})
