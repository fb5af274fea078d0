"""A state directory of its own, with devices in it, and commands run there."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from cli.main import main
from stores import pairing
from stores.devices import DeviceStore
from stores.keys import KeyPair, generate
from stores.records import PendingRequest
from stores.transition import Caller, Wish

ADMIN = ("operator.admin", "operator.approvals", "operator.pairing")


@frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Machine:
    """A state directory, and commands run in it."""

    def __init__(self, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state_dir = state_dir
        self.store = DeviceStore(state_dir / "devices")
        self._capsys = capsys

    def run(self, *words: str) -> Ran:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        out, err = self._capsys.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    def configure(self, port: int, **keys: Any) -> None:
        gateway = {"port": port, "auth": {"token": "T0KEN"}, **keys}
        self.state_dir.mkdir(exist_ok=True)
        (self.state_dir / "openclaw.json").write_text(json.dumps({"gateway": gateway}))

    def knock(
        self,
        name: str = "laptop",
        *,
        scopes: tuple[str, ...] = ADMIN,
        ago_ms: int = 0,
        key: KeyPair | None = None,
        role: str = "operator",
    ) -> PendingRequest:
        key = key or generate()
        wish = Wish(
            device_id=key.device_id,
            public_key=key.public_key,
            role=role,
            scopes=scopes if role == "operator" else (),
            platform="linux",
            client_id="cli",
            client_mode="cli",
            display_name=name,
            remote_ip="192.168.178.201",
            why="not-loopback",
        )
        item: PendingRequest = self.store.one(
            lambda book, rules: pairing.request(book, rules, wish=wish), now_ms=now_ms() - ago_ms
        )
        return item

    def pair(self, name: str = "laptop", *, ago_ms: int = 0, **wanted: Any) -> str:
        item = self.knock(name, ago_ms=ago_ms, **wanted)
        at_ms = now_ms() - ago_ms
        self.store.approve(item.request_id, caller=Caller("cli", uid=0), now_ms=at_ms)
        return item.device_id


def now_ms() -> int:
    return int(time.time() * 1000)
