"""Whatever the store holds and whatever became of the gateway: `devices list` answers, and quickly."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import Finished, Gateway, running_gateway
from tests.scenarios.timing import timed

pytestmark = pytest.mark.slow

KEY = "jxjcOrBrBIS-42LayYha_eShmDAxWO0WEhcbz9mVLrw"
ID = "2782b2ba2906977c8eee48bcce3ef248203ecf270b4e1384ad8f8d840e0425ba"
#: A record of the right key that is odd in everything that is only shown.
ODD: dict[str, Any] = {
    "deviceId": ID,
    "publicKey": KEY,
    "displayName": "\x1b[2J\u202e\x00\u2028name" * 99,
    "role": "operator",
    "roles": ["operator", "\x1b]0;x\x07"],
    "scopes": [f"operator.s{n}" for n in range(400)],
    "remoteIp": "\x9b31m",
    "tokens": {"operator": {"token": "S3CRET-TOKEN", "role": "operator", "createdAtMs": 10**18}},
    "createdAtMs": -(10**18),
    "approvedAtMs": 10**18,
}

CONTENTS = {
    "empty": ("paired.json", b""),
    "zeros": ("paired.json", b"\x00" * 4096),
    "deep": ("paired.json", b"[" * 200_000),
    "deep-objects": ("paired.json", b'{"a":' * 50_000),
    "array": ("paired.json", b"[1, 2]"),
    "odd": ("paired.json", json.dumps({ID: ODD}).encode()),
    "odd-keys": ("paired.json", b'{"\\ud800": {}, "b": null, "c": 1e999}'),
    "large": ("paired.json", b'{"x": "' + b"y" * 8_000_000 + b'"}'),
    "pending": ("pending.json", b'{"AAAA-AAAA": {"ts": "soon"}}'),
    "notes": ("notes.json", b'{"' + ID.encode() + b'": {"label": 7}}'),
    "trail": ("audit.jsonl", b"\xff" * 100_000),
    "key": ("store.key", b"x"),
}
BECAME = ["up", "down", "stopped", "refuses"]


@contextmanager
def gateway_that(became: str, state_dir: Path) -> Iterator[tuple[Gateway, dict[str, str]]]:
    """Run a gateway that a device knocked at, and let that become of it."""
    token = state_dir.parent / "token"
    token.parent.mkdir(parents=True)
    token.write_text("the-token-it-was-started-with")
    with running_gateway(state_dir, "--token-file", str(token)) as gateway:
        env = {"OPENCLAW_GATEWAY_TOKEN": "the-token-it-was-started-with"}
        knock(gateway.port, **stranger(env["OPENCLAW_GATEWAY_TOKEN"]))
        if became == "down":
            gateway.end()
        elif became == "stopped":
            gateway.tell(signal.SIGSTOP)
        elif became == "refuses":
            env = {"OPENCLAW_GATEWAY_TOKEN": "another-one-altogether"}
        yield gateway, env


@pytest.mark.parametrize("became", BECAME)
def test_the_list_is_there_within_two_seconds(tmp_path: Path, became: str) -> None:
    with gateway_that(became, tmp_path / "home" / ".openclaw") as (gateway, env):
        for name, content in CONTENTS.values():
            kept = gateway.devices / name
            before = kept.read_bytes() if kept.exists() else None
            kept.write_bytes(content)
            done, took_s = timed(gateway, "devices", "list", env=env)
            kept.unlink() if before is None else kept.write_bytes(before)

            check_harmless(done)
            assert done.code == 0, done
            assert took_s < 2.0
            assert became == "up" or "using the local state in" in done.err


def test_the_check_of_the_store_takes_everything_too(tmp_path: Path) -> None:
    with gateway_that("down", tmp_path / "home" / ".openclaw") as (gateway, env):
        for name, content in CONTENTS.values():
            kept = gateway.devices / name
            before = kept.read_bytes() if kept.exists() else None
            kept.write_bytes(content)
            done, took_s = timed(gateway, "devices", "verify", "--json", env=env)
            after = kept.read_bytes()
            kept.unlink() if before is None else kept.write_bytes(before)

            check_harmless(done)
            assert took_s < 2.0
            assert done.json["ok"] is (name == "audit.jsonl")
            assert done.code == (0 if done.json["ok"] else 1), done
            assert after == content


def check_harmless(done: Finished) -> None:
    """Check that what was printed steers no terminal, and holds neither secret nor traceback."""
    for text in (done.out, done.err):
        assert not set(text) & {"\x1b", "\x00", "\x9b", "\u202e", "\u2028"}
        assert "S3CRET-TOKEN" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("became", BECAME)
@pytest.mark.parametrize("road", [(), ("--offline",)], ids=["gateway-first", "files"])
def test_what_takes_something_away_works_in_every_state_when_told_how(
    tmp_path: Path, became: str, road: tuple[str, ...]
) -> None:
    with gateway_that(became, tmp_path / "home" / ".openclaw") as (gateway, env):
        item = next(iter(gateway.kept("pending.json").values()))
        approved, approved_s = timed(
            gateway, "devices", "approve", item["requestId"], *road, env=env
        )
        removed, _ = timed(gateway, "devices", "remove", item["deviceId"], "--yes", *road, env=env)

    assert approved.code == 0, approved
    assert approved_s < 2.0
    if became == "up" or road:
        assert removed.code == 0, removed
        assert item["deviceId"] not in gateway.kept("paired.json")
    else:
        assert removed.code == (1 if became == "refuses" else 3)
        assert f"openclaw devices remove {item['deviceId']} --yes --offline`" in removed.err
        assert item["deviceId"] in gateway.kept("paired.json")
