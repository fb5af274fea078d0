"""A gateway that encrypts, as its user meets it: started, called, pinned, renewed, refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from stores.fingerprint import fingerprint_of, in_pairs
from tests.pems import Pair, a_pair
from tests.scenarios.namespaces import BOX_ADDRESS, container_network
from tests.scenarios.programs import (
    Finished,
    Gateway,
    eventually,
    free_port,
    openclaw,
    running,
    running_gateway,
)
from tests.scenarios.test_published_clients import npm_client, seen

pytestmark = pytest.mark.slow
TOKEN = "a-token-that-must-not-leak"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return the state directory of a gateway that is told to encrypt."""
    state_dir = tmp_path / "home" / ".openclaw"
    configure(state_dir)
    return state_dir


def configure(state_dir: Path, **tls: Any) -> None:
    """Write a configuration that encrypts."""
    state_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    gateway = {"auth": {"mode": "token", "token": TOKEN}, "tls": {"enabled": True} | tls}
    file = state_dir / "openclaw.json"
    file.write_text(json.dumps({"gateway": gateway}))
    file.chmod(0o600)


def naming(pair: Pair) -> dict[str, str]:
    """Return the keys that name a pair."""
    return {"certPath": str(pair.cert), "keyPath": str(pair.key)}


def certificate_at(port: int, address: str = "127.0.0.1") -> bytes:
    """Return the certificate that a port shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, port), 5) as plain,
        context.wrap_socket(plain) as line,
    ):
        found = line.getpeercert(binary_form=True)
    assert found is not None
    return found


def fingerprint(gateway: Gateway) -> str:
    """Return what the command prints, 64 hex digits."""
    done = gateway.openclaw("gateway", "fingerprint", "--json")
    assert done.code == 0, done
    said: str = done.json["fingerprint"]
    return said.removeprefix("sha256:")


def test_a_gateway_told_to_encrypt_makes_its_certificate_and_its_commands_just_work(
    state_dir: Path,
) -> None:
    with running_gateway(state_dir) as gateway:
        health = gateway.openclaw("health")
        pin = fingerprint(gateway)
        status = gateway.openclaw("gateway", "call", "status")
        devices = gateway.openclaw("devices", "list", "--json")
        said = gateway.said()

    assert health.code == 0, health
    assert f"(wss, fingerprint sha256 {in_pairs(pin)})" in said
    assert f"https://127.0.0.1:{gateway.port}/" in said
    assert status.json["gateway"]["tls"]["fingerprint"] == f"sha256:{pin}"
    assert devices.json["source"] == "gateway"
    private = (state_dir / "tls" / "gateway-key.pem").read_text().splitlines()[1]
    assert private not in said
    assert "Traceback" not in said


def test_the_certificate_stays_the_same_across_restarts_and_a_crash(state_dir: Path) -> None:
    port = free_port()
    with running_gateway(state_dir, port=port) as gateway:
        first = fingerprint_of(certificate_at(port))
        again = gateway.openclaw("gateway", "restart")
        second = fingerprint_of(certificate_at(port))
        gateway.end(signal.SIGKILL)
    with running_gateway(state_dir, port=port) as gateway:
        third = fingerprint_of(certificate_at(port))
        health = gateway.openclaw("health")

    assert again.code == 0, again
    assert first == second == third
    assert health.code == 0, health


def test_switching_encryption_on_and_off_never_locks_the_commands_out(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    configure(state_dir, enabled=False)
    said: list[Finished] = []

    with running_gateway(state_dir) as gateway:
        for wanted in ("true", "false"):
            said.append(gateway.openclaw("config", "set", "gateway.tls.enabled", wanted))
            said.append(gateway.openclaw("health"))  # still served as before
            said.append(gateway.openclaw("gateway", "restart"))
            said.append(gateway.openclaw("health"))
            if wanted == "true":
                assert certificate_at(gateway.port)

    assert [done.code for done in said] == [0] * len(said), said
    assert "Needs a restart" in said[0].out


def refused(state_dir: Path) -> Finished:
    """Start a gateway that will not, and return what it said."""
    done = openclaw(state_dir, "gateway", "run", "--port", str(free_port()))
    assert "Traceback" not in done.err
    return done


def test_a_certificate_that_is_not_there_is_exit_code_78(state_dir: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    configure(state_dir, certPath=str(gone), keyPath=str(gone))

    done = refused(state_dir)

    assert done.code == 78
    assert f"gateway.tls.certPath: {gone} does not exist" in done.err
    assert "openclaw config set gateway.tls.certPath FILE" in done.err


def test_a_key_with_a_passphrase_is_exit_code_78_and_asks_nobody(
    state_dir: Path, tmp_path: Path
) -> None:
    configure(state_dir, **naming(a_pair(tmp_path, passphrase=b"secret words")))

    done = refused(state_dir)

    assert done.code == 78
    assert "asks for a passphrase" in done.err
    assert "openssl pkey" in done.err


def test_the_key_of_another_certificate_is_exit_code_78(state_dir: Path, tmp_path: Path) -> None:
    pair, other = a_pair(tmp_path), a_pair(tmp_path, "other")
    configure(state_dir, certPath=str(pair.cert), keyPath=str(other.key))

    done = refused(state_dir)

    assert done.code == 78
    assert f"gateway.tls.keyPath: {other.key} is not the key of the certificate" in done.err


def test_no_certificate_and_none_to_be_made_is_exit_code_78(state_dir: Path) -> None:
    configure(state_dir, autoGenerate=False)

    done = refused(state_dir)

    assert done.code == 78
    assert "gateway.tls.certPath" in done.err
    assert "gateway.tls.autoGenerate" in done.err


def test_a_restart_into_files_that_cannot_serve_is_refused_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    configure(state_dir, enabled=False)
    with running_gateway(state_dir) as gateway:
        configure(state_dir, certPath="nowhere.pem", keyPath="nowhere.key")
        restart = gateway.openclaw("gateway", "restart")
        eventually(lambda: "reload skipped" in gateway.said())
        health = gateway.openclaw("health")

    assert restart.code == 1, restart
    assert "gateway.tls.certPath" in restart.err
    assert health.code == 0, health
    assert "gateway.tls.certPath" in health.out


def test_a_renewal_that_went_wrong_leaves_the_commands_a_way_in(
    state_dir: Path, tmp_path: Path
) -> None:
    """The file then has another fingerprint than the gateway: what it says of itself counts."""
    pair, other = a_pair(tmp_path), a_pair(tmp_path / "new", "new")
    configure(state_dir, **naming(pair))

    with running_gateway(state_dir) as gateway:
        os.replace(other.cert, pair.cert)
        eventually(lambda: "reload skipped" in gateway.said())
        broken = gateway.openclaw("health")
        os.replace(other.key, pair.key)
        eventually(lambda: in_pairs(other.fingerprint) in gateway.said())
        whole = gateway.openclaw("health")
        shown = fingerprint_of(certificate_at(gateway.port))

    assert broken.code == 0, broken
    assert "gateway.tls.keyPath" in broken.out
    assert whole.out.startswith("OK"), whole
    assert shown == other.fingerprint


IMPOSTOR = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    plain, _ = listener.accept()
    try:
        line = context.wrap_socket(plain, server_side=True)
        with open(sys.argv[4], "ab") as heard:
            while data := line.recv(65536):
                heard.write(data)
                heard.flush()
    except OSError:
        pass
"""


