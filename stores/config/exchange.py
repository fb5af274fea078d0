"""Put another text in place of the whole file: an earlier version, or the same in the other format.

Rule: of the two formats one file stays, for of two the second one would be ignored; whatever is
replaced or removed is kept in the history first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from stores.config.convert import convert
from stores.config.edit import Edit, change_text, refuse_read_only, write_text
from stores.config.history import Format, Version, format_of, keep
from stores.config.load import LoadedConfig, in_force, interpret, read_text
from stores.errors import ConfigError
from stores.paths import FOUND_IN_STATE_DIR, Paths


@frozen
class Exchange:
    """A file that took the place of another; ``removed`` is the other one if it is gone now."""

    source: Path
    target: Path
    text: str = field(repr=False)
    loaded: LoadedConfig
    removed: Path | None = None
    written: bool = False


def roll_back(
    paths: Paths, version: Version, *, env: Mapping[str, str], dry_run: bool = False
) -> Edit:
    """Put an earlier version back, if it is still valid; what it replaces is kept like any other.

    Raises:
        ConfigError: it is not valid any more, or has the other format than the file in force,
            which a name given outright does not allow. Nothing was changed.
    """
    text, (file, _) = version.read(), in_force(paths)
    if format_of(file) == version.format:
        return change_text(paths, lambda _file, _raw: text, env=env, dry_run=dry_run)
    raw = read_text(file)
    exchange = _exchange(paths, text, version.format, env=env, replace=True, dry_run=dry_run)
    return Edit(exchange.loaded, None, raw, {}, written=exchange.written)


def convert_file(
    paths: Paths,
    to: Format,
    *,
    env: Mapping[str, str],
    replace: bool = False,
    dry_run: bool = False,
) -> Exchange | None:
    """Write the file in force in the other format and remove it; None if it has that format.

    A file that was named outright is left where it is.

    Args:
        replace: Whether a file that is in the way may be replaced.

    Raises:
        ConfigError: there is no file, it is not valid, a value has no form in the other format,
            or a file is in the way. Nothing was changed.
    """
    file, _ = in_force(paths)
    raw = read_text(file)
    if raw is None:
        raise ConfigError(
            f"{file} does not exist, so there is nothing to convert",
            remedy="make one with `openclaw config set gateway.mode local`",
        )
    if format_of(file) == to:
        return None
    before = interpret(file, raw, env)
    text = convert(raw, to)
    exchange = _exchange(paths, text, to, env=env, replace=replace, dry_run=dry_run)
    assert exchange.loaded.config == before.config, "the other format says the same"
    return exchange


def _exchange(
    paths: Paths, text: str, to: Format, *, env: Mapping[str, str], replace: bool, dry_run: bool
) -> Exchange:
    from stores.files import locked

    refuse_read_only(paths, env)
    file, _ = in_force(paths)
    target = file.with_suffix(".toml" if to == "toml" else ".json")
    in_the_way = read_text(target)
    if in_the_way is not None and not replace:
        raise ConfigError(
            f"{target} is in the way", remedy="replace it with `--replace`; it is kept"
        )
    loaded = interpret(target, text, env)
    named = paths.config_source != FOUND_IN_STATE_DIR
    exchange = Exchange(file, target, text, loaded, None if named else file)
    if dry_run:
        return exchange
    with locked(paths.config_lock_path):
        raw = read_text(file)
        write_text(paths, target, in_the_way, text)
        if raw is not None:
            keep(paths, file, raw)
        if not named:  # while both are there they say the same
            file.unlink(missing_ok=True)
    return evolve(exchange, written=True)
