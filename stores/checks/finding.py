"""A finding: what was seen, how much it matters, and the one command that helps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import field, frozen

from stores.config.load import LoadedConfig
from stores.credentials import GatewayAuth
from stores.errors import UserFacingError
from stores.paths import Paths
from stores.running import Running

_COMMAND = re.compile(r"`([^`]*[^`\s][^`]*)`")
#: Paths named in one finding; the rest is counted.
MOST_NAMED = 3


class Severity(StrEnum):
    """How much a finding matters; from a warning on something is to be done."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def matters(self) -> bool:
        """Tell whether something is to be done about it."""
        return self is not Severity.INFO


@frozen(kw_only=True)
class Finding:
    """One thing to say.

    Args:
        id: Stable name of the kind of trouble; several findings may share it.
        saw: What was found, with the object named.
        command: The one command, whole; None if there is none to type.
        fixable: Whether ``doctor --fix`` takes care of it.
        security: Whether it is about who gets in, or who reads secrets.
    """

    id: str
    severity: Severity
    title: str
    saw: str
    command: str | None = None
    fixable: bool = False
    security: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`: our own keys, then those of published reports beside them."""
        told = {
            "id": self.id,
            "severity": str(self.severity),
            "title": self.title,
            "saw": self.saw,
            "command": self.command,
            "fixable": self.fixable,
            "checkId": self.id,
            "message": f"{self.title}: {self.saw}",
            "detail": self.saw,
        }
        if self.command is None:
            return told
        return told | {"fixHint": self.command, "remediation": self.command}


@frozen(kw_only=True)
class Scene:
    """Where the checks look.

    Args:
        paths: Of the gateway, as they can be reached.
        openclaw: How a command for this very gateway begins.
        loaded: The configuration, None if it cannot be used; ``fault`` then says why.
        auth: What the gateway asks for, None if that cannot be told; ``auth_fault`` then says why.
        running: The gateway that noted itself there, running or not.
        lost: What is wrong with a file that the running gateway takes for an accident; ``loaded``
            then is what it took in, where that is known.
    """

    paths: Paths
    env: Mapping[str, str] = field(repr=False)
    now_ms: int
    openclaw: str = "openclaw"
    loaded: LoadedConfig | None = field(default=None, repr=False)
    fault: UserFacingError | None = None
    auth: GatewayAuth | None = field(default=None, repr=False)
    auth_fault: UserFacingError | None = None
    running: Running | None = None
    lost: UserFacingError | None = None

    @property
    def state_dir(self) -> Path:
        """The state directory."""
        return self.paths.state_dir

    def command(self, words: str) -> str:
        """Return a command of ours for this gateway."""
        return f"{self.openclaw} {words}"


def command_in(remedy: str | None, otherwise: str | None = None) -> str | None:
    """Return the first command in backticks of a remedy: one of ours, else one with words in it."""
    found = _COMMAND.findall(remedy or "")
    ours = [one for one in found if re.match(r"((sudo -u \S+|[A-Z_]+=\S+) )*openclaw ", one)]
    others = [one for one in found if " " in one]
    return next(iter([*ours, *others]), otherwise)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def named(paths: Iterable[object]) -> str:
    """Return the first few of many, and how many more there are."""
    all_of_them = [str(path) for path in paths]
    more = len(all_of_them) - MOST_NAMED
    said = ", ".join(all_of_them[:MOST_NAMED])
    return f"{said} and {more} more" if more > 0 else said
