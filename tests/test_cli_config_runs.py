"""`openclaw config` beside a gateway that runs: a change is judged by what that took in."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores.config.history import record_good
from stores.config.load import load_config
from stores.paths import Paths
from tests.config_runner import SECRET, Runner, running, write

FULL = f'{{gateway: {{mode: "local", port: 18795, auth: {{mode: "token", token: "{SECRET}"}}}}}}\n'
BACK = "`openclaw config rollback good --yes`"


@pytest.fixture
def openclaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runner:
    """A gateway runs with the full text, and the file holds it."""
    write(tmp_path, FULL)
    loaded = load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {})
    record_good(Paths(tmp_path, loaded.path), loaded)
    running(tmp_path, digest=loaded.digest)
    return Runner(monkeypatch, capsys, tmp_path)


def lose(state_dir: Path, text: str | None) -> Path:
    file = state_dir / "openclaw.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    return file


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("set", "gateway.bind", "loopback"), id="set"),
        pytest.param(("set", "gateway.port", "18795", "--dry-run"), id="only-tried"),
    ],
)
@pytest.mark.parametrize("text", ["{}", None], ids=["emptied", "removed"])
def test_a_change_that_leaves_the_file_as_lost_is_not_written(
    openclaw: Runner, tmp_path: Path, text: str | None, words: tuple[str, ...]
):
    file = lose(tmp_path, text)

    ended = openclaw(*words)

    assert (ended.code, ended.out) == (1, "")
    assert "takes that for an accident" in ended.err
    assert "nothing was written" in ended.err
    assert BACK in ended.err
    assert "restart" not in ended.err
    assert (file.read_text() if file.exists() else None) == text


def test_unset_of_a_lost_file_is_not_written_either(openclaw: Runner, tmp_path: Path):
    lost = "{gateway: {port: 18795, bind: 'lan'}}"
    file = lose(tmp_path, lost)

    ended = openclaw("unset", "gateway.bind")

    assert ended.code == 1
    assert BACK in ended.err
    assert file.read_text() == lost


def test_a_change_that_gives_back_what_was_lost_is_written(openclaw: Runner, tmp_path: Path):
    file = lose(tmp_path, FULL.replace(f', token: "{SECRET}"', ""))
    (tmp_path / "token").write_text("another-secret")

    ended = openclaw("set", "gateway.auth.token", "--from-file", str(tmp_path / "token"))

    assert ended.code == 0, ended.err
    assert "Applies live" in ended.out
    assert "another-secret" in file.read_text()


def test_what_a_change_means_is_told_by_what_runs_and_not_by_the_text_before(
    openclaw: Runner, tmp_path: Path
):
    lose(tmp_path, FULL.replace("18795", "18796"))

    back = openclaw("set", "gateway.port", "18795")
    away = openclaw("set", "gateway.port", "18797")

    assert "Nothing changes for the gateway." in back.out
    assert "Needs a restart" in away.out


def test_an_accident_that_a_change_makes_is_warned_of_and_no_restart_is_offered(
    openclaw: Runner,
):
    ended = openclaw("unset", "gateway.mode")
    as_json = openclaw("set", "gateway.bind", "lan", "--json")

    assert ended.code == 0
    assert "gateway.mode is gone" in ended.err
    assert "takes that for an accident" in ended.err
    assert "keeps what it has." in ended.out
    assert "gateway restart" not in ended.out
    assert as_json.code == 1, "the file is lost by now"


def test_for_a_program_an_accident_counts_from_a_restart(openclaw: Runner):
    ended = openclaw("unset", "gateway.mode", "--json")

    assert ended.json["applies"] == "restart"
    assert ended.json["changed"] is True


@pytest.mark.parametrize("text", ["{}", None], ids=["emptied", "removed"])
def test_validate_says_what_the_running_gateway_makes_of_a_valid_file(
    openclaw: Runner, tmp_path: Path, text: str | None
):
    lose(tmp_path, text)

    said = openclaw("validate")
    as_json = openclaw("validate", "--json")

    assert said.code == as_json.code == 0
    assert said.out.startswith("Valid: ")
    assert "warning: " in said.err
    assert BACK in said.err
    assert any(BACK in one for one in as_json.json["warnings"])


def test_validate_says_nothing_more_of_a_file_that_counts(openclaw: Runner):
    ended = openclaw("validate")

    assert (ended.code, ended.err) == (0, "")


def test_a_rollback_to_what_runs_changes_nothing_for_the_gateway(openclaw: Runner, tmp_path: Path):
    file = lose(tmp_path, "{}")

    ended = openclaw("rollback", "good", "--yes")

    assert ended.code == 0, ended.err
    assert "Nothing changes for the gateway." in ended.out
    assert "restart" not in ended.out
    assert file.read_text() == FULL


def test_a_rollback_into_an_accident_is_warned_of(openclaw: Runner, tmp_path: Path):
    lose(tmp_path, "{}")
    assert openclaw("rollback", "good", "--yes").code == 0

    ended = openclaw("rollback", "1", "--yes")

    assert ended.code == 0, ended.err
    assert "warning: " in ended.err
    assert "says nothing any more" in ended.err
    assert "keeps what it has." in ended.out


def test_nothing_is_refused_for_a_gateway_with_another_file(openclaw: Runner, tmp_path: Path):
    running(tmp_path, "other.json")
    lose(tmp_path, "{}")

    ended = openclaw("unset", "gateway.mode")
    told = openclaw("set", "gateway.bind", "loopback")

    assert ended.code == 1
    assert "is not set" in ended.err
    assert told.code == 0
    assert "uses another file" in told.out
    assert "accident" not in told.err
