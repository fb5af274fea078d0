"""Health, status, presence and heartbeat: how the gateway is and who is here."""

from __future__ import annotations

from typing import Any

from gateway.methods.call import Call
from gateway.runtime import Runtime
from gateway.tls import told
from stores.fingerprint import secret_fingerprint
from stores.records import Role
from stores.scopes import ADMIN

#: What a session that is no admin is told of a problem whose words name files of this machine.
IN_THE_LOG = "see the gateway's log"


def health_of(runtime: Runtime) -> dict[str, Any]:
    """Return the health object: the published shape, empty where no agent is attached.

    ``ok`` is always true in the published schema; what is wrong is listed in ``problems``.
    """
    problems: list[dict[str, str | None]] = [
        {"where": f"{fault.file} {fault.path}", "problem": fault.problem, "remedy": fault.remedy}
        for fault in (*runtime.store.problems, *runtime.nodes.store.problems)
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

    Where files are, what is wrong with them in their own words, and the fingerprint of the secret
    are told to admins alone.
    """
    runtime = call.runtime
    book = runtime.store.book
    admin = ADMIN in call.session.holds
    problem = runtime.config_problem
    if problem is not None and not admin:
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
            "connectedNodes": sum(one.role == Role.NODE for one in runtime.hub),
            "configProblem": problem,
            "configRemedy": runtime.config_remedy if admin else None,
            "configPath": str(runtime.loaded.path) if admin else None,
            "configDigest": runtime.loaded.digest if admin else None,
            "storeProblems": len(runtime.store.problems),
            "auth": _auth_of(runtime, admin=admin),
            "process": _process_of(runtime) if admin else None,
            "tls": told(runtime.settings.tls),
            "typedAs": _typed_as(call, admin=admin),
        },
    }


def _auth_of(runtime: Runtime, *, admin: bool) -> dict[str, Any]:
    """Return what is asked of clients; the fingerprint tells two secrets apart, and no more."""
    held = runtime.settings.secrets
    known = secret_fingerprint(held.secret) if held.secret and admin else None
    return {"mode": str(held.mode), "secretFingerprint": known}


def _typed_as(call: Call, *, admin: bool) -> dict[str, str]:
    """Return how a command for this gateway begins, and where it is typed."""
    words = call.runtime.words
    if admin or call.session.local:
        return {"command": words.local, "where": words.where}
    return {"command": words.plain, "where": "gateway-host"}


def _process_of(runtime: Runtime) -> dict[str, Any]:
    return {
        "pid": runtime.pid,
        "uid": runtime.own_uid,
        "port": runtime.port,
        "startedAtMs": runtime.started_at_ms,
        "stateDir": str(runtime.paths.state_dir),
    }


def system_presence(call: Call) -> list[dict[str, Any]]:
    """Answer ``system-presence``: the presence entries, the gateway's own first."""
    return call.runtime.presence.listing(now_ms=call.runtime.now_ms())


def last_heartbeat(_call: Call) -> None:
    """Answer ``last-heartbeat``: there is no agent whose heart could beat."""
