"""A gateway's machine on which a command line of the documents is typed, and what the line needs."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import define, field, frozen

from stores.keys import KeyPair
from tests.nodes import node_params, serve_node
from tests.pems import a_pair
from tests.scenarios.clients import knock, new_key, stranger
from tests.scenarios.programs import ROOT, Finished, Gateway, environment, eventually
from tests.wire import open_wire

ENDS_WITHIN_S = 30.0
OPERATOR = new_key()


@frozen
class Shown:
    """What a command showed on its terminal, and how it ended."""

    code: int
    text: str


def program(folder: Path) -> Path:
    """Put ``openclaw`` into a new folder and return the folder."""
    folder.mkdir()
    file = folder / "openclaw"
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from cli.main import main\nmain()\n"
    )
    file.chmod(0o755)
    return folder


def on_terminal(
    line: str, env: Mapping[str, str], cwd: Path, stop: tuple[str, signal.Signals] | None = None
) -> Shown:
    """Type a line into a shell on a terminal, and `y` to whatever it asks.

    Args:
        stop: What it shows once it runs, and the signal that then ends it; for what runs until told.
    """
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n" if stop is None else b"")
    words = ["/bin/sh", "-c", f"exec {line}"]
    process = subprocess.Popen(
        words, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        text = _read(ours, process, line, stop)
        return Shown(process.wait(ENDS_WITHIN_S), text)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()


def _read(
    ours: int, process: subprocess.Popen[bytes], line: str, stop: tuple[str, signal.Signals] | None
) -> str:
    shown, until = b"", time.monotonic() + ENDS_WITHIN_S
    while True:
        left = until - time.monotonic()
        assert left > 0, f"{line} does not end; it shows:\n{shown.decode()}"
        if not select.select([ours], [], [], left)[0]:
            continue
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the last holder of the other end has closed it
            part = b""
        if not part:
            return shown.decode().replace("\r\n", "\n")
        shown += part
        if stop is not None and stop[0].encode() in shown:
            process.send_signal(stop[1])
            stop = None


@define(eq=False)
class Stage:
    """A gateway, its machine, and whoever a line speaks of."""

    gateway: Gateway
    bin: Path
    config: bytes = field(init=False)
    #: How to undo what was set up for the line that runs now.
    _undo: list[Callable[[], object]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.config = self._config_file.read_bytes()

    @property
    def home(self) -> Path:
        """The home directory of the gateway's user."""
        return self.gateway.state_dir.parent

    @property
    def _config_file(self) -> Path:
        return self.gateway.state_dir / "openclaw.json"

    def env(self, **changes: str) -> dict[str, str]:
        """Return the environment of a terminal of the gateway's user."""
        own = environment(self.gateway.state_dir)
        own = {k: v for k, v in own.items() if "DISPLAY" not in k and not k.startswith("XDG_")}
        path = {"PATH": f"{self.bin}:{os.environ['PATH']}", "TERM": "xterm"}
        return own | path | {"OPENCLAW_GATEWAY_PORT": str(self.gateway.port)} | changes

    @contextmanager
    def one_line(self) -> Iterator[None]:
        """Take back what a line changed, and whoever came for it."""
        try:
            yield
        finally:
            while self._undo:
                self._undo.pop()()
            (self.gateway.state_dir / "openclaw.toml").unlink(missing_ok=True)
            self._config_file.write_bytes(self.config)

    def before(self, *words: str) -> Finished:
        """Run what has to come before a line."""
        done = self.gateway.openclaw(*words)
        assert done.code == 0, (words, done)
        return done

    def calls(self, *calls: tuple[str, dict[str, str]]) -> None:
        """Let an operator of this machine make calls."""
        done = knock(self.gateway.port, *calls, key=OPERATOR, token=self.gateway.token)
        assert all(answer["ok"] for answer in done.answers), done

    def forget(self, device_id: str) -> None:
        """Let an operator remove a device, unless the line did."""
        one = ("device.pair.remove", {"deviceId": device_id})
        assert knock(self.gateway.port, one, key=OPERATOR, token=self.gateway.token).admitted

    def locked_out(self) -> str:
        """Return an address that showed too many wrong secrets."""
        wrong = stranger("a-wrong-secret-of-this-gateway")
        while knock(self.gateway.port, **wrong).details.get("authReason") != "rate_limited":
            pass
        told = self.before("gateway", "lockouts", "list", "--json").json
        return shlex.quote(str(told["lockouts"][0]["key"]))

    def code(self) -> str:
        """Return the code of a device that waits; its connection from afar was refused."""
        return knock(self.gateway.port, **stranger(self.gateway.token)).request_id

    def node_code(self) -> str:
        """Return the code of a node that waits."""
        node = stranger(self.gateway.token, role="node", scopes=())
        return knock(self.gateway.port, **node).request_id

    def waiting_device(self) -> str:
        """Return the id of a device that waits."""
        device = stranger(self.gateway.token)
        knock(self.gateway.port, **device)
        key: KeyPair = device["key"]
        return key.device_id

    def kitchen(self) -> str:
        """Let in a device that has not been here before, call it kitchen, and return its id."""
        device = stranger(self.gateway.token)
        request = knock(self.gateway.port, **device).request_id
        key: KeyPair = device["key"]
        self.calls(
            ("device.pair.approve", {"requestId": request}),
            ("device.pair.rename", {"deviceId": key.device_id, "label": "kitchen"}),
        )
        self._undo.append(partial(self.forget, key.device_id))
        return key.device_id

    def kitchen_node(self) -> str:
        """Let in a node that calls itself kitchen, stays and answers; return its id."""
        key, done = new_key(), threading.Event()
        node = threading.Thread(target=trio.run, args=(_stay, self.gateway, key, done), daemon=True)
        node.start()
        eventually(done.is_set)

        def leave() -> None:
            self.forget(key.device_id)
            node.join(10)
            assert not node.is_alive()

        self._undo.append(leave)
        self.calls(("node.pair.approve", {"requestId": key.device_id}))
        return key.device_id

    def invitation(self) -> str:
        """Return the short id of an invitation that counts."""
        return self.before("devices", "invite").out.split("Invitation ")[1].split()[0].rstrip(":")

    def config_hash(self) -> str:
        """Return the hash of the configuration."""
        return str(self.before("config", "file", "--json").json["hash"])

    def secret_file(self) -> str:
        """Return a file with a secret of somebody's choice."""
        file = self.home / "a-secret"
        file.write_text("a-secret-that-somebody-chose-carefully\n")
        file.chmod(0o600)
        return str(file)

    def certificate(self, name: str) -> str:
        """Return a file of a certificate: its ``crt`` or its ``key``."""
        pair = a_pair(self.home)
        return str(pair.cert if name == "crt" else pair.key)


async def _stay(gateway: Gateway, key: KeyPair, done: threading.Event) -> None:
    """Be a node of the gateway's own machine until its connection ends."""
    async with open_wire(gateway.port) as wire:
        params = node_params(wire.challenge["nonce"], key, token=gateway.token, name="kitchen")
        await wire.send({"type": "req", "id": "connect", "method": "connect", "params": params})
        assert (await wire.answer("connect"))["ok"]
        done.set()
        await serve_node(wire)


def base_config(port: int) -> str:
    """Return a configuration as somebody may have written it."""
    return json.dumps({"gateway": {"port": port, "auth": {"token": "the-token-of-this-gateway"}}})
