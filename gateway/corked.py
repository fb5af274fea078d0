"""A byte stream that gives back what was read ahead, and can hold several writes for one."""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

#: What is read at once where nobody says how much, bytes.
READ_BYTES = 65_536

# The first byte of a close frame (RFC 6455, section 5.2); each write is one frame.
_CLOSE_FRAME = b"\x88"


class CorkedStream(trio.abc.Stream):
    """A stream in front of another: ``head`` is received first, corked writes wait.

    While corked, `send_all` only remembers; the first write after `uncork` takes all of it along,
    so that many frames cost one system call.

    A socket is read when it is readable and written at once: Trio's own stream tries every read in
    vain first and goes once round the loop after every write, which is a quarter of what a small
    answer costs. So `send_all` is no checkpoint here unless the kernel's buffer is full; whoever
    takes a lock around it, as the WebSocket library does, passes one there.

    Closing it leaves the inner stream open for its owner: closing a socket that holds unread input
    resets the connection, and the peer would never see our last words.
    """

    def __init__(self, inner: trio.abc.Stream, head: bytes = b"") -> None:
        self._inner = inner
        self._head = head
        self._held = bytearray()
        self._corked = False
        self._closed = False
        self._socket = inner.socket if isinstance(inner, trio.SocketStream) else None
        self._filled = False
        #: Bytes that came in and went out, as they are above any encryption.
        self.received_bytes = len(head)
        self.sent_bytes = 0
        #: Whether the last frame written was a close.
        self.said_goodbye = False
        #: Called once when the stream is closed.
        self.on_close: Callable[[], None] | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes; what was read ahead comes first."""
        self._refuse_if_closed()
        if self._head:
            size = len(self._head) if max_bytes is None else max_bytes
            data, self._head = self._head[:size], self._head[size:]
            return data
        if self._socket is None:
            data = bytes(await self._inner.receive_some(max_bytes))
            self.received_bytes += len(data)
            return data
        size = max_bytes or READ_BYTES
        if self._filled:  # there is probably more: no need to wait for it
            data = bytes(await self._inner.receive_some(size))
        else:
            data = await receive_when_ready(self._socket, size)
        self._filled = len(data) == size
        self.received_bytes += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or remember while corked."""
        self._refuse_if_closed()
        self.said_goodbye = bytes(data[:1]) == _CLOSE_FRAME
        if self._corked:
            self._held += data
            return
        if self._held:
            self._held += data
            data, self._held = self._held, bytearray()
        self.sent_bytes += len(data)
        sent = self._send_now(data)
        if sent < len(data):
            await self._inner.send_all(memoryview(data)[sent:])

    def _send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Send what the kernel takes at once and return how much that was."""
        if self._socket is None:
            return 0
        try:
            return os.write(self._socket.fileno(), data)
        except OSError:
            return 0  # full or broken: the inner stream waits, or says what is wrong

    def send_at_once(self, data: bytes) -> int | None:
        """Send without waiting; None if nothing went out, else how many bytes wait for `flush`.

        Those go out in front of all that is sent later. The caller sees to it that nothing is
        being sent meanwhile.
        """
        if self._closed or self._corked or self._held or self.said_goodbye:
            return None
        sent = self._send_now(data)
        if not sent:
            return None
        self.sent_bytes += sent
        self._held += memoryview(data)[sent:]
        return len(data) - sent

    async def flush(self) -> None:
        """Send what is held back, and nothing else."""
        self._refuse_if_closed()
        await self.give_out()

    async def give_out(self) -> None:
        """Send what is still held back, also when this stream is closed."""
        if self._held:
            data, self._held = self._held, bytearray()
            self.sent_bytes += len(data)
            await self._inner.send_all(data)

    def cork(self) -> None:
        """Hold back what is sent from now on."""
        self._corked = True

    def uncork(self) -> None:
        """Let the next write take along what was held back."""
        self._corked = False

    async def say_last(self, data: bytes) -> None:
        """Send what the library left unsaid when it closed this stream; never within a message."""
        if not self._held:
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the inner stream does."""
        self._refuse_if_closed()
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Let nothing more through; the inner stream is its owner's to close."""
        if not self._closed:
            self._closed = True
            if self.on_close is not None:
                self.on_close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError


async def receive_when_ready(socket: trio.socket.SocketType, max_bytes: int) -> bytes:
    """Wait until there is something to read and return it; empty is the end.

    Raises:
        BrokenResourceError: the connection was reset.
        ClosedResourceError: the socket was closed here.
    """
    while True:
        if socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(socket)
        try:
            return os.read(socket.fileno(), max_bytes)
        except BlockingIOError:
            continue  # somebody was faster, or the kernel changed its mind
        except OSError as error:
            raise trio.BrokenResourceError from error
