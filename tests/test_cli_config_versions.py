"""`openclaw config validate|file|schema|diff|rollback|convert`: the file as a whole."""

from __future__ import annotations

import pytest

from stores.config.history import record_good
from stores.config.load import load_config
from stores.paths import Paths
from tests.config_runner import PORT, SECRET, Runner, with_secret, write


@pytest.fixture
def openclaw(tmp_path, monkeypatch, capsys):
    return Runner(monkeypatch, capsys, tmp_path)


def test_validate_names_every_problem(openclaw, tmp_path):
    write(tmp_path, '{gateway: {\n  prot: 1,\n  bind: "x"}}')

    ended = openclaw("validate", "--json")

    assert ended.code == 1
    told = ended.json
    assert (told["valid"], told["ok"], told["exitCode"]) == (False, False, 1)
    assert [(one["path"], one["line"]) for one in told["problems"]] == [
        ("gateway.prot", 2),
        ("gateway.bind", 3),
    ]
    assert "openclaw.json:2: gateway.prot: unknown key" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{gateway: {", "not valid JSON5", id="syntax"),
        pytest.param('{gateway: {auth: {token: "${GONE_T}"}}}', "GONE_T is not set", id="variable"),
        pytest.param(
            '{gateway: {bind: "lan", auth: {mode: "none"}}}', "auth.mode is none", id="unsafe"
        ),
    ],
)
def test_validate_finds_what_stops_a_start(openclaw, tmp_path, text, said):
    write(tmp_path, text)

    ended = openclaw("validate")

    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err


def test_validate_accepts_what_starts(openclaw, tmp_path, monkeypatch):
    assert "the defaults apply" in openclaw("validate").out
    write(tmp_path, "{gateway: {tailscale: {}}}")
    ended = openclaw("validate")
    assert (ended.code, ended.out) == (0, f"Valid: {tmp_path}/openclaw.json\n")
    assert "tailscale has no effect" in ended.err
    assert openclaw("validate", "--json").json["valid"] is True
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(tmp_path / "gone.json"))
    ended = openclaw("validate")
    assert ended.code == 1
    assert "gone.json (env OPENCLAW_CONFIG_PATH) does not exist" in ended.err


def test_file_says_which_and_why(openclaw, tmp_path, monkeypatch):
    new = openclaw("file")
    assert (new.code, new.out) == (0, f"{tmp_path}/openclaw.json\n")
    assert "does not exist" in new.err
    write(tmp_path, PORT)
    write(tmp_path, "[gateway]\n", "openclaw.toml")
    both = openclaw("file")
    assert both.out == f"{tmp_path}/openclaw.toml\n"
    assert f"Ignored: {tmp_path}/openclaw.json" in both.err
    told = openclaw("file", "--json").json
    assert (told["format"], told["ignored"]) == ("toml", f"{tmp_path}/openclaw.json")
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", "/f/my.json")
    named = openclaw("file")
    assert named.out == "/f/my.json\n"
    assert "Chosen by: env OPENCLAW_CONFIG_PATH" in named.err


def test_schema_is_json(openclaw):
    assert openclaw("schema").json["$schema"].endswith("2020-12/schema")


def test_diff_is_against_what_last_ran(openclaw, tmp_path):
    with_secret(tmp_path)
    paths = Paths(tmp_path, tmp_path / "openclaw.json")
    assert openclaw("diff").code == 2
    record_good(paths, load_config(paths, {}))
    assert openclaw("diff").out == "No difference.\n"
    openclaw("set", "gateway.port", "2")

    ended = openclaw("diff")

    assert ended.code == 0
    assert "+{gateway: {port: 2" in ended.out
    assert SECRET not in ended.out
    told = openclaw("diff", "1", "--json").json
    assert told["version"]["index"] == 1
    assert "port: 2" in told["diff"]


def test_rollback_lists_shows_and_does(openclaw, tmp_path):
    assert openclaw("rollback").out == "No earlier version is kept yet.\n"
    with_secret(tmp_path)
    before = (tmp_path / "openclaw.json").read_bytes()
    paths = Paths(tmp_path, tmp_path / "openclaw.json")
    record_good(paths, load_config(paths, {}))
    openclaw("set", "gateway.port", "2")

    listed = openclaw("rollback")
    shown = openclaw("rollback", "1")
    done = openclaw("rollback", "--to", "good", "--yes")

    assert "1        20" in listed.out
    assert "good     20" in listed.out
    assert shown.code == 1
    assert "-{gateway: {port: 2" in shown.out
    assert "rollback 1 --yes" in shown.err
    assert done.code == 0
    assert (tmp_path / "openclaw.json").read_bytes() == before
    assert SECRET not in listed.out + shown.out + done.out
    assert len(openclaw("rollback", "--json").json["versions"]) == 2
    told = openclaw("rollback", "1", "--yes", "--json").json
    assert (told["applies"], told["restartRequired"]) == ("restart", ["gateway.port"])
    assert openclaw("rollback", "1", "--to", "1").code == 2


def test_convert_writes_the_other_format_and_says_so(openclaw, tmp_path):
    with_secret(tmp_path)

    dry = openclaw("convert", "--dry-run")
    done = openclaw("convert")

    assert 'token = "__OPENCLAW_REDACTED__"' in dry.out
    assert SECRET not in dry.out
    assert f"Wrote {tmp_path}/openclaw.toml." in done.out
    assert not (tmp_path / "openclaw.json").exists()
    assert openclaw("get", "gateway.port").out == "1\n"
    assert "is toml already" in openclaw("convert", "--to", "toml").out
    told = openclaw("convert", "--to", "json5", "--json").json
    assert told["removed"] == f"{tmp_path}/openclaw.toml"


def test_convert_leaves_a_file_named_outright_in_force(openclaw, tmp_path, monkeypatch):
    write(tmp_path, PORT, "my.json")
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(tmp_path / "my.json"))

    ended = openclaw("convert")

    assert "is still in force (env OPENCLAW_CONFIG_PATH)" in ended.err
    assert (tmp_path / "my.toml").exists()


def test_a_broken_file_is_named_by_every_command(openclaw, tmp_path):
    write(tmp_path, "{gateway: {")

    for words in (("get", "gateway.port"), ("set", "gateway.port", "2"), ("unset", "gateway.port")):
        ended = openclaw(*words)
        assert ended.code == 1
        assert "openclaw.json" in ended.err
    assert openclaw("file").code == 0
