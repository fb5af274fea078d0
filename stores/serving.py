"""Which gateway answers on a port, and which state directory it works on, as far as /proc tells."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.owner import user_name
from stores.port_owner import port_owner, sees_listener, start_time_of

#: A running gateway holds one of these open in its state directory for its whole life.
LOCK_NAMES = ("gateway.lock", "gateway.lock.held")


@frozen
class Serving:
    """A gateway that holds a port; ``state_dir`` only where we may look into its process.

    Args:
        pid: None if several processes of that user may be the one.
    """

    port: int
    uid: int
    pid: int | None
    state_dir: Path | None = None

    def in_words(self) -> str:
        """Return one clause that names the gateway."""
        pid = "" if self.pid is None else f"pid {self.pid}, "
        return f"the gateway on port {self.port} ({pid}user {user_name(self.uid)})"


def gateway_on(port: int) -> Serving | None:
    """Return the gateway that listens on a port of this machine, None if that is not known.

    Of another user's processes only their command lines can be seen: one that has the word
    `gateway` in it is taken for the holder. One in another network, such as a container's, cannot be
    it: a forwarder holds the port then.
    """
    owner = port_owner(port)
    if owner is None:
        return None
    if owner.pid is not None:
        folder = _locked_folder(owner.pid)
        return None if folder is None else Serving(port, owner.uid, owner.pid, folder)
    pids = [pid for pid in _gateways_of(owner.uid) if sees_listener(pid, port)]
    return Serving(port, owner.uid, pids[0] if len(pids) == 1 else None) if pids else None


def _locked_folder(pid: int) -> Path | None:
    """Return the folder of the gateway lock that a process has open."""
    try:
        with os.scandir(f"/proc/{pid}/fd") as handles:
            links = [Path(os.readlink(handle.path)) for handle in handles]
    except OSError:
        return None
    return next((link.parent for link in links if link.name in LOCK_NAMES), None)


def _gateways_of(uid: int) -> Iterator[int]:
    with os.scandir("/proc") as processes:
        for one in processes:
            try:
                if one.name.isdigit() and one.stat().st_uid == uid:
                    words = Path(f"/proc/{one.name}/cmdline").read_bytes().split(b"\0")
                    if b"gateway" in words:
                        yield int(one.name)
            except OSError:
                continue


def read_lock_note(state_dir: Path) -> Mapping[str, Any]:
    """Return what the last gateway noted in the lock of a state directory; empty if none did."""
    for name in LOCK_NAMES:
        try:
            handle = os.open(
                state_dir / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError:
            continue
        with os.fdopen(handle, "rb") as file:
            try:
                note = json.loads(file.read(1 << 16))
            except (OSError, ValueError):
                continue
        if isinstance(note, dict) and note:
            return note
    return {}


def may_be_served(state_dir: Path) -> bool:
    """Tell whether a gateway may run on a state directory: no only if none does for sure.

    One of another container has pids that mean nothing here.
    """
    note = read_lock_note(state_dir)
    if not note:
        return False
    pid = note.get("pid")
    if not isinstance(pid, int) or note.get("startTime") is None:
        return True
    try:
        ours = os.readlink("/proc/self/ns/pid") == note.get("pidSpace")
    except OSError:
        return True
    return not ours or start_time_of(pid) == note["startTime"]
