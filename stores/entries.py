"""The text of a JSON object, entry by entry: what did not change keeps the bytes it has.

The files are written with two spaces of indent. In that layout a line that begins with exactly two
spaces and a quote begins an entry, because a JSON string holds no raw line break; a file in any
other layout is parsed as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stores.errors import CorruptStoreError
from stores.files import parse_object

_HEAD, _BETWEEN, _TAIL = b'{\n  "', b',\n  "', b"\n}"


def split(data: bytes) -> dict[str, bytes] | None:
    """Return the text of each entry by its key, or None if the file has another layout.

    A text begins behind the quote of its key: ``id": {…}``. It need not be JSON, see `parse_one`.
    """
    body = data.rstrip(b"\n")
    if not (body.startswith(_HEAD) and body.endswith(_TAIL)):
        return None
    texts = body[len(_HEAD) : -len(_TAIL)].split(_BETWEEN)
    try:
        found = {text[: text.index(b'": ')].decode("ascii"): text for text in texts}
    except ValueError:
        return None
    # A key that was escaped, or that is there twice, is left to the parser.
    plain = all("\\" not in key for key in found)
    return found if plain and len(found) == len(texts) else None


def parse_one(key: str, text: bytes) -> Any:
    """Return the value of one entry.

    Raises:
        ValueError: the text is not one entry of that key.
    """
    import orjson  # late: see `parse_object`

    value = orjson.loads(b'{"' + text + b"}")
    if list(value) != [key]:
        raise ValueError(f"more than one entry in the text of {key}")
    return value[key]


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON object that ``data`` holds, in any layout.

    Half a surrogate pair, which other programs write where they cut a name, is let through: the
    record that holds it is judged alone.

    Raises:
        CorruptStoreError: it is not JSON, or not an object.
    """
    try:
        return parse_object(path, data)
    except CorruptStoreError:
        import json  # late: only for what the fast parser refuses

        try:
            value = json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise
        return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def join_one(key: str, value: Any) -> bytes:
    """Return the text of one entry."""
    import orjson  # late: see `parse_object`

    try:
        text = orjson.dumps({key: value}, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # half a surrogate pair
        import json

        text = json.dumps({key: value}, indent=2).encode()
    return text[len(_HEAD) : -len(_TAIL)]


def join(texts: Iterable[bytes]) -> bytes:
    """Return the text of an object with these entries."""
    parts = list(texts)
    if not parts:
        return b"{}"
    # Into the first and last part, for what is joined may be megabytes: each sum would copy it.
    parts[0] = _HEAD + parts[0]
    parts[-1] += _TAIL
    return _BETWEEN.join(parts)
