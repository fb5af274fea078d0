"""Change the configuration file, and nothing in it but what was asked for.

Rule: the whole result is checked before anything is written, the text replaced is kept in the
history first, and no message ever shows a value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from stores.config.diff import Side, redacted_diff
from stores.config.document import drop_key, put_key, refuse_included
from stores.config.history import keep, with_digest
from stores.config.keypath import MISSING, KeyPath, dotted, look_up, parse_key
from stores.config.kinds import REDACTED
from stores.config.known import Standing, know, written_path
from stores.config.load import (
    Fault,
    InvalidConfigError,
    LoadedConfig,
    digest_of,
    in_force,
    interpret,
    is_toml,
    parse_document,
    read_text,
)
from stores.errors import ConfigError
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

#: Takes the file in force and its text (None without a file); returns the new text.
Change = Callable[[Path, str | None], str]

#: Takes what would be written, valid as it is; raises `UserFacingError` if it must not be.
Judge = Callable[[LoadedConfig], None]


class ConflictError(ConfigError):
    """The file is not what it was when the change was decided; ``diff`` shows how, redacted."""

    def __init__(self, problem: str, *, remedy: str, diff: str) -> None:
        super().__init__(problem, remedy=remedy)
        self.diff = diff


@frozen
class Edit:
    """What a change did, or would do: the configuration before and after it.

    ``before`` is None if what the file held could not be used; ``old_document`` is what it said
    itself, without includes, empty if it could not be read.
    """

    loaded: LoadedConfig
    before: LoadedConfig | None
    old_raw: str | None = field(repr=False)
    old_document: dict[str, Any] = field(repr=False)
    written: bool = False

    @property
    def changes(self) -> bool:
        """Tell whether the text differs from what was there."""
        return self.loaded.raw != (self.old_raw or "")


def set_value(
    paths: Paths,
    key: str | KeyPath,
    value: Any,
    *,
    env: Mapping[str, str],
    base_digest: str | None = None,
    dry_run: bool = False,
    judge: Judge | None = None,
) -> Edit:
    """Set one key in the configuration file in force; comments, order and layout stay.

    Without a file, one is made. A value that is there already leaves the file untouched.

    Args:
        key: Its path, such as ``gateway.auth.mode``.
        value: JSON value; ``${VAR}`` in a string is written as it is, a reference.
        base_digest: `LoadedConfig.digest` of the text the change was decided on.

    Raises:
        ConflictError: the file is another one than ``base_digest`` names.
        ConfigError: the result would not be valid, the key lives in an included file, the file
            cannot be edited in place, or the environment says that it is read-only. The file is
            untouched. Also whatever ``judge`` raises, in a dry run too.
    """
    path = parse_key(key) if isinstance(key, str) else key
    if _holds(value, REDACTED):
        raise ConfigError(
            f"{dotted(path)}: the mark that hides a secret is not the secret",
            remedy="give the value itself",
        )

    def change(file: Path, raw: str | None) -> str:
        text = _empty(file) if raw is None else raw
        document = parse_document(file, text)
        _refuse_unknown_root(path, document)
        here = written_path(document, path)
        refuse_included(file, raw, here, value)
        return put_key(file, text, here, value)

    return change_text(
        paths, change, env=env, base_digest=base_digest, dry_run=dry_run, judge=judge
    )


def unset_value(
    paths: Paths,
    key: str | KeyPath,
    *,
    env: Mapping[str, str],
    base_digest: str | None = None,
    dry_run: bool = False,
    judge: Judge | None = None,
) -> Edit:
    """Remove one key from the configuration file in force; comments, order and layout stay.

    Raises:
        ConflictError, ConfigError: see `set_value`; also when the key is not set.
    """
    path = parse_key(key) if isinstance(key, str) else key

    def change(file: Path, raw: str | None) -> str:
        document = {} if raw is None else parse_document(file, raw)
        here = written_path(document, path)
        refuse_included(file, raw, here, MISSING)
        if raw is None or look_up(document, here) is MISSING:
            raise ConfigError(
                f"{dotted(path)} is not set in {file}",
                remedy="see what is with `openclaw config get gateway`",
            )
        return drop_key(file, raw, here)

    return change_text(
        paths, change, env=env, base_digest=base_digest, dry_run=dry_run, judge=judge
    )


def ensure_token(paths: Paths, *, env: Mapping[str, str], new_token: Callable[[], str]) -> Path:
    """Make sure the configuration file holds a shared token, and return the file.

    A file that names one, directly or by `tokenFile`, is left alone; of two starters one writes
    and the other finds it. Without a file, a commented one is made, in mode 0600.

    Raises:
        ConfigError: see `set_value`.
    """

    def change(file: Path, raw: str | None) -> str:
        auth = interpret(file, raw, env).config.gateway.auth
        if raw is not None and (auth.token or auth.token_file):
            return raw
        fresh = _NEW_TOML if is_toml(file) else _NEW_JSON5
        path = parse_key(TOKEN_KEY)
        return put_key(file, fresh if raw is None else raw, path, new_token())

    return change_text(paths, change, env=env).loaded.path


def change_text(
    paths: Paths,
    change: Change,
    *,
    env: Mapping[str, str],
    base_digest: str | None = None,
    dry_run: bool = False,
    judge: Judge | None = None,
) -> Edit:
    """Put a new text in place of the configuration file in force, if it is valid.

    The text replaced is kept in the history. A text that is the same is not written.

    Raises:
        ConflictError: the file is another one than ``base_digest`` names.
        ConfigError, StoreError: the file is untouched; also whatever ``judge`` raises.
    """
    with _writing(paths, env, dry_run=dry_run) as file:
        raw = read_text(file)
        _refuse_conflict(paths, file, raw, base_digest)
        text = change(file, raw)
        loaded = _checked(file, raw, text, env)
        edit = Edit(loaded, _usable(file, raw, env), raw, _readable(file, raw))
        if text == raw:
            return edit
        if judge is not None:
            judge(loaded)
        if dry_run:
            return edit
        write_text(paths, file, raw, text)
        return Edit(loaded, edit.before, raw, edit.old_document, written=True)


def write_text(paths: Paths, file: Path, raw: str | None, text: str) -> None:
    """Keep ``raw`` in the history and put ``text`` in its place, atomically and in mode 0600.

    Locking: the caller holds the lock of the configuration's writers.

    Raises:
        ConfigError, StoreError: the file is untouched.
    """
    from stores.files import replace_file, sweep_staged

    real = _real(file)
    sweep_staged(real)
    if raw is not None:
        keep(paths, file, raw)
    replace_file(real, text.encode())


def refuse_read_only(paths: Paths, env: Mapping[str, str]) -> None:
    """Refuse to write where the environment says that another program owns the file.

    Raises:
        ConfigError: it does.
    """
    said = next((name for name in _READ_ONLY if env.get(name, "").strip() == "1"), None)
    if said is not None:
        raise ConfigError(
            f"{in_force(paths)[0]} is read-only, as env {said} says",
            remedy="change it where it is generated",
        )


@contextmanager
def _writing(paths: Paths, env: Mapping[str, str], *, dry_run: bool) -> Iterator[Path]:
    """Hold the writers' lock; yield the file in force, which may have changed while waiting."""
    from stores.files import locked

    refuse_read_only(paths, env)
    if dry_run:
        yield in_force(paths)[0]
        return
    with locked(paths.config_lock_path):
        yield in_force(paths)[0]


