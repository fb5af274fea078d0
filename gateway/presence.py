"""Who is here: the presence list, one entry a device or client.

Source: protocol fact, the presence entry of both published versions. Clients of mode ``cli`` come
and go with every command and are not listed.
"""

from __future__ import annotations

import platform
import socket
from typing import Any

from attrs import define, field

TTL_MS = 300_000
MAX_ENTRIES = 200


@define(eq=False)
class Presence:
    """The entries by key: device id, else instance id, else connection id, lower case."""

    version: int = 1
    server_version: str = "0"
    _entries: dict[str, dict[str, Any]] = field(factory=dict)
    _own: dict[str, Any] = field(factory=dict)

    def note(self, key: str, entry: dict[str, Any]) -> None:
        """Put an entry in, newest last, in place of an older one under the same key."""
        self._entries.pop(key.lower(), None)
        self._entries[key.lower()] = entry
        while len(self._entries) > MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self.version += 1

    def entry(self, key: str) -> dict[str, Any] | None:
        """Return the entry under a key, or None."""
        return self._entries.get(key.lower())

    def drop_old(self, *, now_ms: int, connected: frozenset[str]) -> None:
        """Forget entries nobody refreshed, but for those of connected clients."""
        old = [
            key
            for key, entry in self._entries.items()
            if now_ms - int(entry["ts"]) > TTL_MS and key not in connected
        ]
        for key in old:
            del self._entries[key]
        self.version += bool(old)

    def listing(self, *, now_ms: int) -> list[dict[str, Any]]:
        """Return all entries: the gateway's own first, then newest first."""
        return [self._own_entry(now_ms), *reversed(self._entries.values())]

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
