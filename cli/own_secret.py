"""Where the secret of this machine's gateway is, for whoever was refused without it or with another."""

from __future__ import annotations

import shlex
from pathlib import Path

from attrs import frozen

from stores.config.load import LoadedConfig
from stores.credentials import CredentialsRequiredError
from stores.own_gateway import port_variable
from stores.running import Running


@frozen
class Whereabouts:
    """Where a running gateway has its secret from, and how a command comes by the same.

    Args:
        clause: Names the gateway and the place.
        remedy: What to do, with the command in backticks.
    """

    clause: str
    remedy: str


def whereabouts(running: Running | None, file: Path, command: str) -> Whereabouts | None:
    """Return where a running gateway has its secret from, if that is not the file read here.

    Args:
        running: What the lock of the state directory names.
        file: The configuration file that the command read.
        command: What was typed, without secrets.
    """
    source = running.secret_source if running is not None and running.alive else None
    if running is None or source is None:
        return None
    kind = "password" if "password" in source.lower() else "token"
    who = f"the gateway that runs here (pid {running.pid})"
    clause = f"{who} has its {kind} from {source}"
    place, _, name = source.partition(" ")
    if place == "env":
        return Whereabouts(
            f"{who} has its {kind} from its own {source}",
            f"set {name} here to the same, or give the {kind} with `--{kind}-file FILE`; for all "
            f"commands to find it, `openclaw config set gateway.auth.{kind} --from-file FILE`",
        )
    if place in ("--token-file", "--password-file"):
        return Whereabouts(
            clause, f"give that file here too: `{command} {place} {shlex.quote(name)}`"
        )
    if place in ("--token", "--password"):
        return Whereabouts(clause, f"give the same here, with `--{kind}-file FILE`")
    other = running.config_path
    if other is None or other == str(file):
        return None
    named = f"OPENCLAW_CONFIG_PATH={shlex.quote(other)}"
    return Whereabouts(clause, f"use its configuration: `{named} {command}`")


def name_whereabouts(
    error: CredentialsRequiredError, running: Running | None, file: Path, command: str
) -> bool:
    """Say of a missing secret where it is; tell whether that could be told. See `whereabouts`."""
    found = whereabouts(running, file, command)
    if found is None:
        return False
    error.problem += f"; {found.clause}"
    error.remedy = found.remedy
    return True


def with_port(command: str, running: Running, loaded: LoadedConfig) -> str:
    """Return a command that finds a gateway at another port than the one in force."""
    assert running.port is not None
    secure = running.tls_fingerprint is not None
    return f"{port_variable(running.port, loaded, secure=secure)} {command}"
