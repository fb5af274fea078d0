"""What the gateway tells the service manager that started it: ready, reloading, stopping, alive.

Source: sd_notify(3), a datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

import trio
from attrs import frozen

#: A manager that is this busy is not waited for: the event loop has more to do.
SEND_WITHIN_S = 1.0

#: Longest sentence of a status.
STATUS_CHARACTERS = 600

#: The status of a gateway whose file cannot be used; of the file itself it says nothing.
ON_EARLIER = "runs on an earlier configuration: see `openclaw config validate`"

#: How often within the manager's patience it hears that the event loop turns.
WATCHDOG_SHARE = 3


@frozen
class Supervisor:
    """Who is told how the gateway is; without an address nobody is.

    Args:
        address: A socket's path; one that begins with ``@`` is in the abstract name space.
        watchdog_s: For how long the manager may hear nothing before it ends the gateway.
    """

    address: str | None = None
    watchdog_s: float | None = None

    def tell(self, *lines: str) -> None:
        """Send lines as one datagram; a manager that cannot be reached changes nothing here."""
        if self.address is None:
            return
        to = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one,
        ):
            one.settimeout(SEND_WITHIN_S)
            one.sendto("\n".join(lines).encode(errors="replace"), to)

    def ready(self, status: str) -> None:
        """Say that clients can succeed, for the first time or again."""
        self.tell("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that the configuration is being taken in; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self.tell("STOPPING=1", _status("stopping"))

    def failed(self, why: str) -> None:
        """Say why the gateway does not start: this outlives it, and needs no right to read logs."""
        self.tell(_status(why))

    async def feed_watchdog(self) -> None:
        """Serve for ever: say that the event loop turns; one that hangs is ended by the manager."""
        if self.watchdog_s is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(self.watchdog_s / WATCHDOG_SHARE)


def supervisor_of(env: Mapping[str, str]) -> Supervisor:
    """Return the service manager that an environment names."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Supervisor()
    patience_us, meant = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    armed = patience_us.isdigit() and int(patience_us) and meant in ("", str(os.getpid()))
    return Supervisor(address, int(patience_us) / 1_000_000 if armed else None)


def _status(text: str) -> str:
    line = " ".join(text.split())
    return f"STATUS={line[:STATUS_CHARACTERS]}"
