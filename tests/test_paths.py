"""Where things live: profiles, environment, and which configuration file is in force."""

from pathlib import Path

import pytest

from stores.errors import ConfigError, UsageError
from stores.paths import Paths, config_in_force, refuse_foreign_state, resolve_paths

HOME = Path("/home/u")


@pytest.mark.parametrize(
    ("env", "options", "state_dir"),
    [
        pytest.param({}, {}, "/home/u/.openclaw", id="default"),
        pytest.param({}, {"profile": "x-1_Y"}, "/home/u/.openclaw-x-1_Y", id="profile"),
        pytest.param({}, {"dev": True}, "/home/u/.openclaw-dev", id="dev"),
        pytest.param({}, {"dev": True, "profile": "dev"}, "/home/u/.openclaw-dev", id="both"),
        pytest.param({"OPENCLAW_PROFILE": "p"}, {}, "/home/u/.openclaw-p", id="env-profile"),
        pytest.param(
            {"OPENCLAW_PROFILE": "p"}, {"profile": "q"}, "/home/u/.openclaw-q", id="flag-wins"
        ),
        pytest.param(
            {"OPENCLAW_PROFILE": "p"}, {"dev": True}, "/home/u/.openclaw-dev", id="dev-wins"
        ),
        pytest.param({"OPENCLAW_PROFILE": " "}, {}, "/home/u/.openclaw", id="blank-profile"),
        pytest.param({"OPENCLAW_HOME": "/srv"}, {}, "/srv/.openclaw", id="home"),
        pytest.param({"OPENCLAW_HOME": "~/in"}, {}, "/home/u/in/.openclaw", id="home-tilde"),
        pytest.param({"OPENCLAW_STATE_DIR": "/data"}, {}, "/data", id="state-dir"),
        pytest.param({"OPENCLAW_STATE_DIR": "~/s"}, {}, "/home/u/s", id="state-dir-tilde"),
        pytest.param({"OPENCLAW_STATE_DIR": "~"}, {}, "/home/u", id="state-dir-home"),
        pytest.param(
            {"OPENCLAW_STATE_DIR": "/data"}, {"profile": "x"}, "/data", id="path-beats-profile"
        ),
    ],
)
def test_the_state_directory_follows_flags_and_environment(env, options, state_dir):
    assert resolve_paths(env, home=HOME, **options).state_dir == Path(state_dir)


def test_the_home_of_the_environment_is_used_unless_another_is_given():
    assert resolve_paths({"HOME": "/h"}).state_dir == Path("/h/.openclaw")
    assert resolve_paths({}).state_dir == Path.home() / ".openclaw"


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "ä", "x\n", "a.b"])
def test_a_profile_name_with_other_characters_is_refused(name):
    with pytest.raises(UsageError, match="--profile"):
        resolve_paths({}, profile=name, home=HOME)


def test_a_bad_profile_of_the_environment_is_refused_by_its_name():
    with pytest.raises(UsageError, match="env OPENCLAW_PROFILE"):
        resolve_paths({"OPENCLAW_PROFILE": "a/b"}, home=HOME)


def test_dev_next_to_another_profile_is_refused():
    with pytest.raises(UsageError, match="--dev means the profile dev"):
        resolve_paths({}, profile="x", dev=True, home=HOME)


def test_relative_paths_are_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    paths = resolve_paths({"OPENCLAW_STATE_DIR": "s"}, config=Path("c.json"), home=HOME)

    assert (paths.state_dir, paths.config_path) == (tmp_path / "s", tmp_path / "c.json")


def test_the_config_flag_beats_the_environment():
    env = {"OPENCLAW_CONFIG_PATH": "/e.json"}

    paths = resolve_paths(env, config=Path("/f.json"), home=HOME)

    assert (paths.config_path, paths.config_source) == (Path("/f.json"), "--config")


def test_the_environment_beats_what_is_in_the_state_directory(tmp_path):
    (tmp_path / "openclaw.toml").touch()
    env = {"OPENCLAW_CONFIG_PATH": "~/e.json", "OPENCLAW_STATE_DIR": str(tmp_path)}

    paths = resolve_paths(env, home=HOME)

    assert paths.config_path == Path("/home/u/e.json")
    assert paths.config_source == "env OPENCLAW_CONFIG_PATH"


@pytest.mark.parametrize(
    ("present", "used", "ignored"),
    [
        pytest.param([], "openclaw.json", None, id="none"),
        pytest.param(["openclaw.json"], "openclaw.json", None, id="json"),
        pytest.param(["openclaw.toml"], "openclaw.toml", None, id="toml"),
        pytest.param(
            ["openclaw.json", "openclaw.toml"], "openclaw.toml", "openclaw.json", id="both"
        ),
    ],
)
def test_toml_wins_over_json_in_a_state_directory(tmp_path, present, used, ignored):
    for name in present:
        (tmp_path / name).touch()

    paths = resolve_paths({"OPENCLAW_STATE_DIR": str(tmp_path)})

    assert paths.config_path == tmp_path / used
    assert config_in_force(tmp_path) == (tmp_path / used, ignored and tmp_path / ignored)


def test_every_place_is_in_the_state_directory():
    paths = Paths(Path("/s"), Path("/c.json"))

    assert [
        paths.devices_dir,
        paths.identity_dir,
        paths.logs_dir,
        paths.lock_path,
        paths.config_lock_path,
    ] == [Path("/s") / n for n in ("devices", "identity", "logs", "gateway.lock", "config.lock")]


def test_the_profile_dev_has_a_port_of_its_own():
    assert resolve_paths({}, dev=True, home=HOME).default_port == 19001
    assert resolve_paths({}, profile="other", home=HOME).default_port == 18789


def test_the_state_of_another_program_is_refused(tmp_path):
    paths = Paths(tmp_path, tmp_path / "openclaw.json")
    refuse_foreign_state(paths)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "openclaw.sqlite").touch()

    with pytest.raises(ConfigError, match="another program") as caught:
        refuse_foreign_state(paths)

    assert "--profile" in str(caught.value.remedy)
