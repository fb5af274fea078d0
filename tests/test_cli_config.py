"""`openclaw config get|set|unset`: what they print where, what they refuse, and no secret slips out."""

from __future__ import annotations

from typing import Any

import pytest

from stores.config.load import load_config
from stores.paths import Paths
from tests.config_runner import PORT, SECRET, Runner, running, with_secret, write


@pytest.fixture
def openclaw(tmp_path, monkeypatch, capsys):
    return Runner(monkeypatch, capsys, tmp_path)


@pytest.mark.parametrize(
    ("key", "printed"),
    [
        pytest.param("gateway.port", "1\n", id="number"),
        pytest.param("gateway.auth.mode", "token\n", id="string-is-bare"),
        pytest.param('gateway["auth"].mode', "token\n", id="bracket"),
        pytest.param(
            "gateway.auth",
            '{\n  "token": "__OPENCLAW_REDACTED__",\n  "mode": "token"\n}\n',
            id="object",
        ),
    ],
)
def test_get_prints_a_value(openclaw, tmp_path, key, printed):
    with_secret(tmp_path)

    ended = openclaw("get", key)

    assert (ended.code, ended.out, ended.err) == (0, printed, "")


def test_get_without_a_key_prints_everything_but_secrets(openclaw, tmp_path):
    with_secret(tmp_path)

    ended = openclaw("get", "--json")

    assert ended.json["gateway"]["port"] == 1
    assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param("gateway.bind", 'valid but unset, so its default applies: "loopback"', id="default"),
        pytest.param("gateway.auth.token", "valid but unset", id="no-default"),
        pytest.param("gateway.tls", "valid but unset", id="section"),
        pytest.param("gateway.tailscale", "would have no effect", id="no-effect"),
        pytest.param("gateway.reload.mode", "every change is applied", id="no-effect-hint"),
        pytest.param("channels.telegram", "other programs", id="carried"),
        pytest.param("gateway.prot", "Did you mean `gateway.port`?", id="slip"),
        pytest.param("gateway.zzzzz", "openclaw config schema", id="unknown"),
        pytest.param("gateway.auth.skipPairingForTokenAuth", "gateway.pairing.autoApprove", id="tried"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_apart_from_what_cannot_be(openclaw, tmp_path, key, said):
    write(tmp_path, PORT)

    ended = openclaw("get", key)

    assert (ended.code, ended.out) == (1, "")
    assert said in ended.err


def test_a_script_that_asks_for_the_token_gets_nothing(openclaw, tmp_path):
    with_secret(tmp_path)

    ended = openclaw("get", "gateway.auth.token")

    assert (ended.code, ended.out) == (1, "")
    assert "need no token" in ended.err
    assert SECRET not in ended.err


def test_a_secret_shows_on_a_terminal_and_only_when_asked_for(openclaw, tmp_path):
    with_secret(tmp_path)

    hidden = openclaw("get", "gateway.auth.token", terminal=True)
    shown = openclaw("get", "gateway.auth.token", "--show-secrets", terminal=True)
    piped = openclaw("get", "gateway.auth.token", "--show-secrets")

    assert (hidden.code, hidden.out) == (0, "__OPENCLAW_REDACTED__\n")
    assert "--show-secrets" in hidden.err
    assert (shown.code, shown.out) == (0, f"{SECRET}\n")
    assert (piped.code, piped.out) == (1, "")


def test_a_reference_is_filled_in_only_when_the_secret_is_asked_for(
    openclaw, tmp_path, monkeypatch
):
    write(tmp_path, '{gateway: {auth: {token: "${T}"}}}')
    monkeypatch.setenv("T", SECRET)

    assert openclaw("get", "gateway.auth.token", terminal=True).out == "${T}\n"
    shown = openclaw("get", "gateway.auth.token", "--show-secrets", terminal=True)
    assert shown.out == f"{SECRET}\n"
    monkeypatch.delenv("T")
    shown = openclaw("get", "gateway.auth.token", "--show-secrets", terminal=True)
    assert shown.out == "${T}\n"


def test_set_says_what_it_was_and_what_it_is(openclaw, tmp_path):
    write(tmp_path, PORT)

    ended = openclaw("set", "gateway.port", "18790")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "gateway.port: 1 → 18790\nNo gateway runs here; it counts from the next start.\n"
    )
    assert (tmp_path / "openclaw.json").read_text() == PORT.replace("1", "18790")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        pytest.param("gateway.trustedProxies", '["10.0.0.1"]', "Applies live", id="live"),
        pytest.param("gateway.port", "2", "Needs a restart", id="restart"),
        pytest.param("ui.theme", "dark", "Nothing changes for the gateway", id="carried"),
        pytest.param("gateway.port", "1", "No change", id="same"),
    ],
)
def test_set_says_when_it_counts(openclaw, tmp_path, key, value, said):
    write(tmp_path, PORT)
    running(tmp_path)

    assert said in openclaw("set", key, value).out


def test_a_gateway_with_another_file_is_pointed_out(openclaw, tmp_path):
    running(tmp_path, "other.json")

    assert "uses another file" in openclaw("set", "gateway.port", "2").out
    assert "other.json" in openclaw("file").err


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"pid": 1, "startTime": -1}'])
def test_a_note_of_nobody_is_no_running_gateway(openclaw, tmp_path, note):
    (tmp_path / "gateway.lock").write_text(note)

    assert "No gateway runs here" in openclaw("set", "gateway.port", "2").out


