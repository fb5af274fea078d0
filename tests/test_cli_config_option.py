"""`--config` in every place but its own is told how the file is named there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli_main import run


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["devices", "list", "--config", "/x/F"], "devices list"),
        (["--config", "/x/F", "gateway", "run"], "gateway run"),
        (["gateway", "--config", "/x/F", "run"], "gateway run"),
        (["gateway", "--config=/x/F", "status"], "gateway status"),
        (["config", "get", "gateway.port", "--config=/x/F"], "config get gateway.port"),
        (["health", "--token", "S3CRET", "--config", "/x/F"], "health"),
    ],
    ids=["command", "program", "group", "group-other", "equals", "secret"],
)
def test_config_of_another_command_than_run_is_told_how_to_be_named(
    capsys: pytest.CaptureFixture[str], words: list[str], instead: str
):
    code, out, err = run(words, capsys)

    assert (code, out) == (2, "")
    assert "--config is an option of `openclaw gateway run` alone" in err
    assert f"`OPENCLAW_CONFIG_PATH=/x/F openclaw {instead}`" in err
    assert "`Environment=OPENCLAW_CONFIG_PATH=/x/F`" in err
    assert "Did you mean" not in err
    assert "S3CRET" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gateway", "run", "--config", "/x/F", "more"], "unexpected extra argument (more)"),
        (["gateway", "run", "--confg", "/x/F"], "Did you mean '--config'?"),
        (["health", "--configure"], "No such option '--configure'"),
    ],
    ids=["in-its-place", "misspelt", "another"],
)
def test_config_is_not_blamed_for_another_mistake(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    code, _, err = run(words, capsys)

    assert code == 2
    assert said in err
    assert "OPENCLAW_CONFIG_PATH" not in err


def test_config_without_a_file_names_the_place_of_one(capsys: pytest.CaptureFixture[str]):
    _, _, err = run(["devices", "list", "--config", "--json"], capsys)

    assert "`OPENCLAW_CONFIG_PATH=FILE openclaw devices list --json`" in err