def test_whoever_takes_the_port_of_a_stopped_gateway_hears_no_secret(
    state_dir: Path, tmp_path: Path
) -> None:
    port, heard, pair = free_port(), tmp_path / "heard", a_pair(tmp_path, "impostor")
    with running_gateway(state_dir, port=port) as gateway:
        pin = fingerprint(gateway)
    words = [str(port), str(pair.cert), str(pair.key), str(heard)]
    heard.touch()

    with running(sys.executable, "-c", IMPOSTOR, *words, port=port):
        done = openclaw(state_dir, "health", "--json", port=port)

    assert done.code == 3
    assert done.json["error"]["kind"] == "tls"
    assert in_pairs(pin) in done.json["error"]["message"]
    assert in_pairs(pair.fingerprint) in done.json["error"]["message"]
    assert "the port is held by process" in done.json["error"]["message"]
    assert heard.read_bytes() == b""


@pytest.mark.real("namespaces")
def test_a_remote_gateway_is_pinned_by_following_what_the_refusal_says(
    state_dir: Path, tmp_path: Path
) -> None:
    laptop, port = tmp_path / "laptop" / ".openclaw", free_port()
    laptop.mkdir(parents=True, mode=0o700)
    remote = {"url": f"wss://{BOX_ADDRESS}:{port}", "token": TOKEN}
    laptop.joinpath("openclaw.json").write_text(
        json.dumps({"gateway": {"mode": "remote", "remote": remote}})
    )
    with (
        container_network() as (host, box),
        running_gateway(state_dir, "--bind", "lan", port=port, inside=box.words) as gateway,
    ):
        first = openclaw(laptop, "health", "--json", inside=host.words)
        command = first.json["error"]["remedy"]["sentence"].rpartition("`openclaw ")[2].rstrip("`")
        pinned = openclaw(laptop, *command.split())
        second = openclaw(laptop, "health", "--json", inside=host.words)
        pin = fingerprint(gateway)

    assert (first.code, first.json["error"]["kind"]) == (3, "tls")
    assert in_pairs(pin) in first.json["error"]["message"]
    assert pinned.code == 0, pinned
    assert second.json["error"]["code"] == "NOT_PAIRED", second  # it heard us, and asks who we are


