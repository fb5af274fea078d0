from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from cli.main import LEVELS, main
from gateway.options import RunOptions
from stores.config.model import LogLevel
from stores.errors import ConfigError, StoreError, UserFacingError
from tests.peers import FakeGateway, closed_port, listening, says


class FakeProgram(ModuleType):
    """Stands where the gateway's own program is loaded from."""

    def __init__(self, *, ends: int | UserFacingError = 0) -> None:
        super().__init__("gateway.main")
        self.ends = ends
        self.given: list[RunOptions] = []

    def run(self, options: RunOptions) -> int:
        self.given.append(options)
        if isinstance(self.ends, UserFacingError):
            raise self.ends
        return self.ends


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeProgram:
    fake = FakeProgram()
    monkeypatch.setitem(sys.modules, "gateway.main", fake)
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    return fake


@pytest.mark.parametrize("words", [["gateway", "run"], ["gateway"]])
def test_both_spellings_run_the_gateway(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], words: list[str]
):
    program.ends = 7

    code, _, err = run([*words, "--port", "4711", "--bind", "lan"], capsys)

    (options,) = program.given
    assert code == 7
    assert (options.port, options.bind) == (4711, "lan")
    assert err == ""


def test_nothing_said_leaves_everything_open(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["/opt/openclaw"])

    run(["gateway", "run"], capsys)

    assert program.given == [RunOptions(command_words="/opt/openclaw")]


def test_every_word_arrives(program: FakeProgram, capsys: pytest.CaptureFixture[str]):
    words = ["--auth", "token", "--token", "T", "--password", "P", "--token-file", "t"]
    words += ["--password-file", "p", "--config", "c.json", "--verbose"]

    run(["--profile", "work", "gateway", "run", *words], capsys)

    (options,) = program.given
    assert (options.auth, options.token, options.password) == ("token", "T", "P")
    assert (options.token_file, options.password_file) == (Path("t"), Path("p"))
    assert (options.config, options.profile, options.verbose) == (Path("c.json"), "work", True)
    assert "'T'" not in repr(options)
    assert "'P'" not in repr(options)


def test_a_built_in_rule_is_switched_on_by_name_alone(
    program: FakeProgram, capsys: pytest.CaptureFixture[str]
):
    run(["gateway", "run", "--auto-approve", "published-port"], capsys)
    code, _, err = run(["gateway", "run", "--auto-approve", "10.0.0.0/8"], capsys)

    assert [options.auto_approve for options in program.given] == [("published-port",)]
    assert code == 2
    assert "published-port" in err


@pytest.mark.parametrize("words", [["--dev", "gateway"], ["gateway", "--dev"]])
def test_dev_is_heard_in_both_places(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], words: list[str]
):
    run(words, capsys)

    assert program.given[0].dev


def test_two_profiles_at_once_never_start(program: FakeProgram, capsys: pytest.CaptureFixture[str]):
    code, _, _ = run(["--profile", "work", "gateway", "run", "--dev"], capsys)

    assert (code, program.given) == (2, [])


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--allow-unconfigured"], id="allow-unconfigured"),
        pytest.param(["--compact"], id="compact"),
        pytest.param(["--ws-log", "full"], id="ws-log"),
        pytest.param(["--raw-stream"], id="raw-stream"),
    ],
)
def test_published_options_without_effect_are_taken_with_a_note(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], words: list[str]
):
    code, _, err = run(["gateway", "run", *words], capsys)

    assert code == 0
    assert len(err.splitlines()) == 1
    assert f"{words[0]} has no effect" in err


def test_a_level_in_front_of_it_is_the_gateways(
    program: FakeProgram, capsys: pytest.CaptureFixture[str]
):
    code, _, err = run(["--log-level", "debug", "gateway", "run"], capsys)

    assert (code, err) == (0, "")
    assert program.given[0].log_level == "debug"


@pytest.mark.parametrize("words", [["gateway", "--help"], ["pairing", "list"]])
def test_a_level_in_front_of_what_logs_nothing_is_told_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
):
    _, _, err = run(["--log-level", "debug", *words], capsys)

    assert ("--log-level has no effect" in err) is ("--help" not in words)


def test_the_levels_are_those_of_the_log():
    assert set(LEVELS) == set(LogLevel)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--reset"], id="reset"),
        pytest.param(["--tailscale", "funnel"], id="tailscale"),
    ],
)
def test_options_that_would_do_harm_are_refused(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], words: list[str]
):
    code, _, err = run(["gateway", "run", *words], capsys)

    assert (code, program.given) == (2, [])
    assert words[0] in err


def test_tailscale_off_is_what_happens_anyway(
    program: FakeProgram, capsys: pytest.CaptureFixture[str]
):
    assert run(["gateway", "run", "--tailscale", "off"], capsys)[::2] == (0, "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ConfigError("no", remedy="set `x`"), 78, id="configuration"),
        pytest.param(StoreError("no"), 78, id="ownership"),
        pytest.param(UserFacingError("the port is taken"), 1, id="port"),
    ],
)
def test_what_the_gateway_refuses_to_start_with_has_its_exit_code(
    program: FakeProgram, capsys: pytest.CaptureFixture[str], error: UserFacingError, code: int
):
    program.ends = error

    ended, _, err = run(["gateway"], capsys)

    assert ended == code
    assert err.startswith(error.problem)


@pytest.mark.parametrize("words", [["health"], ["gateway", "health"]])
def test_health_is_one_line(
    capsys: pytest.CaptureFixture[str], program: FakeProgram, words: list[str]
):
    with listening(FakeGateway(answers={"health": {"ok": True}})) as port:
        code, out, _ = run([*words, *elsewhere(port)], capsys)

    assert code == 0
    assert out.startswith("OK (")
    assert out.endswith("ms)\n")


