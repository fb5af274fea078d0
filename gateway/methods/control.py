"""The gateway process itself: load the configuration again, start anew."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from gateway.methods.call import NOTHING, Call, checked, invalid_request
from gateway.protocol.schema import ANY, COUNT, EMPTY_OK, Closed
from stores.errors import UserFacingError

logger = logging.getLogger("gateway.main")

_RESTART = Closed({"reason?": EMPTY_OK, "note?": EMPTY_OK, "delayMs?": COUNT, "force?": ANY})


async def reload(call: Call) -> dict[str, Any]:
    """Answer ``gateway.reload``: load the files now and tell what came of it.

    The outcome is told even when the session is ended by it: a secret that changed ends the
    sessions it let in.
    """
    checked(call, "gateway.reload", NOTHING)
    runtime = call.runtime
    assert runtime.reloader is not None
    outcome = await runtime.reloader.reload()
    return {
        "ok": outcome.problem is None,
        "path": str(runtime.loaded.path),
        "applied": list(outcome.applied),
        "restartRequired": list(outcome.restart_required),
        "problem": outcome.problem,
        "remedy": outcome.remedy,
    }


async def restart_request(call: Call) -> dict[str, Any]:
    """Answer ``gateway.restart.request``: the same process says goodbye and listens anew.

    What it would not start with is refused first, so that a bad edit ends nothing.
    """
    checked(call, "gateway.restart.request", _RESTART)
    runtime = call.runtime
    reloader = runtime.reloader
    assert reloader is not None
    try:
        await runtime.in_thread(partial(reloader.refuse_unstartable))
    except UserFacingError as error:
        details = {"remedy": {"sentence": error.remedy, "where": "gateway-host"}}
        raise invalid_request(
            f"not restarted: {error.problem}", details if error.remedy else None
        ) from error
    logger.info("restart asked for (conn=%s)", call.session.conn_id)
    runtime.restart_wanted = True
    runtime.stop.set()
    return {"ok": True, "pid": runtime.pid, "startedAtMs": runtime.started_at_ms}
