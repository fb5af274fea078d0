"""After a session of every command, a secret is in the files that are made for it and nowhere else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.pages import PAGES as CONTROL_UI
from tests.scenarios.clients import Knock, knock, stranger
from tests.scenarios.every_command import (
    OF_THE_SERVICE,
    PRINTS_INVITATIONS,
    SESSION,
    Session,
    leaves,
    named,
    on_a_terminal,
    typed,
)
from tests.scenarios.programs import eventually, running_gateway
from tests.scenarios.systemd_box import Box, User

pytestmark = pytest.mark.slow

MADE_FOR_SECRETS = {
    "openclaw.json",
    "devices/paired.json",
    "devices/paired.json.bak",
    "identity/device-auth.json",
}
WRONG = "a-wrong-secret-that-somebody-tried"

ASSETS = CONTROL_UI.paths
PAGES = (
    *("/", "/metrics", "/readyz", "/healthz", "/startupz", f"/{WRONG}", f"/?token={WRONG}"),
    *ASSETS,
)


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
    if path in ASSETS:
        assert {one[:3] for one in told} == {"200"}
    return "\n".join(told)


@contextmanager
def watched_titles() -> Iterator[set[str]]:
    """Collect the command lines of all processes of the machine while the body runs."""
    titles: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
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


def knocks_of(session: Session) -> list[Knock]:
    """Knock in every way, with the right secrets and with wrong ones."""
    shared, device = session.gateway.token, session.guests[0]
    admitted = session.knock("config.get", "device.pair.list", **device)
    alone = {"token": None, "device_token": admitted.auth["deviceToken"]}
    return [
        admitted,
        session.knock(**device | alone),
        session.knock(**stranger(WRONG)),
        session.knock(**device | alone | {"device_token": WRONG}),
        session.knock(**stranger(None, password=WRONG)),
        session.knock(**stranger(None, bootstrap_token=WRONG)),
        session.knock(**stranger(shared), origin=f"http://x/?token={WRONG}"),
        *(
            session.knock(**stranger(None, bootstrap_token=one, **as_what))
            for one in session.bearers
            for as_what in ({}, {"role": "node", "scopes": ()})
        ),
    ]


def test_a_new_command_is_added_to_the_session() -> None:
    lines = [words for _, words in typed(SESSION)]

    assert leaves() == named(lines) | OF_THE_SERVICE


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
        session = Session(gateway, mode)
        for code, words in typed(SESSION):
            session.run(code, words)
        knocks = knocks_of(session)
        said = {path: page(gateway.port, path, gateway.token) for path in PAGES}
        session.run(0, ("logs", "--since", "1h", "--json"))
        session.run(0, ("gateway", "why", "--all"))

    said["gateway"] = gateway.said()
    said["titles"] = "\n".join(titles)
    said |= said_by_commands(session) | said_to_devices(knocks) | kept_in_files(state_dir)
    secrets = session.secrets | session.invitations
    assert [where for where, text in said.items() if any(one in text for one in secrets)] == []
    assert [
        where for where, text in said.items() if WRONG in text and not where.startswith("wire")
    ] == []
    assert len(session.secrets) > 8
    assert len(session.bearers) == 8
    ways = [one.auth["method"] for one in knocks if one.admitted]
    assert {"device-token", "bootstrap-token", mode} <= set(ways)
    for name in MADE_FOR_SECRETS:
        assert (state_dir / name).stat().st_mode & 0o777 == 0o600


def said_by_commands(session: Session) -> dict[str, str]:
    """Return what commands printed; those that make an invitation may print that one alone."""
    said = {}
    for number, (line, done) in enumerate(session.said):
        out = done.out
        if line.startswith(PRINTS_INVITATIONS):
            for one in session.invitations:
                out = out.replace(one, "")
        said[f"{number} openclaw {line}"] = out + done.err
    return said


def said_to_devices(knocks: list[Knock]) -> dict[str, str]:
    """Return what came over the wire, without the tokens that a device is given as its own."""
    for one in knocks:
        if one.admitted:
            for own in ("deviceToken", "deviceTokens"):
                one.auth.pop(own, None)
    return {
        f"wire {number}": json.dumps([one.response, one.close, one.answers])
        for number, one in enumerate(knocks)
    }


def kept_in_files(state_dir: Path) -> dict[str, str]:
    """Return the text of every file that is not made for secrets."""
    kept = {}
    for file in state_dir.rglob("*"):
        name = str(file.relative_to(state_dir))
        if not file.is_file() or name in MADE_FOR_SECRETS:
            continue
        if name.startswith("config-history/"):  # earlier texts of the file, as private as it
            modes = (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777)
            assert modes == (0o600, 0o700), name
            continue
        kept[name] = file.read_bytes().decode(errors="replace")
    assert {"logs/peers.json", "devices/audit.jsonl", "devices/bootstrap.json"} <= set(kept)
    return kept


def put_where_it_does_not_belong(port: int, secret: str) -> None:
    """Send a secret in what a gateway writes down of strangers, with no word that gives it away."""
    for headers in ({}, {"User-Agent": secret}, {"Origin": f"http://{secret}"}):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", f"/{secret}", headers=headers)
        connection.getresponse().read()
        connection.close()
    for header in ("User-Agent", "X-Forwarded-For", "Host"):
        words = stranger(WRONG) | {"headers": ((header, secret),)}
        if header == "Host":
            words = stranger(WRONG) | {"host": f"{secret}.example"}
        assert not knock(port, **words).admitted


def test_a_secret_that_came_in_no_field_for_secrets_is_known_all_the_same(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    later = "another-token-that-was-set-while-it-ran"
    with running_gateway(state_dir, "--verbose") as gateway:
        first = gateway.token
        put_where_it_does_not_belong(gateway.port, first)
        file = tmp_path / "token"
        file.write_text(later)
        words = ("config", "set", "gateway.auth.token", "--from-file", str(file))
        assert gateway.openclaw(*words).code == 0
        shown = ("health", "--token-file", str(file))
        eventually(lambda: gateway.openclaw(*shown).err == "")
        put_where_it_does_not_belong(gateway.port, later)
        seen = gateway.openclaw("gateway", "why", "--all")
        said = {"stderr": gateway.said(), "why": seen.out + seen.err}
        for file in (state_dir / "logs").iterdir():
            said[file.name] = file.read_text()

    assert {"refusals.jsonl", "peers.json"} <= said.keys()
    assert said["refusals.jsonl"].count('"deviceId"') > 0
    kept = [(where, one) for where, text in said.items() for one in (first, later) if one in text]
    assert kept == []


def test_a_terminal_is_shown_the_secret_and_only_when_asked(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        asked = [
            on_a_terminal(gateway, "gateway", "auth-token", "--show"),
            on_a_terminal(gateway, "config", "get", "--show-secrets"),
        ]
        unasked = [
            on_a_terminal(gateway, "gateway", "auth-token"),
            on_a_terminal(gateway, "config", "get"),
            on_a_terminal(gateway, "status", "--all"),
            on_a_terminal(gateway, "doctor"),
        ]
        secret = gateway.token

    assert [secret in shown for shown in asked] == [True, True]
    assert [secret in shown for shown in unasked] == [False] * 4
    assert secret not in gateway.said()


@pytest.mark.real("systemd")
def test_a_service_leaves_no_secret_in_unit_journal_or_titles(box: Box) -> None:
    user = box.new_user(linger=True)
    secret = "S3cretOfTests"
    env = {"OPENCLAW_GATEWAY_TOKEN": secret}
    said = [user.openclaw("gateway", "install", "--print", env=env)]
    said.append(user.openclaw("gateway", "install", env=env))
    eventually(user.answers)
    said += [user.openclaw(*words.split()) for words in ("health", "status --all", "devices list")]
    titles = box.ok("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    unit = user.systemctl("cat", "openclaw-gateway") + user.systemctl("show", "openclaw-gateway")
    words = ("restart", "stop", "start", "uninstall")
    assert {f"gateway {word}" for word in words} == OF_THE_SERVICE
    said += [user.openclaw("gateway", word) for word in words]
    journal = box.ok("journalctl", "-o", "export", f"_UID={user.uid}")

    assert [one.code for one in said] == [0] * len(said), said
    assert secret in user_file(user, ".openclaw/openclaw.json")
    assert "gateway run" in titles
    assert "ExecStart=" in unit
    assert "listening on" in journal
    for text in (*(one.out + one.err for one in said), titles, unit, journal):
        assert secret not in text
    assert tokens_of(user)
    assert [one for one in tokens_of(user) if one in journal + titles + unit] == []


def user_file(user: User, name: str) -> str:
    """Return the text of a file of a user."""
    return user.box.ok("cat", f"{user.home}/{name}")


def tokens_of(user: User) -> list[str]:
    """Return the device tokens on file."""
    paired = json.loads(user_file(user, ".openclaw/devices/paired.json"))
    return [each["token"] for one in paired.values() for each in one["tokens"].values()]
