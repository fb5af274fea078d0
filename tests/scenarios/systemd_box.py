"""A booted systemd to install the gateway in: users, sessions, linger and units are real there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.scenarios.programs import ROOT, Finished, eventually

#: Where openclaw is installed inside, for everybody.
INSTALLED = "/opt/openclaw"
PROGRAM = f"{INSTALLED}/bin/openclaw"
PATH = f"{INSTALLED}/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
#: Two steps, because a Python that was built elsewhere looks for its library there.
_INTERPRETER = f"""#!/bin/sh
LD_LIBRARY_PATH={INSTALLED}/python/lib exec {INSTALLED}/python/bin/{_PYTHON} "$@"
"""
_OPENCLAW = f"""#!{INSTALLED}/interpreter
import sys
sys.dont_write_bytecode = True
sys.path[:0] = ["{INSTALLED}/code", "{INSTALLED}/site"]
from cli.main import main
main()
"""


@define(eq=False)
class Box:
    """A machine inside of this one."""

    folder: Path
    pid: int
    _users: int = field(default=0)

    def run(
        self, *words: str, within_s: float = 60.0, env: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a command as root, with an environment of its own."""
        done = subprocess.run(
            [
                *("nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w"),
                *("--", "env", "-i", "HOME=/root", f"PATH={PATH}", "LC_ALL=C.UTF-8"),
                *(f"{name}={value}" for name, value in (env or {}).items()),
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> str:
        """Run a command as root that must succeed; return what it printed."""
        done = self.run(*words)
        assert done.code == 0, (words, done.out, done.err)
        return done.out.strip()

    def new_user(self, *, home: str | None = None, linger: bool = False) -> User:
        """Make an account."""
        self._users += 1
        name = f"u{self._users}"
        where = home or f"/home/{name}"
        self.ok("useradd", "-m", "-d", where, "-s", "/bin/bash", name)
        user = User(self, name, int(self.ok("id", "-u", name)), where)
        user.set_port(20_000 + self._users)
        if linger:
            self.ok("loginctl", "enable-linger", name)
            eventually(lambda: user.has_manager)
        return user

    @property
    def root(self) -> User:
        """The account that every machine has."""
        return User(self, "root", 0, "/root")

    def write(self, path: str, text: str) -> None:
        """Write a file of root's."""
        subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-r", "-w", "--", "tee", path],
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )


@define(eq=False)
class User:
    """An account inside; what it runs comes from no login session unless said so."""

    box: Box
    name: str
    uid: int
    home: str

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run a command without a session, as `sudo -iu` and cron do."""
        own = {"HOME": self.home, "USER": self.name} | dict(env or {})
        become = ("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups")
        return self.box.run(*become, *words, env=own)

    def in_session(self, line: str) -> Finished:
        """Run a line of shell in a session that PAM opens and ends."""
        return self.box.run("runuser", "-l", self.name, "-c", f"PATH={PATH}; {line}")

    def openclaw(self, *words: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run one of our commands without a session."""
        return self.run(PROGRAM, *words, env=env)

    def systemctl(self, *words: str) -> str:
        """Ask this user's manager, which must be there."""
        env = {"XDG_RUNTIME_DIR": f"/run/user/{self.uid}"}
        done = self.run("systemctl", "--user", "--no-pager", *words, env=env)
        return done.out.strip()

    def drop_in(self, text: str, unit: str = "openclaw-gateway") -> None:
        """Add lines to the unit's section ``[Service]``, as an administrator does."""
        folder = f"{self.home}/.config/systemd/user/{unit}.service.d"
        self.box.ok("install", "-d", "-o", self.name, folder)
        self.box.write(f"{folder}/test.conf", f"[Service]\n{text}\n")
        self.systemctl("daemon-reload")

    def shown(self, name: str, unit: str = "openclaw-gateway") -> str:
        """Return a property of a unit."""
        return self.systemctl("show", f"--property={name}", "--value", unit)

    @property
    def has_manager(self) -> bool:
        """Whether a service manager of this user runs."""
        return self.systemctl("is-system-running") in ("running", "degraded")

    @property
    def port(self) -> int:
        """The port in the configuration."""
        found: dict[str, Any] = json.loads(
            self.box.ok("cat", f"{self.home}/.openclaw/openclaw.json")
        )
        port: int = found["gateway"]["port"]
        return port

    def set_port(self, port: int) -> None:
        """Write a configuration."""
        self.configure(json.dumps({"gateway": {"port": port, "auth": {"token": "S3cretOfTests"}}}))

    def configure(self, text: str) -> None:
        """Write a configuration as it is."""
        folder = f"{self.home}/.openclaw"
        self.box.ok("install", "-d", "-m", "700", "-o", self.name, folder)
        self.box.write(f"{folder}/openclaw.json", text)
        self.box.ok("chown", f"{self.name}:", f"{folder}/openclaw.json")

    def answers(self, port: int | None = None) -> bool:
        """Tell whether a gateway answers on this user's port."""
        url = f"http://127.0.0.1:{port or self.port}/healthz"
        ask = f"import urllib.request as u; u.urlopen({url!r}, timeout=2)"
        return self.box.run(f"{INSTALLED}/interpreter", "-c", ask).code == 0


@contextmanager
def booted_box() -> Iterator[Box]:
    """Boot a machine with openclaw in it; it is gone when the body ends, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="openclaw-box-"))
    (folder / "bin").mkdir()
    for name, text in (("interpreter", _INTERPRETER), ("bin/openclaw", _OPENCLAW)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    folder.chmod(0o755)
    for name in ("python", "site", "code"):
        (folder / name).mkdir()
    share = (
        f"{folder}:{INSTALLED}",
        f"{sys.base_prefix}:{INSTALLED}/python",
        f"{sysconfig.get_paths()['purelib']}:{INSTALLED}/site",
        f"{ROOT}:{INSTALLED}/code",
    )
    script = Path(__file__).with_suffix(".sh")
    started = subprocess.run(
        ["bash", str(script), str(folder), *share], capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    box = Box(folder, int((folder / "pid").read_text()))
    try:
        eventually(lambda: box.run("systemctl", "is-active", "-q", "systemd-logind").code == 0)
        yield box
    finally:
        os.kill(box.pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{box.pid}").exists())
        _remove_cgroups(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_cgroups(name: str) -> None:
    for tree in ("unified", "systemd"):
        top = Path(f"/sys/fs/cgroup/{tree}/box-{name}")
        for inner in sorted(top.rglob("*"), reverse=True):
            if inner.is_dir():
                _remove_group(inner)
        if top.is_dir():
            _remove_group(top)


def _remove_group(folder: Path) -> None:
    """Remove a cgroup; the kernel says busy while what was killed in it is still ending."""

    def gone() -> bool:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    eventually(gone)
