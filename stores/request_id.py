"""Request ids: short codes that are the same for the same wish and that nobody can grind for.

The id doubles as the verification code that the waiting device and the approver both show.
"""

from __future__ import annotations

from collections.abc import Callable

#: Characters of a request id: no 0/O, 1/I/L to mistake on a phone call.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def request_code(
    key: bytes,
    *,
    device_id: str,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    platform: str | None,
    device_family: str | None,
    taken: Callable[[str], bool],
) -> str:
    """Return the request id ``XXXX-XXXX`` of a wish: the same wish, the same id, for ever.

    Args:
        taken: Whether another device's pending request has that id already; then it is redrawn.
    """
    # Every part with its length, every list with its count: no two wishes make the same text.
    parts = (device_id, str(len(roles)), *sorted(roles), str(len(scopes)), *sorted(scopes))
    wish = "".join(f"{len(part)}:{part}" for part in (*parts, platform or "", device_family or ""))
    import hashlib  # late, both: a reader of the store makes no ids
    import hmac

    for counter in range(64):
        text = wish if counter == 0 else f"{wish}|{counter}"
        number = int.from_bytes(
            hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256), "big"
        )
        letters = ""
        for _ in range(8):
            number, index = divmod(number, len(ALPHABET))
            letters += ALPHABET[index]
        code = f"{letters[:4]}-{letters[4:]}"
        if not taken(code):
            return code
    raise AssertionError("64 draws of 31^8 ids cannot all be taken by 200 requests")


def plain_id(text: str) -> str:
    """Return an id as it is compared: no case, no dash, no space."""
    return "".join(text.split()).replace("-", "").upper()
