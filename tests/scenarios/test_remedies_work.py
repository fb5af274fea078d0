"""Every command that a refusal names, pasted into a shell: the case it was named for is over."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.scenarios.clients import FROM_AFAR, READ, Knock, knock, new_key
from tests.scenarios.programs import (
    ROOT,
    Finished,
    Gateway,
    eventually,
    free_port,
    running_gateway,
)

pytestmark = pytest.mark.slow

TOKEN = "the-token-of-this-gateway"
PAGE = "https://ui.example"


@frozen
class Shell:
    """A shell of the gateway's user, where ``openclaw`` is on the path; nothing else is set up."""

    gateway: Gateway
    env: Mapping[str, str]

    def paste(self, command: str) -> Finished:
        """Run a command exactly as it was printed."""
        done = subprocess.run(
            ["sh", "-c", command],
            env=self.env,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, command: str) -> str:
        """Return what a command prints on a terminal."""
        ours, theirs = pty.openpty()
        try:
            subprocess.run(
                ["sh", "-c", command], env=self.env, cwd="/", stdout=theirs, timeout=30, check=True
            )
            return os.read(ours, 65_536).decode()
        finally:
            os.close(theirs)
            os.close(ours)

    def why(self) -> dict[str, Any]:
        """Return the last refusal as ``gateway why`` has it."""
        entry: dict[str, Any] = self.gateway.openclaw("gateway", "why", "--json").json["refusal"]
        return entry


def program(folder: Path) -> str:
    """Put ``openclaw`` into a folder and return a search path with it in front."""
    folder.mkdir()
    file = folder / "openclaw"
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from cli.main import main\nmain()\n"
    )
    file.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Run a gateway in the state directory of its user, on the port of its configuration."""
    home, port = tmp_path / "home", free_port()
    state_dir = home / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    section = {"port": port, "auth": {"token": TOKEN}}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    env = {"HOME": str(home), "PATH": program(tmp_path / "bin"), "LANG": "C.UTF-8"}
    # An empty variable is as good as none: the gateway finds its directory by HOME as the shell does.
    with running_gateway(
        state_dir, port=port, pinned=False, env=env | {"OPENCLAW_STATE_DIR": ""}
    ) as gateway:
        yield Shell(gateway, env)


def from_afar(gateway: Gateway, **wanted: Any) -> Knock:
    """Knock as a client does that a proxy forwards."""
    return knock(gateway.port, **{"headers": FROM_AFAR, "scopes": READ, "token": TOKEN} | wanted)


Place = Callable[[Knock, Shell], str]


def told(refused: Knock, _: Shell) -> str:
    """Return the command on the wire."""
    return str(refused.details["remedy"]["command"])


def kept(_: Knock, shell: Shell) -> str:
    """Return the command of ``gateway why``, which is also the log's."""
    return str(shell.why()["command"])


PLACES = pytest.mark.parametrize("place", [told, kept])


@PLACES
def test_a_device_that_waits_is_let_in(shell: Shell, place: Place) -> None:
    key = new_key()
    refused = from_afar(shell.gateway, key=key)

    done = shell.paste(place(refused, shell))

    assert done.code == 0, done
    assert from_afar(shell.gateway, key=key).admitted


@PLACES
def test_a_foreign_page_is_allowed(shell: Shell, place: Place) -> None:
    page: dict[str, Any] = {"origin": PAGE, "host": "gw.example", "key": new_key(), "token": TOKEN}
    refused = knock(shell.gateway.port, **page)
    assert refused.details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"

    done = shell.paste(place(refused, shell))

    assert done.code == 0, done

    def may_ask() -> bool:
        again = str(knock(shell.gateway.port, **page).details["code"])
        return again == "PAIRING_REQUIRED"

    eventually(may_ask, within_s=5)


def asked_by_page(port: int) -> tuple[int, Any]:
    """Return status and body of a request for data by a foreign page."""
    wire = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        wire.request("GET", "/readyz", headers={"Origin": PAGE})
        answer = wire.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        wire.close()


def test_a_foreign_page_may_read_data(shell: Shell) -> None:
    status, body = asked_by_page(shell.gateway.port)
    assert status == 403

    done = shell.paste(body["details"]["remedy"]["command"])

    assert done.code == 0, done
    eventually(lambda: asked_by_page(shell.gateway.port)[0] == 200, within_s=5)


def test_a_proxy_is_trusted(shell: Shell) -> None:
    refused = from_afar(shell.gateway, key=new_key())
    sentence = refused.details["remedy"]["sentence"]
    assert refused.details["saw"]["locality"]["why"] == "untrusted-proxy"

    done = shell.paste(sentence.partition("`")[2].partition("`")[0])

    assert done.code == 0, done

    def attributed() -> bool:
        saw = from_afar(shell.gateway, key=new_key()).details["saw"]
        return bool(saw["client"] == "203.0.113.9" and saw["locality"]["why"] == "forwarded")

    eventually(attributed, within_s=5)


def test_a_lock_is_lifted(shell: Shell) -> None:
    *_, refused = [from_afar(shell.gateway, token="a-wrong-token") for _ in range(11)]
    assert refused.details["code"] == "AUTH_RATE_LIMITED"
    assert "forwarded-by-loopback" in shell.paste("openclaw gateway lockouts list").out

    done = shell.paste(kept(refused, shell))

    assert done.code == 0, done
    assert from_afar(shell.gateway, key=new_key()).details["code"] == "PAIRING_REQUIRED"


@PLACES
def test_a_blocked_device_may_ask_again(shell: Shell, place: Place) -> None:
    key = new_key()
    request_id = from_afar(shell.gateway, key=key).request_id
    for words in (f"approve {request_id}", f"block {key.device_id} --yes"):
        done = shell.paste(f"openclaw devices {words}")
        assert done.code == 0, done
    refused = from_afar(shell.gateway, key=key)
    assert "blocked" in refused.error["message"]

    done = shell.paste(place(refused, shell))

    assert done.code == 0, done
    again = from_afar(shell.gateway, key=key)
    assert again.admitted or again.request_id


@PLACES
@pytest.mark.parametrize("sent", [None, "a-wrong-token"], ids=["missing", "wrong"])
def test_the_right_token_is_shown(shell: Shell, place: Place, sent: str | None) -> None:
    refused = from_afar(shell.gateway, key=new_key(), token=sent)

    shown = shell.on_terminal(place(refused, shell)).strip()

    assert shown == TOKEN
    assert from_afar(shell.gateway, key=new_key(), token=shown).request_id


def test_a_method_that_needs_more_is_allowed(shell: Shell) -> None:
    key = new_key()
    done = shell.paste(f"openclaw devices approve {from_afar(shell.gateway, key=key).request_id}")
    assert done.code == 0, done
    wanted: dict[str, Any] = {"key": key, "token": TOKEN, "headers": FROM_AFAR}
    wanted |= {"scopes": (*READ, "operator.pairing")}
    (refused,) = knock(shell.gateway.port, "device.pair.list", **wanted).answers
    assert refused["error"]["message"].startswith("missing scope: operator.pairing (run ")

    done = shell.paste(refused["error"]["details"]["remedy"]["command"])

    assert done.code == 0, done
    (answered,) = knock(shell.gateway.port, "device.pair.list", **wanted).answers
    assert answered["ok"], answered


def test_what_the_log_says_to_run_is_what_why_says(shell: Shell) -> None:
    from_afar(shell.gateway, key=new_key())
    command = shell.why()["command"]

    assert command.startswith("openclaw ")
    eventually(lambda: f" run: {command}" in shell.gateway.said())