def test_health_names_what_is_wrong(capsys: pytest.CaptureFixture[str], program: FakeProgram):
    problems = [{"where": "/srv/paired.json", "problem": "is not valid JSON"}, "odd", {}]

    with listening(FakeGateway(answers={"health": {"ok": True, "problems": problems}})) as port:
        _, out, _ = run(["health", *elsewhere(port)], capsys)

    assert out.splitlines()[1:] == ["  /srv/paired.json: is not valid JSON", "  odd", "  ?"]


def test_json_health_is_the_whole_object(capsys: pytest.CaptureFixture[str], program: FakeProgram):
    with listening(FakeGateway(answers={"health": {"ok": True, "ts": 1}})) as port:
        _, out, _ = run(["health", "--json", *elsewhere(port)], capsys)

    assert json.loads(out) == {"ok": True, "ts": 1}


def test_health_of_nothing_exits_3_with_the_whole_block(
    capsys: pytest.CaptureFixture[str], program: FakeProgram, tmp_path: Path
):
    port = closed_port()
    gateway = {"port": port, "auth": {"token": "T"}}
    (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": gateway}))

    code, out, err = run(["health"], capsys)

    assert (code, out) == (3, "")
    reason, *block = err.splitlines()
    assert f"nothing listens at 127.0.0.1:{port}" in reason
    assert block[0] == f"Gateway target: ws://127.0.0.1:{port}"
    assert block[1].startswith("Source: ")
    assert block[2] == f"Config: {tmp_path / 'openclaw.json'}"
    assert block[3] == "Bind: loopback"
    assert block[4] == "Start the gateway with `openclaw gateway run`"


def test_the_envelope_of_a_failed_call_names_kind_gateway_and_credential(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    with listening(says(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")) as port:
        code, out, _ = run(["health", "--json", *elsewhere(port)], capsys)

    told = json.loads(out)
    assert code == told["exitCode"] == 3
    assert told["error"]["type"] == "transport"
    assert told["error"]["kind"] == "http"
    assert told["error"]["details"]["httpStatus"] == 502
    assert told["gateway"] == {
        "url": f"ws://127.0.0.1:{port}",
        "urlSource": "--url",
        "credentialSource": "--token",
    }


def test_a_call_prints_the_payload(capsys: pytest.CaptureFixture[str], program: FakeProgram):
    gateway = FakeGateway(answers={"last-heartbeat": None})

    with listening(gateway) as port:
        words = ["gateway", "call", "last-heartbeat", "--params", '{"a": 1}', *elsewhere(port)]
        code, out, err = run(words, capsys)
        _, _, as_json = run([*words, "--json", "--expect-final"], capsys)

    assert (code, out) == (0, "null\n")
    assert "Gateway call: last-heartbeat" in err
    assert "Gateway call" not in as_json
    assert "--expect-final has no effect" in as_json
    assert gateway.requests == [("last-heartbeat", {"a": 1})] * 2


def test_parameters_that_are_no_json_are_usage(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    gateway = FakeGateway()

    with listening(gateway) as port:
        code, _, err = run(["gateway", "call", "x", "--params", "{", *elsewhere(port)], capsys)

    assert code == 2
    assert "--params" in err
    assert gateway.connects == []


def test_a_refusal_names_where_the_credential_came_from(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    details = {"code": "AUTH_TOKEN_MISMATCH", "remedy": {"sentence": "Not the gateway's token."}}
    refusal = {"code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch"}

    with listening(FakeGateway(refusal=refusal | {"details": details})) as port:
        code, out, err = run(["health", "--json", *elsewhere(port)], capsys)

    assert code == 1
    assert "Credential: --token" in err
    assert "Not the gateway's token." in err
    told = json.loads(out)["error"]
    assert (told["type"], told["code"]) == ("refused", "INVALID_REQUEST")
    assert told["details"]["code"] == "AUTH_TOKEN_MISMATCH"


def test_a_missing_scope_shows_the_upgrade_that_waits(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    upgrade = {"requestId": "AB23-CD45", "scopes": ["operator.pairing"]}
    gateway = FakeGateway(
        answers={"x": {"code": "FORBIDDEN", "message": "missing scope: operator.pairing"}},
        hello={"auth": {"pendingUpgrade": upgrade}},
    )

    with listening(gateway) as port:
        code, out, err = run(["gateway", "call", "x", "--json", *elsewhere(port)], capsys)

    assert code == 1
    assert "Waiting for approval: operator.pairing (request AB23-CD45)" in err
    assert err.endswith("Run on the gateway's machine: openclaw devices approve AB23-CD45\n")
    assert json.loads(out)["error"]["details"]["pendingUpgrade"] == upgrade


def test_what_a_gateway_says_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    evil = {"code": "X\x1b[2J", "message": "a\x1b[2Jb", "details": {"requestId": "\x9bc"}}

    with listening(FakeGateway(refusal=evil)) as port:
        _, out, err = run(["health", "--json", *elsewhere(port)], capsys)

    assert "\x1b" not in out + err
    assert "\x9b" not in out + err


def test_a_refusal_that_saw_nothing_says_nothing_of_it(
    capsys: pytest.CaptureFixture[str], program: FakeProgram
):
    refusal = {"code": "INVALID_REQUEST", "message": "no", "details": {"saw": {"host": None}}}

    with listening(FakeGateway(refusal=refusal)) as port:
        _, _, err = run(["health", *elsewhere(port)], capsys)

    assert "Seen by the gateway" not in err


def elsewhere(port: int) -> list[str]:
    return ["--url", f"ws://127.0.0.1:{port}", "--token", "T"]


def run(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err
