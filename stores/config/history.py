"""Earlier versions of the configuration file, and the last one that a gateway ran with.

Rule: a version is a copy of the text, byte for byte, in a folder that only its owner can enter;
nothing here shows a text to anybody.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from attrs import evolve, frozen

from stores.config.load import (
    LoadedConfig,
    digest_of,
    in_force,
    interpret,
    is_toml,
    read_text,
)
from stores.errors import StoreError, UsageError
from stores.paths import Paths

FOLDER = "config-history"
MAX_VERSIONS = 20
#: What a user calls the last version that a gateway ran with.
GOOD = "good"

Format = Literal["json5", "toml"]
_SUFFIXES: dict[Format, str] = {"json5": ".json", "toml": ".toml"}
_NAME = re.compile(r"(\d{13,16})-([0-9a-f]{16})\.(json|toml)")
_GOOD_NAME = "last-known-good"
#: With includes the text alone is not all that ran, so the files are kept put together as well.
_MERGED_NAME = "last-known-good.merged.json"


@frozen
class Version:
    """A kept text; ``at_ms`` is when it was last seen in force, wall time."""

    path: Path
    format: Format
    at_ms: int
    digest: str

    def read(self) -> str:
        """Return the text.

        Raises:
            StoreError: it is gone, or cannot be read.
        """
        text = read_text(self.path)
        if text is None:
            raise StoreError(
                f"{self.path} is gone", remedy="see what is left with `openclaw config rollback`"
            )
        return text

    @property
    def when(self) -> str:
        """When it was last in force, UTC."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_of(path: Path) -> Format:
    """Return the format of a configuration file, by its name."""
    return "toml" if is_toml(path) else "json5"


