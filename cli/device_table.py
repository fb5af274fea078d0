"""The devices of a gateway for people: as tables where there is room, else a few lines each.

Rule: whatever a gateway or a file says is taken for what it is worth; a fact that is missing or
of another type shows as a dash or a question mark.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cli.output import columns, printable, styled, table, wrapped
from cli.typed import program_words
from stores.scopes import missing
from stores.timespan import in_words

#: From this width on a row holds everything.
WIDE = 150
_INDENT = "    "

#: Why an address is not this machine's own, in words.
_WHY = {
    "loopback": "this machine",
    "not-loopback": "another machine",
    "forwarded": "through a proxy",
    "untrusted-proxy": "through a proxy that is not trusted",
    "host": "asked for by a foreign host name",
    "origin": "a page of another origin",
    "other-uid": "another user of this machine",
}


def pending_table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return who waits, as `stores.listing` tells of them."""
    now_ms = wall_ms()
    if columns() < WIDE:
        return "\n".join(line for item in items for line in _pending_lines(item, now_ms))
    rows = [
        (
            item.get("requestId", "?"),
            f"{name_of(item)} ({_short_id(item)})",
            _client(item),
            _asked(item),
            _approved(item),
            _age(item, now_ms),
            _whence(item),
        )
        for item in items
    ]
    return table(("REQUEST", "DEVICE", "CLIENT", "ASKS FOR", "HAS", "AGE, LEFT", "FROM"), rows)


