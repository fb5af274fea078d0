"""A byte stream that gives back what was read ahead, and can hold several writes for one."""

from __future__ import annotations

import trio


class CorkedStream(trio.abc.Stream):
    """A stream in front of another: ``head`` is received first, corked writes wait.

    While corked, `send_all` only remembers; the first write after `uncork` takes all of it along,
    so that many frames cost one system call.
    """

    def __init__(self, inner: trio.abc.Stream, head: bytes = b"") -> None:
        self._inner = inner
        self._head = head
        self._held = bytearray()
        self._corked = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes; what was read ahead comes first."""
        if self._head:
            size = len(self._head) if max_bytes is None else max_bytes
            data, self._head = self._head[:size], self._head[size:]
            return data
        return bytes(await self._inner.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or remember while corked."""
        if self._corked:
            self._held += data
            return
        if self._held:
            data, self._held = self._held + data, bytearray()
        await self._inner.send_all(data)

    def cork(self) -> None:
        """Hold back what is sent from now on."""
        self._corked = True

    def uncork(self) -> None:
        """Let the next write take along what was held back."""
        self._corked = False

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the inner stream does."""
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self._inner.aclose()
