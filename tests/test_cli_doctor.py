"""`openclaw doctor proxy`: what was seen of proxies, and the narrowest setting that helps."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cli.main import main
from stores.peers_seen import PeersSeen, Sample, Seen, Shape, write_peers
from tests.config_runner import Ended

BRIDGE = "172.18.0.1"


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str, seen: tuple[Seen, ...] | None = None, **gateway: object) -> Ended:
        (tmp_path / "openclaw.json").write_text(json.dumps({"gateway": gateway}))
        if seen is not None:
            write_peers(tmp_path / "logs" / "peers.json", PeersSeen(seen, (BRIDGE,)))
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *words])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def seen(
    peer: str, shape: Shape = Shape.FORWARDED, *, ago_ms: int = 5000, count: int = 3, **sent: str
) -> Seen:
    """Return what was seen of a peer; ``sent`` is the value of each header, dashes as underscores."""
    host, origin = sent.pop("host", "gw.example"), sent.pop("origin", None)
    sample = Sample(
        (sent["x_forwarded_for"],) if "x_forwarded_for" in sent else (),
        (sent["x_real_ip"],) if "x_real_ip" in sent else (),
        host,
        origin,
    )
    names = tuple(sorted(name.replace("_", "-") for name in sent))
    last_ms = time.time_ns() // 1_000_000 - ago_ms
    return Seen(peer, shape, names, count, last_ms - 1000, last_ms, (sample,))


def of_user(uid: int) -> Seen:
    """Return a program of another user of this machine that forwards nothing."""
    found = seen("127.0.0.1", Shape.OTHER_USER, host="127.0.0.1:1")
    return evolve(found, samples=(evolve(found.samples[0], owner=uid),))


def of_several(*forwarded: str) -> Seen:
    """Return a proxy that sent one thing and then another."""
    found = [seen("127.0.0.1", x_forwarded_for=one) for one in forwarded]
    return evolve(found[0], samples=tuple(one.samples[0] for one in found))


def published(peer: str = BRIDGE) -> Seen:
    """Return a browser behind a published port."""
    page = "http://127.0.0.1:1"
    return seen(peer, Shape.LOOPBACK_HOST, host="127.0.0.1:1", origin=page)


FORWARDED: dict[str, Any] = {"x_forwarded_for": "203.0.113.9"}
SET = "openclaw config set gateway.trustedProxies "
LOCAL = ["127.0.0.1"]
FINDINGS = [
    pytest.param([seen("127.0.0.1", **FORWARDED)], LOCAL, {}, id="all-is-well"),
    pytest.param(
        [seen("127.0.0.1", **FORWARDED)],
        [],
        {"untrusted-proxy": ("warning", SET + """'["127.0.0.1"]'""")},
        id="untrusted",
    ),
    pytest.param(
        [seen("10.0.0.4", **FORWARDED), seen("127.0.0.1", **FORWARDED)],
        LOCAL,
        {"untrusted-proxy": ("warning", SET + """'["127.0.0.1", "10.0.0.4"]'""")},
        id="untrusted-keeps-the-others",
    ),
    pytest.param(
        [seen("8.8.8.8", **FORWARDED)],
        [],
        {"untrusted-proxy": ("note", SET + """'["8.8.8.8"]'""")},
        id="a-stranger-may-have-made-it-up",
    ),
    pytest.param(
        [seen("127.0.0.1", x_forwarded_for="192.168.178.201")],
        ["127.0.0.1", "192.168.178.0/24"],
        {"client-network-in-trusted-proxies": ("warning", SET + """'["127.0.0.1"]'""")},
        id="client-network",
    ),
    pytest.param(
        [seen("172.30.0.2", **FORWARDED)],
        ["172.30.0.0/16"],
        {"client-network-in-trusted-proxies": ("warning", SET + """'["172.30.0.2"]'""")},
        id="client-network-narrowed-to-what-was-seen",
    ),
    pytest.param(
        [published()],
        [],
        {"docker-proxy": ("note", "openclaw gateway run --auto-approve published-port")},
        id="docker-proxy",
    ),
    pytest.param(
        [published()],
        [BRIDGE],
        {"docker-proxy": ("warning", "openclaw gateway run --auto-approve published-port")},
        id="docker-proxy-trusted-in-vain",
    ),
    pytest.param(
        [published("10.0.0.7")],
        [],
        {"plain-forwarder": ("note", "openclaw devices list")},
        id="forwarder",
    ),
    pytest.param(
        [published("10.0.0.7")],
        ["10.0.0.7"],
        {"plain-forwarder": ("warning", "openclaw devices list")},
        id="forwarder-trusted-in-vain",
    ),
    pytest.param(
        [seen("127.0.0.1", Shape.FOREIGN_HOST), seen("127.0.0.1", Shape.FOREIGN_HOST, host="b")],
        [],
        {"proxy-forwards-nothing": ("warning", SET + """'["127.0.0.1"]'""")},
        id="forwards-nothing",
    ),
    pytest.param(
        [seen("127.0.0.1", Shape.FOREIGN_HOST)],
        LOCAL,
        {"proxy-forwards-nothing": ("warning", None)},
        id="forwards-nothing-though-trusted",
    ),
    pytest.param(
        [seen("127.0.0.1", x_real_ip="203.0.113.9")],
        LOCAL,
        {"real-ip-only": ("warning", "openclaw config set gateway.allowRealIpFallback true")},
        id="real-ip",
    ),
    pytest.param(
        [seen("127.0.0.1", x_forwarded_proto="https")],
        LOCAL,
        {"names-nobody": ("warning", None)},
        id="names-nobody",
    ),
    pytest.param(
        [seen("127.0.0.1", forwarded="for=x")],
        LOCAL,
        {"names-nobody": ("warning", None)},
        id="only-the-standard-header",
    ),
    pytest.param(
        [seen("127.0.0.1", x_forwarded_for="1.1.1.1, 203.0.113.9")],
        LOCAL,
        {"appended": ("note", None)},
        id="appended",
    ),
    pytest.param(
        [seen("127.0.0.1", Shape.LOST_UPGRADE, host="127.0.0.1:1")],
        [],
        {"lost-upgrade": ("warning", None)},
        id="lost-upgrade",
    ),
    pytest.param(
        [seen("127.0.0.1", **FORWARDED)],
        ["127.0.0.1", "10.0.0.1"],
        {"never-matched": ("note", SET + """'["127.0.0.1"]'""")},
        id="never-matched",
    ),
    pytest.param(
        [seen("127.0.0.1", x_forwarded_for="203.0.113.9, 10.0.0.1")],
        ["127.0.0.1", "10.0.0.1"],
        {},
        id="matched-by-a-hop",
    ),
    pytest.param(
        [seen("127.0.0.1", **FORWARDED)],
        ["172.18.0.0/16"],
        {
            "untrusted-proxy": ("warning", SET + """'["127.0.0.1"]'"""),
            "client-network-in-trusted-proxies": ("warning", SET + """'["127.0.0.1"]'"""),
        },
        id="no-command-undoes-another",
    ),
    pytest.param([seen("127.0.0.1", x_forwarded_for="127.0.0.1")], LOCAL, {}, id="own-client"),
    pytest.param([of_several("203.0.113.9", "?")], LOCAL, {}, id="once-nobody"),
    pytest.param(
        [of_several("?", "unknown")], LOCAL, {"names-nobody": ("warning", None)}, id="always-nobody"
    ),
    pytest.param(
        [of_user(33)],
        [],
        {"proxy-forwards-nothing": ("warning", SET + """'["127.0.0.1"]'""")},
        id="a-service-forwards-nothing",
    ),
    pytest.param(
        [of_user(1000)],
        LOCAL,
        {"proxy-forwards-nothing": ("note", None)},
        id="a-person-of-this-machine",
    ),
]


@pytest.mark.parametrize(("peers", "trusted", "wanted"), FINDINGS)
def test_each_finding_has_its_weight_and_its_one_command(doctor, peers, trusted, wanted):
    ended = doctor("proxy", "--json", seen=tuple(peers), trustedProxies=trusted)

    found = {
        one["id"]: (one["severity"], one["remedy"].get("command")) for one in ended.json["findings"]
    }
    assert ended.code == 0
    assert found == wanted
    assert ended.json["ok"] is all(severity == "note" for severity, _ in wanted.values())


@pytest.mark.parametrize(
    ("words", "peers", "code"),
    [
        pytest.param(["--lint"], [seen("127.0.0.1", **FORWARDED)], 1, id="warning"),
        pytest.param(["--lint"], [published()], 0, id="note"),
        pytest.param(["--lint"], [], 0, id="nothing"),
        pytest.param([], [seen("127.0.0.1", **FORWARDED)], 0, id="without-lint"),
    ],
)
def test_only_lint_turns_warnings_into_an_exit_code(doctor, words, peers, code):
    assert doctor("proxy", *words, seen=tuple(peers)).code == code


def test_real_ip_is_fine_where_it_is_read(doctor):
    peers = (seen("127.0.0.1", x_real_ip="203.0.113.9"),)

    ended = doctor("proxy", "--json", seen=peers, trustedProxies=LOCAL, allowRealIpFallback=True)

    assert ended.json["findings"] == []
    assert ended.json["peers"][0]["shapes"][0]["newest"]["client"] == "203.0.113.9"


def test_it_is_readable_as_it_is(doctor):
    peers = (seen("127.0.0.1", x_forwarded_for="1.1.1.1, 203.0.113.9"), seen("10.0.0.4", via="x"))

    ended = doctor("proxy", seen=peers, trustedProxies=["127.0.0.1"])

    for said in (
        "Trusted proxies: 127.0.0.1",
        "Peer 127.0.0.1 (trusted by 127.0.0.1)",
        "3x sent x-forwarded-for, ",
        "203.0.113.9: not trusted: this is the client",
        "client 203.0.113.9 (the first hop",
        "Peer 10.0.0.4 (not in gateway.trustedProxies)",
        "warning: untrusted-proxy",
        "3 times, last ",
        " s ago, 10.0.0.4 sent via, and it is not in gateway.trustedProxies",
        """Run:   openclaw config set gateway.trustedProxies '["127.0.0.1", "10.0.0.4"]'""",
        "note: appended",
    ):
        assert said in ended.out


def test_two_commands_for_one_list_are_not_run_blindly(doctor):
    peers = (seen("10.0.0.4", **FORWARDED), seen("10.0.0.5", **FORWARDED))

    ended = doctor("proxy", seen=peers)

    assert "Each command sets the whole list" in ended.out


def test_what_is_over_can_be_left_out(doctor):
    peers = (seen("127.0.0.1", ago_ms=3_600_000, **FORWARDED),)

    assert doctor("proxy", "--json", "--since", "10m", seen=peers).json["peers"] == []
    assert doctor("proxy", "--json", "--since", "2h", seen=peers).json["peers"] != []
    assert doctor("proxy", "--since", "soon", seen=peers).code == 2


def test_without_any_proxy_it_says_what_to_do(doctor):
    ended = doctor("proxy", trustedProxies=["192.168.178.0/24"])

    assert ended.code == 0
    assert "No proxy was seen yet" in ended.out
    assert "192.168.178.0/24 is a client network" in ended.out
    assert "never-matched" not in ended.out


def test_a_broken_configuration_does_not_stop_it_and_is_no_base_for_advice(doctor):
    ended = doctor("proxy", "--lint", seen=(seen("10.0.0.4", **FORWARDED),), trustedProxies=["x"])

    assert ended.code == 1
    assert "gateway.trustedProxies" in ended.err
    assert "untrusted-proxy" not in ended.out


def test_a_broken_file_is_named(doctor, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "peers.json").write_text("{")

    ended = doctor("proxy", "--json", "--lint")

    assert ended.code == 1
    assert "peers.json" in ended.json["problems"][0]["problem"]


def test_what_strangers_sent_cannot_steer_the_terminal(doctor):
    ended = doctor("proxy", seen=(seen("127.0.0.1", Shape.FOREIGN_HOST, host="\x1b[2J"),))

    assert "\x1b" not in ended.out
    assert "\\x1b[2J" in ended.out


def test_the_whole_doctor_tells_of_proxies_too(doctor):
    ended = doctor("--json", seen=(seen("127.0.0.1", **FORWARDED),))

    told = {one["id"]: one for one in ended.json["findings"]}
    assert ended.code == 0
    assert told["untrusted-proxy"]["severity"] == "warning"
    assert told["untrusted-proxy"]["command"] == SET + """'["127.0.0.1"]'"""
