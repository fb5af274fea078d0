"""Broken frames on an open session, and who is told of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.rawframes import a_frame, admitted, send_raw, wait_until_gone
from tests.serving import open_gateway
from tests.wire import open_wire


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(a_frame(b"{}", reserved=0x40), 1002, id="reserved-bit"),
        pytest.param(a_frame(b"{}", opcode=3), 1002, id="reserved-opcode"),
        pytest.param(b"\x81\x02{}", 1002, id="not-masked"),
        pytest.param(a_frame(b"\xff\xfe"), 1007, id="not-utf-8"),
    ],
)
async def test_a_session_that_sends_broken_frames_is_told_why_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, frame: bytes, code: int
):
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as other:
        await admitted(other)
        async with open_wire(gateway.port) as wire:
            await admitted(wire)
            await send_raw(wire, frame)

            assert (await wire.closed())[0] == code
        await wait_until_gone(gateway, 1)
        assert await other.result("health")
    assert [record for record in caplog.records if record.exc_info] == []


async def test_broken_frames_before_connect_are_one_line_with_what_to_look_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, logger="gateway")
    async with open_gateway(tmp_path / "s") as gateway:
        for _ in range(5):
            async with open_wire(gateway.port) as wire:
                await send_raw(wire, a_frame(b"{}", reserved=0x40))
                await wire.closed()

    lines = [text for text in map(str, caplog.messages) if "code=1002" in text]
    assert len(lines) == 1
    assert "no WebSocket frame: the client, or a proxy, spoils it" in lines[0]


async def test_a_client_that_says_goodbye_with_an_error_of_its_own_is_answered_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, logger="gateway")
    async with open_gateway(tmp_path / "s") as gateway, open_wire(gateway.port) as wire:
        await send_raw(wire, a_frame(b"\x03\xea", opcode=8))  # 1002

        assert (await wire.closed())[0] == 1002
    assert [text for text in caplog.messages if "closed before connect" in text] == []
