"""Hostile WebSocket frames and first messages against a whole gateway: a clean close, nothing more."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from pathlib import Path

import pytest
import trio

from tests.rawframes import a_frame
from tests.scenarios.siege import Siege, besieged, exchange

pytestmark = pytest.mark.slow

SEED = 20_260_906
EXCHANGES, AT_ONCE = 2_400, 12

#: How a connection that was never admitted may end: RFC 6455, section 7.4, and protocol facts.
#: None: the peer's bytes were no frame that could be answered, or it said goodbye itself.
CLEAN = {None, 1000, 1002, 1003, 1005, 1007, 1008, 1009}

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
RESERVED_1 = 0x40

CONNECT = json.dumps({"type": "req", "id": "1", "method": "connect", "params": {}}).encode()
BOMB = zlib.compressobj(9, wbits=-15).compress(bytes(50_000_000))

FRAMES = [
    pytest.param(a_frame(CONNECT, reserved=RESERVED_1), {1002}, id="reserved-bit"),
    pytest.param(a_frame(CONNECT, reserved=0x70), {1002}, id="all-reserved-bits"),
    pytest.param(a_frame(b"{}", opcode=3), {1002}, id="reserved-opcode"),
    pytest.param(a_frame(b"{}", opcode=15), {1002}, id="reserved-control-opcode"),
    pytest.param(b"\x81\x02{}", {1002}, id="not-masked"),
    pytest.param(a_frame(b"{}", opcode=0), {1002}, id="continuation-of-nothing"),
    pytest.param(a_frame(b"{", final=False) + a_frame(b"}"), {1002}, id="two-messages-at-once"),
    pytest.param(a_frame(b"x" * 126, opcode=PING), {1002}, id="ping-too-long"),
    pytest.param(a_frame(b"x", opcode=PING, final=False), {1002}, id="ping-in-parts"),
    pytest.param(a_frame(b"x", opcode=CLOSE), {1002}, id="close-of-one-byte"),
    pytest.param(a_frame(b"\x03\xed", opcode=CLOSE), {1002}, id="close-1005-on-the-wire"),
    pytest.param(a_frame(b"\x00\x00", opcode=CLOSE), {1002}, id="close-0"),
    pytest.param(a_frame(b"\x03\xe8\xff", opcode=CLOSE), {1007, 1002}, id="close-not-utf-8"),
    pytest.param(a_frame(b"\xff\xfe"), {1007}, id="text-not-utf-8"),
    pytest.param(a_frame(b"\xed\xa0\x80"), {1007}, id="surrogate-in-utf-8"),
    pytest.param(a_frame(b"\xff\xfe", opcode=BINARY), {1000}, id="binary-not-utf-8"),
    pytest.param(a_frame(b" " * 65_537), {1009}, id="64-KiB-and-one-byte"),
    pytest.param(a_frame(b" " * 1_000_000), {1009}, id="1-MB"),
    pytest.param(
        a_frame(b"[" * 32_768, final=False) + a_frame(b"[" * 32_769, opcode=0),
        {1009},
        id="64-KiB-in-two-parts",
    ),
    pytest.param(
        a_frame(b"[", final=False) + a_frame(b"[", opcode=0, final=False) * 65_536,
        {1000, 1009},  # that many frames may take longer than there is time to connect
        id="64-KiB-byte-by-byte",
    ),
    pytest.param(a_frame(BOMB[:60_000], reserved=RESERVED_1), {1002}, id="compressed-bomb"),
    pytest.param(b"\x81\xff" + b"\xff" * 8 + bytes(4), {1002, 1009}, id="length-of-2-to-the-64"),
    pytest.param(b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4), {1000}, id="length-of-8-EiB"),
    pytest.param(b"\x81\xff" + bytes(7) + b"\x01" + bytes(4) + b"x", {1002}, id="length-padded"),
    pytest.param(b"\x81\xfe\x00\x01" + bytes(4) + b"x", {1002}, id="short-length-padded"),
    pytest.param(a_frame(b"", opcode=PONG) * 10_000 + a_frame(b"x"), {1000}, id="pongs"),
    pytest.param(
        a_frame(b"p" * 125, opcode=PING) * 3_000 + a_frame(b"x"), {1000, None}, id="pings"
    ),
    pytest.param(a_frame(b"", final=False) * 3, {1002}, id="empty-parts-that-start-anew"),
    pytest.param(a_frame(CONNECT) * 400, {1008}, id="hundreds-of-connects"),
]


@pytest.mark.parametrize(("frames", "codes"), FRAMES)
async def test_a_bad_frame_before_connect_ends_with_a_clean_close(
    tmp_path: Path, frames: bytes, codes: set[int | None]
) -> None:
    got: Counter[int | None] = Counter()

    async def attack(siege: Siege, source: str) -> None:
        heard = await exchange(
            siege.gateway.port, frames, source=source, hang_up=False, upgraded=True
        )
        got[heard.close_code] += 1

    env = {"OPENCLAW_HANDSHAKE_TIMEOUT_MS": "1500"}
    async with besieged(tmp_path, grows_mib=32, env=env) as siege, trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(attack, siege, f"127.0.9.{number + 1}")

    assert got.keys() <= codes


def noise(rng: random.Random) -> list[bytes]:
    """Return frames of which some are right and most are not, cut into pieces."""
    frames = bytearray()
    for _ in range(rng.randrange(1, 8)):
        if rng.random() < 0.25:
            frames += rng.randbytes(rng.randrange(40))
            continue
        payload = rng.choice((b"", b"{}", CONNECT, b"\xff", b"[" * 3_000, rng.randbytes(50)))
        frame = bytearray(
            a_frame(
                payload,
                opcode=rng.choice((0, 1, 1, 1, 2, 3, 8, 9, 10, 15)),
                final=rng.random() < 0.7,
                reserved=rng.choice((0, 0, 0, 0x10, 0x40, 0x70)),
            )
        )
        if rng.random() < 0.3:
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        frames += frame
    cut = rng.randrange(len(frames) + 1)
    return [bytes(frames[:cut]), bytes(frames[cut:])]


async def test_thousands_of_connections_full_of_noise_end_cleanly(tmp_path: Path) -> None:
    codes: Counter[int | None] = Counter()

    async def attack(siege: Siege, number: int) -> None:
        rng = random.Random(SEED + number)
        for _ in range(EXCHANGES // AT_ONCE):
            heard = await exchange(
                siege.gateway.port, *noise(rng), source=f"127.0.10.{number + 1}", upgraded=True
            )
            codes[heard.close_code] += 1

    async with besieged(tmp_path, grows_mib=48) as siege, trio.open_nursery() as nursery:
        for number in range(AT_ONCE):
            nursery.start_soon(attack, siege, number)

    assert codes.keys() <= CLEAN
    assert {1000, 1002, 1007, 1008} <= codes.keys()
