from __future__ import annotations

import json

import attrs

from stores.listing import listing, paired_item, pending_item
from stores.nodes import NodeRequest
from stores.records import DeviceBook, DeviceNote, DeviceToken, PairedDevice, PendingRequest

NOW_MS = 1_000_000
TTL_MS = 300_000


def test_pending_is_newest_first_and_without_the_expired():
    items = [
        a_request("A", ts=NOW_MS - 10),
        a_request("B", ts=NOW_MS - 5),
        a_request("C", ts=NOW_MS - TTL_MS),
    ]
    book = DeviceBook(pending={item.request_id: item for item in items})

    told = listing(book, now_ms=NOW_MS, ttl_ms=TTL_MS)

    assert [item["requestId"] for item in told["pending"]] == ["B", "A"]


def test_paired_is_latest_approval_first_and_says_who_is_here():
    devices = [a_device("a", approved_at_ms=1), a_device("b", approved_at_ms=2)]
    book = DeviceBook(paired={device.device_id: device for device in devices})

    told = listing(book, now_ms=NOW_MS, ttl_ms=TTL_MS, connected={"a"})

    assert [(item["deviceId"], item["connected"]) for item in told["paired"]] == [
        ("b", False),
        ("a", True),
    ]


def test_what_waits_of_a_paired_node_is_told_with_it_and_an_old_request_of_nobody_is_not():
    book = DeviceBook(paired={name: a_device(name) for name in "abc"})
    waits = [
        NodeRequest("N", "a", commands=("system.run",), ts=7, surface=True),
        NodeRequest("O", "b", commands=("system.run",)),
        NodeRequest("P", "gone", surface=True),
    ]

    told = listing(book, now_ms=NOW_MS, ttl_ms=TTL_MS, surfaces=waits)["paired"]

    assert {item["deviceId"]: item.get("pendingNodeSurface") for item in told} == {
        "a": {"requestId": "N", "commands": ["system.run"], "ts": 7},
        "b": None,
        "c": None,
    }


def test_a_pending_request_stands_beside_what_its_device_has():
    device = a_device("a", scopes=("operator.read",))
    book = DeviceBook(paired={"a": device}, notes={"a": DeviceNote(label="Anna")})
    item = a_request("A", device_id="a", scopes=("operator.admin",), ts=NOW_MS - 1_000)

    told = pending_item(item, book, NOW_MS, TTL_MS)

    assert told["scopes"] == ["operator.admin"]
    assert told["approvedScopes"] == ["operator.read"]
    assert told["approvedRoles"] == ["operator"]
    assert told["label"] == "Anna"
    assert told["expiresAtMs"] == NOW_MS - 1_000 + TTL_MS


def test_an_unknown_device_has_nothing_yet():
    told = pending_item(a_request("A"), DeviceBook(), NOW_MS, TTL_MS)

    assert "approvedScopes" not in told
    assert "approvedRoles" not in told


def test_tokens_are_an_array_by_role_without_values():
    tokens = {
        "operator": DeviceToken("S3CRET", "operator", ("operator.read",), 5, last_used_at_ms=9),
        "node": DeviceToken("S3CRET", "node", (), 1, rotated_at_ms=2, revoked_at_ms=3),
    }

    told = paired_item(a_device("a", tokens=tokens), None, False)

    assert told["tokens"] == [
        {"role": "node", "scopes": [], "createdAtMs": 1, "rotatedAtMs": 2, "revokedAtMs": 3},
        {"role": "operator", "scopes": ["operator.read"], "createdAtMs": 5, "lastUsedAtMs": 9},
    ]
    assert "S3CRET" not in json.dumps(told)


def test_how_a_device_came_in_is_told_from_its_note():
    note = DeviceNote(label="Anna", blocked=True, approved_via="owner", approved_by="uid 0")

    told = paired_item(a_device("a"), note, False)

    assert (told["label"], told["blocked"]) == ("Anna", True)
    assert (told["approvedVia"], told["approvedBy"]) == ("owner", "uid 0")


def test_what_is_not_known_is_left_out():
    told = paired_item(a_device("a"), None, False)

    assert {"displayName", "label", "approvedVia", "lastSeenAtMs"}.isdisjoint(told)
    assert told["blocked"] is False


def a_request(
    request_id: str, *, device_id: str = "d", scopes: tuple[str, ...] = (), ts: int = NOW_MS
) -> PendingRequest:
    return PendingRequest(
        request_id, device_id, "key", role="operator", roles=("operator",), scopes=scopes, ts=ts
    )


def a_device(
    device_id: str,
    *,
    scopes: tuple[str, ...] = (),
    approved_at_ms: int = 0,
    tokens: dict[str, DeviceToken] | None = None,
) -> PairedDevice:
    given = {"operator": DeviceToken("t", "operator", scopes)} if tokens is None else tokens
    return PairedDevice(
        device_id,
        "key",
        role="operator",
        roles=("operator",),
        scopes=scopes,
        tokens=given,
        approved_at_ms=approved_at_ms,
    )


def test_a_device_that_asks_to_come_back_without_its_token_is_marked():
    item = attrs.evolve(a_request("A"), stale_token=True)

    assert pending_item(item, DeviceBook(), NOW_MS, TTL_MS)["staleToken"] is True
    assert "staleToken" not in pending_item(a_request("A"), DeviceBook(), NOW_MS, TTL_MS)
