"""Change one key of a text of either format, and make sure that nothing else changed with it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from stores.config.expand import INCLUDE
from stores.config.keypath import MISSING, KeyPath, dotted, look_up, same
from stores.config.load import is_toml, parse_document, put_together
from stores.errors import ConfigError


def put_key(file: Path, text: str, path: KeyPath, value: Any) -> str:
    """Return the text of ``file`` with one key set; everything else stays byte for byte.

    Raises:
        ConfigError: the text cannot be read, or has no place for the key.
    """
    before = parse_document(file, text)
    wanted = _with(before, path, value)
    if same(wanted, before):
        return text
    from stores.config.json5_edit import put  # late: only writers need them
    from stores.config.toml_edit import put_toml
    from stores.config.toml_text import NotTomlError

    try:
        edited = (put_toml if is_toml(file) else put)(text, path, value)
    except NotTomlError as error:
        raise ConfigError(
            f"{dotted(path)}: {error}, and {file} is TOML", remedy="leave the key out instead"
        ) from error
    except ValueError:
        edited = None
    return _checked(file, edited, path, wanted)


def drop_key(file: Path, text: str, path: KeyPath) -> str:
    """Return the text of ``file`` without one key; everything else stays byte for byte.

    Raises:
        ConfigError: the text cannot be read, or the key not be taken out of it.
    """
    wanted = copy.deepcopy(parse_document(file, text))
    holder = look_up(wanted, path[:-1])
    if isinstance(holder, list):
        del holder[int(path[-1])]
    else:
        del holder[path[-1]]
    from stores.config.json5_edit import drop  # late: only writers need them
    from stores.config.toml_edit import drop_toml

    try:
        edited = (drop_toml if is_toml(file) else drop)(text, path)
    except ValueError:
        edited = None
    return _checked(file, edited, path, wanted)


def _checked(file: Path, edited: str | None, path: KeyPath, wanted: dict[str, Any]) -> str:
    """Return the edited text if it says exactly what is wanted."""
    try:
        if edited is not None:
            said = parse_document(file, edited)
            # a TOML section that no line is left of is gone, which means the same
            if same(said, wanted) or (is_toml(file) and same(_dense(said), _dense(wanted))):
                return edited
    except ConfigError:
        pass
    raise ConfigError(
        f"{file} is written in a way that `{dotted(path)}` cannot be changed in",
        remedy="change it with an editor",
    )


def _dense(value: Any) -> Any:
    """Return a document without empty sections."""
    if not isinstance(value, dict):
        return value
    inside = {key: _dense(item) for key, item in value.items()}
    return {key: item for key, item in inside.items() if item != {}}


def _with(document: dict[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    holder: Any = changed
    for depth, key in enumerate(path[:-1]):
        if isinstance(holder, dict):
            holder = holder.setdefault(key, {})
        else:
            holder = holder[int(key)] if _has(holder, key) else None
        if not isinstance(holder, dict | list):
            section = dotted(path[: depth + 1])
            raise ConfigError(
                f"{section} is not a section, so `{dotted(path)}` cannot be set in it",
                remedy=f"set `{section}` as a whole",
            )
    if isinstance(holder, dict):
        holder[path[-1]] = value
    elif path[-1] == str(len(holder)):
        holder.append(value)
    elif _has(holder, path[-1]):
        holder[int(path[-1])] = value
    else:
        raise ConfigError(
            f"{dotted(path[:-1])} has {len(holder)} elements, so `{dotted(path)}` is out of reach",
            remedy=f"use an index from 0 to {len(holder)}",
        )
    return changed


def _has(holder: list[Any], key: str) -> bool:
    return key.isdecimal() and int(key) < len(holder)


def refuse_included(file: Path, raw: str | None, path: KeyPath, value: Any) -> None:
    """Refuse to change a key that another file sets, or to put a value in place of an include.

    Args:
        value: The new value, `MISSING` when the key is removed.

    Raises:
        ConfigError: the included file is named.
    """
    if raw is None or INCLUDE not in raw:
        return
    own = look_up(parse_document(file, raw), path)
    kept = isinstance(value, dict) and same(_references(value), _references(own))
    if value is not MISSING and _references(own) and not kept:
        raise ConfigError(
            f"{dotted(path)} includes another file, which would be lost",
            remedy="set the keys in it one by one",
        )
    if own is not MISSING:
        return
    for source in reversed(put_together(file, raw)[1][1:]):
        inside = path[: len(source.prefix)] == source.prefix
        document = parse_document(source.path, source.raw)
        if inside and look_up(document, path[len(source.prefix) :]) is not MISSING:
            raise ConfigError(
                f"{dotted(path)} is set in {source.path}, which {file} includes",
                remedy=f"change it in {source.path} with an editor",
            )


def _references(value: Any) -> list[Any]:
    """Return what a value includes, wherever in it."""
    found = []
    if isinstance(value, dict):
        found = [value[INCLUDE]] if INCLUDE in value else []
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found += _references(item)
    return found
