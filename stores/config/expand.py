"""Put a document together: files included, variables of the environment filled in.

Rule: only the root and the sections we own are touched; what belongs to other programs is carried
as it is written, missing files and variables included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from stores.config.foreign import OWNED
from stores.config.keypath import KeyPath

INCLUDE = "$include"
MAX_DEPTH = 10

_VARIABLE = re.compile(r"\$(\$?)\{([A-Z_][A-Z0-9_]*)\}")


@frozen
class Source:
    """A file that was read, and the key path that its content hangs under."""

    path: Path
    raw: str
    prefix: KeyPath = ()


class ExpandError(ValueError):
    """A document cannot be put together; ``key`` is where that shows."""

    def __init__(self, problem: str, *, remedy: str, key: KeyPath) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.key = key


#: Reads and parses one file; the key path is where it was named.
Read = Callable[[Path, KeyPath], dict[str, Any]]


def with_includes(document: Mapping[str, Any], path: Path, read: Read) -> dict[str, Any]:
    """Return ``document`` with every ``$include`` replaced by what it names.

    The files of an array are merged in order, later over earlier, and keys beside ``$include``
    over both. Objects merge key by key; everything else is replaced.

    Args:
        path: The file the document came from; names in it are relative to its folder.

    Raises:
        ExpandError: a name is not a string, or a chain is longer than ten files.
    """
    included = _resolve({key: document[key] for key in document if key == INCLUDE}, path, (), read)
    own = {
        key: _resolve(value, path, (key,), read) if key in OWNED else value
        for key, value in document.items()
        if key != INCLUDE
    }
    return _merge(included, own)


def _resolve(value: Any, path: Path, key: KeyPath, read: Read, depth: int = 0) -> Any:
    if isinstance(value, list):
        return [_resolve(item, path, (*key, str(at)), read, depth) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    merged: dict[str, Any] = {}
    if INCLUDE in value:
        if depth == MAX_DEPTH:
            raise ExpandError(
                f"more than {MAX_DEPTH} files include one another",
                remedy="include them side by side, as an array",
                key=(*key, INCLUDE),
            )
        for name in _names(value[INCLUDE], key):
            target = path.parent / Path(name).expanduser()
            found = _resolve(read(target, key), target, key, read, depth + 1)
            merged = _merge(merged, found)
    own = {
        name: _resolve(item, path, (*key, name), read, depth)
        for name, item in value.items()
        if name != INCLUDE
    }
    return _merge(merged, own)


def _names(value: Any, key: KeyPath) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise ExpandError(
            "expected the name of a file, or an array of names",
            remedy="write `$include` with strings",
            key=(*key, INCLUDE),
        )
    return names


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)  # noqa: PLW2901  the merged value takes its place
        merged[key] = value
    return merged


def with_variables(document: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """Return ``document`` with ``${NAME}`` in our sections replaced by the environment's value.

    Names are capitals, digits and underscores; ``$${NAME}`` stands for the text ``${NAME}``.

    Raises:
        ExpandError: a variable is not set, or set to nothing.
    """
    return {
        key: _substitute(value, env, (key,)) if key in OWNED else value
        for key, value in document.items()
    }


def _substitute(value: Any, env: Mapping[str, str], key: KeyPath) -> Any:
    if isinstance(value, dict):
        return {name: _substitute(item, env, (*key, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, env, (*key, str(at))) for at, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        escaped, name = found.groups()
        if escaped:
            return found.group()[1:]
        said = env.get(name, "")
        if not said:
            # an empty secret would be taken for none, and a new one be made in its place
            raise ExpandError(
                f"the environment variable {name} is not set",
                remedy=f"set it where the gateway is started, or write `$${{{name}}}` "
                "if the text itself is meant",
                key=key,
            )
        return said

    return _VARIABLE.sub(fill, value)
