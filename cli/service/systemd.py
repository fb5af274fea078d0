"""Asking systemd: `systemctl`, `loginctl` and `journalctl`, with the environment they need.

A user's manager is found by ``XDG_RUNTIME_DIR`` alone. `sudo -iu`, `su` and cron leave it unset, or
leave somebody else's in it, so it is set here, whenever the directory is there and our own.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from stores.errors import UserFacingError

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

#: Longer than the unit may take to start (TimeoutStartSec) or to stop.
ANSWER_WITHIN_S = 90.0
#: What only looks answers at once, or its manager hangs.
LOOK_WITHIN_S = 10.0

_ASKED = (
    "LoadState",
    "UnitFileState",
    "ActiveState",
    "SubState",
    "MainPID",
    "Result",
    "ExecMainStatus",
    "ExecMainCode",
    "StatusText",
    "NRestarts",
    "FragmentPath",
)


class SystemdError(UserFacingError):
    """systemd would not, in its own words."""


@frozen
class Ran:
    """How a program of systemd ended."""

    code: int
    out: str
    err: str


@frozen
class UnitState:
    """What systemd says of a unit; empty words where it says nothing."""

    load: str = ""
    enabled: str = ""
    active: str = ""
    sub: str = ""
    main_pid: int | None = None
    result: str = ""
    exit_status: int | None = None
    status_text: str = ""
    restarts: int = 0


@frozen
class Manager:
    """The service manager that runs a unit: that of a user, or with ``system`` the machine's."""

    system: bool
    env: Mapping[str, str] = field(repr=False)

    def systemctl(self, *words: str, within_s: float = ANSWER_WITHIN_S) -> Ran:
        """Run `systemctl` for this manager."""
        scope = () if self.system else ("--user",)
        return self._run("systemctl", *scope, "--no-pager", "--quiet", *words, within_s=within_s)

    def do(self, *words: str) -> None:
        """Run `systemctl`, or say what it says.

        Raises:
            SystemdError: it ended with another code than 0.
        """
        ran = self.systemctl(*words)
        if ran.code != 0:
            said = ran.err.strip().splitlines()
            raise SystemdError(
                f"systemctl {' '.join(words)} failed: {said[0] if said else f'code {ran.code}'}",
                remedy=f"ask systemd with `{self.words} status {words[-1]}`",
            )

    @property
    def words(self) -> str:
        """The command that asks this manager, as a user types it."""
        return "systemctl" if self.system else "systemctl --user"

    def answers(self) -> bool:
        """Tell whether the manager can be reached."""
        ran = self.systemctl("show", "--property=Version", within_s=LOOK_WITHIN_S)
        return ran.code == 0

    def looks_in(self, folder: Path) -> bool:
        """Tell whether the manager looks for units in a folder."""
        ran = self.systemctl("show", "--property=UnitPath", "--value", within_s=LOOK_WITHIN_S)
        return str(folder) in ran.out

    def version(self) -> int | None:
        """Return the version of systemd, None if it says none."""
        ran = self._run("systemctl", "--version", within_s=LOOK_WITHIN_S)
        words = ran.out.split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None

    def state(self, unit: str) -> UnitState:
        """Return what the manager knows of a unit; nothing if it does not answer."""
        ran = self.systemctl("show", f"--property={','.join(_ASKED)}", unit, within_s=LOOK_WITHIN_S)
        said = dict(line.partition("=")[::2] for line in ran.out.splitlines() if "=" in line)
        return UnitState(
            load=said.get("LoadState", ""),
            enabled=said.get("UnitFileState", ""),
            active=said.get("ActiveState", ""),
            sub=said.get("SubState", ""),
            main_pid=_number(said.get("MainPID")) or None,
            result=said.get("Result", ""),
            exit_status=_number(said.get("ExecMainStatus")),
            status_text=said.get("StatusText", ""),
            restarts=_number(said.get("NRestarts")) or 0,
        )

    def last_words(self, unit: str) -> str:
        """Return the last line that a unit's program wrote, empty if the journal is closed to us."""
        which = "--unit" if self.system else "--user-unit"
        ran = self._run(
            *(
                "journalctl",
                "--no-pager",
                "--quiet",
                "--output=cat",
                "--lines=20",
                f"{which}={unit}",
            ),
            "SYSLOG_IDENTIFIER=openclaw",
            within_s=LOOK_WITHIN_S,
        )
        lines = [line for line in ran.out.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def _run(self, *words: str, within_s: float) -> Ran:
        if shutil.which(words[0], path=self.env.get("PATH")) is None:
            return Ran(127, "", f"{words[0]} is not installed")
        try:
            done = subprocess.run(
                words,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=within_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(124, "", f"{words[0]} did not answer within {within_s:.0f} s")
        return Ran(done.returncode, done.stdout, done.stderr)

    def enable_linger(self, user: str) -> bool:
        """Let a user's services run without a login; tell whether that is so now."""
        for words in (("enable-linger", user), ("enable-linger",)):
            ran = self._run("loginctl", "--no-ask-password", *words, within_s=LOOK_WITHIN_S)
            if ran.code == 0 and lingers(user):
                return True
        return False


def absolute_entries(path: str) -> tuple[str, ...]:
    """Return the entries of a PATH that mean the same everywhere: never the present directory."""
    return tuple(one for one in path.split(":") if one.startswith("/"))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def lingers(user: str, root: Path = Path("/")) -> bool:
    """Tell whether a user's services run without a login, as logind remembers it on disk."""
    return root.joinpath("var/lib/systemd/linger", user).exists()


def is_running_systemd(root: Path = Path("/")) -> bool:
    """Tell whether systemd is process 1 (protocol fact: sd_booted looks at this directory)."""
    return root.joinpath("run/systemd/system").is_dir()


def gives_users_a_manager(root: Path = Path("/")) -> bool:
    """Tell whether the packages are there without which no user has a service manager."""
    units = (
        root.joinpath(one, "dbus.socket") for one in ("usr/lib/systemd/user", "lib/systemd/user")
    )
    return any(unit.exists() for unit in units)


def runtime_dir(uid: int, root: Path = Path("/")) -> Path | None:
    """Return a user's runtime directory, None if there is none or it is not the user's own."""
    path = root.joinpath(f"run/user/{uid}")
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return path if stat.S_ISDIR(status.st_mode) and status.st_uid == uid else None


def manager_for(env: Mapping[str, str], *, uid: int, system: bool = False) -> Manager:
    """Return the manager to ask, with an environment in which it is found."""
    told = {k: v for k, v in env.items() if k not in ("NOTIFY_SOCKET", "SYSTEMD_PAGER")}
    told |= {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0"}
    told["PATH"] = ":".join((*absolute_entries(env.get("PATH", "")), *SYSTEM_PATH))
    found = None if system else runtime_dir(uid)
    if found is not None:
        told["XDG_RUNTIME_DIR"] = str(found)
        told["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={found}/bus"
    elif not system:
        # somebody else's, left by `su`: it would only lead to a puzzling refusal
        told.pop("XDG_RUNTIME_DIR", None)
        told.pop("DBUS_SESSION_BUS_ADDRESS", None)
    return Manager(system, told)
