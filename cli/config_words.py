"""What `openclaw config` says: values without secrets, and when a change counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from cli.output import printable
from cli.typed import program_words
from stores.config.edit import Edit
from stores.config.keypath import MISSING, KeyPath, dotted, look_up
from stores.config.kinds import REDACTED
from stores.config.known import Known, Standing, value_of
from stores.config.plan import ReloadPlan
from stores.config.redact import redact
from stores.paths import Paths


@frozen
class Running:
    """The gateway that says in its lock file that it runs here."""

    pid: int
    config_path: str | None
    port: int | None = None
    started_at_ms: int | None = None
    #: The option that decides a key, by the dotted key.
    fixed: Mapping[str, str] = field(factory=dict)


def running_gateway(paths: Paths) -> Running | None:
    """Return the gateway of this state directory, None if none can be seen.

    The note is information only: a gateway in another container has a pid that is not ours.
    """
    from stores.port_owner import start_time_of  # late: only changes ask

    try:
        noted = json.loads(paths.lock_path.read_bytes())
        pid = noted["pid"]
        alive = isinstance(pid, int) and start_time_of(pid) == noted["startTime"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not alive:
        return None
    path, port, since = (noted.get(key) for key in ("configPath", "port", "startedAtMs"))
    return Running(
        pid,
        path if isinstance(path, str) else None,
        port if isinstance(port, int) else None,
        since if isinstance(since, int) else None,
        _options(noted.get("commandLine")),
    )


def _options(said: Any) -> dict[str, str]:
    return {key: str(option) for key, option in said.items()} if isinstance(said, dict) else {}


def shown(path: KeyPath, value: Any) -> Any:
    """Return a value as it may be shown: a secret, or what is one inside of it, is replaced."""
    if value is MISSING:
        return None
    wrapped = value
    for key in reversed(path):
        wrapped = {key: wrapped}
    return look_up(redact(wrapped), path)


def in_short(known: Known, value: Any) -> str:
    """Return a value for one line."""
    if value is MISSING:
        default = known.default
        return "(unset)" if default is MISSING else f"(unset: {_json(default)})"
    safe = shown(known.path, value)
    return "(secret)" if safe == REDACTED else printable(_json(safe), limit=200)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def unset_in_words(known: Known, key: str) -> str:
    """Say that a key is fine but not set, and what then applies."""
    if known.standing is Standing.WITHOUT_EFFECT:
        hint = f"; {known.hint}" if known.hint else ""
        return f"{key} is not set, and would have no effect in this gateway{hint}"
    if known.standing is Standing.CARRIED:
        return f"{key} is not set; what belongs to other programs is not checked here"
    if known.default is not MISSING:
        return f"{key} is valid but unset, so its default applies: {_json(known.default)}"
    doc = known.attribute.metadata["doc"] if known.attribute is not None else ""
    return f"{key} is valid but unset ({doc.removesuffix('.')})"


def when(
    found: ReloadPlan | None, running: Running | None, path: str, *, believed: bool = True
) -> Iterator[str]:
    """Yield when a change counts, for a user to read.

    Args:
        believed: Whether the running gateway does not take it for an accident.
    """
    if running is not None and running.config_path not in (None, path):
        yield f"The running gateway (pid {running.pid}) uses another file: {running.config_path}"
        return
    if running is not None and not believed:
        yield f"The running gateway (pid {running.pid}) keeps what it has."
        return
    if found is None:
        yield "The file could not be used before; the gateway takes it as soon as it is valid."
        return
    if found.fixed and running is not None:
        options = " and ".join(dict.fromkeys(found.fixed.values()))
        yield (
            f"Counts from a start without {options}, with which the running gateway "
            f"(pid {running.pid}) was started: {', '.join(found.fixed)}"
        )
        if not found.changed:
            return
    if not found.changed:
        yield "Nothing changes for the gateway."
        return
    if running is None:
        yield "No gateway runs here; it counts from the next start."
        return
    if found.apply:
        yield f"Applies live to the running gateway (pid {running.pid})."
    if found.restart:
        keys = ", ".join(found.restart)
        yield f"Needs a restart of the running gateway (pid {running.pid}): {keys}"
        yield f"Restart it with `{program_words()} gateway restart`."


def not_believed(accident: str) -> str:
    """Return the warning of a change that the running gateway takes for an accident."""
    return (
        f"{accident}: the running gateway takes that for an accident and keeps what it has until it "
        "is restarted"
    )


def applies(found: ReloadPlan | None, *, believed: bool = True) -> str:
    """Return when a change counts, for a program: ``live``, ``restart`` or ``none``."""
    if found is None or found.restart or not believed:
        return "restart"
    return "live" if found.apply else "none"


def as_json(
    edit: Edit,
    known: Known,
    running: Running | None,
    found: ReloadPlan | None,
    *,
    believed: bool,
    **more: Any,
) -> Mapping[str, Any]:
    """Return a change as `--json` prints it."""
    return {
        "key": dotted(known.path),
        "old": shown(known.path, value_of(edit.old_document, known.path)),
        "new": shown(known.path, value_of(edit.loaded.document, known.path)),
        "changed": edit.changes,
        "written": edit.written,
        "path": str(edit.loaded.path),
        "hash": edit.loaded.digest,
        "applies": applies(found, believed=believed),
        "restartRequired": list(found.restart) if found else [],
        "gatewayPid": running.pid if running else None,
        "warnings": list(edit.loaded.warnings),
    } | more