def ask(gateway: Gateway, url: str, *words: str) -> Finished:
    """Ask for the health of the gateway under another address."""
    secret = gateway.state_dir.parent / "token"
    secret.write_text(TOKEN)
    secret.chmod(0o600)
    named = ("--url", url, "--token-file", str(secret))
    return gateway.openclaw("health", "--json", *named, *words)


def test_plain_words_to_the_encrypted_port_are_the_tls_kind_with_the_right_address(
    state_dir: Path,
) -> None:
    with running_gateway(state_dir) as gateway:
        done = ask(gateway, f"ws://127.0.0.1:{gateway.port}")
        right = ask(gateway, f"wss://127.0.0.1:{gateway.port}")
        eventually(lambda: "speaks plain HTTP to a port with TLS" in gateway.said())

    assert (done.code, done.json["error"]["kind"]) == (3, "tls")
    assert f"--url wss://127.0.0.1:{gateway.port}" in done.json["error"]["remedy"]["sentence"]
    assert right.code == 0, right


def test_a_pin_on_the_command_line_counts_in_every_spelling(state_dir: Path) -> None:
    with running_gateway(state_dir) as gateway:
        pin, url = fingerprint(gateway), f"wss://127.0.0.1:{gateway.port}"
        good = [ask(gateway, url, "--tls-fingerprint", one) for one in (pin, in_pairs(pin))]
        bad = ask(gateway, url, "--tls-fingerprint", "0" * 64)

    assert [done.code for done in good] == [0, 0], good
    assert (bad.code, bad.json["error"]["kind"]) == (3, "tls")
    assert f"--tls-fingerprint sha256:{pin}" in bad.json["error"]["remedy"]["sentence"]


@pytest.mark.real("node", "npm-client")
def test_the_npm_client_connects_with_a_pin_or_with_the_certificate_as_authority(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIES", "1")  # of a client that tries again for ever
    with running_gateway(state_dir) as gateway:
        url, pin = f"wss://127.0.0.1:{gateway.port}", fingerprint(gateway)
        words = {"url": url, "scopes": ["operator.read"]}
        stranger = npm_client(tmp_path / "a", gateway.port, TOKEN, **words)
        wrong = npm_client(tmp_path / "b", gateway.port, TOKEN, **words, tlsFingerprint="0" * 64)
        pinned = npm_client(
            tmp_path / "c", gateway.port, TOKEN, "health", {}, **words, tlsFingerprint=in_pairs(pin)
        )
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(state_dir / "tls" / "gateway-cert.pem"))
        trusted = npm_client(tmp_path / "d", gateway.port, TOKEN, "health", {}, **words)

    assert "it may not trust this gateway's certificate" in gateway.said()
    assert seen(stranger, "hello") is None
    assert seen(wrong, "hello") is None
    for lines in (pinned, trusted):
        assert seen(lines, "hello") is not None, lines
        assert seen(lines, "method")["result"]["ok"] is True


@pytest.mark.real("namespaces")
def test_other_machines_need_a_certificate_where_authorities_are_named_and_this_one_does_not(
    state_dir: Path, tmp_path: Path
) -> None:
    authority = a_pair(tmp_path, "authority", authority=True)
    guest = a_pair(tmp_path, "guest", by=authority)
    configure(state_dir, caPath=str(authority.cert))

    def status(client: Pair | None) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(state_dir / "tls" / "gateway-cert.pem")
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        with (
            socket.create_connection((BOX_ADDRESS, port), 5) as plain,
            context.wrap_socket(plain, server_hostname=BOX_ADDRESS) as line,
        ):
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return line.recv(64)

    port = free_port()
    with (
        container_network() as (host, box),
        running_gateway(state_dir, "--bind", "lan", port=port, inside=box.words) as gateway,
    ):
        local = openclaw(state_dir, "health", port=port, inside=box.words)
        welcome = host.call(lambda: status(guest))
        with pytest.raises(ssl.SSLError) as caught:
            host.call(lambda: status(None))
        secret = tmp_path / "token"
        secret.write_text(TOKEN)
        words = ("--url", f"wss://{BOX_ADDRESS}:{port}", "--token-file", str(secret))
        pin = ("--tls-fingerprint", fingerprint(gateway))
        command = openclaw(state_dir, "health", "--json", *words, *pin, inside=host.words)

    assert local.code == 0, local
    assert welcome.startswith(b"HTTP/1.1 200")
    assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert "asks for a client certificate" in command.json["error"]["message"]
    assert "showed no certificate, and gateway.tls.caPath asks for one" in gateway.said()
