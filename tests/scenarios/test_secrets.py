"""After a session of every command, a secret is in the files that are made for it and nowhere else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.clients import Knock, knock, stranger
from tests.scenarios.programs import Finished, Gateway, running_gateway

pytestmark = pytest.mark.slow

MADE_FOR_SECRETS = {
    "openclaw.json",
    "devices/paired.json",
    "devices/paired.json.bak",
    "identity/device-auth.json",
}
WRONG = "a-wrong-secret-that-somebody-tried"


PAGES = ("/", "/metrics", "/readyz", "/healthz", "/startupz", f"/{WRONG}", f"/?token={WRONG}")


def page(port: int, path: str, secret: str) -> str:
    """Return what a path answers: to this user, to who shows the secret, and to one who guesses."""
    asking: list[tuple[()] | tuple[str, str]] = [
        (),
        ("Authorization", f"Bearer {secret}"),
        ("Authorization", f"Bearer {WRONG}"),
    ]
    told = []
    for header in asking:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            away = {"X-Forwarded-For": "198.51.100.7"} if header else {}
            connection.request("GET", path, headers=dict([header] if header else []) | away)
            answer = connection.getresponse()
            told.append(f"{answer.status} {answer.getheaders()} {answer.read().decode()}")
        finally:
            connection.close()
    if path == "/metrics":
        assert [one[:3] for one in told] == ["200", "200", "401"]
    return "\n".join(told)


@contextmanager
def watched_titles() -> Iterator[set[str]]:
    """Collect the command lines of all processes of the machine while the body runs."""
    titles: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    titles.add(entry.read_bytes().decode(errors="replace"))
                except OSError:
                    continue  # it has ended

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield titles
    finally:
        done.set()
        watcher.join()


def everything(gateway: Gateway, mode: str) -> tuple[list[Finished], list[Knock], list[str]]:
    """Run every command in every way, knock in every way; return what was said and device tokens."""
    shared = gateway.token
    device, rejected = stranger(shared), stranger(shared)
    ids = [knock(gateway.port, **one).request_id for one in (device, rejected)]
    run = gateway.openclaw
    (gateway.state_dir.parent / "secret").write_text(shared)
    flag = f"--{mode}-file", str(gateway.state_dir.parent / "secret")
    done = [
        run("health"),
        run("health", "--json"),
        run("health", "--url", gateway.url, *flag),
        run("devices", "list"),
        run("devices", "list", "--json"),
        run("devices", "list", "--offline", "--json"),
        run("devices", "approve"),
        run("devices", "approve", ids[0], "--json"),
        run("devices", "reject", ids[1], "--offline", "--json"),
        run("gateway", "call", "status", "--json"),
        run("gateway", "call", "config.get"),
        run("gateway", "call", "config.get", "--json"),
        run("gateway", "call", "device.pair.list"),
        run("gateway", "call", "no.such.method", env={"OPENCLAW_DEBUG": "1"}),
        run("gateway", "run"),
        run("logs"),
        run("logs", "--json", "--level", "debug"),
    ]
    admitted = knock(gateway.port, "config.get", "device.pair.list", **device)
    tokens = [str(admitted.auth["deviceToken"])]
    alone = {"token": None, "password": None, "device_token": tokens[0]}
    knocks = [
        knock(gateway.port, **device | alone),
        knock(gateway.port, **stranger(WRONG)),
        knock(gateway.port, **device | alone | {"device_token": WRONG}),
        knock(gateway.port, **stranger(None, password=WRONG)),
        knock(gateway.port, **stranger(shared), origin=f"http://x/?token={WRONG}"),
    ]
    return done, [admitted, *knocks], tokens


def own_token(gateway: Gateway) -> str:
    """Return the device token that this machine's commands were issued."""
    kept = json.loads((gateway.state_dir / "identity" / "device-auth.json").read_bytes())
    token: str = kept["tokens"]["operator"]["token"]
    return token


@pytest.mark.parametrize("mode", ["token", "password"])
def test_no_secret_is_anywhere_but_where_it_is_kept(tmp_path: Path, mode: str) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    config = state_dir / "openclaw.json"
    if mode == "password":
        auth = {"mode": "password", "password": "a-password-nobody-should-see"}
        config.write_text(json.dumps({"gateway": {"auth": auth}}))
        config.chmod(0o600)
    with watched_titles() as titles, running_gateway(state_dir, "--verbose") as gateway:
        done, knocks, tokens = everything(gateway, mode)
        pages = {path: page(gateway.port, path, gateway.token) for path in PAGES}
        secrets = {gateway.token, own_token(gateway), *tokens, WRONG}
        done.append(gateway.openclaw("logs", "--since", "1h"))

    said = pages | {f"command {n}": one.out + one.err for n, one in enumerate(done)}
    said["gateway"] = gateway.said()
    said["titles"] = "\n".join(titles)
    for number, one in enumerate(knocks):
        if one.admitted:
            del one.response["payload"]["auth"]["deviceToken"]
        said[f"wire {number}"] = json.dumps([one.response, one.close, one.answers])
    for file in state_dir.rglob("*"):
        name = str(file.relative_to(state_dir))
        kept = name.startswith("config-history/")  # earlier texts of the file, as private as it
        if kept and file.is_file():
            assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (
                0o600,
                0o700,
            )
        elif file.is_file() and name not in MADE_FOR_SECRETS:
            said[name] = file.read_bytes().decode(errors="replace")
    found = {
        (where, secret)
        for where, text in said.items()
        for secret in secrets
        if secret in text and not (where.startswith("wire") and secret == WRONG)
    }
    assert found == set()
    assert len(secrets) == 4
    for name in MADE_FOR_SECRETS:
        assert (state_dir / name).stat().st_mode & 0o777 == 0o600
