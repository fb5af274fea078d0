"""The stream that gives back what was read ahead and holds writes together."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from gateway.corked import CorkedStream


async def test_what_was_read_ahead_comes_first_in_the_sizes_asked_for():
    inner, peer = memory_stream_pair()
    stream = CorkedStream(inner, b"abcdef")
    await peer.send_all(b"ghi")

    assert [await stream.receive_some(4), await stream.receive_some()] == [b"abcd", b"ef"]
    assert await stream.receive_some(10) == b"ghi"


async def test_corked_writes_go_out_with_the_next_one():
    inner, _ = memory_stream_pair()
    writes: list[bytes] = []
    hook = inner.send_stream
    send = hook.send_all

    async def count(data: bytes | bytearray | memoryview) -> None:
        writes.append(bytes(data))
        await send(data)

    hook.send_all = count  # type: ignore[method-assign]  # what reaches the other end, write by write
    stream = CorkedStream(inner)

    await stream.send_all(b"1")
    stream.cork()
    await stream.send_all(b"2")
    await stream.send_all(b"3")
    assert writes == [b"1"]
    stream.uncork()
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"4")

    assert writes == [b"1", b"234"]
    assert stream.wrote


async def test_closing_lets_nothing_through_but_leaves_the_inner_stream_to_its_owner():
    inner, peer = memory_stream_pair()
    stream = CorkedStream(inner, b"left over")
    told: list[bool] = []
    stream.on_close = lambda: told.append(True)

    await stream.aclose()
    await stream.aclose()

    for attempt in (stream.receive_some, lambda: stream.send_all(b"x")):
        with pytest.raises(trio.ClosedResourceError):
            await attempt()
    with pytest.raises(trio.ClosedResourceError):
        await stream.wait_send_all_might_not_block()
    await inner.send_all(b"still open")
    assert await peer.receive_some() == b"still open"
    assert told == [True]
