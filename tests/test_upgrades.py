"""What became of pending requests, for those that wait and those that ask just after."""

from __future__ import annotations

import trio

from gateway import upgrades
from gateway.upgrades import Outcome, Upgrades
from tests.builders import a_request


async def test_everybody_who_waits_for_a_request_hears_its_end(autojump_clock):
    found, item, heard = Upgrades(), a_request(), list[Outcome]()

    async def wait() -> None:
        heard.append(await found.decided(item))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        found.ended(Outcome(item, "approved"))

    assert heard == [Outcome(item, "approved")] * 2


def test_an_end_is_known_by_any_spelling_until_the_wish_waits_again():
    found, item = Upgrades(), a_request()
    found.ended(Outcome(item, "rejected", "expired"))
    spelt = found.of(item.request_id.lower().replace("-", ""))

    found.began(item)

    assert spelt == Outcome(item, "rejected", "expired")
    assert found.of(item.request_id) is None


def test_only_the_latest_ends_are_remembered(monkeypatch):
    monkeypatch.setattr(upgrades, "REMEMBERED", 2)
    found, items = Upgrades(), [a_request(seed) for seed in (1, 2, 3)]

    for item in items:
        found.ended(Outcome(item, "approved"))

    assert [found.of(item.request_id) is None for item in items] == [True, False, False]
