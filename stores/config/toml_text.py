"""Write values as TOML."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from stores.config.keypath import KeyPath

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_FORBIDDEN = re.compile("[\x7f\ud800-\udfff]")


class NotTomlError(ValueError):
    """A value has no form in TOML; ``path`` is where it stands below what was written."""

    def __init__(self, what: str, path: KeyPath) -> None:
        super().__init__(f"TOML has no form for {what}")
        self.path = path


def toml_key(key: str) -> str:
    """Return one key as TOML, in quotes if it needs them."""
    return key if _BARE.fullmatch(key) else _string(key)


def toml_name(path: KeyPath) -> str:
    """Return the path of a key as TOML."""
    return ".".join(map(toml_key, path))


def toml_value(value: Any, path: KeyPath = ()) -> str:
    """Return a value as TOML on one line.

    Raises:
        NotTomlError: TOML has no form for it, or for something in it.
    """
    if value is None:
        raise NotTomlError("null", path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if re.search("[\ud800-\udfff]", value):
            raise NotTomlError("half a character", path)
        return _string(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list):
        items = [toml_value(item, (*path, str(at))) for at, item in enumerate(value)]
        return f"[{', '.join(items)}]"
    if isinstance(value, Mapping):
        members = [
            f"{toml_key(key)} = {toml_value(item, (*path, key))}" for key, item in value.items()
        ]
        return f"{{ {', '.join(members)} }}" if members else "{}"
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return str(value)


def toml_section(name: KeyPath, body: Mapping[str, Any], newline: str) -> str:
    """Return a section with header, and those below it, each as lines.

    Raises:
        NotTomlError: see `toml_value`.
    """
    plain = {key: item for key, item in body.items() if not _is_section(item)}
    below = {key: item for key, item in body.items() if _is_section(item)}
    lines = [f"[{toml_name(name)}]"] if plain or not below else []
    lines += [f"{toml_key(key)} = {toml_value(item, (*name, key))}" for key, item in plain.items()]
    texts = [newline.join(lines) + newline] if lines else []
    texts += [toml_section((*name, key), item, newline) for key, item in below.items()]
    return newline.join(texts)


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping)


def _string(value: str) -> str:
    # JSON's escapes are TOML's too; what JSON leaves as it is and TOML does not is spelt out
    return _FORBIDDEN.sub(lambda c: f"\\u{ord(c[0]):04X}", json.dumps(value, ensure_ascii=False))


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)
