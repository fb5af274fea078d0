"""Who is here: the presence list, one entry a device or client.

Source: protocol fact, the presence entry of both published versions. Clients of mode ``cli`` come
and go with every command and are not listed.
"""

from __future__ import annotations

import platform
import socket
from collections import Counter
from typing import Any

import trio
from attrs import define, field

TTL_MS = 300_000
MAX_ENTRIES = 200


@define(eq=False)
class Presence:
    """The entries by key: device id, else instance id, else connection id, lower case.

    Args:
        changed: Set when an entry came, went or changed; who tells of it puts a new one in.
    """

    version: int = 1
    server_version: str = "0"
    _entries: dict[str, dict[str, Any]] = field(factory=dict)
    changed: trio.Event = field(factory=trio.Event)
    _here: Counter[str] = field(factory=Counter)
    _own: dict[str, Any] = field(factory=dict)

    def note(self, key: str, entry: dict[str, Any]) -> None:
        """Put an entry in, newest last, in place of an older one under the same key."""
        self._entries.pop(key.lower(), None)
        self._entries[key.lower()] = entry
        while len(self._entries) > MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._count_change()

    def arrive(self, key: str) -> None:
        """Count a connection in under its key; the entry itself is `note`d."""
        self._here[key.lower()] += 1

    def depart(self, key: str, *, at_ms: int) -> None:
        """Count a connection out; the last one under a key leaves the reason ``disconnect``."""
        key = key.lower()
        self._here[key] -= 1
        if self._here[key] > 0:
            return
        del self._here[key]
        entry = self._entries.get(key)
        if entry is not None:
            self.note(key, entry | {"reason": "disconnect", "ts": at_ms})

    def entry(self, key: str) -> dict[str, Any] | None:
        """Return the entry under a key, or None."""
        return self._entries.get(key.lower())

    def drop_old(self, *, now_ms: int) -> None:
        """Forget entries nobody refreshed, but for those of connected clients."""
        old = [
            key
            for key, entry in self._entries.items()
            if now_ms - int(entry["ts"]) > TTL_MS and key not in self._here
        ]
        for key in old:
            del self._entries[key]
        if old:
            self._count_change()

    def listing(self, *, now_ms: int) -> list[dict[str, Any]]:
        """Return all entries: the gateway's own first, then newest first."""
        return [self._own_entry(now_ms), *reversed(self._entries.values())]

    def _count_change(self) -> None:
        self.version += 1
        self.changed.set()

    def _own_entry(self, now_ms: int) -> dict[str, Any]:
        if not self._own:
            host = socket.gethostname() or "gateway"
            text = f"Gateway: {host} · app {self.server_version} · mode gateway · reason self"
            self._own = {
                "host": host,
                "version": self.server_version,
                "platform": f"{platform.system().lower()} {platform.release()}",
                "mode": "gateway",
                "reason": "self",
                "text": text,
            }
        return self._own | {"ts": now_ms}
