"""Why a secret of this machine may be refused on this machine: the gateway there is another one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from cli.failures import GatewayRefusedError
from stores.owner import sudo_user, user_name
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
    who = f"the gateway on port {serving.port} (pid {serving.pid}, user {user_name(serving.uid)})"
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
