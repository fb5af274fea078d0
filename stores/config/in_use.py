"""Which configuration counts while a gateway runs: what it took in, or what the file says.

Rule: that of the gateway itself. A file that is gone, cannot be used, or lost so much that nobody
wished for it changes nothing until it is repaired, so whoever asks that gateway asks with what it
took in, and is told of the file.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from attrs import evolve, frozen

from stores.config.accident import looks_like_accident
from stores.config.history import last_known_good, load_last_known_good
from stores.config.load import LoadedConfig, digest_of, load_config
from stores.errors import ConfigError, UserFacingError
from stores.paths import Paths
from stores.running import Running

#: What a gateway notes that runs without a file.
_NO_TEXT = digest_of("")


class Why(StrEnum):
    """Why the file of a running gateway is not what counts."""

    INVALID = "invalid"
    GONE = "gone"
    ACCIDENT = "accident"
    OTHER_FILE = "other-file"  # the gateway was told of another one, and there is none here


@frozen(kw_only=True)
class InUse:
    """What a file says, and what counts in its place.

    Args:
        said: What the file says, or the error that loading it raised.
        runs: What the running gateway took in, where that stands in for the file and is known.
        why, problem: Why it does, and in words, with the command that helps.
    """

    said: LoadedConfig | UserFacingError
    runs: LoadedConfig | None = None
    why: Why | None = None
    problem: UserFacingError | None = None

    @property
    def lost(self) -> bool:
        """Tell whether the gateway takes the file for an accident that it can be led back from."""
        return self.why in (Why.GONE, Why.ACCIDENT)

    def usable(self) -> LoadedConfig:
        """Return what counts.

        Raises:
            UserFacingError: the file cannot be used, and nothing that runs tells more.
        """
        if self.runs is not None:
            return self.runs
        if isinstance(self.said, UserFacingError):
            raise self.said
        return self.said


def config_in_use(paths: Paths, env: Mapping[str, str], running: Running | None) -> InUse:
    """Return which configuration counts for whoever asks this machine's gateway.

    Args:
        running: What the lock of the state directory names.
    """
    try:
        said: LoadedConfig | UserFacingError = load_config(paths, env)
    except UserFacingError as error:
        said = error
    if running is None or not running.alive:
        return InUse(said=said)
    file = said.path if isinstance(said, LoadedConfig) else paths.config_path
    noted = Path(running.config_path) if running.config_path else file
    if not _same(noted, file):
        if isinstance(said, LoadedConfig) and said.exists:
            return InUse(said=said)  # chosen on purpose; a status points the other one out
        if not _is_gone(noted):
            return _of_other_file(paths, env, running, noted, said)
    if _is_what_runs(said, running):
        return InUse(said=said)
    good = _taken_in(paths, env, running)
    if isinstance(said, UserFacingError):
        return InUse(said=said, runs=good, why=Why.INVALID if good else None)
    if not said.exists:
        return _of_no_file(paths, running, noted, said, good)
    if good is None or running.config_digest is None:
        return InUse(said=said)
    lost = looks_like_accident(good, said)
    if lost is None:
        return InUse(said=said)
    return InUse(said=said, runs=good, why=Why.ACCIDENT, problem=_kept(lost, running, paths))


def taken_in(paths: Paths, env: Mapping[str, str], running: Running | None) -> LoadedConfig | None:
    """Return what the gateway that runs with this file took in, None if that is not known."""
    if running is None or not running.alive or running.config_digest is None:
        return None
    if running.config_path and not _same(Path(running.config_path), paths.config_path):
        return None
    return _taken_in(paths, env, running)


def _kept(lost: str, running: Running, paths: Paths) -> ConfigError:
    who = f"the running gateway (pid {running.pid})"
    return ConfigError(
        f"{lost}, and {who} takes that for an accident and keeps what it has",
        remedy=_way_back(paths),
    )


def _way_back(paths: Paths) -> str:
    profile = f" --profile {paths.profile}" if paths.profile else ""
    if last_known_good(paths) is None:
        return f"see what is kept of it with `openclaw{profile} config rollback`"
    return f"go back with `openclaw{profile} config rollback good --yes`"


def _is_what_runs(said: LoadedConfig | UserFacingError, running: Running) -> bool:
    """Tell whether the file surely says what the gateway took in: no included file can differ."""
    alone = isinstance(said, LoadedConfig) and said.exists and len(said.sources) == 1
    return alone and isinstance(said, LoadedConfig) and said.digest == running.config_digest


def _of_no_file(
    paths: Paths, running: Running, noted: Path, said: LoadedConfig, good: LoadedConfig | None
) -> InUse:
    if running.config_digest == _NO_TEXT or (running.config_digest is None and good is None):
        return InUse(said=said)  # it never had one
    told = _kept(f"{noted} is gone", running, paths)
    return InUse(said=said, runs=good, why=Why.GONE, problem=told)


def _of_other_file(
    paths: Paths,
    env: Mapping[str, str],
    running: Running,
    noted: Path,
    said: LoadedConfig | UserFacingError,
) -> InUse:
    there = evolve(paths, config_path=noted, config_source="the running gateway")
    good = _taken_in(there, env, running)
    told = ConfigError(
        f"the running gateway (pid {running.pid}) uses another configuration file, {noted}",
        remedy=f"name it: `OPENCLAW_CONFIG_PATH={shlex.quote(str(noted))} openclaw …`",
    )
    # its text is what that file held
    runs = None if good is None else evolve(good, read_from=None)
    return InUse(said=said, runs=runs, why=Why.OTHER_FILE, problem=told)


def _taken_in(paths: Paths, env: Mapping[str, str], running: Running) -> LoadedConfig | None:
    with contextlib.suppress(UserFacingError):
        good = load_last_known_good(paths, env)
        if good is not None and running.config_digest in (None, good.digest):
            return good
    return None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _is_gone(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # not ours to see
    return False
