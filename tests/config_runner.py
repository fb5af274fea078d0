"""`openclaw config` run in this process, on a state directory of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

from cli.main import main
from stores.port_owner import start_time_of

SECRET = "s3cret-of-this-gateway"
PORT = "{gateway: {port: 1}} // mine\n"


@frozen
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, parsed."""
        return json.loads(self.out)


@define
class Runner:
    """Runs ``openclaw config`` with words; standard output is a terminal only when told."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    state_dir: Path

    def __attrs_post_init__(self) -> None:
        self.monkeypatch.setenv("OPENCLAW_STATE_DIR", str(self.state_dir))
        self.monkeypatch.setenv("NO_COLOR", "1")

    def __call__(self, *words: str, terminal: bool = False) -> Ended:
        """Run a command to its end."""
        self.monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
        with pytest.raises(SystemExit) as ended:
            main(["config", *words])
        out, err = self.capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)


def write(tmp_path: Path, text: str, name: str = "openclaw.json") -> None:
    """Write a configuration file."""
    (tmp_path / name).write_text(text)


def with_secret(tmp_path: Path) -> None:
    """Write a configuration file that holds a secret."""
    write(tmp_path, f'{{gateway: {{port: 1, auth: {{token: "{SECRET}", mode: "token"}}}}}}')


def running(tmp_path: Path, config: str = "openclaw.json", *, digest: str | None = None) -> None:
    """Leave the note of a gateway that runs: this very process.

    Args:
        digest: Of the text that it took in.
    """
    pid = os.getpid()
    note = {"pid": pid, "startTime": start_time_of(pid), "configPath": str(tmp_path / config)}
    note |= {"configDigest": digest}
    (tmp_path / "gateway.lock").write_text(json.dumps(note))
