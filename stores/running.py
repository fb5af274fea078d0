"""Which gateway runs on a state directory, as its lock and /proc tell: whoever asks needs no gateway.

The note in the lock is information only. A process of another container has a pid that means
nothing here, and one that was killed leaves its note behind.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.errors import UserFacingError
from stores.port_owner import start_time_of
from stores.serving import read_lock_note

#: Of a process in this state nothing answers until somebody lets it go on (proc_pid_stat(5)).
_STOPPED = frozenset("Tt")
_ENDED = frozenset("ZXx")

#: Sessions hear of the end for 5 s, and a write may wait for its lock for as long.
ENDS_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.05


class Standing(StrEnum):
    """What became of the gateway that wrote the note."""

    RUNS = "runs"
    STOPPED = "stopped"  # by SIGSTOP or a debugger: it is there, and does nothing
    ENDED = "ended"  # without taking its note along: killed, or the machine went down
    ELSEWHERE = "elsewhere"  # its pid is of another container


@frozen(kw_only=True)
class Running:
    """A gateway as it describes itself; None for what its note does not say."""

    standing: Standing
    pid: int
    uid: int | None = None
    host: str | None = None
    port: int | None = None
    bind: str | None = None
    since_ms: int | None = None
    version: str | None = None
    config_path: str | None = None
    config_digest: str | None = None
    auth_mode: str | None = None
    secret_fingerprint: str | None = None
    #: Where the secret in force comes from.
    secret_source: str | None = None
    tls_fingerprint: str | None = None
    #: Who chose the port: the file, the environment, nobody, or `PORT_FLAG`, which outlives a restart.
    port_source: str | None = None

    @property
    def alive(self) -> bool:
        """Tell whether its process is there, on this machine as we see it."""
        return self.standing in (Standing.RUNS, Standing.STOPPED)


def read_running(state_dir: Path) -> Running | None:
    """Return the gateway that the lock of a state directory names, None if it names none."""
    note = read_lock_note(state_dir)
    pid = note.get("pid")
    if not isinstance(pid, int):
        return None
    tls = note.get("tls")
    return Running(
        standing=_standing(note, pid),
        pid=pid,
        uid=_number(note, "uid"),
        host=_text(note, "host"),
        port=_number(note, "port"),
        bind=_text(note, "bind"),
        since_ms=_number(note, "startedAtMs"),
        version=_text(note, "version"),
        config_path=_text(note, "configPath"),
        config_digest=_text(note, "configDigest"),
        auth_mode=_text(note, "authMode"),
        secret_fingerprint=_text(note, "secretFingerprint"),
        secret_source=_text(note, "secretSource"),
        tls_fingerprint=_text(tls, "fingerprint") if isinstance(tls, dict) else None,
        port_source=_text(note, "portSource"),
    )


def end_gateway(pid: int, state_dir: Path) -> None:
    """End a gateway of a state directory by the signal that lets it say goodbye, and wait until it is gone.

    Raises:
        UserFacingError: it is somebody else's, or does not end within `ENDS_WITHIN_S`.
    """
    try:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)  # one that is stopped ends only when it goes on
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise UserFacingError(
            f"the gateway (pid {pid}) belongs to another user",
            remedy=f"end it as that user, or with `sudo kill {pid}`",
        ) from error
    deadline = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < deadline:
        left = read_running(state_dir)
        if left is None or not left.alive or left.pid != pid:
            return
        time.sleep(_LOOK_EVERY_S)
    raise UserFacingError(
        f"the gateway (pid {pid}) did not end within {ENDS_WITHIN_S:.0f} s",
        remedy=f"end it at once with `kill -KILL {pid}`",
    )


def _standing(note: Mapping[str, Any], pid: int) -> Standing:
    try:
        ours = os.readlink("/proc/self/ns/pid")
    except OSError:
        ours = None
    if note.get("pidSpace") not in (None, ours):
        return Standing.ELSEWHERE
    if start_time_of(pid) != note.get("startTime"):
        return Standing.ENDED
    state = _state_of(pid)
    if state in _ENDED:
        return Standing.ENDED
    return Standing.STOPPED if state in _STOPPED else Standing.RUNS


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def _text(note: Mapping[str, Any], key: str) -> str | None:
    value = note.get(key)
    return value if isinstance(value, str) else None


def _number(note: Mapping[str, Any], key: str) -> int | None:
    value = note.get(key)
    return value if type(value) is int else None
