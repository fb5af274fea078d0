"""`openclaw gateway fingerprint`, and the option that takes what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stores.fingerprint import in_pairs
from tests.pems import a_pair
from tests.test_cli_gateway import run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    return tmp_path


def write(state: Path, tls: str) -> None:
    state.joinpath("openclaw.json").write_text(f"{{gateway: {{tls: {tls}}}}}")


NAMED = '{enabled: true, certPath: "server.pem", keyPath: "server.key"}'


def test_the_fingerprint_is_the_one_line_of_its_output(
    state: Path, capsys: pytest.CaptureFixture[str]
):
    pair = a_pair(state)
    write(state, NAMED)

    code, out, err = run(["gateway", "fingerprint"], capsys)

    assert (code, out) == (0, f"sha256 {in_pairs(pair.fingerprint)}\n")
    assert f"{pair.cert}: self-signed, until " in err
    assert f"gateway.remote.tlsFingerprint sha256:{pair.fingerprint}`" in err


def test_for_programs_it_says_all_it_knows(state: Path, capsys: pytest.CaptureFixture[str]):
    authority = a_pair(state, "authority", authority=True)
    pair = a_pair(state, by=authority)
    write(state, NAMED)

    code, out, _ = run(["gateway", "fingerprint", "--json"], capsys)

    told = json.loads(out)
    assert code == 0
    assert told["fingerprint"] == f"sha256:{pair.fingerprint}"
    assert (told["path"], told["selfSigned"]) == (str(pair.cert), False)
    assert told["notBeforeMs"] < told["notAfterMs"]
    assert told["names"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        pytest.param("{}", "openclaw config set gateway.tls.enabled true", id="off"),
        pytest.param("{enabled: true}", "openclaw gateway run", id="not-made-yet"),
        pytest.param(NAMED, "openclaw config set gateway.tls.certPath FILE", id="missing"),
    ],
)
def test_where_there_is_none_it_says_how_to_get_one(
    state: Path, capsys: pytest.CaptureFixture[str], tls: str, words: str
):
    write(state, tls)

    code, out, err = run(["gateway", "fingerprint"], capsys)

    assert (code, out) == (1, "")
    assert words in err


def test_the_private_key_is_not_even_read(state: Path, capsys: pytest.CaptureFixture[str]):
    pair = a_pair(state)
    pair.key.unlink()
    write(state, NAMED)

    assert run(["gateway", "fingerprint"], capsys)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--tls-fingerprint", "abc"], "64 hex digits", id="no-fingerprint"),
        pytest.param(
            ["--tls-fingerprint", "ab" * 32, "--url", "ws://127.0.0.1:9"],
            "needs a gateway that speaks TLS",
            id="plain",
        ),
    ],
)
def test_a_pin_that_cannot_hold_is_a_matter_of_words(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    code, _, err = run(["health", *words], capsys)

    assert code == 2
    assert said in err
