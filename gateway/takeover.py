"""``gateway run --force``: the gateway of this very state directory ends first, and no other program.

Rule: whose process it is, the lock and the kernel say together, and what would make it come back is
not fought.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.binding import open_sockets
from gateway.instance import AlreadyRunningError
from stores.paths import Paths
from stores.running import end_gateway, read_running

#: Set for the main process of a service that reports to systemd, sd_notify(3).
_SUPERVISED = b"NOTIFY_SOCKET="


def take_over(paths: Paths, addresses: list[str], port: int) -> None:
    """End the gateway that runs on a state directory, if one does, and wait until it is gone.

    Args:
        addresses, port: Where the next one will listen; 0 is any port.

    Raises:
        AlreadyRunningError: it is a service's, which would start it again.
        UserFacingError: it is another user's, it does not end, or the port is somebody else's.
    """
    running = read_running(paths.state_dir)
    if running is None or not running.alive:
        return  # of another container, if of any: the lock says so
    if _is_supervised(running.pid):
        raise AlreadyRunningError(
            f"the gateway on {paths.state_dir} (pid {running.pid}) is a service's, and its manager "
            "would start it again",
            remedy="use that one: `openclaw gateway restart`, or stop it with `openclaw gateway stop`",
        )
    if port not in (0, running.port):
        for one in open_sockets(addresses, port)[0]:  # else there would be none at all
            one.close()
    end_gateway(running.pid, paths.state_dir)


def _is_supervised(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return pid != os.getpid() and any(word.startswith(_SUPERVISED) for word in words)
