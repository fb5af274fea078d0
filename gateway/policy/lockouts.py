"""Who is locked out after too many wrong credentials, as people name it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from gateway.policy.throttle import Lockout

_SECRETS = {"shared-secret": "the gateway's token or password", "device-token": "a device token"}
_PLACES = {
    "local-pages": "web pages on this machine",
    "forwarded-by-loopback": "whoever a loopback proxy forwards without saying for whom",
    "unattributed-by-trusted-proxy": "whoever a trusted proxy forwards without saying for whom",
}

#: Shortest beginning of a device id that is taken for the whole.
SHORTEST_PREFIX = 8


def described(lockout: Lockout) -> dict[str, Any]:
    """Return a lockout as it is listed: key, kind, name, whose it is, what is left of it, ms."""
    kind, _, place = lockout.key.partition(" ")
    sort, _, value = place.partition(":")
    found: dict[str, Any] = {
        "key": lockout.key,
        "kind": kind,
        "secret": _SECRETS.get(kind, kind),
        "name": _PLACES.get(place, f"{sort} {value}"),
        "remainingMs": int(lockout.remaining_s * 1000),
    }
    if sort == "address":
        found["address"] = value
    if sort == "device":
        found["deviceId"] = value
    return found


def meant_by(reference: str, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that a reference means: a key, an address, a device id or how it begins."""
    return tuple(key for key in keys if _means(key, reference.strip()))


def _means(key: str, reference: str) -> bool:
    place = key.partition(" ")[2]
    if reference in (key, place, _PLACES.get(place)):
        return True
    sort, _, value = place.partition(":")
    if sort == "address":
        return _is_within(reference, value)
    long_enough = len(reference) >= SHORTEST_PREFIX
    return sort == "device" and long_enough and value.startswith(reference.lower())


def _is_within(reference: str, group: str) -> bool:
    if reference == group:
        return True
    try:
        return ip_address(reference) in ip_network(group)
    except ValueError:
        return False
