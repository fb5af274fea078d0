"""What only this machine knows of a refusal: where the gateway may be, and which secret it takes.

A gateway tells a client from elsewhere nothing of its own place, and its fixed texts are those that
published clients know. A command that dialled loopback knows more.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from stores.fingerprint import secret_fingerprint
from stores.running import read_running
from stores.target import is_loopback

if TYPE_CHECKING:
    from cli.failures import GatewayRefusedError
    from cli.road import Road
    from stores.running import Running
    from stores.target import Target

MISMATCHES = ("AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH")

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
    if error.remedy is None:
        error.remedy = _right_secret(error, road, command)


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


def _name_container(error: GatewayRefusedError) -> None:
    """Say that a command is typed in the container whose published port was dialled.

    Whoever dials loopback and comes from elsewhere went through something that passes the port on.
    """
    told = error.details.get("remedy")
    if not error.comes_from_elsewhere or not isinstance(told, dict):
        return
    command = told.get("command")
    if isinstance(command, str) and command.startswith(_PLAIN):
        typed = f"docker exec CONTAINER {command}"
        error.typed_here = told | {"command": typed, "where": "container"}


def credential_in_words(error: GatewayRefusedError, road: Road, command: str) -> str:
    """Return where a wrong secret came from and what to do about it; empty for another refusal."""
    source = road.credentials.source
    if error.details.get("code") not in MISMATCHES or source is None:
        return ""
    way = _right_secret(error, road, command)
    if way is not None and road.secret_by_flag:
        way = way.partition(":")[0]
    return f"the credential came from {source}" + ("" if way is None else f": {way}")


def _right_secret(error: GatewayRefusedError, road: Road, command: str) -> str | None:
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
        openclaw=f"openclaw --profile {paths.profile}" if paths.profile else "openclaw",
    )


def right_secret(
    place: str,
    source: str,
    running: Running | None,
    *,
    config_path: str,
    command: str,
    openclaw: str,
) -> str:
    """Return how to come by the secret that a running gateway takes, by where a wrong one was.

    Args:
        place: ``flag``, ``environment`` or another.
        config_path: The configuration that was looked into.
        command: What was typed, without secrets.
        openclaw: How a command for this very gateway begins.
    """
    if place == "flag":
        return f"leave it out: `{command}` finds the configured one"
    if place == "environment":
        return f"take that variable away with `unset {source.removeprefix('env ')}`"
    if running is not None and running.config_path not in (None, config_path):
        path = shlex.quote(str(running.config_path))
        return f"use its configuration: `OPENCLAW_CONFIG_PATH={path} {command}`"
    return f"let it take the configured one with `{openclaw} gateway restart`"
