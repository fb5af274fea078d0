"""`openclaw gateway probe` through real proxies and at what is no gateway: the step that fails is named."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.programs import (
    FORWARDS,
    Finished,
    Gateway,
    free_port,
    openclaw,
    running,
    running_gateway,
    running_nginx,
)

pytestmark = pytest.mark.slow
FORWARDER = Path(__file__).with_name("forwarder.py")
NAMES = ["tcp", "http", "upgrade", "challenge", "connect", "rpc"]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".openclaw"


def probe(gateway: Gateway, *words: str) -> Finished:
    """Probe with the gateway's own token, from a file."""
    secret = gateway.state_dir.parent / "token"
    secret.write_text(gateway.token)
    return gateway.openclaw("gateway", "probe", *words, "--token-file", str(secret))


def become_unknown(gateway: Gateway) -> None:
    """Give this machine an identity that the gateway does not know any more."""
    paired = gateway.openclaw("devices", "list", "--json").json["paired"]
    assert gateway.openclaw("devices", "remove", paired[0]["deviceId"], "--yes").code == 0
    assert (gateway.state_dir / "identity" / "device.json").exists()


def verdicts(done: Finished) -> dict[str, bool | None]:
    """Return what became of each step."""
    assert done.json["exitCode"] == done.code
    return {step["name"]: step["ok"] for step in done.json["steps"]}


def step(done: Finished, name: str) -> dict[str, object]:
    found: dict[str, object] = next(one for one in done.json["steps"] if one["name"] == name)
    return found


