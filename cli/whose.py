"""Why a secret of this machine may be refused on this machine: the gateway there is another one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from cli.failures import GatewayRefusedError
from stores.owner import sudo_user
from stores.paths import Paths
from stores.serving import gateway_on

_WRONG = ("AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH", "AUTH_DEVICE_TOKEN_MISMATCH")


def name_other_gateway(error: GatewayRefusedError, paths: Paths, port: int, command: str) -> None:
    """Say that who refused our secret works on another state directory, where that is so.

    Args:
        paths: Where the secret was looked for.
        command: What was typed, to be typed again in the right place.
    """
    if error.admitted or error.details.get("code") not in _WRONG:
        return
    serving = gateway_on(port)
    if serving is None or (serving.state_dir is None and serving.uid == os.geteuid()):
        return
    if serving.state_dir is not None and _same(serving.state_dir, paths.state_dir):
        return
    works = "other files" if serving.state_dir is None else str(serving.state_dir)
    who = serving.in_words()
    if serving.state_dir is not None:
        command = f"OPENCLAW_STATE_DIR={shlex.quote(str(serving.state_dir))} {command}"
    if serving.uid != os.geteuid():
        # sudo takes the variable as one of its own words
        command = f"sudo -u {sudo_user(serving.uid)} {command}"
    error.remedy = (
        f"{who} works on {works}, and this command looks at {paths.state_dir}: use `{command}`"
    )


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def in_full(remedy: str | None, command: str, env: Mapping[str, str]) -> str | None:
    """Return a remedy that names another user with the command that was meant, to be pasted.

    Args:
        command: What was typed, without secrets.
        env: Where it was typed: sudo takes the state directory along only if it is named.
    """
    if remedy is None or _ANY_COMMAND not in remedy:
        return remedy
    state_dir = env.get(STATE_DIR_VARIABLE, "").strip()
    before = f"{STATE_DIR_VARIABLE}={shlex.quote(state_dir)} " if state_dir else ""
    return remedy.replace(_ANY_COMMAND, f"{before}{command}`")


#: How `stores.plain_file.who_may` ends, which knows no command line.
_ANY_COMMAND = "openclaw …`"
STATE_DIR_VARIABLE = "OPENCLAW_STATE_DIR"
