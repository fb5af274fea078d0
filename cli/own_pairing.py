"""This command line, let in at a gateway of its own user that asks a proxy who is there.

Such a gateway takes no secret, and no proxy signs a command in. Whoever may write the device store
may approve every device: here it approves its own, once, with a line in the audit trail.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from cli.client import CLIENT_ID, CLIENT_MODE, ROLE, SCOPES, Answer, Presented, call
from cli.failures import GatewayRefusedError
from cli.output import note
from stores import pairing
from stores.devices import DeviceStore
from stores.errors import StoreError, TransitionError
from stores.identity import CachedToken, Identity, TokenCache
from stores.running import Running, Standing, read_running
from stores.transition import Caller, Wish

if TYPE_CHECKING:
    from cli.road import Road

#: The gateway looks at the files of its store so often, and a little longer.
LOOKS_WITHIN_S = 2.0
AGAIN_S = 0.2


def may_pair_itself(error: GatewayRefusedError, road: Road) -> bool:
    """Tell whether a gateway refused us for want of a proxy whose files are ours to write."""
    reason = str(error.details.get("authReason", ""))
    if error.admitted or not reason.startswith("trusted_proxy_") or road.secret_by_flag:
        return False
    if not (road.target.is_local_default and road.loaded.config.gateway.pairing.auto_approve_local):
        return False
    running = read_running(road.place.paths.state_dir)
    return running is not None and running.port == road.target.port and is_own(running)


def is_own(running: Running) -> bool:
    """Tell whether a gateway runs as this very user, whose files it serves."""
    return running.standing is Standing.RUNS and running.uid == os.geteuid()


def paired_itself(road: Road, identity: Identity, cache: TokenCache) -> CachedToken | None:
    """Pair this device in the files of the store and keep its token; None where that cannot be.

    A device that an operator blocked, or whose token was revoked, stays out.
    """
    now_ms = time.time_ns() // 1_000_000
    wish = Wish(
        device_id=identity.device_id,
        public_key=identity.key.public_key,
        role=ROLE,
        scopes=SCOPES,
        platform=sys.platform,
        client_id=CLIENT_ID,
        client_mode=CLIENT_MODE,
        display_name=platform.node() or CLIENT_ID,
        why="loopback",
    )
    caller = Caller("cli", uid=os.geteuid())
    paths = road.place.paths
    try:
        admit = partial(pairing.admit, wish=wish, caller=caller, via="owner")
        _, device = DeviceStore(paths.devices_dir).one(admit, now_ms=now_ms)
        token = device.live_token(ROLE)
        issued = CachedToken(token.token, ROLE, token.scopes, now_ms)
        cache.save(issued)
    except (StoreError, TransitionError):
        return None
    note(f"note: paired this command line in {paths.devices_dir}: its gateway asks a proxy alone")
    return issued


def call_as_itself(
    road: Road,
    issued: CachedToken,
    identity: Identity,
    method: str,
    params: object,
    *,
    until: float,
) -> Answer:
    """Call with a token that was just written down, as soon as the gateway has read of it.

    Args:
        until: When to give up, as `time.monotonic` counts.

    Raises:
        GatewayUnreachableError, GatewayRefusedError: see `client.call`.
    """
    looked_by = time.monotonic() + LOOKS_WITHIN_S
    own = Presented(device_token=issued.token)
    while True:
        left_s = max(0.1, until - time.monotonic())
        try:
            return call(road.target, own, identity, method, params, timeout_s=left_s)
        except GatewayRefusedError as error:
            if error.admitted or time.monotonic() + AGAIN_S > min(until, looked_by):
                raise
        time.sleep(AGAIN_S)
