"""What people call a device or a request, found in the list: codes, ids, beginnings of ids, names.

Rule: a name that a device gave itself decides about nothing that lets it in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cli.device_road import items_of
from cli.device_table import name_of
from cli.output import printable
from stores.errors import UsageError, UserFacingError
from stores.request_id import plain_id

#: Fewer characters of a device id name no device.
MIN_PREFIX = 8

_DEVICE_ID = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CODE = re.compile(r"[2-9A-HJKMNP-Z]{8}")


def refuse_empty(word: str, what: str) -> None:
    """Refuse an argument without a character in it.

    Raises:
        UsageError: which names it.
    """
    if not word.strip():
        raise UsageError(
            f"{what} is empty",
            remedy="give the code that the device shows; see what waits with `openclaw devices list`",
        )


def is_device_id(word: str) -> bool:
    """Tell whether a word is a whole device id."""
    return _DEVICE_ID.fullmatch(word.strip().lower()) is not None


def is_plain(word: str) -> bool:
    """Tell whether a word can be an id itself, so that no list is needed to find out."""
    return bool(
        is_device_id(word) or _UUID.fullmatch(word.strip()) or _CODE.fullmatch(plain_id(word))
    )


def find_request(listed: Mapping[str, Any], word: str) -> tuple[str, bool]:
    """Return the id of the request that a word means, and whether it is a name to be confirmed.

    What means nothing in the list is given back as it is: what became of it, others know.

    Raises:
        UserFacingError: it means several.
    """
    pending = items_of(listed, "pending")
    for found, unsure in (
        ([item for item in pending if _answers(item, word)], False),
        ([item for item in pending if item.get("label") == word.strip()], False),
        ([item for item in pending if item.get("displayName") == word.strip()], True),
    ):
        if found:
            return str(_only(found, word, "requestId").get("requestId")), unsure
    return word, False


def _answers(item: Mapping[str, Any], word: str) -> bool:
    plain = plain_id(word)
    if plain_id(str(item.get("requestId", ""))) == plain:
        return True
    return _begins(item, word)


def _begins(item: Mapping[str, Any], word: str) -> bool:
    wanted = word.strip().lower()
    return len(wanted) >= MIN_PREFIX and str(item.get("deviceId", "")).startswith(wanted)


def find_device(
    listed: Mapping[str, Any], word: str, *, waiting: bool = False
) -> dict[str, Any] | None:
    """Return the device that an id, the beginning of one, a label or a name means.

    Args:
        waiting: Whether devices count that only wait, which the code of their request names too.

    Raises:
        UserFacingError: it means several.
    """
    items = items_of(listed, "paired")
    if waiting:
        paired = {item.get("deviceId") for item in items}
        items += [i for i in items_of(listed, "pending") if i.get("deviceId") not in paired]
        for item in items_of(listed, "pending"):
            if plain_id(str(item.get("requestId", ""))) == plain_id(word):
                return next(i for i in items if i.get("deviceId") == item.get("deviceId"))
    for key in ("deviceId", "label", "displayName"):
        if key == "deviceId":
            found = [item for item in items if _begins(item, word)]
        else:
            found = [item for item in items if item.get(key) == word.strip()]
        if found:
            return _only(found, word, "deviceId")
    return None


def _only(found: list[dict[str, Any]], word: str, key: str) -> dict[str, Any]:
    devices = {item.get(key) for item in found}
    if len(devices) == 1:
        return found[0]
    raise UserFacingError(
        f"{printable(word, limit=64)!r} means {len(devices)} of them: {_each(found)}",
        remedy="name one by its code or by more of its id: `openclaw devices list`",
    )


def _each(items: Iterable[Mapping[str, Any]]) -> str:
    shown = [
        f"{printable(item.get('requestId') or str(item.get('deviceId', '?'))[:16])} ({name_of(item)})"
        for item in items
    ]
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")


def unknown_device(word: str) -> UserFacingError:
    """Return the error for a word that means no device."""
    return UserFacingError(
        f"no device is called {printable(word, limit=64)!r}",
        remedy=f"give a name, an id, or {MIN_PREFIX} characters of one; see `openclaw devices list`",
    )
