"""`openclaw gateway lockouts`: what is printed, and what must be said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.lockouts import NotLockedError, tell_cleared, tell_locked
from tests.machine import Machine
from tests.scenarios.programs import free_port

LOCKED = {
    "key": "shared-secret address:203.0.113.9",
    "kind": "shared-secret",
    "secret": "the gateway's token or password",
    "name": "address 203.0.113.9",
    "address": "203.0.113.9",
    "remainingMs": 240_000,
}
PAGES = {"key": "shared-secret local-pages", "kind": "shared-secret", "name": "pages \x1b[2J"}


def test_who_is_locked_out_is_a_table(capsys: pytest.CaptureFixture[str]):
    tell_locked({"lockouts": [LOCKED, PAGES, "junk"]}, as_json=False)

    out, err = capsys.readouterr()
    assert "203.0.113.9" in out
    assert "the gateway's token or password" in out
    assert "4 min" in out
    assert "local-pages (pages \\x1b[2J)" in " ".join(out.split())
    assert "lockouts clear" in err


@pytest.mark.parametrize("answer", [{"lockouts": []}, {}, {"lockouts": "junk"}])
def test_nobody_is_said_as_such(answer: dict[str, object], capsys: pytest.CaptureFixture[str]):
    tell_locked(answer, as_json=False)

    assert capsys.readouterr().out == "Nobody is locked out.\n"


@pytest.mark.parametrize(
    ("key", "cleared", "said"),
    [
        pytest.param("203.0.113.9", [LOCKED["key"]], f"May try again: {LOCKED['key']}\n", id="one"),
        pytest.param(None, [], "Nobody was locked out.\n", id="all-of-none"),
        pytest.param(None, ["a b", "c d"], "May try again: a b, c d\n", id="all"),
    ],
)
def test_who_may_try_again_is_said(
    capsys: pytest.CaptureFixture[str], key: str | None, cleared: list[str], said: str
):
    tell_cleared({"cleared": cleared}, key, as_json=False)

    assert capsys.readouterr().out == said


def test_with_json_the_answer_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]):
    tell_locked({"lockouts": [LOCKED]}, as_json=True)
    locked = json.loads(capsys.readouterr().out)
    tell_cleared({"cleared": ["a"]}, "a", as_json=True)

    assert locked == {"lockouts": [LOCKED]}
    assert json.loads(capsys.readouterr().out) == {"cleared": ["a"]}


def test_who_is_not_locked_out_cannot_be_let_try_again():
    with pytest.raises(NotLockedError, match=r"198\.51\.100\.1 is not locked out"):
        tell_cleared({"cleared": []}, "198.51.100.1", as_json=True)


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "s"))
    found = Machine(tmp_path / "s", capsys)
    found.configure(free_port())
    return found


@pytest.mark.parametrize("words", [(), ("x", "--all")])
def test_whom_to_let_try_again_must_be_said(machine: Machine, words: tuple[str, ...]):
    ran = machine.run("gateway", "lockouts", "clear", *words)

    assert ran.code == 2
    assert "name whom" in ran.err


@pytest.mark.parametrize("words", [("list",), ("clear", "--all")])
def test_without_a_gateway_there_is_nobody_to_ask(machine: Machine, words: tuple[str, ...]):
    ran = machine.run("gateway", "lockouts", *words)

    assert ran.code == 3
