"""`openclaw doctor` and `security audit` as published scripts call and read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cli.doctor_around import _OF_A_UNIT, _OF_THE_PORT
from cli.doctor_choice import CHECKS, FINDINGS
from tests.imports import ROOT
from tests.machine import Machine, now_ms

LONG = "0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    """A state directory of which only the configuration is wrong: everybody may write it."""
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(state_dir))
    for name in ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    machine = Machine(state_dir, capsys)
    machine.configure(1, auth={"token": LONG})
    (state_dir / "openclaw.json").chmod(0o666)
    return machine


def test_an_error_is_counted_as_critical_for_published_gates(machine: Machine):
    before = now_ms()

    told = machine.run("security", "audit", "--json").json

    assert told["summary"]["critical"] == told["summary"]["error"] == 1
    assert before <= told["ts"] <= now_ms()


@pytest.mark.parametrize("words", [("doctor",), ("security", "audit")], ids=["doctor", "audit"])
def test_a_finding_has_the_keys_of_published_reports_too(machine: Machine, words: tuple[str, ...]):
    told = machine.run(*words, "--json").json

    (found,) = (each for each in told["findings"] if each["id"] == "open-to-write")
    assert found["checkId"] == "open-to-write"
    assert found["detail"] == found["saw"]
    assert found["message"] == f"{found['title']}: {found['saw']}"
    assert found["fixHint"] == found["remediation"] == found["command"]
    assert found["severity"] == "error"
    assert (told["schemaVersion"], told["checksSkipped"]) == (1, 0)
    assert told["checksRun"] == len(told["checked"]) > 0


def ids(told: Any) -> set[str]:
    return {one["id"] for one in told["findings"]}


def test_only_shows_the_finding_that_was_named(machine: Machine):
    machine.knock()
    (machine.state_dir / "devices" / "pending.json").chmod(0o644)

    told = machine.run("doctor", "--json", "--only", "open-to-write").json

    assert {"open-to-write", "open-to-read"} < ids(machine.run("doctor", "--json").json)
    assert ids(told) == {"open-to-write"}
    assert told["checksSkipped"] == 0


def test_only_a_check_leaves_the_others_unmade(machine: Machine):
    told = machine.run("doctor", "--json", "--only", "modes", "--only", "exposure").json

    assert told["checked"] == ["modes", "exposure"]
    assert told["checksRun"] == 2
    assert told["checksSkipped"] > 0
    assert ids(told) == {"open-to-write"}


def test_only_what_there_is_can_be_asked_for(machine: Machine):
    ran = machine.run("doctor", "--lint", "--only", "open-to-rite")

    assert ran.code == 2
    assert "did you mean 'open-to-write'" in ran.err


def test_what_could_not_be_looked_at_is_told_whatever_is_asked_for(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "file"))

    ran = machine.run("doctor", "--lint", "--json", "--only", "weak-token")

    assert ran.code == 1
    assert ids(ran.json) == {"state-dir-untrusted"}


@pytest.mark.parametrize(
    ("least", "shown", "code"),
    [
        pytest.param("info", {"open-to-write", "weak-token", "pending-devices"}, 1, id="info"),
        pytest.param("warning", {"open-to-write", "weak-token"}, 1, id="warning"),
        pytest.param("error", {"open-to-write"}, 1, id="error"),
    ],
)
def test_a_least_severity(machine: Machine, least: str, shown: set[str], code: int):
    machine.configure(1, auth={"token": "short"})
    machine.knock()

    ran = machine.run("doctor", "--json", "--lint", "--severity-min", least)

    assert ids(ran.json) == shown
    assert ran.code == code


@pytest.mark.parametrize(
    ("least", "code"), [(None, 0), ("info", 1), ("error", 0)], ids=["unsaid", "info", "error"]
)
def test_a_remark_fails_only_where_it_is_asked_for(machine: Machine, least: str | None, code: int):
    (machine.state_dir / "openclaw.json").chmod(0o600)
    machine.knock()
    words = ("--severity-min", least) if least else ()

    ran = machine.run("doctor", "--json", "--lint", *words)

    assert ran.code == code
    assert ran.json["ok"] is (code == 0)


def test_an_audit_fixes_what_is_its_own(machine: Machine):
    request = machine.knock(ago_ms=3_600_000)  # expired: a leftover, and no matter of an audit
    file = machine.state_dir / "openclaw.json"

    told = machine.run("security", "audit", "--fix", "--json").json

    assert file.stat().st_mode & 0o777 == 0o600
    assert [one["id"] for one in told["findings"] if one["fixed"]] == ["open-to-write"]
    assert told["summary"]["critical"] == 0
    assert request.request_id in (machine.state_dir / "devices" / "pending.json").read_text()


def test_an_audit_says_to_people_what_it_fixed(machine: Machine):
    ran = machine.run("security", "audit", "--fix")

    assert "fixed  open-to-write" in ran.out


def test_a_fix_of_one_thing_leaves_the_others(machine: Machine):
    machine.knock(ago_ms=3_600_000)
    file = machine.state_dir / "openclaw.json"

    machine.run("doctor", "--fix", "--only", "spent-requests")

    assert file.stat().st_mode & 0o777 == 0o666
    assert (machine.state_dir / "devices" / "pending.json").read_text().strip() == "{}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("doctor", "--all"), "--all has no effect", id="all"),
        pytest.param(
            ("security", "audit", "--token", "S3cret"), "--token has no effect", id="token"
        ),
    ],
)
def test_published_options_without_a_use_are_noted(
    machine: Machine, words: tuple[str, ...], said: str
):
    ran = machine.run(*words)

    assert ran.code == 0
    assert said in ran.err
    assert "S3cret" not in ran.out + ran.err


def test_every_finding_can_be_asked_for_by_its_name():
    sources = [*(ROOT / "stores" / "checks").glob("*.py"), *(ROOT / "cli").glob("doctor_*.py")]
    written = {
        found
        for source in [*sources, ROOT / "cli" / "proxy_findings.py"]
        for found in re.findall(r'\bid="([a-z-]+)"', source.read_text())
    }
    page = (ROOT / "docs" / "how-to" / "doctor.md").read_text().partition("## What it looks at")[2]
    documented = set(re.findall(r"`([a-z-]+)`(?=[^|]*\|[^|]*\|$)", page, re.M))

    assert min(len(written), len(documented)) > 40
    assert written <= FINDINGS
    assert documented <= FINDINGS | {"info"}
    assert {str(one) for one in [*_OF_A_UNIT, *_OF_THE_PORT]} <= FINDINGS


def test_every_check_can_be_asked_for_by_its_name(machine: Machine):
    assert tuple(machine.run("doctor", "--json").json["checked"]) == CHECKS
