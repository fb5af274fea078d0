"""What is decided before a gateway serves: which configuration, and what takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.options import RunOptions
from gateway.starting import find_config, with_secret
from stores.config.history import record_good
from stores.config.load import load_config
from stores.errors import ConfigError
from stores.paths import Paths, resolve_paths
from tests.serving import TOKEN, write_config

WITH, WITHOUT = RunOptions(last_known_good=True), RunOptions()
BROKEN = "{\n  gateway: {mode: 'local',\n    prot: 1},\n}"


def known_good(tmp_path: Path, *, recorded: bool = True) -> tuple[Paths, dict[str, str]]:
    """Leave a state directory whose configuration a gateway ran with."""
    state_dir = tmp_path / "s"
    write_config(state_dir)
    env = {"OPENCLAW_STATE_DIR": str(state_dir), "HOME": str(tmp_path)}
    paths = resolve_paths(env)
    if recorded:
        record_good(paths, load_config(paths, env))
    return paths, env


def test_a_broken_file_names_the_line_and_every_way_out(tmp_path):
    paths, env = known_good(tmp_path)
    paths.config_path.write_text(BROKEN)

    with pytest.raises(ConfigError) as refused:
        find_config(WITHOUT, env, paths)

    assert refused.value.problem.startswith(f"{paths.config_path}:3: gateway.prot: unknown key")
    assert "`openclaw config validate`" in str(refused.value.remedy)
    remedy = str(refused.value.remedy)
    assert "`openclaw config rollback good --yes`" in remedy
    assert remedy.startswith("did you mean `gateway.port`? See every problem with")


def test_without_a_good_one_none_is_named_and_none_is_run(tmp_path):
    paths, env = known_good(tmp_path, recorded=False)
    paths.config_path.write_text(BROKEN)

    with pytest.raises(ConfigError) as refused:
        find_config(WITH, env, paths)

    assert "rollback" not in str(refused.value.remedy)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BROKEN, id="unknown-key"),
        pytest.param("{", id="syntax"),
        pytest.param("{}", id="emptied"),
        pytest.param(None, id="gone"),
        pytest.param('{gateway: {auth: {token: "${MISSING}"}}}', id="no-variable"),
    ],
)
def test_the_last_known_good_takes_the_place_of_a_file_that_cannot_be_used(tmp_path, text):
    paths, env = known_good(tmp_path)
    if text is None:
        paths.config_path.unlink()
    else:
        paths.config_path.write_text(text)

    loaded, auth, generated, fault = with_secret(WITH, env, paths)

    assert fault is not None
    assert str(paths.config_path) in fault.problem
    assert auth.token is not None
    assert (auth.token.value, generated, loaded.path) == (TOKEN, False, paths.config_path)
    assert (paths.config_path.read_text() if text is not None else None) == text


def test_an_empty_file_without_the_option_is_a_first_start(tmp_path):
    paths, env = known_good(tmp_path)
    paths.config_path.write_text("{}")

    _, auth, generated, fault = with_secret(WITHOUT, env, paths)

    assert generated
    assert fault is None
    assert auth.token is not None
    assert auth.token.value != TOKEN


def test_no_token_is_made_for_a_file_that_cannot_be_read(tmp_path):
    paths, env = known_good(tmp_path, recorded=False)
    paths.config_path.write_text('{gateway: {mode: "local"}}')
    record_good(paths, load_config(paths, env))
    paths.config_path.write_text(BROKEN)

    with pytest.raises(ConfigError, match="unknown key"):
        with_secret(WITH, env, paths)

    assert paths.config_path.read_text() == BROKEN
