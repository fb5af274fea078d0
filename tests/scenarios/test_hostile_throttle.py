"""Guessing secrets against a whole gateway: few guesses, each counted, and nobody else locked out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.scenarios.clients import READ, knock, knocking, new_key
from tests.scenarios.programs import Gateway, running_gateway
from tests.serving import TOKEN, write_config

pytestmark = pytest.mark.slow

BUDGET, GUESSES = 10, 200
WRONG, LOCKED = "AUTH_TOKEN_MISMATCH", "AUTH_RATE_LIMITED"

#: Everybody is behind the same trusted proxy, which names any address a test likes.
BEHIND_A_PROXY: dict[str, Any] = {"trustedProxies": ["127.0.0.1"]}


@contextmanager
def serving(tmp_path: Path, section: dict[str, Any] | None = None) -> Iterator[Gateway]:
    """Serve a gateway with room for every guess at once: only the throttle is under test."""
    state = tmp_path / "home" / ".openclaw"
    write_config(state, BEHIND_A_PROXY if section is None else section)
    with running_gateway(state, env={"OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP": "1000"}) as gateway:
        yield gateway


def of(client: str) -> tuple[tuple[str, str], ...]:
    """Return the headers with which the proxy names a client."""
    return (("X-Forwarded-For", client),)


def guess(gateway: Gateway, client: str = "203.0.113.9", **words: Any) -> str:
    """Present a wrong token, or what is given; return the code of the refusal, or `ok`."""
    words = {"token": "a-wrong-token", "scopes": READ, "headers": of(client)} | words
    answer = knock(gateway.port, **words)
    return "ok" if answer.admitted else str(answer.details["code"])


def guesses(gateway: Gateway, times: int, client: str = "203.0.113.9", **words: Any) -> list[str]:
    return [guess(gateway, client, **words) for _ in range(times)]


async def test_of_200_guesses_at_once_no_more_than_the_budget_is_looked_at(tmp_path: Path) -> None:
    codes: Counter[str] = Counter()
    took_s: list[float] = []

    with serving(tmp_path) as gateway:

        async def one() -> None:
            words: dict[str, Any] = {"token": "a-wrong-token", "headers": of("203.0.113.9")}
            began = trio.current_time()
            codes[(await knocking(gateway.port, **words)).details["code"]] += 1
            took_s.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for _ in range(GUESSES):
                nursery.start_soon(one)
        right = await knocking(gateway.port, token=TOKEN, headers=of("203.0.113.9"))
        elsewhere = await knocking(gateway.port, token=TOKEN, headers=of("203.0.113.10"))
        lines = [line for line in gateway.logged() if "closed before connect" in line["message"]]

    assert codes == {WRONG: BUDGET, LOCKED: GUESSES - BUDGET}
    assert right.details["code"] == LOCKED
    assert elsewhere.admitted
    assert max(took_s) < 5  # 200 handshakes at once, and no artificial delay in any of them
    assert len(lines) <= 4


def test_a_wrong_token_is_refused_without_delay(tmp_path: Path) -> None:
    async def one() -> float:
        began = trio.current_time()
        await knocking(gateway.port, token="a-wrong-token", headers=of("203.0.113.9"))
        return trio.current_time() - began

    with serving(tmp_path) as gateway:
        took_s = [trio.run(one) for _ in range(3)]

    assert min(took_s) < 0.2


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="token-alone"),
        pytest.param({"device_token": "bogus"}, id="and-a-device-token"),
        pytest.param({"password": "bogus"}, id="and-a-password"),
        pytest.param({"token": None, "device_token": "bogus"}, id="device-token-alone"),
        pytest.param({"token": None, "password": "bogus"}, id="password-alone"),
    ],
)
@pytest.mark.parametrize("device", [False, True], ids=["no-device", "device"])
def test_a_guess_counts_whatever_is_sent_with_it(
    tmp_path: Path, more: dict[str, Any], device: bool
) -> None:
    with serving(tmp_path) as gateway:
        codes = [guess(gateway, **more, key=new_key() if device else None) for _ in range(12)]

    assert LOCKED not in codes[:BUDGET]
    assert codes[BUDGET:] == [LOCKED, LOCKED]


@pytest.mark.parametrize(
    ("written", "same", "another"),
    [
        pytest.param(
            ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "[2001:db8::3]:4711"],
            "2001:db8:0:0:aaaa::1",
            "2001:db8:0:1::1",
            id="one-ipv6-site",
        ),
        pytest.param(
            ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109", "203.0.113.9:4711"],
            "::ffff:203.0.113.9",
            "203.0.113.10",
            id="ipv4-in-ipv6",
        ),
    ],
)
def test_another_way_to_write_an_address_is_no_other_caller(
    tmp_path: Path, written: list[str], same: str, another: str
) -> None:
    with serving(tmp_path) as gateway:
        codes = [guess(gateway, written[number % len(written)]) for number in range(BUDGET)]

        assert codes == [WRONG] * BUDGET
        assert guess(gateway, same) == LOCKED
        assert guess(gateway, another, token=TOKEN) == "ok"


def test_neighbours_cannot_lock_a_paired_device_out_and_it_cannot_guess_for_ever(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as gateway:
        key = new_key()
        assert knock(gateway.port, key=key, token=TOKEN, scopes=READ).admitted  # local: paired
        assert guesses(gateway, BUDGET + 1)[-1] == LOCKED

        assert guess(gateway, key=key, token=TOKEN) == "ok"
        assert guesses(gateway, BUDGET + 1, key=key)[-1] == LOCKED
        assert guess(gateway, key=key, token=TOKEN) == LOCKED
        assert guess(gateway, "198.51.100.7", key=key, token=TOKEN) == LOCKED
        assert guess(gateway, "198.51.100.7", token=TOKEN) == "ok"


def test_a_trusted_proxys_own_address_is_never_locked(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        assert guesses(gateway, BUDGET + 1, "unknown")[-1] == LOCKED

        assert guess(gateway, "203.0.113.9", token=TOKEN) == "ok"
        assert guess(gateway, token=TOKEN, headers=()) == "ok"


def test_a_page_on_this_machine_is_locked_and_its_owners_programs_are_not(tmp_path: Path) -> None:
    with serving(tmp_path, {}) as gateway:
        page = f"http://127.0.0.1:{gateway.port}"
        assert guesses(gateway, BUDGET + 1, headers=(), origin=page)[-1] == LOCKED

        assert guesses(gateway, BUDGET + 5, headers=()) == [WRONG] * (BUDGET + 5)
        assert guess(gateway, headers=(), token=TOKEN) == "ok"


def test_a_missing_secret_is_not_a_wrong_one(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        codes = guesses(gateway, 2 * BUDGET, token=None, key=new_key())

        assert set(codes) == {"AUTH_TOKEN_MISSING"}
        assert guess(gateway, token=TOKEN) == "ok"


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"maxAttempts": 0}, id="no-attempts"),
        pytest.param({"maxAttempts": -5}, id="fewer-than-none"),
        pytest.param({"windowMs": 0, "lockoutMs": 0}, id="no-time"),
        pytest.param({"lockoutMs": -1}, id="less-than-no-time"),
    ],
)
def test_no_setting_switches_the_throttle_off(tmp_path: Path, limits: dict[str, int]) -> None:
    with serving(tmp_path, BEHIND_A_PROXY | {"auth": auth(limits)}) as gateway:
        assert guesses(gateway, BUDGET + 1)[-1] == LOCKED


def auth(limits: dict[str, int]) -> dict[str, Any]:
    return {"mode": "token", "token": TOKEN, "rateLimit": limits}
