"""How much is written to the log: the command line, then the configuration, then the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from gateway.options import RunOptions
from stores.config.keypath import MISSING, look_up
from stores.config.load import LoadedConfig
from stores.config.model import LogLevel

LEVEL_VARIABLE = "OPENCLAW_LOG_LEVEL"
_KEY = ("logging", "level")
_MEANT = {"warning": "warn"}


class Levels(TypedDict):
    """What the log is adjusted to."""

    level: str
    console_level: str
    max_file_bytes: int


def levels(options: RunOptions, loaded: LoadedConfig, env: Mapping[str, str]) -> Levels:
    """Return the levels in force; a variable that names none changes nothing."""
    config, asked = loaded.config.logging, _asked(options)
    said = None if _configured(loaded) else _level(env)
    level = asked or said or str(config.level)
    return {
        "level": level,
        "console_level": asked or str(config.console_level or level),
        "max_file_bytes": config.max_file_bytes,
    }


def unheeded(options: RunOptions, loaded: LoadedConfig, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for a variable that is set and does not count."""
    said = env.get(LEVEL_VARIABLE, "").strip()
    if not said:
        return ()
    level = _level(env)
    if level is None:
        known = ", ".join(LogLevel)
        return (f"env {LEVEL_VARIABLE}: {said[:20]!r} is no level; there are {known}",)
    if levels(options, loaded, env)["level"] == level:
        return ()
    winner = loaded.where("logging.level")
    if _asked(options):
        winner = "--log-level" if options.log_level else "--verbose"
    return (f"env {LEVEL_VARIABLE} is set but not used: {winner} goes before it",)


def _asked(options: RunOptions) -> str | None:
    return options.log_level or ("debug" if options.verbose else None)


def _configured(loaded: LoadedConfig) -> bool:
    """Tell whether a file says it, so that a default does not count as said."""
    return look_up(loaded.document, _KEY) is not MISSING


def _level(env: Mapping[str, str]) -> str | None:
    said = env.get(LEVEL_VARIABLE, "").strip().lower()
    said = _MEANT.get(said, said)
    return said if said in set(LogLevel) else None