def _refuse_conflict(paths: Paths, file: Path, raw: str | None, base: str | None) -> None:
    if base is None or digest_of(raw or "") == base:
        return
    known = with_digest(paths, base)
    diff = ""
    if known is not None:
        old = Side(f"{file} (as it was read)", known, is_toml(file))
        diff = redacted_diff(old, Side(f"{file} (now)", raw or "", is_toml(file)))
    raise ConflictError(
        f"{file} was changed by somebody else since it was read, so nothing was written",
        remedy="look at what changed, then give the command again",
        diff=diff,
    )


def _checked(file: Path, raw: str | None, text: str, env: Mapping[str, str]) -> LoadedConfig:
    """Check a text that is not written yet: lines are those of the file as it is."""
    try:
        return interpret(file, text, env)
    except InvalidConfigError as error:
        known: dict[str, Fault] = {}
        with suppress(ConfigError):
            try:
                interpret(file, raw, env)
            except InvalidConfigError as before:
                known = {fault.key: fault for fault in before.faults}
        faults = [known.get(fault.key) or evolve(fault, line=None) for fault in error.faults]
        # what the change itself brings in comes first
        raise InvalidConfigError(*sorted(faults, key=lambda one: one.key in known)) from None


def _usable(file: Path, raw: str | None, env: Mapping[str, str]) -> LoadedConfig | None:
    try:
        return interpret(file, raw, env)
    except ConfigError:
        return None


def _readable(file: Path, raw: str | None) -> dict[str, Any]:
    try:
        return {} if raw is None else parse_document(file, raw)
    except ConfigError:
        return {}


def _refuse_unknown_root(path: KeyPath, document: Mapping[str, Any]) -> None:
    """Refuse a section nobody knows, which would be carried silently, if it looks like a slip."""
    known = know(path)
    if path[0] in document or known.standing is not Standing.UNKNOWN:
        return
    if know(path[:1]).standing is Standing.UNKNOWN and known.hint:
        raise ConfigError(f"{dotted(path)}: unknown key", remedy=known.hint)


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


def _holds(value: Any, mark: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(item, mark) for item in value.values())
    if isinstance(value, list):
        return any(_holds(item, mark) for item in value)
    return isinstance(value, str) and mark in value