def test_a_whole_way_is_timed_and_leaves_no_record(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("gateway", "probe", "--json")
        said = gateway.openclaw("gateway", "probe")

        assert (gateway.kept("paired.json"), gateway.kept("pending.json")) == ({}, {})
    assert done.code == said.code == 0, done
    assert verdicts(done) == dict.fromkeys(NAMES, True)
    assert all(isinstance(one["tookMs"], int) for one in done.json["steps"])
    assert not (state_dir / "identity").exists()
    assert "Authorisation      ok" in said.out
    assert gateway.token not in done.out + done.err + said.out + said.err


@pytest.mark.parametrize("words", [("gateway", "probe"), ("gateway", "status"), ("status",)])
def test_a_device_that_was_removed_is_not_brought_back_by_looking(
    state_dir: Path, words: tuple[str, ...]
) -> None:
    with running_gateway(state_dir) as gateway:
        become_unknown(gateway)
        before = gateway.audit("device.approved")
        done = gateway.openclaw(*words)

        assert (gateway.kept("paired.json"), gateway.kept("pending.json")) == ({}, {})
        assert gateway.audit("device.approved") == before
    assert done.code == 0, done


def test_nobody_there_is_exit_code_3(state_dir: Path) -> None:
    port = free_port()

    done = openclaw(state_dir, "gateway", "probe", "--json", port=port)

    assert done.code == 3
    assert verdicts(done) == dict.fromkeys(NAMES) | {"tcp": False}
    assert step(done, "tcp")["kind"] == "refused"
    assert "`openclaw gateway status`" in str(step(done, "tcp")["remedy"])


def test_a_name_that_nobody_knows_is_told_before_anything_is_dialled(state_dir: Path) -> None:
    done = openclaw(state_dir, "gateway", "probe", "--url", "wss://nobody.invalid", "--json")

    assert done.code == 3
    assert verdicts(done)["name"] is False
    assert verdicts(done)["tls"] is None


def test_a_wrong_secret_fails_at_the_handshake_with_exit_code_1(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        secret = state_dir.parent / "wrong"
        secret.write_text("another")
        words = ("--token-file", str(secret))
        done = gateway.openclaw("gateway", "probe", "--json", *words)
        said = gateway.openclaw("gateway", "probe", *words)

    assert done.code == 1
    assert verdicts(done) == dict.fromkeys(NAMES, True) | {"connect": False, "rpc": None}
    assert step(done, "connect")["details"]["code"] == "AUTH_TOKEN_MISMATCH"  # type: ignore[index]  # of JSON
    assert "auth-token --show" in said.out


def test_another_programs_web_server_is_no_gateway(state_dir: Path) -> None:
    port = free_port()
    web = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(*web, "--directory", str(state_dir.parent.parent), port=port):
        done = openclaw(state_dir, "gateway", "probe", "--json", port=port)

    assert done.code == 3
    assert verdicts(done)["tcp"] is True
    assert verdicts(done)["http"] is False
    assert verdicts(done)["upgrade"] is False
    assert "HTTP 404 from SimpleHTTP" in str(step(done, "http")["saw"])
    assert "(a web page)" in str(step(done, "http")["saw"])
    assert "`openclaw gateway status`" in str(step(done, "http")["remedy"])
    assert "proxy" not in done.out  # there is none between a command and its own machine
    assert "<" not in done.json["error"]["message"]


def test_a_gateway_that_is_stuck_ends_the_probe_in_time(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        gateway.tell(signal.SIGSTOP)
        done = gateway.openclaw("gateway", "probe", "--json", "--timeout", "600")

    assert done.code == 3
    assert verdicts(done)["tcp"] is True
    assert verdicts(done)["upgrade"] is False
    assert step(done, "upgrade")["kind"] == "timeout"


def test_a_line_that_is_cut_after_the_upgrade_fails_after_it(state_dir: Path) -> None:
    port = free_port()
    with running_gateway(state_dir) as gateway:
        words = [sys.executable, str(FORWARDER), str(port), f"127.0.0.1:{gateway.port}", "--cut"]
        with running(*words, port=port):
            done = probe(gateway, "--url", f"ws://127.0.0.1:{port}", "--json")

    # The challenge may be in the same packet as the answer to the upgrade.
    failed = next(name for name, good in verdicts(done).items() if good is False)
    assert done.code in (1, 3)
    assert verdicts(done)["upgrade"] is True
    assert failed in ("challenge", "connect")
    assert step(done, failed)["kind"] == "dropped"
    assert "time limits" in str(step(done, failed)["remedy"])


@pytest.mark.real("nginx")
def test_a_proxy_that_drops_upgrade_is_told_by_the_header_and_the_line_to_add(
    state_dir: Path, tmp_path: Path
) -> None:
    with running_gateway(state_dir) as gateway:
        bare = f"location /bare/ {{ proxy_pass http://127.0.0.1:{gateway.port}/; }}"
        with running_nginx(tmp_path / "nginx", gateway.port, server=bare) as port:
            done = probe(gateway, "--url", f"ws://127.0.0.1:{port}/bare/", "--json")
            said = probe(gateway, "--url", f"ws://127.0.0.1:{port}/bare/")

    assert done.code == said.code == 1
    assert verdicts(done)["http"] is True
    assert verdicts(done)["upgrade"] is False
    assert step(done, "upgrade")["details"]["httpStatus"] == 426  # type: ignore[index]  # of JSON
    assert "the header `Upgrade: websocket`" in said.out
    assert "proxy_set_header Upgrade $http_upgrade;" in said.out
    assert "nginx" in str(step(done, "http")["saw"])


@pytest.mark.real("nginx")
def test_a_proxy_in_front_of_nothing_is_told_apart_from_a_gateway(
    state_dir: Path, tmp_path: Path
) -> None:
    with running_nginx(tmp_path / "nginx", free_port()) as port:
        url = f"ws://127.0.0.1:{port}"
        done = openclaw(state_dir, "gateway", "probe", "--url", url, "--json")

    assert done.code == 3
    assert "HTTP 502 from nginx" in str(step(done, "http")["saw"])
    assert "nothing behind it" in str(step(done, "http")["remedy"])


@pytest.mark.real("nginx")
def test_a_device_nobody_approved_learns_so_behind_a_proxy_without_leaving_a_request(
    state_dir: Path, tmp_path: Path
) -> None:
    with (
        running_gateway(state_dir) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port,
    ):
        become_unknown(gateway)
        done = probe(gateway, "--url", f"ws://127.0.0.1:{port}", "--json")

        assert gateway.kept("pending.json") == {}
    assert done.code == 1
    assert verdicts(done) == dict.fromkeys(NAMES, True) | {"rpc": False}
    assert "not approved" in str(step(done, "rpc")["saw"])
    assert "`openclaw devices list`" in str(step(done, "rpc")["remedy"])


@pytest.mark.real("nginx")
def test_a_header_that_the_proxy_wants_is_sent_with_every_request(
    state_dir: Path, tmp_path: Path
) -> None:
    wants = 'if ($http_x_door = "") { return 403; }'
    with (
        running_gateway(state_dir) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, wants) as port,
    ):
        url = ("--url", f"ws://127.0.0.1:{port}", "--json")
        without = probe(gateway, *url)
        done = probe(gateway, *url, "--header", "X-Door: open")

    assert verdicts(without)["http"] is False
    assert "`--header 'Name: value'`" in str(step(without, "http")["remedy"])
    assert verdicts(done) == dict.fromkeys(NAMES, True), done


@pytest.mark.real("openssl")
def test_the_certificate_is_shown_and_one_that_is_not_trusted_ends_it(
    state_dir: Path, tmp_path: Path
) -> None:
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-days", "2"),
            *("-out", str(files[0]), "-keyout", str(files[1])),
        ),
        check=True,
        capture_output=True,
    )
    state_dir.mkdir(parents=True, mode=0o700)
    keys = f'certPath: "{files[0]}", keyPath: "{files[1]}"'
    text = f'{{gateway: {{auth: {{token: "the-token"}}, tls: {{enabled: true, {keys}}}}}}}'
    state_dir.joinpath("openclaw.json").write_text(text)
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("gateway", "probe", "--json")
        assert not (state_dir / "logs" / "refusals.jsonl").exists()
        plain = probe(gateway, "--url", gateway.url, "--json")
        wrong = probe(
            gateway,
            *("--url", f"wss://127.0.0.1:{gateway.port}", "--json"),
            *("--tls-fingerprint", "ab" * 32),
        )

    assert done.code == 0, done
    assert "certificate sha256 " in str(step(done, "tls")["saw"])
    assert "the port speaks TLS" in str(step(plain, "http")["saw"])
    assert "wss://" in str(step(plain, "upgrade")["remedy"])
    assert wrong.code == 3
    assert verdicts(wrong)["tls"] is False
    assert step(wrong, "tls")["kind"] == "tls"


@pytest.mark.parametrize(
    "header", ["no-colon", "Host: other", "Sec-WebSocket-Key: x", "X: a\r\nY: b"]
)
def test_a_header_of_the_handshake_itself_is_a_usage_error(state_dir: Path, header: str) -> None:
    done = openclaw(state_dir, "gateway", "probe", "--header", header)

    assert done.code == 2
    assert "--header" in done.err