def keep(paths: Paths, file: Path, raw: str) -> None:
    """Keep the text that ``file`` holds, unless it is the newest version already.

    Locking: the caller holds the lock of the configuration's writers.

    Raises:
        StoreError: it cannot be written; nothing is lost.
    """
    from stores.files import ensure_private_dir, replace_file, sweep_staged

    digest, kept = digest_of(raw), versions(paths)
    same_format = [version for version in kept if version.format == format_of(file)]
    if same_format and kept[0] is same_format[0] and kept[0].digest == digest[:16]:
        return
    folder = paths.state_dir / FOLDER
    ensure_private_dir(folder)
    newest_ms = kept[0].at_ms if kept else 0
    at_ms = max(time.time_ns() // 1_000_000, newest_ms + 1)  # the clock may have been set back
    path = folder / f"{at_ms:013d}-{digest[:16]}{_SUFFIXES[format_of(file)]}"
    replace_file(path, raw.encode())
    for version in kept[MAX_VERSIONS - 1 :]:
        with contextlib.suppress(OSError):
            version.path.unlink()
        sweep_staged(version.path)


def versions(paths: Paths) -> tuple[Version, ...]:
    """Return the kept versions, the newest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in (paths.state_dir / FOLDER).iterdir():
            name = _NAME.fullmatch(path.name)
            if name:
                kind: Format = "toml" if name[3] == "toml" else "json5"
                found.append(Version(path, kind, int(name[1]), name[2]))
    return tuple(sorted(found, key=lambda version: version.at_ms, reverse=True))


def find_version(paths: Paths, reference: str) -> Version:
    """Return the version that a user means.

    Args:
        reference: ``1`` for the newest, ``2`` for the one before it, …; ``good`` for the last one
            that a gateway ran with; or a time, ISO 8601 and UTC unless it says otherwise, for the
            text that was in force then.

    Raises:
        UsageError: there is no such version.
    """
    kept = versions(paths)
    found: Version | None = None
    if reference == GOOD:
        found = last_known_good(paths)
    elif reference.isdecimal() and len(reference) < 5:
        index = int(reference)
        found = kept[index - 1] if 0 < index <= len(kept) else None
    else:
        at_ms = _time_ms(reference)
        # a version was in force until it was kept, so the first one kept after that time counts
        later = [version for version in kept if version.at_ms >= at_ms]
        found = later[-1] if later else None
    if found is None:
        what = "no gateway has run with it yet" if reference == GOOD else f"{len(kept)} are kept"
        raise UsageError(
            f"there is no version {reference} of the configuration: {what}",
            remedy="list them with `openclaw config rollback`",
        )
    return found


def _time_ms(reference: str) -> int:
    try:
        when = datetime.fromisoformat(reference)
    except ValueError:
        raise UsageError(
            f"{reference!r} names no version of the configuration",
            remedy="give a number, `good`, or a time such as `2026-11-20T10:15`",
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def with_digest(paths: Paths, digest: str) -> str | None:
    """Return the kept text with this SHA-256, None if it is not kept."""
    if digest == digest_of(""):
        return ""
    for version in versions(paths):
        if digest.startswith(version.digest):
            with contextlib.suppress(StoreError):
                return version.read()
    return None


def record_good(paths: Paths, loaded: LoadedConfig) -> None:
    """Note that a gateway runs with this configuration: it becomes the last-known-good.

    A configuration without a file is none to go back to, so nothing is noted.

    Raises:
        StoreError: it cannot be written; the one noted before stays.
    """
    from stores.files import ensure_private_dir, locked, replace_file

    if not loaded.exists:
        return
    folder = paths.state_dir / FOLDER
    path = folder / f"{_GOOD_NAME}{_SUFFIXES[format_of(loaded.path)]}"
    merged = folder / _MERGED_NAME
    included = json.dumps(loaded.document, indent=2) if len(loaded.sources) > 1 else None
    noted = last_known_good(paths)
    merged_now = read_text(merged)
    if noted and noted.path == path and (noted.read(), merged_now) == (loaded.raw, included):
        return
    with locked(paths.config_lock_path):
        ensure_private_dir(folder)
        keep(paths, loaded.path, loaded.raw)
        if included is not None:
            replace_file(merged, included.encode())
        replace_file(path, loaded.raw.encode())
        if included is None:
            merged.unlink(missing_ok=True)
        for suffix in _SUFFIXES.values():
            if suffix != path.suffix:
                (folder / f"{_GOOD_NAME}{suffix}").unlink(missing_ok=True)


def last_known_good(paths: Paths) -> Version | None:
    """Return the last version that a gateway ran with, None if none ever did."""
    found: list[Version] = []
    for kind, suffix in _SUFFIXES.items():
        path = paths.state_dir / FOLDER / f"{_GOOD_NAME}{suffix}"
        with contextlib.suppress(OSError):
            at_ms = path.stat().st_mtime_ns // 1_000_000
            text = read_text(path)
            if text is not None:
                found.append(Version(path, kind, at_ms, digest_of(text)[:16]))
    # two only after a crash between the two steps that replace one by the other
    return max(found, key=lambda version: version.at_ms, default=None)


def load_last_known_good(paths: Paths, env: Mapping[str, str]) -> LoadedConfig | None:
    """Load the last version that a gateway ran with, with its names relative to where it was.

    ``path`` of the result is the file in force, which is the one to watch and to repair, and
    ``digest`` that of the text the file had, without what it included.

    Raises:
        ConfigError: it cannot be used any more, for what it names is gone.
    """
    good = last_known_good(paths)
    if good is None:
        return None
    merged = read_text(good.path.with_name(_MERGED_NAME))
    text, kind = (good.read(), good.format) if merged is None else (merged, "json5")
    file, ignored = in_force(paths)
    suffix = ".toml" if kind == "toml" else ".json"
    as_if = file if format_of(file) == kind else file.with_suffix(suffix)
    loaded = interpret(as_if, text, env, ignored_path=ignored)
    return evolve(
        loaded, path=file, sources=(file,), digest=digest_of(good.read()), read_from=good.path
    )
