"""`openclaw doctor --generate-gateway-token`: what it sets, what it asks, what it never prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.test_cli_doctor_report import GOOD, TOKEN, Doctor, doctor, put, state_dir

__all__ = ["doctor", "state_dir"]


def test_a_new_token_keeps_the_comments(doctor: Doctor, state_dir: Path):
    ended = doctor("--generate-gateway-token", "--yes")

    text = (state_dir / "openclaw.json").read_text()
    assert ended.code == 0
    assert text.endswith(" // mine\n")
    assert TOKEN not in text
    assert "Ended: sessions that showed the old token" in ended.err


def test_a_new_token_is_not_printed(doctor: Doctor, state_dir: Path):
    ended = doctor("--generate-gateway-token", "--yes", "--json")

    token = (state_dir / "openclaw.json").read_text().split('"')[1]
    assert len(token) == 48
    assert token not in ended.out + ended.err
    assert ended.json["fingerprint"] not in token


def test_a_token_that_is_there_is_not_replaced_unasked(
    doctor: Doctor, state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", io.StringIO())

    ended = doctor("--generate-gateway-token")

    assert ended.code == 1
    assert "openclaw doctor --generate-gateway-token --yes" in ended.err
    assert (state_dir / "openclaw.json").read_text() == GOOD


def test_the_first_token_needs_no_question(doctor: Doctor, state_dir: Path):
    (state_dir / "openclaw.json").unlink()

    assert doctor("--generate-gateway-token").code == 0
    assert (state_dir / "openclaw.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("auth", "remedy"),
    [
        pytest.param('mode: "password"', "openclaw config set gateway.auth.mode token", id="mode"),
        pytest.param('tokenFile: "t"', "openclaw config unset gateway.auth.tokenFile", id="file"),
    ],
)
def test_a_token_that_would_not_count_is_not_set(
    doctor: Doctor, state_dir: Path, auth: str, remedy: str
):
    put(state_dir / "t", TOKEN)
    text = f"{{gateway: {{auth: {{{auth}}}}}}}"
    put(state_dir / "openclaw.json", text)

    ended = doctor("--generate-gateway-token", "--yes")

    assert ended.code == 1
    assert remedy in ended.err
    assert (state_dir / "openclaw.json").read_text() == text
