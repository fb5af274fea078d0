"""The stream that gives back what was read ahead and holds writes together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    assert stream.sent_bytes == 4


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


async def test_what_is_held_when_it_is_closed_may_still_go_out():
    inner, peer = memory_stream_pair()
    stream = CorkedStream(inner)
    stream.cork()
    await stream.send_all(b"held")
    await stream.aclose()
    assert stream.sent_bytes == 0

    await stream.give_out()
    await stream.give_out()
    await inner.aclose()

    assert await peer.receive_some() == b"held"
    assert stream.sent_bytes == 4


@asynccontextmanager
async def a_line() -> AsyncIterator[tuple[CorkedStream, trio.SocketStream]]:
    """Open a corked stream over a real socket, and the peer's end of it."""
    ours, theirs = trio.socket.socketpair()
    ours.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
    inner, peer = trio.SocketStream(ours), trio.SocketStream(theirs)
    async with inner, peer:
        yield CorkedStream(inner), peer


async def test_what_the_socket_takes_goes_out_without_waiting():
    async with a_line() as (stream, peer):
        assert stream.send_at_once(b"now") == 0
        assert await peer.receive_some() == b"now"


async def test_what_the_socket_does_not_take_goes_out_before_all_else():
    large = bytes(range(256)) * 4096
    async with a_line() as (stream, peer):
        left = stream.send_at_once(large)
        assert left is not None
        assert 0 < left < len(large)
        assert stream.send_at_once(b"not now") is None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.flush)
            received = b""
            while len(received) < len(large):
                received += await peer.receive_some()
        await stream.flush()
        await stream.send_all(b"later")
        assert received == large
        assert await peer.receive_some() == b"later"


async def test_a_full_socket_takes_nothing_at_once():
    async with a_line() as (stream, _):
        while stream._send_now(b"x" * 1024):
            pass

        assert stream.send_at_once(b"one more") is None


async def test_nothing_goes_out_at_once_on_a_line_that_is_corked_closed_said_goodbye_or_no_socket():
    inner, _ = memory_stream_pair()
    async with a_line() as (corked, _), a_line() as (closed, _), a_line() as (over, _):
        corked.cork()
        await closed.aclose()
        await over.send_all(b"\x88\x02\x03\xe8")

        lines = (corked, closed, over, CorkedStream(inner))
        assert [line.send_at_once(b"x") for line in lines] == [None] * 4
        with pytest.raises(trio.ClosedResourceError):
            await closed.flush()


async def test_the_last_words_do_not_go_into_the_middle_of_a_message():
    async with a_line() as (whole, peer), a_line() as (half, other):
        assert half.send_at_once(b"x" * 1_000_000)
        for stream in (whole, half):
            await stream.aclose()
            await stream.say_last(b"bye")

        assert await peer.receive_some() == b"bye"
        half._inner.socket.shutdown(trio.socket.SHUT_WR)  # type: ignore[attr-defined]  # a socket
        received = b"".join([chunk async for chunk in other])
        assert set(received) == set(b"x")
