"""`openclaw doctor` and `security audit` as published scripts call and read them."""

from __future__ import annotations

from pathlib import Path

import pytest

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
