"""Frames and bytes that a well-behaved client never sends, and waits for what follows."""

from __future__ import annotations

import contextlib
import struct

import trio

from tests.patience import wait_until
from tests.serving import TOKEN, Serving
from tests.wire import Wire

READ = ("operator.read",)


def a_frame(payload: bytes, *, opcode: int = 1, final: bool = True, reserved: int = 0) -> bytes:
    """Return a masked client frame; the mask is zero."""
    first = (0x80 if final else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return bytes([first]) + length + bytes(4) + payload


async def send_raw(wire: Wire, data: bytes) -> None:
    """Send bytes past the client's own frame encoder, until the gateway takes no more."""
    with contextlib.suppress(trio.BrokenResourceError):
        async with wire.ws._stream_lock:
            await wire.ws._stream.send_all(data)


async def admitted(wire: Wire) -> Wire:
    """Connect without a device and return the wire."""
    assert (await wire.connect(token=TOKEN, scopes=READ))["ok"]
    return wire


async def wait_until_gone(gateway: Serving, count: int = 0) -> None:
    """Wait until no more sessions than ``count`` are left."""
    await wait_until(lambda: len(gateway.runtime.hub) <= count)
