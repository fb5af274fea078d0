"""Where everything of one gateway lives: state directory, configuration, logs and locks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from stores.errors import ConfigError, UsageError
from stores.plain_file import is_there

DEFAULT_PORT = 18789
#: The profile ``dev`` keeps out of the way of a gateway that runs beside it.
DEV_PORT = 19001
DEV_PROFILE = "dev"
TOML_NAME = "openclaw.toml"
JSON_NAME = "openclaw.json"
#: ``config_source`` of a file nobody named: only then may the other format take its place.
FOUND_IN_STATE_DIR = "state directory"

#: The name becomes part of a directory and of a unit name, so nothing a path or systemd reads.
_PROFILE = re.compile(r"[A-Za-z0-9_-]+")


@frozen
class Paths:
    """The places of one gateway; ``config_source`` says who chose the configuration file."""

    state_dir: Path
    config_path: Path
    config_source: str = FOUND_IN_STATE_DIR
    profile: str | None = None

    @property
    def devices_dir(self) -> Path:
        """Return the folder of the pairing store."""
        return self.state_dir / "devices"

    @property
    def identity_dir(self) -> Path:
        """Return the folder of this machine's own device identity."""
        return self.state_dir / "identity"

    @property
    def logs_dir(self) -> Path:
        """Return the folder of the gateway's log files."""
        return self.state_dir / "logs"

    @property
    def lock_path(self) -> Path:
        """Return the file a running gateway holds locked for its whole life."""
        return self.state_dir / "gateway.lock"

    @property
    def config_lock_path(self) -> Path:
        """Return the lock that writers of the configuration take in turn.

        It is in the state directory, not beside the file: that folder may be `/etc`.
        """
        return self.state_dir / "config.lock"

    @property
    def default_port(self) -> int:
        """Return the port in force when flag, configuration and environment name none."""
        return DEV_PORT if self.profile == DEV_PROFILE else DEFAULT_PORT


def resolve_paths(
    env: Mapping[str, str],
    *,
    profile: str | None = None,
    dev: bool = False,
    config: Path | None = None,
    home: Path | None = None,
) -> Paths:
    """Work out the places in force.

    A path said outright (``config``, ``OPENCLAW_STATE_DIR``, ``OPENCLAW_CONFIG_PATH``) beats one
    that follows from the name of a profile.

    Args:
        profile: The value of ``--profile``; beats ``OPENCLAW_PROFILE``.
        dev: ``--dev``, short for the profile ``dev``.
        config: The value of ``--config``.
        home: The home directory, when it is not the one of the environment.

    Raises:
        UsageError: a profile name with other characters than letters, digits, ``-`` and ``_``,
            or ``--dev`` next to another profile.
    """
    name = _profile_in_force(env, profile, dev=dev)
    base = _home(env, home)
    said = env.get("OPENCLAW_STATE_DIR", "").strip()
    folder = ".openclaw" if name is None else f".openclaw-{name}"
    state_dir = _absolute(said, base) if said else base / folder
    if config is not None:
        return Paths(state_dir, _absolute(str(config), base), "--config", name)
    named = env.get("OPENCLAW_CONFIG_PATH", "").strip()
    if named:
        return Paths(state_dir, _absolute(named, base), "env OPENCLAW_CONFIG_PATH", name)
    try:
        found = config_in_force(state_dir)[0]
    except ConfigError:  # for whoever reads in it to tell: these are names only
        found = state_dir / JSON_NAME
    return Paths(state_dir, found, FOUND_IN_STATE_DIR, name)


def config_in_force(state_dir: Path) -> tuple[Path, Path | None]:
    """Return the configuration file of a state directory, and the one it makes ignored.

    The first need not exist: it is then where a new one belongs.

    Raises:
        ConfigError: this user may not look into the directory.
    """
    toml, json = state_dir / TOML_NAME, state_dir / JSON_NAME
    if is_there(toml, of=state_dir):
        return toml, json if is_there(json, of=state_dir) else None
    return json, None


def refuse_foreign_state(paths: Paths) -> None:
    """Refuse a state directory that another program keeps its own database in.

    Raises:
        ConfigError: it holds ``state/openclaw.sqlite``; two owners would undo each other's work.
    """
    database = paths.state_dir / "state" / "openclaw.sqlite"
    if is_there(database, of=paths.state_dir):
        raise ConfigError(
            f"{paths.state_dir} belongs to another program (it holds {database})",
            remedy="give this gateway its own with `openclaw --profile NAME gateway run`",
        )


def _profile_in_force(env: Mapping[str, str], profile: str | None, *, dev: bool) -> str | None:
    if dev:
        if profile not in (None, DEV_PROFILE):
            raise UsageError(
                f"--dev means the profile dev, but --profile names {profile}",
                remedy="leave one of them out",
            )
        return DEV_PROFILE
    source, name = "--profile", profile
    if name is None:
        source, name = "env OPENCLAW_PROFILE", env.get("OPENCLAW_PROFILE", "").strip() or None
    if name is not None and _PROFILE.fullmatch(name) is None:
        raise UsageError(
            f"{source}: {name!r} is not a name for a profile",
            remedy="use letters, digits, `-` and `_` only",
        )
    return name


def _home(env: Mapping[str, str], home: Path | None) -> Path:
    said = env.get("OPENCLAW_HOME", "").strip()
    own = home or Path(env.get("HOME", "").strip() or Path.home())
    return _absolute(said, own) if said else own


def _absolute(text: str, home: Path) -> Path:
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    # not resolve(): the name a user gave is the name our messages must show
    return Path(os.path.abspath(text))
