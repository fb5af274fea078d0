"""Where a command runs, and the options that every call to a gateway takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import field, fields, frozen

from stores.paths import Paths, resolve_paths

F = TypeVar("F", bound=Callable[..., Any])

#: What published commands wait, ms.
TIMEOUT_MS = 10_000
URL_VARIABLE = "OPENCLAW_GATEWAY_URL"


@frozen
class Place:
    """Where a command runs: its environment and the options in front of its name.

    Args:
        log_level: Of the gateway, for the one command that runs it.
    """

    env: Mapping[str, str]
    profile: str | None = None
    dev: bool = False
    log_level: str | None = None

    @property
    def paths(self) -> Paths:
        """Where the files of this machine's gateway are."""
        return resolve_paths(self.env, profile=self.profile, dev=self.dev)


def place() -> Place:
    """Return the place of the running command."""
    found = click.get_current_context().find_object(Place)
    return found if found is not None else Place(os.environ)


def note_log_level() -> None:
    """Say that a level was named to a command that writes no log."""
    from cli.output import note  # late: few say it

    note(
        "note: --log-level has no effect: only `openclaw gateway run` writes a log, and "
        "`openclaw config set logging.level LEVEL` changes that of one that runs"
    )


@frozen(kw_only=True)
class TargetOptions:
    """The words of a command that say which gateway, and with what secret."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    password_file: Path | None = None
    tls_fingerprint: str | None = None
    timeout_ms: int | None = None
    as_json: bool = False
    port: int | None = None


_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option(
        "--timeout",
        "timeout_ms",
        type=click.IntRange(1, 3_600_000),
        metavar="MS",
        help=f"Wait this long for the gateway, in ms ({TIMEOUT_MS}).",
    ),
    click.option(
        "--tls-fingerprint",
        metavar="SHA256",
        help="Accept this certificate and no other; `openclaw gateway fingerprint` prints it.",
    ),
    click.option(
        "--password-file", type=_FILE, metavar="FILE", help="Read the password from FILE."
    ),
    click.option("--token-file", type=_FILE, metavar="FILE", help="Read the token from FILE."),
    click.option(
        "--password", metavar="TEXT", help="Password; visible to all users of the machine."
    ),
    click.option("--token", metavar="TEXT", help="Token; visible to all users of the machine."),
    click.option("--url", metavar="URL", help="Gateway to call, instead of the configured one."),
)


#: For commands that look at a gateway; goes above `target_options`.
port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="This machine's gateway on port N, whatever the configuration says.",
)


def target_options(command: F) -> F:
    """Give a command the options every call takes, as one argument ``options``."""

    def gathered(*args: Any, **words: Any) -> Any:
        names = [field.name for field in fields(TargetOptions)]
        options = TargetOptions(**{name: words.pop(name) for name in names if name in words})
        return command(*args, options=options, **words)

    wrapped: Any = gathered
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", ()))
    for option in _OPTIONS:
        wrapped = option(wrapped)
    result: F = wrapped
    return result
