"""What only this machine knows of a refusal: where the gateway may be, and which secret it takes.

A gateway tells a client from elsewhere nothing of its own place, and its fixed texts are those that
published clients know. A command that dialled loopback knows more.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cli.own_secret import Whereabouts, whereabouts
from cli.typed import told_here
from stores.errors import StoreError
from stores.fingerprint import secret_fingerprint
from stores.running import read_running
from stores.target import is_loopback

if TYPE_CHECKING:
    from cli.failures import GatewayRefusedError
    from cli.road import Road
    from stores.running import Running
    from stores.target import Target

MISMATCHES = ("AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH")

#: What is said of a secret that is where commands look for it.
ANOTHER = "the gateway runs with another one"
_LEAVE_OUT = "leave it out"
#: Places of a secret that goes before what the files say, if only once.
_BY_HAND = ("flag", "environment")

#: Protocol fact: the hint in what a command is told of its secret. It is for a gateway elsewhere.
_KEY_OF_ANOTHER = re.compile(r" \(set gateway\.remote\.(?:token|password) to match [a-z.]+\)$")
#: A command as the gateway says it: without a container's name, which it may not tell.
_PLAIN = "openclaw "


def add_what_is_known(error: GatewayRefusedError, road: Road, command: str) -> None:
    """Add to a refusal what this machine knows of the gateway that it dialled.

    Args:
        command: What was typed, without secrets.
    """
    put_in_place(error, road.target, road.credentials.source)
    if not road.target.is_local_default:
        return
    from cli.whose import name_other_gateway  # late: it looks around in /proc

    name_other_gateway(error, road.place.paths, road.target.port, command)
    found = _right_secret(error, road, command) if error.remedy is None else None
    if found is None:
        return
    error.remedy = found.remedy
    if found.clause != ANOTHER:  # the gateway's general words look in the configuration
        clause = f"{found.clause[:1].upper()}{found.clause[1:]}."
        error.details["remedy"] = {"sentence": clause}
        error.typed_here = None


def put_in_place(error: GatewayRefusedError, target: Target, source: str | None) -> None:
    """Correct what a refusal says for clients of other machines, if loopback was dialled.

    Args:
        source: Where the secret that was presented came from.
    """
    if not is_loopback(target.dial_host):
        return
    if not (source or "").startswith("gateway.remote."):
        error.problem = _KEY_OF_ANOTHER.sub("", error.problem)
    _name_container(error)
    error.by_own_gateway = target.is_local_default and not error.comes_from_elsewhere
    remedy = error.details.get("remedy")
    if error.by_own_gateway and isinstance(remedy, dict) and error.typed_here is None:
        error.typed_here = told_here(remedy)


def _name_container(error: GatewayRefusedError) -> None:
    """Say that a command is typed in the container whose published port was dialled.

    Whoever dials loopback and comes from elsewhere went through something that passes the port on.
    """
    remedy = error.details.get("remedy")
    if not error.comes_from_elsewhere or not isinstance(remedy, dict):
        return
    command = remedy.get("command")
    if isinstance(command, str) and command.startswith(_PLAIN):
        typed = f"docker exec CONTAINER {command}"
        error.typed_here = remedy | {"command": typed, "where": "container"}


def credential_in_words(error: GatewayRefusedError, road: Road, command: str) -> str:
    """Return where a wrong secret came from and what to do about it; empty for another refusal."""
    source = road.credentials.source
    if error.details.get("code") not in MISMATCHES or source is None:
        return ""
    way = _right_secret(error, road, command)
    then = "" if way is None else f": {way.remedy}"
    if way is not None and way.remedy.startswith(_LEAVE_OUT):
        then = f": {_LEAVE_OUT}"
    return f"the credential came from {source}{then}"


def _right_secret(error: GatewayRefusedError, road: Road, command: str) -> Whereabouts | None:
    """Return how to come by the secret that the running gateway takes, None if that is not known."""
    paths, credentials = road.place.paths, road.credentials
    used = credentials.token or credentials.password
    if error.admitted or error.details.get("code") not in MISMATCHES or used is None:
        return None
    running = read_running(paths.state_dir)
    if running is None or not running.alive or running.port != road.target.port:
        return None
    if running.secret_fingerprint in (None, secret_fingerprint(used.value)):
        return None
    place = "environment" if used.source.startswith("env ") else "config"
    return right_secret(
        "flag" if road.secret_by_flag else place,
        used.source,
        running,
        config_path=str(road.loaded.path),
        command=command,
        openclaw="openclaw",
        finds_another=_finds_another(road, running.secret_fingerprint),
    )


def _finds_another(road: Road, fingerprint: str | None) -> bool:
    """Tell whether a command is let in without the secret that it showed."""
    from stores.credentials import secrets_named  # late, both: only a wrong secret needs them
    from stores.identity import TokenCache, known_identity

    named = secrets_named(road.loaded, road.place.env, road.target)
    if any(secret_fingerprint(secret.value) == fingerprint for _, secret in named):
        return True
    folder = road.place.paths.identity_dir
    with contextlib.suppress(StoreError):
        identity = known_identity(folder)
        if identity is not None:
            return TokenCache(folder, identity.device_id).get("operator") is not None
    return False


def right_secret(
    place: str,
    source: str,
    running: Running | None,
    *,
    config_path: str,
    command: str,
    openclaw: str,
    finds_another: bool,
) -> Whereabouts:
    """Return how to come by the secret that a running gateway takes, by where a wrong one was.

    Args:
        place: ``flag``, ``environment`` or another.
        config_path: The configuration that was looked into.
        command: What was typed, without secrets.
        openclaw: How a command for this very gateway begins.
        finds_another: Whether the command is let in without the wrong one.
    """
    if place not in _BY_HAND or not finds_another:
        found = whereabouts(running, Path(config_path), command)
        if found is not None:
            return found
    if place == "flag":
        remedy = f"{_LEAVE_OUT}: `{command}` finds the configured one"
    elif place == "environment":
        remedy = f"take that variable away with `unset {source.removeprefix('env ')}`"
    else:
        remedy = f"let it take the configured one with `{openclaw} gateway restart`"
    return Whereabouts(ANOTHER, remedy)
