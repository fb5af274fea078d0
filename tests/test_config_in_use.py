"""Which configuration counts while a gateway runs: the file, or what that gateway took in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stores.config.history import FOLDER, record_good
from stores.config.in_use import InUse, Why, config_in_use, taken_in
from stores.config.load import digest_of, load_config
from stores.errors import ConfigError
from stores.paths import Paths, resolve_paths
from stores.port_owner import start_time_of
from stores.running import read_running

FULL = '{gateway: {mode: "local", port: 18795, auth: {mode: "token", token: "T0KEN"}}}'
EMPTY = digest_of("")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"OPENCLAW_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}


@pytest.fixture
def paths(env: dict[str, str]) -> Paths:
    found = resolve_paths(env)
    found.state_dir.mkdir(mode=0o700)
    return found


def runs(paths: Paths, **note: Any) -> None:
    """Leave the note of a gateway that runs: this very process."""
    pid = os.getpid()
    told = {"pid": pid, "startTime": start_time_of(pid), "configPath": str(paths.config_path)}
    paths.lock_path.write_text(json.dumps(told | note))


def runs_with(paths: Paths, env: dict[str, str], text: str = FULL) -> None:
    """Let a gateway have taken a text in, and know that it can go back to it."""
    paths.config_path.write_text(text)
    loaded = load_config(paths, env)
    record_good(paths, loaded)
    runs(paths, configDigest=loaded.digest)


def seen(env: dict[str, str]) -> InUse:
    """Look as a command does that starts now."""
    paths = resolve_paths(env)
    return config_in_use(paths, env, read_running(paths.state_dir))


@pytest.mark.parametrize(
    ("text", "why", "said"),
    [
        pytest.param("{}", Why.ACCIDENT, "openclaw.json says nothing any more", id="emptied"),
        pytest.param(
            FULL.replace(', token: "T0KEN"', ""),
            Why.ACCIDENT,
            "gateway.auth.token is gone from",
            id="token-lost",
        ),
        pytest.param(None, Why.GONE, "openclaw.json is gone", id="removed"),
    ],
)
def test_a_file_that_lost_what_runs_does_not_count(
    paths: Paths, env: dict[str, str], text: str | None, why: Why, said: str
):
    runs_with(paths, env)
    if text is None:
        paths.config_path.unlink()
    else:
        paths.config_path.write_text(text)

    found = seen(env)

    assert (found.why, found.lost) == (why, True)
    assert found.usable().config.gateway.port == 18795
    assert found.problem is not None
    assert said in found.problem.problem
    assert f"(pid {os.getpid()}) takes that for an accident" in found.problem.problem
    assert found.problem.remedy == "go back with `openclaw config rollback good --yes`"


def test_a_file_that_cannot_be_used_does_not_count_either(paths: Paths, env: dict[str, str]):
    runs_with(paths, env)
    paths.config_path.write_text("{")

    found = seen(env)

    assert (found.why, found.lost, found.problem) == (Why.INVALID, False, None)
    assert isinstance(found.said, ConfigError)
    assert found.usable().config.gateway.port == 18795


def test_what_stands_in_names_where_it_was_read(paths: Paths, env: dict[str, str]):
    runs_with(paths, env)
    paths.config_path.write_text("{}")

    loaded = seen(env).usable()

    kept = paths.state_dir / FOLDER / "last-known-good.json"
    assert loaded.path == paths.config_path
    assert loaded.where("gateway.auth.token") == f"gateway.auth.token in {kept}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(FULL, id="what-runs"),
        pytest.param(FULL.replace("18795", "18796"), id="an-honest-edit"),
        pytest.param(FULL.replace("T0KEN", "ANOTHER"), id="another-token"),
    ],
)
def test_a_file_that_keeps_what_matters_counts(paths: Paths, env: dict[str, str], text: str):
    runs_with(paths, env)
    paths.config_path.write_text(text)

    found = seen(env)

    assert found == InUse(said=load_config(paths, env))
    assert found.usable().raw == text


@pytest.mark.parametrize(
    "note",
    [
        pytest.param({"startTime": "another"}, id="none-runs"),
        pytest.param({"configDigest": "another"}, id="with-a-text-that-is-not-kept"),
        pytest.param({}, id="does-not-say"),
    ],
)
def test_an_emptied_file_counts_where_nothing_is_known_to_run(
    paths: Paths, env: dict[str, str], note: dict[str, Any]
):
    runs_with(paths, env)
    runs(paths, **note)
    paths.config_path.write_text("{}")

    assert seen(env).why is None
    assert seen(env).usable().document == {}


@pytest.mark.parametrize("earlier", [True, False], ids=["earlier-ones-had", "nobody-ever-had"])
def test_no_file_is_gone_where_the_gateway_never_had_one(
    paths: Paths, env: dict[str, str], *, earlier: bool
):
    if earlier:
        runs_with(paths, env)
        paths.config_path.unlink()
    runs(paths, configDigest=EMPTY)

    found = seen(env)

    assert (found.why, found.problem) == (None, None)
    assert found.usable().exists is False


def test_without_a_note_and_a_version_to_go_back_to_nothing_is_gone(
    paths: Paths, env: dict[str, str]
):
    runs(paths)

    assert seen(env).why is None


def test_the_way_back_is_the_list_where_no_version_is_known_to_work(
    paths: Paths, env: dict[str, str]
):
    runs(paths, configDigest="another")

    found = seen(env)

    assert (found.why, found.runs) == (Why.GONE, None)
    assert found.problem is not None
    assert found.problem.remedy == "see what is kept of it with `openclaw config rollback`"


def test_the_way_back_keeps_the_profile(tmp_path: Path):
    env = {"HOME": str(tmp_path), "OPENCLAW_PROFILE": "spare"}
    paths = resolve_paths(env)
    paths.state_dir.mkdir()
    runs_with(paths, env)
    paths.config_path.unlink()

    told = seen(env).problem

    assert told is not None
    assert "`openclaw --profile spare config rollback good --yes`" in (told.remedy or "")


def test_an_included_file_that_was_emptied_is_an_accident(paths: Paths, env: dict[str, str]):
    auth = paths.state_dir / "auth.json5"
    auth.write_text('{mode: "token", token: "T0KEN"}')
    runs_with(paths, env, '{gateway: {mode: "local", auth: {$include: "auth.json5"}}}')
    before = seen(env)
    auth.write_text("{}")

    found = seen(env)

    assert before.why is None
    assert found.why is Why.ACCIDENT
    assert found.usable().config.gateway.auth.token == "T0KEN"


def test_a_file_of_another_format_that_is_gone_is_named(paths: Paths, env: dict[str, str]):
    file = paths.state_dir / "openclaw.toml"
    file.write_text('[gateway]\nmode = "local"\nauth.token = "T0KEN"\n')
    with_toml = resolve_paths(env)
    record_good(with_toml, load_config(with_toml, env))
    runs(with_toml, configDigest=load_config(with_toml, env).digest)
    file.unlink()

    found = seen(env)

    assert found.why is Why.GONE
    assert found.problem is not None
    assert found.problem.problem.startswith(f"{file} is gone")
    assert found.usable().config.gateway.auth.token == "T0KEN"


def of_another_file(paths: Paths, env: dict[str, str], tmp_path: Path) -> Path:
    """Let a gateway run with a file that it was given by name."""
    file = tmp_path / "my conf.json"
    named = Paths(paths.state_dir, file, "--config")
    file.write_text(FULL)
    record_good(named, load_config(named, env))
    runs(paths, configPath=str(file), configDigest=digest_of(FULL))
    return file


@pytest.mark.parametrize("own", [None, "{"], ids=["no-file", "a-broken-one"])
def test_a_gateway_with_another_file_is_asked_with_that_one(
    paths: Paths, env: dict[str, str], tmp_path: Path, own: str | None
):
    file = of_another_file(paths, env, tmp_path)
    if own is not None:
        paths.config_path.write_text(own)

    found = seen(env)

    assert (found.why, found.lost) == (Why.OTHER_FILE, False)
    assert found.usable().where("gateway.port") == f"gateway.port in {file}"
    assert found.problem is not None
    assert str(file) in found.problem.problem
    assert f"`OPENCLAW_CONFIG_PATH='{file}' openclaw …`" in (found.problem.remedy or "")


def test_a_file_of_this_command_counts_whatever_the_gateway_uses(
    paths: Paths, env: dict[str, str], tmp_path: Path
):
    of_another_file(paths, env, tmp_path)
    paths.config_path.write_text("{gateway: {port: 1}}")

    assert seen(env).why is None
    assert seen(env).usable().config.gateway.port == 1
    assert taken_in(paths, env, read_running(paths.state_dir)) is None


def test_another_file_that_is_gone_is_named(paths: Paths, env: dict[str, str], tmp_path: Path):
    file = of_another_file(paths, env, tmp_path)
    file.unlink()

    found = seen(env)

    assert found.why is Why.GONE
    assert found.problem is not None
    assert found.problem.problem.startswith(f"{file} is gone")


def test_another_file_that_cannot_be_seen_is_not_called_gone(
    paths: Paths, env: dict[str, str], tmp_path: Path
):
    file = of_another_file(paths, env, tmp_path)
    file.unlink()
    file.symlink_to(file)  # root too may not follow it

    assert seen(env).why is Why.OTHER_FILE


def test_another_file_whose_text_is_not_kept_is_named_all_the_same(
    paths: Paths, env: dict[str, str], tmp_path: Path
):
    file = of_another_file(paths, env, tmp_path)
    runs(paths, configPath=str(file), configDigest="another")

    found = seen(env)

    assert (found.why, found.runs) == (Why.OTHER_FILE, None)
    assert found.usable().exists is False


def test_a_file_that_cannot_be_used_is_told_where_nothing_runs(paths: Paths, env: dict[str, str]):
    paths.config_path.write_text("{")

    with pytest.raises(ConfigError, match=r"openclaw\.json:1"):
        seen(env).usable()


def test_what_was_taken_in_is_known_before_an_edit_is(paths: Paths, env: dict[str, str]):
    runs_with(paths, env)
    paths.config_path.write_text(FULL.replace("18795", "18796"))

    found = taken_in(paths, env, read_running(paths.state_dir))

    assert found is not None
    assert found.config.gateway.port == 18795


def test_nothing_is_taken_in_where_no_gateway_runs(paths: Paths, env: dict[str, str]):
    runs_with(paths, env)
    paths.lock_path.unlink()

    assert taken_in(paths, env, read_running(paths.state_dir)) is None
