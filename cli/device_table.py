"""The devices of a gateway as tables: what either road tells of them, for people.

Rule: whatever a gateway or a file says is taken for what it is worth; a fact that is missing or
of another type shows as a dash or a question mark.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import printable, table
from stores.timespan import in_words


def pending_table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of who waits, as `stores.listing` tells of them."""
    now_ms = wall_ms()
    rows = [
        (
            item.get("requestId", "?"),
            f"{name_of(item)} ({_client(item)})",
            _asked(item),
            _approved(item),
            _age_and_rest(item, now_ms),
            _whence(item),
        )
        for item in items
    ]
    return table(("REQUEST", "DEVICE", "ASKS FOR", "HAS", "AGE, LEFT", "FROM"), rows)


def paired_table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of who is in, as `stores.listing` tells of them."""
    now_ms = wall_ms()
    rows = [
        (
            name_of(item) + " (blocked)" * (item.get("blocked") is True),
            _short_id(item),
            names(item.get("roles")) or "-",
            short_scopes(item.get("approvedScopes", item.get("scopes"))) or "-",
            _approval(item, now_ms),
            "now" if item.get("connected") is True else _ago(item.get("lastSeenAtMs"), now_ms),
        )
        for item in items
    ]
    return table(("NAME", "DEVICE", "ROLES", "SCOPES", "APPROVED", "SEEN"), rows)


def name_of(item: Mapping[str, Any]) -> str:
    """Return what people call a device, else the beginning of its id."""
    for key in ("label", "displayName"):
        value = item.get(key)
        if isinstance(value, str) and value.strip():
            return printable(value, limit=64)
    return _short_id(item)


def _short_id(item: Mapping[str, Any]) -> str:
    return printable(str(item.get("deviceId", "?"))[:12])


def _client(item: Mapping[str, Any]) -> str:
    facts = (item.get("clientId"), item.get("platform"))
    return ", ".join(str(fact) for fact in facts if fact) or "unknown client"


def names(value: object) -> str:
    """Return a list of names as words."""
    return ", ".join(str(name) for name in value) if isinstance(value, list) else ""


def short_scopes(value: object) -> str:
    """Return scopes without the prefix that all of them share."""
    if not isinstance(value, list):
        return ""
    return ", ".join(str(scope).removeprefix("operator.") for scope in value)


def _asked(item: Mapping[str, Any]) -> str:
    roles, scopes = names(item.get("roles")), short_scopes(item.get("scopes"))
    return f"{roles or item.get('role') or '?'}: {scopes}" if scopes else roles or "?"


def _approved(item: Mapping[str, Any]) -> str:
    roles, scopes = names(item.get("approvedRoles")), short_scopes(item.get("approvedScopes"))
    if not roles:
        return "-"
    return f"{roles}: {scopes}" if scopes else roles


def _age_and_rest(item: Mapping[str, Any], now_ms: int) -> str:
    first, end = item.get("firstSeenAtMs", item.get("ts")), item.get("expiresAtMs")
    age = in_words(now_ms - first) if isinstance(first, int) else "?"
    left = in_words(end - now_ms) if isinstance(end, int) else "?"
    return f"{age}, {left}"


def _whence(item: Mapping[str, Any]) -> str:
    address, why = item.get("remoteIp"), item.get("why")
    return " ".join(str(fact) for fact in (address or "?", f"({why})" if why else "") if fact)


def _approval(item: Mapping[str, Any], now_ms: int) -> str:
    via = item.get("approvedVia")
    ago = _ago(item.get("approvedAtMs"), now_ms)
    return f"{ago} ({via})" if via else ago


def _ago(at_ms: object, now_ms: int) -> str:
    return f"{in_words(now_ms - at_ms)} ago" if isinstance(at_ms, int) and at_ms else "-"


def wall_ms() -> int:
    """Return the time of day, epoch ms."""
    return time.time_ns() // 1_000_000
