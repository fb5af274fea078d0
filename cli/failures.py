"""How a command fails: what a gateway did to a call, exit codes, and the JSON that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen

from cli.typed import AsSaid, typable
from stores.errors import UserFacingError

DONE = 0
FAILED = 1
USAGE = 2
NO_GATEWAY = 3
CONFIGURATION = 78
INTERRUPTED = 130

_EXIT_CODES = {"usage": USAGE, "transport": NO_GATEWAY}
#: Of what stands in backticks only this is something to type: the rest are keys, names, values.
_COMMAND = re.compile(r"`((?:sudo -u \S+ |[A-Z_]+=(?:'[^'`]*'|\S+) )*openclaw [^`]+)`")


class Failure(StrEnum):
    """The five ways in which no gateway answers."""

    REFUSED = "refused"
    HTTP = "http"
    TLS = "tls"
    DROPPED = "dropped"
    TIMEOUT = "timeout"


class GatewayUnreachableError(UserFacingError):
    """No gateway answered at the target.

    Args:
        how: Which of the five ways.
        details: Facts for programs, JSON-ready.
        asked: Whether the request itself had been sent, so that it may have been carried out.
    """

    kind = "transport"

    def __init__(
        self,
        how: Failure,
        problem: str,
        *,
        remedy: str | None = None,
        details: Mapping[str, Any] | None = None,
        asked: bool = False,
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.how = how
        self.details = dict(details or {})
        self.asked = asked


class GatewayRefusedError(UserFacingError):
    """A gateway answered, and the answer was no.

    Args:
        admitted: Whether it let us in and refused only the request.
        code, details: Of its error object.
        pending_upgrade: The ``pendingUpgrade`` of its hello, when we hold less than we asked for.

    Attributes:
        by_own_gateway: Whether the gateway of this machine said it, so that its commands are for here.
        typed_here: The remedy of its details as it is typed on this machine, where that differs.
    """

    def __init__(
        self,
        problem: str,
        *,
        code: str,
        details: Mapping[str, Any],
        admitted: bool,
        remedy: str | None = None,
        pending_upgrade: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.kind = "request" if admitted else "refused"
        self.code = code
        self.details = dict(details)
        self.admitted = admitted
        self.pending_upgrade = pending_upgrade
        self.by_own_gateway = False
        self.typed_here: dict[str, Any] | None = None

    @property
    def comes_from_elsewhere(self) -> bool:
        """Tell whether the gateway sees us come from another machine or network than its own."""
        saw = self.details.get("saw")
        locality = saw.get("locality") if isinstance(saw, dict) else None
        return isinstance(locality, dict) and locality.get("why") == "not-loopback"

    @property
    def refuses_us(self) -> bool:
        """Tell whether who we are was refused, rather than what we asked."""
        if not self.admitted:
            return True
        denied = ("missing scope", "device pairing approval denied", "unauthorized")
        return self.code in ("FORBIDDEN", "UNAVAILABLE") or self.problem.startswith(denied)


@frozen(kw_only=True)
class About:
    """Which gateway a call was for, as failures tell it; ``bind`` only of this machine's own.

    ``not_used`` has a sentence for each environment variable that is set and does not count.
    """

    url: str
    url_source: str
    config_path: str
    bind: str | None = None
    credential_source: str | None = None
    not_used: tuple[str, ...] = ()


class CallError(UserFacingError):
    """A call that failed, and which gateway it was for."""

    def __init__(self, cause: UserFacingError, about: About) -> None:
        super().__init__(cause.problem, remedy=cause.remedy)
        self.kind = cause.kind
        self.cause = cause
        self.about = about


def exit_code(error: UserFacingError) -> int:
    """Return the exit code of a failure; of ``gateway run`` only the caller knows that it is 78."""
    return _EXIT_CODES.get(error.kind, FAILED)


def envelope(error: UserFacingError, code: int) -> dict[str, Any]:
    """Return what a failed command prints with ``--json``."""
    cause = error.cause if isinstance(error, CallError) else error
    said: dict[str, Any] = {"type": cause.kind}
    details: dict[str, Any] = {}
    if isinstance(cause, GatewayUnreachableError):
        said["kind"] = str(cause.how)
        details = cause.details
    elif isinstance(cause, GatewayRefusedError):
        said["code"] = cause.code
        details = cause.details
        if cause.pending_upgrade is not None:
            details = details | {"pendingUpgrade": dict(cause.pending_upgrade)}
    said["message"] = cause.problem
    remedy = remedy_of(cause)
    if remedy is not None:
        said["remedy"] = remedy
    if details:
        said["details"] = details
    told: dict[str, Any] = {"ok": False, "error": said}
    if isinstance(error, CallError):
        about = error.about
        told["gateway"] = {
            "url": about.url,
            "urlSource": about.url_source,
            "credentialSource": about.credential_source,
        } | ({"notUsed": list(about.not_used)} if about.not_used else {})
    return told | {"exitCode": code}


def failed_report(
    report: Mapping[str, Any],
    problem: str,
    code: int,
    *,
    remedy: str | None = None,
    cause: UserFacingError | None = None,
) -> dict[str, Any]:
    """Return a report of what is wrong that is a failure too: with ``ok``, ``error``, ``exitCode``.

    Args:
        problem, remedy: What failed, in the report's own words.
        cause: Of the failure, whose type, kind, code and details are told.
    """
    told = envelope(UserFacingError(problem, remedy=remedy), code)
    if cause is not None:
        found = envelope(cause, code)["error"] | {"message": problem}
        told["error"] = found | ({"remedy": told["error"]["remedy"]} if remedy else {})
    elif code == NO_GATEWAY:
        told["error"]["type"] = "transport"
    return dict(report) | told


def remedy_of(error: UserFacingError) -> dict[str, Any] | None:
    """Return the remedy as ``{sentence, command?, where}``: what only this machine knows, then
    the gateway's own words."""
    if isinstance(error, GatewayRefusedError) and error.remedy is None:
        told = error.typed_here or error.details.get("remedy")
        if isinstance(told, dict) and isinstance(told.get("sentence"), str):
            return told
    if error.remedy is None:
        return None
    sentence = typable(error.remedy)
    command = command_in(error.remedy)
    remedy = {"sentence": sentence, "where": "this-device"}
    return remedy | ({"command": command} if command else {})


def command_in(remedy: str) -> str | None:
    """Return the first command in a remedy of ours, as it is typed."""
    found = _COMMAND.search(remedy)
    if found is None or isinstance(remedy, AsSaid):
        return found and found[1]
    # with the words before it, which may say that it is for another machine
    end = found.end()
    return typable(remedy[:end]).rpartition("`")[0].rpartition("`")[2]
