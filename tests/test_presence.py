"""The presence list: who is on it, in which order, for how long."""

from __future__ import annotations

import trio

from gateway.presence import MAX_ENTRIES, TTL_MS, Presence


def hosts(presence: Presence) -> list[object]:
    return [entry.get("host") for entry in presence.listing(now_ms=1)[1:]]


def test_the_gateway_itself_comes_first_with_the_present_time():
    own = Presence(server_version="1.2").listing(now_ms=77)[0]

    assert (own["mode"], own["reason"], own["ts"], own["version"]) == ("gateway", "self", 77, "1.2")
    assert own["text"].startswith("Gateway: ")


def test_the_newest_entry_comes_first_and_replaces_one_of_its_key():
    presence = Presence()
    presence.note("A", {"host": "old", "ts": 1})
    presence.note("b", {"host": "b", "ts": 2})
    presence.note("a", {"host": "new", "ts": 3})

    assert hosts(presence) == ["new", "b"]
    assert presence.entry("A") == {"host": "new", "ts": 3}


def test_no_more_entries_are_kept_than_the_limit():
    presence = Presence()
    for number in range(MAX_ENTRIES + 5):
        presence.note(str(number), {"host": number, "ts": number})

    assert len(hosts(presence)) == MAX_ENTRIES
    assert presence.entry("4") is None


def test_who_leaves_stays_listed_as_gone():
    presence = Presence()
    presence.note("a", {"reason": "connect", "ts": 1})
    presence.arrive("a")

    presence.depart("A", at_ms=9)

    assert presence.entry("a") == {"reason": "disconnect", "ts": 9}


def test_only_the_last_connection_of_a_device_leaves():
    presence = Presence()
    presence.note("a", {"reason": "connect", "ts": 1})
    presence.arrive("a")
    presence.arrive("a")

    presence.depart("a", at_ms=9)

    assert presence.entry("a") == {"reason": "connect", "ts": 1}


def test_leaving_without_an_entry_is_no_news():
    presence = Presence()
    presence.arrive("a")
    presence.depart("a", at_ms=9)

    assert not presence.changed.is_set()
    assert not presence._here


def test_old_entries_are_forgotten_but_for_those_still_here():
    presence = Presence()
    for key in ("gone", "here"):
        presence.note(key, {"host": key, "ts": 0})
    presence.arrive("here")
    presence.changed = trio.Event()
    version = presence.version

    presence.drop_old(now_ms=TTL_MS)
    assert not presence.changed.is_set()
    presence.drop_old(now_ms=TTL_MS + 1)

    assert hosts(presence) == ["here"]
    assert presence.changed.is_set()
    assert presence.version == version + 1
