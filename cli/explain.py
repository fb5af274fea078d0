"""A failed command in words: the reason, where it was meant for, what was seen, what to type."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from cli.failures import CallError, GatewayRefusedError, GatewayUnreachableError, envelope
from cli.output import json_text, note, printable, say, styled
from cli.typed import AsSaid, as_typed, typable
from stores.errors import UserFacingError

#: Longest message taken from a gateway.
MESSAGE_CHARACTERS = 1_000
#: Most lines taken of a snippet that a gateway offers.
MOST_LINES = 20

_WHERE = {
    "gateway-host": "on the gateway's machine",
    "container": "inside the gateway's container",
    "this-device": "here",
    "browser": "in the browser",
}


def print_failure(error: UserFacingError, code: int, *, as_json: bool) -> None:
    """Print a failure: prose on stderr, and with ``--json`` its envelope on stdout."""
    if as_json:
        say(json_text(envelope(error, code)))
    for line in lines_of(error):
        note(line, as_is=True)


def lines_of(error: UserFacingError) -> Iterator[str]:
    """Yield the lines of a failure: reason, what the gateway saw and why, target, the one command.

    What a gateway refused, on the socket or by HTTP, ends with the command and where it is typed.
    Commands of ours are as they are typed here; those of a gateway elsewhere as it said them.
    """
    cause = error.cause if isinstance(error, CallError) else error
    problem = _safe(cause.problem)
    by_gateway = isinstance(cause, GatewayRefusedError)
    yield styled(problem if by_gateway else typable(problem), "red", sys.stderr)
    told = _told_by_gateway(cause)
    if told and isinstance(cause, GatewayUnreachableError) and cause.remedy is not None:
        yield _own(cause.remedy)
    yield from _refusal(told, cause.typed_here if isinstance(cause, GatewayRefusedError) else None)
    if isinstance(cause, GatewayRefusedError):
        yield from _upgrade(cause)
    if isinstance(error, CallError):
        about = error.about
        yield f"Gateway target: {_safe(about.url)}"
        yield f"Source: {_safe(about.url_source)}"
        yield f"Config: {_safe(about.config_path)}"
        if about.bind is not None:
            yield f"Bind: {about.bind}"
        if _is_about_credentials(cause):
            yield f"Credential: {_safe(about.credential_source or 'none')}"
        yield from (f"Note: {_safe(text)}" for text in about.not_used)
    yield from _what_to_do(cause)


def _told_by_gateway(error: UserFacingError) -> Mapping[str, Any]:
    """Return what a gateway said of its refusal: ``details``, or those of an HTTP answer."""
    if isinstance(error, GatewayRefusedError):
        return error.details
    if isinstance(error, GatewayUnreachableError):
        told = error.details.get("refusal")
        return told if isinstance(told, dict) else {}
    return {}


def _refusal(details: Mapping[str, Any], typed_here: Mapping[str, Any] | None) -> Iterator[str]:
    seen = details.get("saw")
    if isinstance(seen, dict):
        facts = ", ".join(_seen(seen))
        if facts:
            yield f"Seen by the gateway: {facts}"
    told = typed_here or details.get("remedy")
    if isinstance(told, dict) and isinstance(told.get("sentence"), str):
        yield f"Why: {_safe(told['sentence'])}"
    if isinstance(details.get("requestId"), str):
        yield f"Request: {_safe(details['requestId'])}"


def _upgrade(error: GatewayRefusedError) -> Iterator[str]:
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
    if isinstance(error, GatewayRefusedError) and error.remedy is not None:
        # what only this machine knows: the gateway's own command would be typed in the wrong place
        yield _own(error.remedy)
        return
    typed_here = error.typed_here if isinstance(error, GatewayRefusedError) else None
    told = typed_here or _told_by_gateway(error).get("remedy")
    remedy = told if isinstance(told, dict) else {}
    command, where = remedy.get("command"), str(remedy.get("where"))
    if not isinstance(command, str) and isinstance(error, GatewayRefusedError):
        upgrade = error.pending_upgrade
        if upgrade is not None:
            command = f"openclaw devices approve {upgrade.get('requestId', '')}"
            command = as_typed(command) if error.by_own_gateway else command
            where = "gateway-host"
    for name, lines in _snippets(remedy):
        yield f"{_safe(name)}:"
        yield from (f"  {_safe(line)}" for line in lines)
    if isinstance(command, str):
        yield f"Run {_WHERE.get(where, _WHERE['gateway-host'])}: {_safe(command)}"
    elif error.remedy is not None and not isinstance(remedy.get("sentence"), str):
        yield _own(error.remedy)


def _own(remedy: str) -> str:
    """Return a remedy of this program as a sentence, its commands as they are typed here."""
    sentence = _safe(f"{remedy[:1].upper()}{remedy[1:]}")
    return sentence if isinstance(remedy, AsSaid) else typable(sentence)


def _snippets(remedy: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines for each proxy's configuration that came with a refusal."""
    snippets = remedy.get("snippets")
    for name, text in snippets.items() if isinstance(snippets, dict) else ():
        if isinstance(text, str):
            yield str(name), text.splitlines()[:MOST_LINES]


def _is_about_credentials(error: UserFacingError) -> bool:
    if not isinstance(error, GatewayRefusedError):
        return False
    return not error.admitted


def _safe(text: object) -> str:
    return printable(text, limit=MESSAGE_CHARACTERS)
