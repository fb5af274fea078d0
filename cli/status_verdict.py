"""A verdict on a gateway: what was seen, whether that is good, and the one command that helps.

Three are given, each for itself: see `status_process`, `status_handshake`, `status_authorisation`.
Rule: judged from gathered facts alone.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from cli.failures import remedy_of
from cli.typed import typable
from stores.errors import UserFacingError

#: What is to be typed has an argument; a mere name in backticks has none.
_TYPED = re.compile(r"`([^`]+ [^`]+)`")


@frozen(kw_only=True)
class Verdict:
    """One of the three; ``good`` is None where it was not, or could not be, looked into.

    Args:
        remedy: One sentence, with the command in backticks.
        where: Where the command is typed, in the words of refusals.
    """

    good: bool | None
    saw: str
    remedy: str | None = None
    command: str | None = None
    where: str = "this-device"

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        found: dict[str, Any] = {"ok": self.good, "saw": self.saw}
        if self.remedy is not None:
            remedy = {"sentence": self.remedy, "where": self.where}
            found["remedy"] = remedy | ({"command": self.command} if self.command else {})
        return found


def verdict(good: bool | None, saw: str, remedy: str | None = None) -> Verdict:  # noqa: FBT001  # its first word
    """Return a verdict whose command is what stands first in backticks in its remedy."""
    typed = typable(remedy or "")
    command = _TYPED.search(typed)
    return Verdict(
        good=good, saw=saw, remedy=typed or None, command=command[1] if command else None
    )


def of_error(good: bool | None, error: UserFacingError, saw: str | None = None) -> Verdict:  # noqa: FBT001  # as above
    """Return a verdict in the words of a failure."""
    told = remedy_of(error) or {}
    return Verdict(
        good=good,
        saw=saw or error.problem,
        remedy=told.get("sentence"),
        command=told.get("command"),
        where=str(told.get("where", "this-device")),
    )