def test_set_tells_programs_the_same(openclaw, tmp_path):
    with_secret(tmp_path)

    told = openclaw("set", "gateway.auth.token", "another-one", "--json").json

    assert (told["old"], told["new"]) == ("__OPENCLAW_REDACTED__", "__OPENCLAW_REDACTED__")
    assert (told["applies"], told["restartRequired"], told["written"]) == ("live", [], True)
    assert told["hash"] == openclaw("file", "--json").json["hash"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        pytest.param("gateway.bind", "lan", "lan", id="bare"),
        pytest.param("gateway.bind", '"lan"', "lan", id="quoted"),
        pytest.param("gateway.auth.token", "12345678", "12345678", id="digits-of-a-secret"),
        pytest.param("gateway.trustedProxies", "['10.0.0.1',]", ["10.0.0.1"], id="json5"),
        pytest.param("gateway.trustedProxies[0]", "10.0.0.1", None, id="item-of-nothing"),
        pytest.param("ui.n", "12", 12, id="number"),
    ],
)
def test_a_value_is_json_or_a_bare_string(openclaw, tmp_path, key, text, value):
    write(tmp_path, "{}")

    ended = openclaw("set", key, text)

    if value is None:
        assert ended.code == 1
        return
    document: Any = load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {}).document
    for step in key.split("."):
        document = document[step]
    assert document == value


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("gateway.auth.allowInsecureAuth", "true"), 1, "never was such a key", id="never"),
        pytest.param(("gateway.prot", "1"), 1, "Did you mean `gateway.port`?", id="slip"),
        pytest.param(("gateway.port", "x"), 1, "a port number", id="value"),
        pytest.param(("gateway.auth.token", "__OPENCLAW_REDACTED__"), 1, "hides a secret", id="mark"),
        pytest.param(
            ("gateway.trustedProxies", "127.0.0.1"),
            1,
            """openclaw config set gateway.trustedProxies '["127.0.0.1"]'""",
            id="array",
        ),
        pytest.param(("gateway.port",), 2, "give the value once", id="no-value"),
        pytest.param(("gateway..port", "1"), 2, "not the path of a key", id="path"),
        pytest.param(("gateway.bind", "lan", "--strict-json"), 2, "is not JSON", id="strict"),
        pytest.param(("gateway.port", "2", "--if-hash", "0"), 1, "changed by somebody else", id="hash"),
    ],
)  # fmt: skip
def test_a_refused_set_leaves_the_file_byte_identical(openclaw, tmp_path, words, code, said):
    with_secret(tmp_path)
    before = (tmp_path / "openclaw.json").read_bytes()

    ended = openclaw("set", *words)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert SECRET not in ended.err
    assert (tmp_path / "openclaw.json").read_bytes() == before


def test_a_secret_comes_from_a_file_or_is_warned_about(openclaw, tmp_path):
    (tmp_path / "token").write_text(f"{SECRET}\n")

    quiet = openclaw("set", "gateway.auth.token", "--from-file", str(tmp_path / "token"))
    loud = openclaw("set", "gateway.auth.token", "other-token")
    reference = openclaw("set", "gateway.auth.token", "${HOME}")

    assert (quiet.err, reference.err) == ("", "")
    assert "can be read by every user" in loud.err
    assert SECRET not in quiet.out + loud.out + reference.out
    assert quiet.out.startswith("gateway.auth.token: (unset) → (secret)\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xff", "not UTF-8"), (b"x" * (1 << 21), "too long")],
    ids=["bytes", "long"],
)
def test_a_file_that_holds_no_value_is_refused(openclaw, tmp_path, data, said):
    (tmp_path / "value").write_bytes(data)

    ended = openclaw("set", "ui.x", "--from-file", str(tmp_path / "value"))

    assert ended.code == 2
    assert said in ended.err


def test_a_dry_run_writes_nothing(openclaw, tmp_path):
    write(tmp_path, PORT)

    ended = openclaw("set", "gateway.port", "2", "--dry-run")

    assert "Nothing was written" in ended.out
    assert (tmp_path / "openclaw.json").read_text() == PORT


def test_a_conflict_shows_what_changed(openclaw, tmp_path):
    with_secret(tmp_path)
    base = openclaw("file", "--json").json["hash"]
    openclaw("set", "gateway.port", "2")

    ended = openclaw("set", "gateway.port", "3", "--if-hash", base)

    assert ended.code == 1
    assert "port: 2" in ended.err
    assert SECRET not in ended.err


def test_a_change_that_stops_the_next_start_is_warned_about(openclaw, tmp_path):
    write(tmp_path, '{gateway: {auth: {mode: "none"}}}')

    ended = openclaw("set", "gateway.bind", "lan")

    assert ended.code == 0
    assert "does not start like this" in ended.err


def test_a_change_that_the_running_gateway_will_not_believe_is_warned_about(openclaw, tmp_path):
    with_secret(tmp_path)
    running(tmp_path)

    ended = openclaw("unset", "gateway.auth.token")

    assert ended.code == 0
    assert "takes that for an accident" in ended.err


def test_a_new_warning_is_told_and_an_old_one_is_not(openclaw, tmp_path):
    write(tmp_path, "{gateway: {tailscale: {}}}")

    assert "gateway.push has no effect" in openclaw("set", "gateway.push", "{}").err
    assert openclaw("set", "gateway.port", "2").err == ""


def test_unset_lets_the_default_apply_and_repairs_a_broken_file(openclaw, tmp_path):
    write(tmp_path, "{gateway: {bind: 'lan', prot: 1}} // mine")

    repaired = openclaw("unset", "gateway.prot")
    ended = openclaw("unset", "gateway.bind")
    again = openclaw("unset", "gateway.bind")

    assert "could not be used before" in repaired.out
    assert ended.out.startswith('gateway.bind: "lan" → (unset: "loopback")\n')
    assert (again.code, again.out) == (1, "")
    assert (tmp_path / "openclaw.json").read_text() == "{gateway: {}} // mine"
