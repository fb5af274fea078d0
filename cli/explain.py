"""A failed command in words: the reason, where it was meant for, what was seen, what to type."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from cli.failures import CallError, GatewayRefusedError, envelope
from cli.output import json_text, note, printable, say, styled
from stores.errors import UserFacingError

#: Longest message taken from a gateway.
MESSAGE_CHARACTERS = 1_000


def print_failure(error: UserFacingError, code: int, *, as_json: bool) -> None:
    """Print a failure: prose on stderr, and with ``--json`` its envelope on stdout."""
    if as_json:
        say(json_text(envelope(error, code)))
    for line in lines_of(error):
        note(line)


def lines_of(error: UserFacingError) -> Iterator[str]:
    """Yield the lines of a failure: reason, what the gateway saw, target, then the one command."""
    cause = error.cause if isinstance(error, CallError) else error
    yield styled(_safe(cause.problem), "red", sys.stderr)
    if isinstance(cause, GatewayRefusedError):
        yield from _refusal(cause)
    if isinstance(error, CallError):
        about = error.about
        yield f"Gateway target: {_safe(about.url)}"
        yield f"Source: {_safe(about.url_source)}"
        yield f"Config: {_safe(about.config_path)}"
        if about.bind is not None:
            yield f"Bind: {about.bind}"
        if _is_about_credentials(cause):
            yield f"Credential: {_safe(about.credential_source or 'none')}"
    yield from _what_to_do(cause)


def _refusal(error: GatewayRefusedError) -> Iterator[str]:
    details = error.details
    told = details.get("remedy")
    if isinstance(told, dict) and isinstance(told.get("sentence"), str):
        yield _safe(told["sentence"])
    if isinstance(details.get("requestId"), str):
        yield f"Request: {_safe(details['requestId'])}"
    seen = details.get("saw")
    if isinstance(seen, dict):
        facts = ", ".join(_seen(seen))
        if facts:
            yield f"Seen by the gateway: {facts}"
    upgrade = error.pending_upgrade
    if upgrade is not None:
        asked = upgrade.get("scopes")
        wanted = ", ".join(str(scope) for scope in asked) if isinstance(asked, list) else "more"
        yield _safe(f"Waiting for approval: {wanted} (request {upgrade.get('requestId', '?')})")


def _seen(seen: Mapping[str, Any]) -> Iterator[str]:
    names = {"peer": "peer", "client": "client", "forwardedFor": "forwarded for"}
    names |= {"host": "host", "origin": "origin"}
    for key, name in names.items():
        value = seen.get(key)
        if value:
            yield _safe(f"{name} {value}")
    locality = seen.get("locality")
    if isinstance(locality, dict):
        verdict = "local" if locality.get("local") is True else "not local"
        yield _safe(f"{verdict} ({locality.get('why', '?')})")


def _what_to_do(error: UserFacingError) -> Iterator[str]:
    """Yield the one command, and where it is typed."""
    if isinstance(error, GatewayRefusedError):
        told = error.details.get("remedy")
        command = told.get("command") if isinstance(told, dict) else None
        upgrade = error.pending_upgrade
        if not isinstance(command, str) and upgrade is not None:
            command = f"openclaw devices approve {upgrade.get('requestId', '')}"
        if isinstance(command, str):
            yield f"Run on the gateway's machine: {_safe(command)}"
            return
    if error.remedy is not None:
        yield _safe(f"{error.remedy[:1].upper()}{error.remedy[1:]}")


def _is_about_credentials(error: UserFacingError) -> bool:
    if not isinstance(error, GatewayRefusedError):
        return False
    return not error.admitted


def _safe(text: object) -> str:
    return printable(text, limit=MESSAGE_CHARACTERS)
