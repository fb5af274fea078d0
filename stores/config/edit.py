"""Change one key of the configuration file, and nothing else in it.

Rule: the whole result is checked before anything is written, and no message ever shows a value.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stores.config.kinds import REDACTED
from stores.config.load import (
    LoadedConfig,
    in_force,
    interpret,
    is_toml,
    parse_document,
    read_text,
)
from stores.config.spans import put
from stores.errors import ConfigError, UsageError
from stores.paths import Paths

TOKEN_KEY = "gateway.auth.token"
_READ_ONLY = ("OPENCLAW_CONFIG_READONLY", "OPENCLAW_NIX_MODE")

_NEW_JSON5 = """\
// Configuration of the OpenClaw gateway. This is JSON5: comments are welcome.
{
  "gateway": {
    // "local": the gateway runs on this machine.
    "mode": "local",
    "auth": {
      // Whoever knows this token may ask to be paired. Keep the file private.
      "token": ""
    }
  }
}
"""
_NEW_TOML = """\
# Configuration of the OpenClaw gateway.

[gateway]
# "local": the gateway runs on this machine.
mode = "local"

[gateway.auth]
# Whoever knows this token may ask to be paired. Keep the file private.
token = ""
"""


def set_value(paths: Paths, dotted: str, value: Any, *, env: Mapping[str, str]) -> LoadedConfig:
    """Set one key in the configuration file in force; comments, order and layout stay.

    Without a file, one is made. A value that is there already leaves the file untouched.

    Args:
        dotted: Path of the key, such as ``gateway.auth.mode``.
        value: JSON value; ``${VAR}`` in a string is written as it is, a reference.

    Returns:
        The configuration as it is now.

    Raises:
        ConfigError: the result would not be valid, the file cannot be edited in place, or the
            environment says that it is read-only. The file is untouched.
    """
    path = _key_path(dotted)
    if _holds(value, REDACTED):
        raise ConfigError(
            f"{dotted}: the mark that hides a secret is not the secret",
            remedy="give the value itself",
        )
    with _writing(paths, env) as file:
        raw = read_text(file)
        return _write(file, raw, raw if raw is not None else _empty(file), path, value, env)


def ensure_token(paths: Paths, *, env: Mapping[str, str], new_token: Callable[[], str]) -> Path:
    """Make sure the configuration file holds a shared token, and return the file.

    A file that names one, directly or by `tokenFile`, is left alone; of two starters one writes
    and the other finds it. Without a file, a commented one is made, in mode 0600.

    Raises:
        ConfigError: see `set_value`.
    """
    with _writing(paths, env) as file:
        raw = read_text(file)
        auth = interpret(file, raw, env).config.gateway.auth
        if not auth.token and not auth.token_file:
            fresh = _NEW_TOML if is_toml(file) else _NEW_JSON5
            start = fresh if raw is None else raw
            _write(file, raw, start, _key_path(TOKEN_KEY), new_token(), env)
        return file


@contextmanager
def _writing(paths: Paths, env: Mapping[str, str]) -> Iterator[Path]:
    """Hold the writers' lock; yield the file in force, which may have changed while waiting."""
    from stores.files import locked

    said = next((name for name in _READ_ONLY if env.get(name, "").strip() == "1"), None)
    if said is not None:
        raise ConfigError(
            f"{in_force(paths)[0]} is read-only, as env {said} says",
            remedy="change it where it is generated",
        )
    with locked(paths.config_lock_path):
        yield in_force(paths)[0]


def _write(
    file: Path,
    raw: str | None,
    start: str,
    path: tuple[str, ...],
    value: Any,
    env: Mapping[str, str],
) -> LoadedConfig:
    """Write ``start`` with one key set over what ``raw`` is now."""
    from stores.files import replace_file

    before = parse_document(file, start)
    wanted = _with(before, path, value)
    if raw is not None and wanted == before:
        return interpret(file, raw, env)
    text = _edited(file, start, path, value, wanted)
    if text is None:
        raise ConfigError(
            f"{file} is written in a way that `{'.'.join(path)}` cannot be set in",
            remedy="set it with an editor",
        )
    loaded = interpret(file, text, env)
    replace_file(_real(file), text.encode())
    return loaded


def _edited(
    file: Path, text: str, path: tuple[str, ...], value: Any, wanted: dict[str, Any]
) -> str | None:
    """Return the edited text, None unless it says exactly what is wanted."""
    try:
        edited = (_put_toml if is_toml(file) else put)(text, path, value)
        return edited if parse_document(file, edited) == wanted else None
    except (ValueError, ConfigError):
        return None


def _with(document: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    holder: Any = changed
    for depth, key in enumerate(path[:-1]):
        holder = holder.setdefault(key, {})
        if not isinstance(holder, dict):
            raise ConfigError(
                f"{'.'.join(path[: depth + 1])} is not a section, so `{'.'.join(path)}` "
                "cannot be set in it",
                remedy=f"set `{'.'.join(path[: depth + 1])}` as a whole",
            )
    holder[path[-1]] = value
    return changed


def _put_toml(text: str, path: tuple[str, ...], value: Any) -> str:
    import tomlkit  # late: most files are JSON5
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        holder: Any = document
        for key in path[:-1]:
            if key not in holder:
                holder[key] = tomlkit.table()
            holder = holder[key]
        holder[path[-1]] = value
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ValueError(str(error)) from error


def _real(file: Path) -> Path:
    """Follow a symbolic link to a file of ours; any other link is replaced, not written through."""
    real = file.resolve()
    ours = real.is_file() and real.stat().st_uid == os.geteuid()
    if not ours and file.is_symlink():
        raise ConfigError(
            f"{file} is a symbolic link to what is not a file of this user",
            remedy=f"put the file itself there: `cp --remove-destination {real} {file}`",
        )
    return real if ours else file


def _empty(file: Path) -> str:
    return "" if is_toml(file) else "{\n}\n"


def _key_path(dotted: str) -> tuple[str, ...]:
    path = tuple(dotted.split("."))
    if not all(path):
        raise UsageError(
            f"{dotted!r} is not the path of a key",
            remedy="write it like `gateway.auth.mode`",
        )
    return path


def _holds(value: Any, mark: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(item, mark) for item in value.values())
    if isinstance(value, list):
        return any(_holds(item, mark) for item in value)
    return isinstance(value, str) and mark in value