def _pending_lines(item: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    yield from _head(f"{printable(item.get('requestId', '?'))}  {name_of(item)}  {_short_id(item)}")
    yield from _fact("asks for", _asked(item))
    yield from _fact("has", _approved(item))
    yield from _fact("client", _client(item))
    yield from _fact("from", _whence(item))
    yield from _fact("age, left", _age(item, now_ms))


def paired_table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return who is in, as `stores.listing` tells of them."""
    now_ms = wall_ms()
    if columns() < WIDE:
        return "\n".join(line for item in items for line in _paired_lines(item, now_ms))
    rows = [
        (
            name_of(item) + " (blocked)" * (item.get("blocked") is True),
            _short_id(item),
            names(item.get("roles")) or "-",
            short_scopes(item.get("approvedScopes", item.get("scopes"))) or "-",
            _tokens(item, now_ms),
            _approval(item, now_ms),
            _seen(item, now_ms),
        )
        for item in items
    ]
    return table(("NAME", "DEVICE", "ROLES", "SCOPES", "TOKENS", "APPROVED", "SEEN"), rows)


def _paired_lines(item: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    blocked = " (blocked)" if item.get("blocked") is True else ""
    yield from _head(f"{name_of(item)}{blocked}  {_short_id(item)}")
    roles = names(item.get("roles")) or "no role"
    scopes = short_scopes(item.get("approvedScopes", item.get("scopes")))
    yield from _fact("may", f"{roles}: {scopes}" if scopes else roles)
    yield from _fact("tokens", _tokens(item, now_ms))
    yield from _fact("approved", _approval(item, now_ms))
    yield from _fact("seen", _seen(item, now_ms))
    code = waiting_commands(item)
    if code is not None:
        yield from _fact("commands", f"wait for approval: {program_words()} nodes approve {code}")


def waiting_commands(item: Mapping[str, Any]) -> str | None:
    """Return the code of what waits of a node that is in: its commands have an approval of their own."""
    surface = item.get("pendingNodeSurface")
    code = surface.get("requestId") if isinstance(surface, dict) else None
    return None if code is None else printable(code)


def card(item: Mapping[str, Any]) -> str:
    """Return everything about one pending request or paired device, one fact a line."""
    now_ms = wall_ms()
    waits = "requestId" in item
    lines = [] if waits else list(_paired_lines(item, now_ms))
    if waits:
        lines += _pending_lines(item, now_ms)
    for key, what in (
        ("deviceId", "device id"),
        ("displayName", "calls itself"),
        ("label", "label"),
        ("platform", "platform"),
        ("deviceFamily", "family"),
        ("clientId", "client id"),
        ("clientMode", "client mode"),
        ("publicKey", "public key"),
        ("lastSeenReason", "seen at"),
    ):
        if item.get(key):
            lines += _fact(what, printable(item[key], limit=200))
    if not waits:
        lines += _fact("address", printable(item.get("remoteIp") or "-"))
        lines += _fact("first in", _when(item.get("createdAtMs")))
    return "\n".join(lines)


def history_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines of the audit trail, oldest first."""
    lines = []
    for entry in entries:
        by = entry.get("by")
        by = by if isinstance(by, dict) else {}
        who = [str(by.get("kind", "?")), *(f"uid {by['uid']}" for _ in "1" if "uid" in by)]
        who += [str(by[key])[:12] for key in ("deviceId", "rule") if key in by]
        facts = [
            str(entry.get("ts", "?"))[:19].replace("T", " "),
            str(entry.get("event", "?")).removeprefix("device."),
            *(str(entry[key]) for key in ("role", "requestId") if entry.get(key)),
            *([short_scopes(entry["scopes"])] if entry.get("scopes") else []),
            f"by {' '.join(who)}",
            f"via {entry.get('via', '?')}",
        ]
        lines += wrapped(printable("  ".join(facts), limit=400), columns() - 2, indent="      ")
    return [f"  {line}".rstrip() for line in lines]


def _head(text: str) -> Iterator[str]:
    for number, line in enumerate(wrapped(text, columns() - len(_INDENT))):
        indent = _INDENT if number else _INDENT[:2]
        yield styled(f"{indent}{line}".rstrip(), "bold", sys.stdout)


def _fact(what: str, text: str) -> Iterator[str]:
    """Yield one fact, its later lines under its first word."""
    first = f"{_INDENT}{what:<11} "
    lines = wrapped(printable(text, limit=400), columns() - len(first))
    for number, line in enumerate(lines):
        yield (first if number == 0 else " " * len(first)) + line


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


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _asked(item: Mapping[str, Any]) -> str:
    """Return what is asked; of a device that has something already what is new has a plus."""
    roles = _texts(item.get("roles")) or [str(item.get("role") or "?")]
    scopes, had = _texts(item.get("scopes")), _texts(item.get("approvedRoles"))
    if had:
        new = set(missing(_texts(item.get("approvedScopes")), scopes))
        scopes = [
            f"+{scope.removeprefix('operator.')}" if scope in new else scope for scope in scopes
        ]
        roles = [role if role in had else f"+{role}" for role in roles]
    asked, wanted = ", ".join(roles), short_scopes(scopes)
    said = f"{asked}: {wanted}" if wanted else asked
    if item.get("staleToken") is True:
        return f"{said}, to come back without its token"
    return said + _kind(item, "platform", "deviceFamily") * _other_kind(item)


def _approved(item: Mapping[str, Any]) -> str:
    roles, scopes = names(item.get("approvedRoles")), short_scopes(item.get("approvedScopes"))
    if not roles:
        return "nothing: a new device" if item.get("isRepair") is not True else "no live role"
    said = f"{roles}: {scopes}" if scopes else roles
    return said + _kind(item, "approvedPlatform", "approvedDeviceFamily") * _other_kind(item)


def _other_kind(item: Mapping[str, Any]) -> bool:
    """Tell whether a known device now says that it is of another platform or kind."""
    return "approvedPlatform" in item or "approvedDeviceFamily" in item


def _kind(item: Mapping[str, Any], *keys: str) -> str:
    return f", as {', '.join(str(item[key]) for key in keys if item.get(key)) or '-'}"


def _age(item: Mapping[str, Any], now_ms: int) -> str:
    first, end = item.get("firstSeenAtMs", item.get("ts")), item.get("expiresAtMs")
    age = in_words(now_ms - first) if isinstance(first, int) else "?"
    left = in_words(end - now_ms) if isinstance(end, int) else "?"
    return f"{age}, {left}"


def _whence(item: Mapping[str, Any]) -> str:
    address, why = item.get("remoteIp"), str(item.get("why") or "")
    words = f" ({': '.join([str(why), *([_WHY[why]] if why in _WHY else [])])})" if why else ""
    return f"{address or '?'}{words}"


def _tokens(item: Mapping[str, Any], now_ms: int) -> str:
    said = []
    tokens = item.get("tokens")
    for token in tokens if isinstance(tokens, list) else []:
        if isinstance(token, dict):
            at = token.get("rotatedAtMs", token.get("createdAtMs"))
            age = f"{in_words(now_ms - at)} old" if isinstance(at, int) and at else "of unknown age"
            ended = isinstance(token.get("revokedAtMs"), int)
            said.append(f"{token.get('role', '?')} {'revoked' if ended else age}")
    return ", ".join(said) or "-"


def _approval(item: Mapping[str, Any], now_ms: int) -> str:
    by, via = item.get("approvedBy"), item.get("approvedVia")
    parts = [_ago(item.get("approvedAtMs"), now_ms)]
    if by:
        parts.append(f"by {str(by)[:24]}")
    if via:
        parts.append(f"({via})")
    return " ".join(parts)


def _seen(item: Mapping[str, Any], now_ms: int) -> str:
    if item.get("connected") is True:
        return "now"
    at = item.get("lastSeenAtMs")
    return _ago(at, now_ms) if isinstance(at, int) and at else "never"


def _ago(at_ms: object, now_ms: int) -> str:
    return f"{in_words(now_ms - at_ms)} ago" if isinstance(at_ms, int) and at_ms else "-"


def _when(at_ms: object) -> str:
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)  # type: ignore[operator]  # refused below
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"
    return f"{at:%Y-%m-%d %H:%M} UTC"


def wall_ms() -> int:
    """Return the time of day, epoch ms."""
    return time.time_ns() // 1_000_000
