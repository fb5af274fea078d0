"""Change a configuration the way clients do: a whole new text, or a merge patch (RFC 7396).

Rule: a mark that hides a secret, sent back, stands for the secret that is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from stores.config.document import drop_key, put_key, refuse_included
from stores.config.edit import Edit, Judge, change_text
from stores.config.keypath import MISSING, KeyPath, dotted, look_up
from stores.config.kinds import REDACTED
from stores.config.load import is_toml, parse_document
from stores.errors import ConfigError
from stores.paths import Paths


def replace_all(
    paths: Paths,
    raw: str,
    *,
    env: Mapping[str, str],
    base_digest: str | None = None,
    judge: Judge | None = None,
) -> Edit:
    """Put a JSON5 text in place of the configuration file; a TOML file gets it as TOML.

    A TOML text is taken too where the file is one: that is what a reader of it was shown.

    Raises:
        ConflictError: the file is another one than ``base_digest`` names.
        ConfigError: the text is not valid, or a mark in it hides nothing. The file is untouched.
    """

    def change(file: Path, old: str | None) -> str:
        current = {} if old is None else _readable(file, old)
        if is_toml(file) and not raw.lstrip("\ufeff \t\r\n").startswith(("{", "//", "/*")):
            return restore_marks(Path("sent.toml"), raw, current)
        text = restore_marks(Path("sent.json"), raw, current)
        if is_toml(file):
            from stores.config.convert import convert  # late: most files are JSON5

            return convert(text, "toml")
        return text

    return change_text(paths, change, env=env, base_digest=base_digest, judge=judge)


def _readable(file: Path, text: str) -> dict[str, Any]:
    """Return what a file says, nothing if it is broken: a whole new text repairs it."""
    try:
        return parse_document(file, text)
    except ConfigError:
        return {}


def merge(
    paths: Paths,
    patch: Mapping[str, Any],
    *,
    env: Mapping[str, str],
    base_digest: str | None = None,
    replace: Collection[str] = (),
    judge: Judge | None = None,
) -> Edit:
    """Apply a merge patch to the configuration file: null removes a key, an object merges.

    Arrays of objects that have an ``id`` merge by it (protocol fact).

    Args:
        replace: Dotted keys whose arrays are replaced as a whole all the same.

    Raises:
        ConflictError, ConfigError: see `replace_all`; also for a key that an included file sets.
    """

    def change(file: Path, old: str | None) -> str:
        text = old if old is not None else ("" if is_toml(file) else "{\n}\n")
        current = parse_document(file, text)
        for path, value in _steps(patch, current, ()):
            if isinstance(value, list) and dotted(path) not in replace:
                value = _merged_by_id(look_up(current, path), value)  # noqa: PLW2901  # the same one
            refuse_included(file, text, path, MISSING if value is None else value)
            if value is not None:
                text = put_key(file, text, path, value)
            elif look_up(parse_document(file, text), path) is not MISSING:
                text = drop_key(file, text, path)
        return restore_marks(file, text, current)

    return change_text(paths, change, env=env, base_digest=base_digest, judge=judge)


def _steps(patch: Mapping[str, Any], current: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield what a patch does, key by key; None removes."""
    for key, value in patch.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            if not isinstance(look_up(current, here), Mapping):
                yield here, {}  # RFC 7396: an object takes the place of whatever was there
            yield from _steps(value, current, here)
        else:
            yield here, value


def _merged_by_id(old: Any, new: list[Any]) -> list[Any]:
    if not isinstance(old, list) or not all(map(_has_id, (*old, *new))):
        return new
    changes = {item["id"]: item for item in new}
    kept = [_patched(item, changes.pop(item["id"], {})) for item in old]
    return [*kept, *changes.values()]


def _has_id(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("id"), str)


def _patched(old: Any, patch: Any) -> Any:
    """Return the result of RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _patched(result.get(key), value)
    return result


def restore_marks(file: Path, text: str, current: Mapping[str, Any]) -> str:
    """Return a text with the secret itself in place of each mark that hides one.

    Args:
        file: Names the format of ``text``.
        current: What the file in force says; references in it stay references.

    Raises:
        ConfigError: a mark stands where there is no secret.
    """
    for path in list(_marks(parse_document(file, text), ())):
        secret = look_up(current, path)
        if not isinstance(secret, str) or REDACTED in secret:
            raise ConfigError(
                f"{dotted(path)}: the mark that hides a secret hides nothing here",
                remedy="give the value itself",
            )
        text = put_key(file, text, path, secret)
    return text


def _marks(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _marks(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _marks(item, (*path, str(at)))
    elif isinstance(value, str) and REDACTED in value:
        yield path
