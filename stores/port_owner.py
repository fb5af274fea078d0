"""Who holds a TCP port on this machine, read from /proc; other users' processes too, by uid."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

_LISTEN = "0A"
_SECRET_OPTIONS = (b"--token", b"--password")


@frozen
class PortOwner:
    """The holder of a listening port; ``pid`` and ``command`` only where we may look."""

    uid: int
    pid: int | None = None
    command: str | None = None

    def in_words(self) -> str:
        """Return one clause that names the holder."""
        try:
            user = pwd.getpwuid(self.uid).pw_name
        except KeyError:
            user = f"uid {self.uid}"
        if self.pid is None:
            return f"a process of user {user}"
        return f"process {self.pid} of user {user} ({self.command or '?'})"


def port_owner(port: int) -> PortOwner | None:
    """Return who listens on a TCP port, or None if nobody does or the kernel does not tell."""
    found = _listener(port)
    if found is None:
        return None
    uid, inode = found
    pid = _pid_of_socket(inode)
    return PortOwner(uid, pid, None if pid is None else command_of(pid))


def sees_listener(pid: int, port: int) -> bool:
    """Tell whether a process is in the network where the socket is that holds a port here.

    Unlike the name of its network namespace, this can be read of another user's process too.
    """
    found = _listener(port)
    return found is not None and found == _listener(port, process=str(pid))


def _listener(port: int, *, process: str = "self") -> tuple[int, str] | None:
    """Return the user and the inode of the socket that listens on a port in a process's network."""
    for table in (f"/proc/{process}/net/tcp", f"/proc/{process}/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if parts[3] == _LISTEN and int(parts[1].rpartition(":")[2], 16) == port:
                return int(parts[7]), parts[9]
    return None


def _pid_of_socket(inode: str) -> int | None:
    wanted = f"socket:[{inode}]"
    with os.scandir("/proc") as processes:
        return next(
            (int(one.name) for one in processes if one.name.isdigit() and _holds(one.name, wanted)),
            None,
        )


def _holds(pid: str, wanted: str) -> bool:
    """Tell whether a process has a file open; no for one that we may not look into."""
    try:
        with os.scandir(f"/proc/{pid}/fd") as handles:
            return any(_target(handle.path) == wanted for handle in handles)
    except OSError:
        return False


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def command_of(pid: int) -> str | None:
    """Return a process's command line on one line, at most 120 characters and without secrets."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    text = b" ".join(_without_secrets(words)).decode(errors="replace").strip()
    return "".join(char if char.isprintable() else "?" for char in text)[:120] or None


def _without_secrets(words: list[bytes]) -> Iterator[bytes]:
    hidden = False
    for word in words:
        option, sign, _ = word.partition(b"=")
        if hidden:
            yield b"***"
        else:
            yield option + b"=***" if sign and option in _SECRET_OPTIONS else word
        hidden = not hidden and word in _SECRET_OPTIONS


def start_time_of(pid: int) -> int | None:
    """Return when a process started, in kernel clock ticks: tells a reused pid from the old one."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
