"""The three verdicts, from facts: what no whole program shows easily."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cli.failures import Failure, GatewayRefusedError, GatewayUnreachableError
from cli.place import Place, TargetOptions
from cli.status_aim import Aim, Configured, HeldBackError, refuse_strangers, take_aim
from cli.status_authorisation import capability, judge_authorisation
from cli.status_facts import SecretSeen, StatusFacts
from cli.status_gateway import NAMES, Report, lines_of
from cli.status_handshake import judge_handshake
from cli.status_knock import Knock, Stage
from cli.status_process import judge_process
from cli.status_remarks import Remark
from cli.status_verdict import Verdict
from stores.config.load import interpret
from stores.port_owner import PortOwner
from stores.running import Running, Standing
from stores.serving import Serving
from stores.target import resolve_target

HERE = Place({"HOME": "/nowhere", "OPENCLAW_STATE_DIR": "/nowhere/state"})
LOADED = interpret(Path("/nowhere/state/openclaw.json"), None, {})
TARGET = resolve_target(LOADED, {})
RUNNING = Running(standing=Standing.RUNS, pid=77, uid=os.geteuid(), port=18789, bind="loopback")
OURS = PortOwner(os.geteuid(), 77, "openclaw gateway run")


def facts(*, aim: dict[str, Any] | None = None, **more: Any) -> StatusFacts:
    found = Aim(configured=Configured(loaded=LOADED, path=LOADED.path), running=None, target=TARGET)
    return StatusFacts(here=HERE, uid=os.geteuid(), aim=evolve(found, **aim or {}), **more)


def unreachable(how: Failure, at: Stage, problem: str = "it went wrong") -> Knock:
    return Knock(took_ms={Stage.TCP: 1, at: 2}, error=GatewayUnreachableError(how, problem))


def refused(code: str, *, admitted: bool = False) -> Knock:
    error = GatewayRefusedError("no", code="X", details={"code": code}, admitted=admitted)
    at = Stage.RPC if admitted else Stage.CONNECT
    return Knock(took_ms={Stage.TCP: 1, Stage.CHALLENGE: 1, at: 2}, error=error)


@pytest.mark.parametrize(
    ("aim", "good", "said"),
    [
        pytest.param({"running": RUNNING, "holder": OURS}, True, "listening on port", id="well"),
        pytest.param({"running": RUNNING}, False, "another network namespace", id="no-listener"),
        pytest.param(
            {"running": RUNNING, "holder": PortOwner(4242, None)},
            False,
            "is held by a process of user",
            id="port-of-another",
        ),
        pytest.param(
            {"running": evolve(RUNNING, standing=Standing.ELSEWHERE, host="c0ffee")},
            None,
            "container c0ffee",
            id="container",
        ),
        pytest.param({"holder": PortOwner(4242, None)}, None, "nothing was dialled", id="no-knock"),
    ],
)
def test_the_process(aim: dict[str, Any], good: bool | None, said: str):
    found = judge_process(facts(aim=aim))

    assert found.good is good
    assert said in found.saw
    assert found.good is True or found.command


PASSED_ON = [
    pytest.param(None, "where no process of this machine listens", id="by-the-kernel"),
    pytest.param(PortOwner(0, None), "through a process of user root", id="hidden"),
    pytest.param(PortOwner(0, 7, "docker-proxy"), "7 of user root (docker-proxy)", id="seen"),
    pytest.param(PortOwner(os.geteuid(), 7, "ssh -L"), "(ssh -L)", id="own"),
]


@pytest.mark.parametrize(("holder", "said"), PASSED_ON)
def test_a_gateway_that_answers_through_something_else_is_no_failure(
    holder: PortOwner | None, said: str
):
    found = judge_process(facts(aim={"holder": holder}, knock=refused("PAIRING_REQUIRED")))

    assert found.good is None
    assert said in found.saw
    assert found.where == "container"
    assert "config set" not in str(found.remedy)


@pytest.mark.parametrize(("holder", "said"), PASSED_ON[1:])
def test_what_does_not_answer_as_a_gateway_is_another_program(holder: PortOwner, said: str):
    knock = unreachable(Failure.HTTP, Stage.UPGRADE)

    found = judge_process(facts(aim={"holder": holder}, knock=knock))

    assert found.good is False
    assert said.removeprefix("through ") in found.saw
    assert found.command == "openclaw config set gateway.port 18799"


@pytest.mark.parametrize(
    ("serving", "good"),
    [
        pytest.param(Serving(18789, 4242, 7), False, id="of-another-user"),
        pytest.param(Serving(18789, os.geteuid(), 7), None, id="own-and-hidden"),
    ],
)
def test_a_gateway_that_has_the_port_itself_passes_nothing_on(serving: Serving, good: bool | None):
    aim = {"holder": PortOwner(serving.uid, None)}

    found = judge_process(facts(aim=aim, knock=refused("PAIRING_REQUIRED"), serving=serving))

    assert found.good is good
    assert ("held by a gateway of user uid 4242" in found.saw) is (good is False)


@pytest.mark.parametrize(
    ("how", "command"),
    [
        pytest.param(Failure.TIMEOUT, "openclaw gateway restart", id="stuck"),
        pytest.param(Failure.DROPPED, "openclaw gateway probe", id="dropped"),
    ],
)
def test_a_process_that_is_well_and_does_not_answer(how: Failure, command: str):
    aim = {"running": RUNNING, "holder": OURS}

    found = judge_handshake(facts(aim=aim, knock=unreachable(how, Stage.UPGRADE)))

    assert found.good is False
    assert found.command == command


@pytest.mark.parametrize(
    ("knock", "good", "word"),
    [
        pytest.param(refused("PAIRING_REQUIRED"), True, "pairing-pending", id="pairing"),
        pytest.param(refused("AUTH_TOKEN_MISSING"), True, "connect-only", id="refused"),
        pytest.param(
            refused("MISSING_SCOPE", admitted=True), True, "connected-no-operator-scope", id="scope"
        ),
        pytest.param(unreachable(Failure.DROPPED, Stage.CHALLENGE), False, "unknown", id="silent"),
        pytest.param(
            unreachable(Failure.TIMEOUT, Stage.CONNECT), True, "connect-only", id="no-answer"
        ),
    ],
)
def test_what_refused_has_answered(knock: Knock, good: bool, word: str):
    found = facts(aim={"running": RUNNING, "holder": OURS}, knock=knock)

    assert judge_handshake(found).good is good
    assert judge_authorisation(found).good in (False, None)
    assert capability(found) == word
    for one in (judge_process(found), judge_handshake(found), judge_authorisation(found)):
        assert "unreachable" not in one.saw


def test_a_challenge_that_comes_late_is_remarked():
    knock = Knock(took_ms={Stage.TCP: 1, Stage.CHALLENGE: 900})

    assert "its challenge took 900 ms" in judge_handshake(facts(knock=knock)).saw


@pytest.mark.parametrize(
    ("place", "source", "command"),
    [
        pytest.param("flag", "--token", "openclaw gateway status", id="flag"),
        pytest.param("environment", "env T", "unset T", id="environment"),
        pytest.param("config", "gateway.auth.token", "openclaw gateway restart", id="config"),
    ],
)
def test_a_mismatch_names_where_the_secret_came_from(place: str, source: str, command: str):
    secrets = (
        SecretSeen(place=place, source=source, fingerprint="aa", presented=True),
        SecretSeen(place="process", source="the running gateway", fingerprint="bb"),
    )
    knock = refused("AUTH_TOKEN_MISMATCH")
    aim = {"running": RUNNING, "holder": OURS, "source": source}

    found = judge_authorisation(facts(aim=aim, knock=knock, secrets=secrets))

    assert found.command == command
    assert f"came from {source}" in found.saw


@pytest.mark.parametrize(
    ("uid", "sent"),
    [
        pytest.param(os.geteuid(), True, id="own"),
        pytest.param(0, True, id="root"),
        pytest.param(4242, False, id="another"),
    ],
)
def test_a_secret_is_shown_to_its_own_user_and_root_only(uid: int, sent: bool):
    aim = facts(aim={"holder": PortOwner(uid, None)}).aim

    if sent:
        refuse_strangers(aim)
    else:
        with pytest.raises(HeldBackError, match="not meant for them"):
            refuse_strangers(aim)


def test_an_aim_at_a_machine_without_anything_is_the_usual_port(tmp_path: Path):
    here = Place({"HOME": str(tmp_path)})

    aim = take_aim(TargetOptions(), here)

    assert aim.target is not None
    assert aim.source_of_target == "local loopback"
    assert aim.held_back is not None
    assert list(tmp_path.iterdir()) == []


def test_colour_moves_no_column(monkeypatch: pytest.MonkeyPatch):
    report = Report(facts(), dict.fromkeys(NAMES, Verdict(good=False, saw="gone")), [])
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "0")
    plain = list(lines_of(report))
    monkeypatch.setenv("FORCE_COLOR", "1")

    coloured = list(lines_of(report))

    assert any("\x1b[31mfailed" in one for one in coloured)
    assert [re.sub(r"\x1b\[\d+m", "", one) for one in coloured] == plain


def test_what_is_too_long_for_a_terminal_is_wrapped_and_its_commands_are_not(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("NO_COLOR", "1")
    long = Verdict(
        good=False, saw="it is " + "very " * 20 + "long", remedy="a " * 30 + "`do it now`"
    )
    remark = Remark("kind", "w " * 50, "see `this and that`")
    report = Report(facts(), dict.fromkeys(NAMES, long), [remark])

    whole = list(lines_of(report))
    lines = list(lines_of(report, width=60))

    assert max(map(len, whole)) > 100
    assert max(map(len, lines)) <= 60
    assert "".join("".join(lines).split()) == "".join("".join(whole).split())
    assert sum("`do it now`" in one for one in lines) == len(NAMES)
    assert "   A a a" in "\n".join(lines)
    assert "  See `this and that`" in lines


@pytest.mark.parametrize("given", [True, False], ids=["flag", "no-flag"])
def test_a_secret_on_the_command_line_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, given: bool
):
    here = Place({"HOME": str(tmp_path), "OPENCLAW_STATE_DIR": str(tmp_path / "state")})

    take_aim(TargetOptions(token="S3cret" if given else None), here)

    err = capsys.readouterr().err
    assert ("warning: --token on the command line can be read" in err) is given
    assert "S3cret" not in err
