"""Hostile request heads by the thousand against a whole gateway: answered or hung up on, never felt."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import trio

from tests.scenarios.siege import HANDSHAKE, Siege, besieged, exchange

pytestmark = pytest.mark.slow

SEED = 20_260_219
HEADS, AT_ONCE = 6_000, 12

#: Clear answers to what is no request, or no request for what there is.
CLEAR = {101, 200, 400, 403, 404, 405, 426, 431, 501}

METHODS: tuple[bytes, ...] = (
    b"GET",
    b"POST",
    b"HEAD",
    b"CONNECT",
    b"get",
    b"G\xc3\x89T",
    b"",
    b"\x00",
    b"X" * 300,
)
TARGETS: tuple[bytes, ...] = (
    b"/",
    b"*",
    b"",
    b"http://evil/",
    b"//",
    b"/%00",
    b"/\xff",
    b"/../../etc/passwd",
)
TARGETS += (b"/" + b"a" * 8000, b"/?token=" + b"x" * 100, b"\x1b[2J", b"/a b")
VERSIONS: tuple[bytes, ...] = (
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/1.",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"",
)
NAMES: tuple[bytes, ...] = (
    b"Host",
    b"Origin",
    b"Upgrade",
    b"Connection",
    b"Sec-WebSocket-Key",
    b"User-Agent",
)
NAMES += (b"Sec-WebSocket-Version", b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol")
NAMES += (b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For", b"Forwarded", b"Via")
NAMES += (b"X-Real-IP", b"Cookie", b"Expect", b"N\xc3\xa4me", b"a b", b"", b"\x00", b"x" * 300)
VALUES: tuple[bytes, ...] = (
    b"websocket",
    b"Upgrade",
    b"13",
    b"dGhlIHNhbXBsZSBub25jZQ==",
    b"127.0.0.1",
    b"chunked",
)
VALUES += (b"permessage-deflate; client_max_window_bits=99", b"-1", b"9" * 40, b"100-continue")
VALUES += (b"\xff\xfe", b"xn--\x80", b"\x1b]0;owned\x07", b"%s%n", b"a" * 4000, b",,,", b"")
VALUES += (b"http://evil.example", b"null", b"::ffff:127.0.0.1", b"for=127.0.0.1", b"a\rb", b"\x00")
ENDS = (b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\t")


def a_head(rng: random.Random) -> bytes:
    """Return a request head of likely and unlikely parts."""
    if rng.random() < 0.35:
        return a_spoilt_handshake(rng)
    likely = rng.random() < 0.5
    method, version = (METHODS[0], VERSIONS[0]) if likely else map(rng.choice, (METHODS, VERSIONS))
    first = b" ".join((method, rng.choice(TARGETS), version))
    lines = [first]
    colons = (b": ", b":", b" : ", b"")
    many = rng.randrange(8) if rng.random() < 0.95 else rng.randrange(2_000)
    lines += [b"".join(map(rng.choice, (NAMES, colons, VALUES))) for _ in range(many)]
    text = b"".join(line + rng.choice(ENDS[:2] if rng.random() < 0.8 else ENDS) for line in lines)
    return text + rng.choice((b"\r\n", b"\n", b"", b"\r\n" + rng.randbytes(rng.randrange(200))))


def a_spoilt_handshake(rng: random.Random) -> bytes:
    """Return a WebSocket handshake with a few bytes, or a header, that do not belong there."""
    data = bytearray(HANDSHAKE)
    for _ in range(rng.randrange(1, 5)):
        place, kind = rng.randrange(len(data)), rng.randrange(4)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 2:
            del data[place : place + rng.randrange(1, 20)]
        else:
            header = rng.choice(NAMES) + b": " + rng.choice(VALUES) + b"\r\n"
            data[data.find(b"\r\n") + 2 : data.find(b"\r\n") + 2] = header
    return bytes(data)


def in_pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """Return the bytes as they may arrive: at once, twice over, or cut where nobody would."""
    if rng.random() < 0.6:
        return [data]
    if rng.random() < 0.2:
        return [data * rng.randrange(2, 6)]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def test_thousands_of_hostile_heads_get_clear_answers_and_nobody_else_notices(
    tmp_path: Path,
) -> None:
    statuses: Counter[int | None] = Counter()
    unclear: list[tuple[bytes, bytes]] = []

    async def attack(siege: Siege, number: int) -> None:
        rng = random.Random(SEED + number)
        for _ in range(HEADS // AT_ONCE):
            pieces = in_pieces(rng, a_head(rng))
            heard = await exchange(
                siege.gateway.port, *pieces, source=f"127.0.7.{number + 1}", hang_up=True
            )
            statuses[heard.status] += 1
            if heard.status not in CLEAR and b"".join(pieces).strip():
                unclear.append((b"".join(pieces)[:300], heard.data[:300]))

    async with besieged(tmp_path, grows_mib=48) as siege, trio.open_nursery() as nursery:
        for number in range(AT_ONCE):
            nursery.start_soon(attack, siege, number)

    assert unclear == []
    assert statuses[400] > HEADS / 4
    assert {101, 404, 431} <= statuses.keys()


GARBAGE = [
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), id="tls-1.2-hello"),
    pytest.param(b"\x16\x03\xff" + b"\xff" * 16_000, id="tls-of-no-version"),
    pytest.param(b"\x80\x2e\x01\x00\x02", id="ssl-2-hello"),
    pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="ssh"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
    pytest.param(b"\x05\x01\x00", id="socks"),
    pytest.param(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", id="proxy-protocol"),
    pytest.param(b"\r\n" * 8_000, id="empty-lines"),
    pytest.param(b"\n" * 17_000, id="line-feeds"),
    pytest.param(bytes(40_000), id="zeros"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 400_000, id="endless-header"),
    pytest.param(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 60_000, id="endless-headers"),
    pytest.param(b"GET /" + b"a" * 400_000, id="endless-target"),
    pytest.param(b"", id="nothing-at-all"),
]


@pytest.mark.parametrize("data", GARBAGE)
async def test_what_is_no_http_costs_nothing_and_ends(tmp_path: Path, data: bytes) -> None:
    statuses: Counter[int | None] = Counter()

    async def attack(siege: Siege, source: str, *, hang_up: bool) -> None:
        heard = await exchange(siege.gateway.port, data, source=source, hang_up=hang_up)
        statuses[heard.status] += 1

    async with besieged(tmp_path, grows_mib=24) as siege, trio.open_nursery() as nursery:
        for number in range(24):
            complete = len(data) > 16_384 or data.startswith(b"\x16\x03")
            hang_up = number % 2 == 0 or not complete
            nursery.start_soon(
                lambda source, hang_up: attack(siege, source, hang_up=hang_up),
                f"127.0.8.{number + 1}",
                hang_up,
            )

    assert statuses.keys() <= {None, 400, 431}
