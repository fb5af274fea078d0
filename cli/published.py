"""The keys of published reports that programs look for, beside our own: made from what ours are made of.

Rule: they add to a report and replace nothing in it, and none holds a secret.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

from cli.status_authorisation import capability_of
from cli.status_knock import Stage
from gateway.version import VERSION
from stores.config.model import Bind
from stores.target import Trust

if TYPE_CHECKING:
    from cli.status_aim import Aim
    from cli.status_facts import StatusFacts
    from cli.status_knock import Knock

#: Where a bind mode listens; what is not named here depends on the configuration or the machine.
_BIND_HOSTS = {
    Bind.LOOPBACK: "127.0.0.1",
    Bind.AUTO: "127.0.0.1",
    Bind.LAN: "0.0.0.0",
}  # a word to print

#: Whose target it is -> what published probes call it: its id and its kind.
_TARGETS = {
    Trust.LOCAL: ("localLoopback", "localLoopback"),
    Trust.REMOTE: ("configRemote", "remote"),
}
_NAMED = ("explicit", "explicit")


def gateway_keys(facts: StatusFacts) -> dict[str, Any]:
    """Return what reports of a status have in ``gateway``."""
    aim, knock = facts.aim, facts.knock
    target, running = aim.target, aim.running if aim.local else None
    alive = running if running is not None and running.alive else None
    url = target.url if target is not None else None
    return {
        "mode": "local" if aim.local else "remote",
        "misconfigured": target is None,
        "reachable": is_reachable(knock),
        "connectLatencyMs": latency_ms(knock),
        "self": {"version": alive.version} if alive is not None else None,
        "error": _error_of(aim, knock),
        "bindMode": _bind_mode(aim),
        "bindHost": _bind_host(aim),
        "portSource": _port_source(aim),
        "probeUrl": url,
        "controlUiLinks": _links(aim, url),
        "version": alive.version if alive is not None else None,
    }


def is_reachable(knock: Knock | None) -> bool:
    """Tell whether a gateway answered, whatever it then said; no where nothing was dialled."""
    return knock is not None and knock.shook_hands


def latency_ms(knock: Knock | None) -> int | None:
    """Return how long it took until the gateway had answered our handshake, None if it did not."""
    if knock is None or not knock.shook_hands:
        return None
    return sum(ms for stage, ms in knock.took_ms.items() if stage is not Stage.RPC)


def _error_of(aim: Aim, knock: Knock | None) -> str | None:
    error = knock.error if knock is not None else aim.problem
    return error.problem if error is not None else None


def _bind_mode(aim: Aim) -> str | None:
    """Return how this machine's gateway listens: as it says itself, else as it would."""
    if not aim.local:
        return None
    running = aim.running
    if running is not None and running.alive and running.bind:
        return running.bind
    return str(aim.configured.loaded.config.gateway.bind)


def _bind_host(aim: Aim) -> str | None:
    mode = _bind_mode(aim)
    if mode == Bind.CUSTOM:
        custom = aim.configured.loaded.config.gateway.custom_bind_host
        return str(custom) if custom is not None else None
    return next((host for bind, host in _BIND_HOSTS.items() if bind == mode), None)


def _port_source(aim: Aim) -> str | None:
    if aim.port is not None and aim.target is not None and aim.target.port == aim.port.number:
        return aim.port.source
    return aim.target.source if aim.target is not None else None


def _links(aim: Aim, url: str | None) -> dict[str, str] | None:
    """Return where the dashboard of this machine's gateway is, without any secret."""
    ours = aim.configured.loaded.config.gateway.control_ui
    if url is None or not aim.local or not ours.enabled:
        return None
    base = ours.base_path.rstrip("/")
    return {"httpUrl": f"http{url.removeprefix('ws')}{base}/", "wsUrl": f"{url}{base}"}


def port_keys(facts: StatusFacts) -> dict[str, Any]:
    """Return what a status has in ``port``: who listens there."""
    holder = facts.aim.holder
    if holder is None:
        return {"listeners": [], "hints": []}
    line = holder.command
    one = {
        "pid": holder.pid,
        "user": facts.user(holder.uid),
        "command": os.path.basename(line.split()[0]) if line and line.split() else None,
        "commandLine": line,
    }
    return {"listeners": [one], "hints": []}


def rpc_keys(facts: StatusFacts) -> dict[str, Any]:
    """Return what a status has in ``rpc``: where it asked, and what it was let in as."""
    target = facts.aim.target
    return {
        "kind": "read",
        "url": target.url if target is not None else None,
        "auth": auth_keys(facts.knock),
    }


def auth_keys(knock: Knock | None) -> dict[str, Any]:
    """Return what a gateway let us in as."""
    admitted = knock is not None and knock.admitted
    return {
        "role": "operator" if admitted else None,
        "scopes": list(knock.scopes) if knock is not None else [],
        "capability": capability_of(knock).replace("-", "_"),
    }


def whole_keys(facts: StatusFacts) -> dict[str, Any]:
    """Return what `openclaw status` has of the machine and of the service."""
    kernel, machine = platform.release(), platform.machine()
    system = sys.platform
    return {
        "runtimeVersion": VERSION,
        "os": {
            "platform": system,
            "arch": machine,
            "release": kernel,
            "label": f"{system} {kernel} ({machine})",
        },
        "gatewayService": facts.unit.published() if facts.unit is not None else None,
    }


def program_keys() -> dict[str, Any]:
    """Return what a status has of the program that made it."""
    return {"cli": {"version": VERSION, "entrypoint": sys.argv[0]}, "extraServices": []}


def probe_keys(aim: Aim, knock: Knock | None, *, began: float, timeout_s: float) -> dict[str, Any]:
    """Return what a probe has besides its steps.

    Args:
        knock: None if the gateway's name already led nowhere.
        began: When the probe did, by the monotonic clock, s.
    """
    assert aim.target is not None
    name, kind = _TARGETS.get(aim.target.trust, _NAMED)
    reachable, rpc_ok = is_reachable(knock), knock is not None and knock.answer is not None
    auth = auth_keys(knock)
    one = {
        "id": name,
        "kind": kind,
        "url": aim.target.url,
        "active": True,
        "tunnel": None,
        "connect": {
            "ok": reachable,
            "rpcOk": rpc_ok,
            "scopeLimited": knock is not None and knock.admitted and not knock.scopes,
            "latencyMs": latency_ms(knock),
            "error": _error_of(aim, knock),
            "close": None,
        },
        "auth": auth,
        "server": knock.server if knock is not None else {},
    }
    return {
        "degraded": reachable and not rpc_ok,
        "capability": auth["capability"],
        "ts": time.time_ns() // 1_000_000,
        "durationMs": round((time.monotonic() - began) * 1000),
        "timeoutMs": round(timeout_s * 1000),
        "primaryTargetId": name if reachable else None,
        "warnings": [],
        "targets": [one],
    }
