"""Hostile ``connect`` parameters against a whole gateway: refused in words, shown harmlessly."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.patience import PATIENCE_S
from tests.scenarios.clients import FROM_AFAR, READ, new_key
from tests.scenarios.siege import Siege, besieged
from tests.wire import Wire, connect_params, open_wire

pytestmark = pytest.mark.slow

SEED = 20_260_429
CONNECTS, AT_ONCE = 1_500, 12

#: How a connect that is not let in may end (protocol facts).
CLEAN = {1000, 1002, 1007, 1008, 1009}

#: Terminal escapes, a bell, line breaks, a right-to-left override, a NUL, a C1 control.
CONTROLS = "\x1b[2J\x1b]0;owned\x07\r\nroot@host# \u202e\u2066\x00\x9b31m\x7f"

#: JSON texts that stand for any value; raw, because no encoder would write some of them.
VALUES = [
    "null", "true", "0", "-1", "1.0", "1e400", "-0", "NaN", "Infinity", "9" * 400, str(2**53),
    str(2**64), '""', '"\\ud800"', '"\\u0000"', '"\\u202e"', "[]", "{}", '[["a"]]', '{"a":{}}',
    "[" * 100 + "]" * 100, "[" * 200 + "]" * 200, "[" * 9_000 + "]" * 9_000,
    '{"a":' * 3_000 + "1" + "}" * 3_000, '"' + "x" * 20_000 + '"', "[" + "1," * 9_999 + "1]",
    json.dumps(["operator.read"] * 3_000), json.dumps([f"s{n}" for n in range(8_000)]),
    json.dumps(CONTROLS), json.dumps([CONTROLS]), '"a","role":"operator"', '"\\x"', "'a'", "",
]  # fmt: skip

PLACES = ["minProtocol", "maxProtocol", "client", "client.id", "client.version", "client.mode"]
PLACES += ["client.platform", "client.displayName", "client.deviceFamily", "client.instanceId"]
PLACES += ["role", "scopes", "caps", "commands", "permissions", "pathEnv", "device", "device.id"]
PLACES += ["device.publicKey", "device.signature", "device.signedAt", "device.nonce", "auth"]
PLACES += ["auth.token", "auth.password", "auth.deviceToken", "auth.bootstrapToken", "locale"]
PLACES += ["userAgent", "workerRuns", "modelCatalog", "computerUse", "__proto__", "client.\u202e"]


def spoilt(params: dict[str, Any], place: str, value: str) -> str:
    """Return the text of a ``connect`` with a raw JSON text in one place."""
    mark = "-here-"
    inner, _, name = place.rpartition(".")
    holder = params.setdefault(inner, {}) if inner else params
    holder[name] = mark
    frame = {"type": "req", "id": "1", "method": "connect", "params": params}
    return json.dumps(frame).replace(f'"{mark}"', value)


async def ending(wire: Wire) -> int | None:
    """Return the code with which a connection that was not let in ended."""
    with trio.fail_after(PATIENCE_S):
        code, reason = await wire.closed()
    assert reason.isprintable(), reason
    return code


async def test_a_hostile_value_in_any_field_ends_in_a_clean_refusal(tmp_path: Path) -> None:
    codes: Counter[int | None] = Counter()

    async def attack(siege: Siege, number: int) -> None:
        rng = random.Random(SEED + number)
        token = siege.gateway.token
        for _ in range(CONNECTS // AT_ONCE):
            place, value = rng.choice(PLACES), rng.choice(VALUES)
            async with open_wire(
                siege.gateway.port, headers=FROM_AFAR, source=f"127.0.11.{number + 1}"
            ) as wire:
                key = new_key() if rng.random() < 0.5 or place.startswith("device") else None
                params = connect_params(wire.challenge["nonce"], key=key, token=token, scopes=READ)
                text = spoilt(params, place, value)
                await wire.send(text)
                frame = await answer_or_none(wire)
                code = None if frame and frame["ok"] else await ending(wire)
            codes[code] += 1
            if code not in CLEAN:
                assert frame is not None, (place, value[:80])
                assert frame["ok"], (place, value[:80], frame)

    async with besieged(tmp_path, grows_mib=64) as siege, trio.open_nursery() as nursery:
        for number in range(AT_ONCE):
            nursery.start_soon(attack, siege, number)

    assert codes[1008] > CONNECTS / 2
    assert {1000, 1008, None} <= codes.keys()


async def answer_or_none(wire: Wire) -> dict[str, Any] | None:
    """Return the response to the one request, or None if the line ended without one."""
    try:
        return await wire.receive()
    except ConnectionClosed:
        return None


WHOLE: list[Any] = [
    pytest.param("1" * 65_000, 1000, id="a-number-of-65-thousand-digits"),
    pytest.param("[" * 60_000, 1000, id="60-thousand-levels-unclosed"),
    pytest.param("[" * 30_000 + "]" * 30_000, 1000, id="30-thousand-levels"),
    pytest.param('{"type":"req",' * 4_000, 1000, id="objects-unclosed"),
    pytest.param('{"a":1,"a":2}', 1008, id="no-request"),
    pytest.param('{"type":"req","id":"1","method":"connect","params":NaN}', 1000, id="nan"),
    pytest.param('{"type":"req","id":"\\ud800","method":"connect"}', 1000, id="lone-surrogate"),
    pytest.param('{"type":"req","id":"1","method":"connect","params":[]}', 1008, id="a-list"),
    pytest.param(" " * 60_000, 1000, id="blanks"),
    pytest.param("\ufeff{}", 1000, id="byte-order-mark"),
    pytest.param('"' + "x" * 1_000_000 + '"', 1009, id="1-MB-string"),
]


@pytest.mark.parametrize(("text", "code"), WHOLE)
async def test_a_hostile_first_message_ends_in_one_clean_close(
    tmp_path: Path, text: str, code: int
) -> None:
    codes: set[int] = set()

    async with besieged(tmp_path, grows_mib=32) as siege:
        for _ in range(8):
            async with open_wire(siege.gateway.port, source="127.0.12.1") as wire:
                await wire.send(text)
                codes.add((await wire.closed())[0])

    assert codes == {code}


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({"platform": "linux" + CONTROLS}, id="platform"),
        pytest.param({"family": "phone" + CONTROLS}, id="family"),
        pytest.param({"scopes": ("operator.read", "x" + CONTROLS)}, id="scopes"),
    ],
)
async def test_control_characters_of_a_device_reach_no_terminal_and_no_log(
    tmp_path: Path, where: dict[str, Any]
) -> None:
    async with besieged(tmp_path, grows_mib=32) as siege:
        gateway, key = siege.gateway, new_key()
        agent = (*FROM_AFAR, ("User-Agent", "\x9b31m" + "u" * 8_000))
        async with open_wire(gateway.port, headers=agent) as wire:
            wanted = {"scopes": READ} | where
            params = connect_params(wire.challenge["nonce"], key=key, token=gateway.token, **wanted)
            params["client"]["displayName"] = "tea" + CONTROLS
            await wire.send({"type": "req", "id": "1", "method": "connect", "params": params})
            answer = await wire.answer("1")
            _, reason = await wire.closed()
        listed = await trio.to_thread.run_sync(lambda: gateway.openclaw("devices", "list"))
        said, lines = gateway.said(), [str(line["message"]) for line in gateway.logged()]

    assert answer["error"]["details"]["code"] == "PAIRING_REQUIRED"
    assert listed.code == 0
    assert "tea" in listed.out
    for line in (*listed.out.split("\n"), *said.split("\n"), *lines, reason):
        assert line.isprintable(), line
    assert max(map(len, said.split("\n"))) < 1_500
