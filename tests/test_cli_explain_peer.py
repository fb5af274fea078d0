"""`openclaw gateway explain`: the walk, the verdict and the narrowest command, without a gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.config_runner import Ended

PROXIED = "--header", "X-Forwarded-For: 203.0.113.9"


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str, **gateway: object) -> Ended:
        (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": {"port": 1} | gateway}))
        with pytest.raises(SystemExit) as ended:
            main(["gateway", "explain", *words])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_it_tells_the_walk_the_client_and_why_it_is_not_local(explain):
    ended = explain(
        "--peer=127.0.0.1",
        "--header=X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2",
        trustedProxies=["127.0.0.1", "10.0.0.0/30"],
    )

    assert ended.code == 0
    for said in (
        "Peer    127.0.0.1 (trusted by 127.0.0.1: its headers are read from the right)",
        "10.0.0.2: trusted by 10.0.0.0/30: the walk goes on",
        "203.0.113.9: not trusted: this is the client",
        "1.1.1.1: not looked at",
        "Client  203.0.113.9 (the first hop",
        "Local   no (forwarded): a forwarded connection never is (x-forwarded-for)",
        "it does not skip approval",
        "Run     openclaw devices list",
    ):
        assert said in ended.out


NEXT = [
    pytest.param(
        ["--peer=127.0.0.1"], {}, "with the shared secret a new device is let in", None, id="local"
    ),
    pytest.param(
        ["--peer=127.0.0.1"],
        {"pairing": {"autoApproveLocal": False}},
        "a new device waits for approval once",
        "openclaw devices list",
        id="local-but-never-unasked",
    ),
    pytest.param(
        ["--peer=10.0.0.9", *PROXIED],
        {"trustedProxies": ["127.0.0.1"]},
        "the gateway cannot see who is behind 10.0.0.9",
        """openclaw config set gateway.trustedProxies '["127.0.0.1", "10.0.0.9"]'""",
        id="untrusted",
    ),
    pytest.param(
        ["--peer=127.0.0.1", "--header=X-Real-IP: 203.0.113.9"],
        {"trustedProxies": ["127.0.0.1"]},
        "or read X-Real-IP",
        "openclaw config set gateway.allowRealIpFallback true",
        id="real-ip-only",
    ),
    pytest.param(
        ["--peer=127.0.0.1", "--header=Via: 1.1 x"],
        {"trustedProxies": ["127.0.0.1"]},
        "let the proxy send X-Forwarded-For",
        None,
        id="names-nobody",
    ),
    pytest.param(
        ["--peer=127.0.0.1", "--host=foo.ts.net"],
        {},
        "connect to 127.0.0.1",
        "openclaw devices list",
        id="host",
    ),
    pytest.param(
        ["--peer=127.0.0.1", "--header=Host: foo.ts.net"],
        {},
        "connect to 127.0.0.1",
        "openclaw devices list",
        id="host-as-header",
    ),
    pytest.param(
        ["--peer=192.168.0.9", "--host=gw.example", "--origin=https://other.example"],
        {"controlUi": {"allowedOrigins": ["https://a.example"]}},
        "refused before any record is made",
        "openclaw config set gateway.controlUi.allowedOrigins "
        """'["https://a.example", "https://other.example"]'""",
        id="origin-keeps-the-others",
    ),
    pytest.param(
        ["--peer=192.168.0.9", "--origin=null"],
        {},
        "refused before any record is made",
        None,
        id="origin-nobody-can-allow",
    ),
    pytest.param(
        ["--peer=172.18.0.1", "--origin=http://127.0.0.1:1"],
        {},
        "a published port of a container",
        "openclaw gateway run --auto-approve published-port",
        id="published-port",
    ),
    pytest.param(
        ["--peer=192.168.0.9", "--host=192.168.0.2"],
        {
            "pairing": {
                "autoApprove": [{"name": "home", "from": "192.168.0.0/24", "roles": ["operator"]}]
            }
        },
        "the rule home of gateway.pairing.autoApprove",
        None,
        id="rule",
    ),
    pytest.param(
        ["--peer=192.168.0.9", "--host=192.168.0.2", *PROXIED],
        {
            "trustedProxies": ["192.168.0.9"],
            "pairing": {
                "autoApprove": [{"name": "home", "from": "192.168.0.0/24", "roles": ["operator"]}]
            },
        },
        "a new device waits for approval once",
        "openclaw devices list",
        id="no-rule-for-what-is-forwarded",
    ),
]


@pytest.mark.parametrize(("words", "gateway", "sentence", "command"), NEXT)
def test_it_ends_with_the_narrowest_step(explain, words, gateway, sentence, command):
    ended = explain(*words, "--json", **gateway)

    assert ended.code == 0
    assert sentence in ended.json["next"]["sentence"]
    assert ended.json["next"]["command"] == command


def test_json_holds_every_step(explain):
    ended = explain("--peer=::ffff:127.0.0.1", *PROXIED, "--json", trustedProxies=["127.0.0.1"])

    said = ended.json
    assert (said["peer"], said["peerTrustedBy"], said["client"]) == (
        "127.0.0.1",
        "127.0.0.1",
        "203.0.113.9",
    )
    assert said["locality"]["local"] is False
    assert said["locality"]["why"] == "forwarded"
    assert said["walks"][0]["hops"][0]["verdict"] == "client"
    assert said["host"] == "127.0.0.1:1"
    assert said["origin"] == {"value": None, "allowed": True, "reason": "ok"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param([], "--peer", id="no-peer"),
        pytest.param(["--peer=localhost"], "'localhost' is not an IP address", id="name"),
        pytest.param(["--peer=10.0.0.0/8"], "is not an IP address", id="network"),
        pytest.param(["--peer=::1", "--header=x"], "'x' is not a header line", id="no-colon"),
        pytest.param(["--peer=::1", "--header=a b: c"], "is not a header line", id="no-name"),
        pytest.param(["--peer=::1", "--header=Via: a\nHost: b"], "not a header line", id="two"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(explain, words, says):
    ended = explain(*words)

    assert ended.code == 2
    assert says in ended.err


def test_an_ipv6_peer_may_be_written_as_in_an_address_bar(explain):
    assert explain("--peer=[fe80::1%eth0]", "--json").json["peer"] == "fe80::1"


def test_what_was_sent_cannot_steer_the_terminal(explain):
    ended = explain("--peer=127.0.0.1", "--host=\x1b[2J", "--header=X-Forwarded-For: \x1b[2J")

    assert "\x1b" not in ended.out + ended.err


def test_a_configuration_that_cannot_be_used_is_told(explain):
    ended = explain("--peer=127.0.0.1", trustedProxies=["nonsense"])

    assert ended.code == 1
    assert "gateway.trustedProxies" in ended.err


def test_long_chains_are_shown_in_part(explain):
    chain = ", ".join(["203.0.113.9", *["10.0.0.2"] * 20])

    ended = explain(
        "--peer=10.0.0.1", f"--header=X-Forwarded-For: {chain}", trustedProxies=["10.0.0.0/30"]
    )

    assert "... and 13 more" in ended.out
