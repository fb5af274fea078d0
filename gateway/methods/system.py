"""Health, status, presence and heartbeat: how the gateway is and who is here."""

from __future__ import annotations

from typing import Any

from gateway.methods.call import Call
from gateway.runtime import Runtime
from gateway.tls import told
from stores.scopes import ADMIN

#: What a session that is no admin is told of a problem whose words name files of this machine.
IN_THE_LOG = "see the gateway's log"


def health_of(runtime: Runtime) -> dict[str, Any]:
    """Return the health object: the published shape, empty where no agent is attached.

    ``ok`` is always true in the published schema; what is wrong is listed in ``problems``.
    """
    problems: list[dict[str, str | None]] = [
        {"where": f"{fault.file} {fault.path}", "problem": fault.problem, "remedy": fault.remedy}
        for fault in runtime.store.problems
    ]
    if runtime.config_problem:
        problems.append(
            {
                "where": str(runtime.loaded.path),
                "problem": f"config on disk invalid: {runtime.config_problem}",
                "remedy": runtime.config_remedy,
            }
        )
    return {
        "ok": True,
        "ts": runtime.now_ms(),
        "durationMs": 0,
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": "main",
        "agents": [],
        "sessions": {"path": "", "count": 0, "recent": []},
        "problems": problems,
    }


def health(call: Call) -> dict[str, Any]:
    """Answer ``health``; where files are is told to admins alone."""
    answer = health_of(call.runtime)
    if answer["problems"] and ADMIN not in call.session.holds:
        answer["problems"] = [{"problem": IN_THE_LOG}]
    return answer


def status(call: Call) -> dict[str, Any]:
    """Answer ``status``: the published shape without an agent, and what this gateway is doing.

    The words of a configuration problem are told to admins alone.
    """
    runtime = call.runtime
    book = runtime.store.book
    problem = runtime.config_problem
    if problem is not None and ADMIN not in call.session.holds:
        problem = IN_THE_LOG
    return {
        "heartbeat": {"defaultAgentId": "main", "agents": []},
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": {
            "paths": [],
            "count": 0,
            "defaults": {"model": None, "contextTokens": None},
            "recent": [],
            "byAgent": [],
        },
        "runtimeVersion": runtime.presence.server_version,
        "gateway": {
            "uptimeMs": runtime.uptime_ms,
            "connections": len(runtime.hub),
            "pairedDevices": len(book.paired),
            "pendingRequests": len(book.pending),
            "restartRequired": list(runtime.restart_required),
            "configProblem": problem,
            "configPath": str(runtime.loaded.path) if ADMIN in call.session.holds else None,
            "tls": told(runtime.settings.tls),
        },
    }


def system_presence(call: Call) -> list[dict[str, Any]]:
    """Answer ``system-presence``: the presence entries, the gateway's own first."""
    return call.runtime.presence.listing(now_ms=call.runtime.now_ms())


def last_heartbeat(_call: Call) -> None:
    """Answer ``last-heartbeat``: there is no agent whose heart could beat."""
