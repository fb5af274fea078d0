"""The configuration as a session may see and change it: no answer ever holds a secret."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

from gateway.methods.call import (
    NOTHING,
    Call,
    CallError,
    checked,
    invalid_request,
    remedy_of,
    unavailable,
)
from gateway.protocol.errors import ErrorCode, ErrorShape
from gateway.protocol.schema import ANY, COUNT, EMPTY_OK, NAME, Closed, ListOf
from gateway.runtime import Runtime
from gateway.version import VERSION
from stores.config.edit import ConflictError, Edit
from stores.config.json5 import Json5Error, parse_json5
from stores.config.keypath import dotted, leaves, look_up
from stores.config.load import (
    InvalidConfigError,
    LoadedConfig,
    digest_of,
    in_force,
    parse_document,
    read_text,
)
from stores.config.patch import merge, replace_all
from stores.config.plan import ReloadPlan, plan
from stores.config.redact import redact, redact_text
from stores.errors import ConfigError, StoreError, UserFacingError

logger = logging.getLogger("gateway.config")

#: The widest integer the wire can carry.
_MAX_INTEGER = 2**63 - 1

_SET = Closed({"raw": NAME, "baseHash?": NAME})
_APPLY = Closed(
    {
        "raw": NAME,
        "baseHash?": NAME,
        "sessionKey?": EMPTY_OK,
        "deliveryContext?": ANY,
        "note?": EMPTY_OK,
        "restartDelayMs?": COUNT,
    }
)
_PATCH = Closed(
    {
        "raw": NAME,
        "baseHash?": NAME,
        "sessionKey?": EMPTY_OK,
        "deliveryContext?": ANY,
        "note?": EMPTY_OK,
        "restartDelayMs?": COUNT,
        "replacePaths?": ListOf(NAME, max_items=256),
    }
)


def _wire(value: Any) -> Any:
    """Return a value of a JSON5 or TOML document as JSON has it: plain keys, dates as text.

    Parsers hand out keys of types of their own, and numbers that JSON has no word for.
    """
    match value:
        case dict():
            return {str(key): _wire(item) for key, item in value.items()}
        case list():
            return [_wire(item) for item in value]
        case bool() | None:
            return value
        case int() if abs(value) <= _MAX_INTEGER:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case _:
            return str(value)


async def config_get(call: Call) -> dict[str, Any]:
    """Answer ``config.get``: the file as it is and the configuration in force, without a secret.

    ``hash`` names the text that is in the file, which is what a change is decided on; it is
    opaque. ``config`` is what the gateway runs with.
    """
    checked(call, "config.get", NOTHING)
    runtime = call.runtime
    loaded, problem = runtime.loaded, runtime.config_problem
    try:
        path, raw = await runtime.in_thread(_file, runtime)
    except ConfigError as error:
        path, raw, problem = loaded.path, None, problem or error.problem
    document = loaded.document
    if raw is not None and digest_of(raw) != loaded.digest:
        document = await runtime.in_thread(_readable, path, raw)
    shown = _wire(redact(document)) if raw is not None else {}
    return {
        "path": str(path),
        "exists": raw is not None,
        "raw": redact_text(raw, document | loaded.document) if raw is not None else None,
        "parsed": shown,
        "resolved": shown,
        "valid": problem is None,
        "config": _wire(redact(loaded.document)),
        "hash": digest_of(raw or ""),
        "issues": [{"path": "", "message": problem}] if problem else [],
        "warnings": [{"path": "", "message": text} for text in loaded.warnings],
        "legacyIssues": [],
    }


def _file(runtime: Runtime) -> tuple[Any, str | None]:
    path, _ = in_force(runtime.paths)
    return path, read_text(path)


def _readable(path: Any, raw: str) -> dict[str, Any]:
    try:
        return parse_document(path, raw)
    except ConfigError:
        return {}


def config_schema(call: Call) -> dict[str, Any]:
    """Answer ``config.schema``: the JSON Schema of the file, and hints for a page that edits it."""
    checked(call, "config.schema", NOTHING)
    from stores.config.schema import config_schema as schema_of  # late: few ask

    schema, reloader = schema_of(), call.runtime.reloader
    return {
        "schema": schema,
        "uiHints": dict(_hints(schema, (), reloader.fixed if reloader else {})),
        "version": VERSION,
        "generatedAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _hints(
    schema: Mapping[str, Any], path: tuple[str, ...], fixed: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for key, item in schema.get("properties", {}).items():
        here = (*path, key)
        if "description" in item and not key.startswith("$"):
            hint: dict[str, Any] = {"help": item["description"]}
            if item.get("writeOnly"):
                hint["sensitive"] = True
            if dotted(here) in fixed:
                hint["commandLine"] = fixed[dotted(here)]
            yield dotted(here), hint
        yield from _hints(item, here, fixed)


async def config_set(call: Call) -> dict[str, Any]:
    """Answer ``config.set``: put a whole new text in place of the file."""
    return await _replace(call, "config.set", _SET)


async def config_apply(call: Call) -> dict[str, Any]:
    """Answer ``config.apply``: as ``config.set``, and tell what changed."""
    return await _replace(call, "config.apply", _APPLY)


async def _replace(call: Call, method: str, schema: Closed) -> dict[str, Any]:
    _refuse_too_many(call, method)
    params = checked(call, method, schema)
    change = partial(replace_all, call.runtime.paths, params["raw"])
    edit = await _write(call, params, change)
    return _brief_answer(edit) if method == "config.set" else _answer(edit, call.runtime)


async def config_patch(call: Call) -> dict[str, Any]:
    """Answer ``config.patch``: apply a merge patch (RFC 7396) to the file."""
    _refuse_too_many(call, "config.patch")
    params = checked(call, "config.patch", _PATCH)
    try:
        patch = parse_json5(params["raw"])
    except Json5Error as error:
        raise invalid_request(_syntax_error(str(error), error.line)) from error
    if not isinstance(patch, dict):
        raise invalid_request("config.patch raw must be an object")
    whole = frozenset(params.get("replacePaths", ()))
    change = partial(merge, call.runtime.paths, patch, replace=whole)
    return _answer(await _write(call, params, change), call.runtime)


def _refuse_too_many(call: Call, method: str) -> None:
    session = call.session
    writer = (session.device_id, session.address)
    wait_s = call.runtime.config_writes.wait_s(writer, trio.current_time())
    if wait_s is None:
        return
    raise CallError(
        ErrorShape(
            ErrorCode.UNAVAILABLE,
            f"rate limit exceeded for {method}; retry after {math.ceil(wait_s)}s",
            {"method": method, "limit": "30 per 60s"},
            retryable=True,
            retry_after_ms=math.ceil(wait_s * 1000),
        )
    )


async def _write(call: Call, params: Mapping[str, Any], change: Callable[..., Edit]) -> Edit:
    """Change the file in a thread; the reloader then takes it in.

    Raises:
        CallError: the file is untouched.
    """
    runtime, base = call.runtime, params.get("baseHash")
    assert runtime.reloader is not None
    try:
        if base is None and (await runtime.in_thread(_file, runtime))[1] is not None:
            raise invalid_request("config base hash required; re-run config.get and retry")
        wanted = partial(
            change, env=runtime.env, base_digest=base, judge=runtime.reloader.refuse_unusable
        )
        edit = await runtime.in_thread(wanted)
    except ConflictError as error:
        raise invalid_request("config changed since last load; re-run config.get and retry") from (
            error
        )
    except StoreError as error:
        logger.exception("the configuration was not written")
        text = "the configuration cannot be written now; see the gateway's log"
        # Only an admin may ask for this, and an admin may know of our files.
        raise unavailable(text, remedy_of(error)) from error
    except UserFacingError as error:
        raise _invalid(error) from error
    if edit.written:
        who = call.session.device_id or call.session.client
        logger.info("configuration written for %s (conn=%s)", who, call.session.conn_id)
        # Not waited for: a changed secret may end this session, and its answer goes first.
        runtime.reload_wanted.set()
    return edit


def _invalid(error: UserFacingError) -> CallError:
    """Return the refusal of a text that cannot be used; no text of a fault shows a value."""
    issues = [{"path": "", "message": error.problem}]
    if isinstance(error, InvalidConfigError):
        first = error.faults[0]
        if not first.key and first.path.name.startswith("sent."):
            return invalid_request(_syntax_error(first.text, first.line))
        issues = [{"path": fault.key, "message": fault.text} for fault in error.faults]
    place = f"{issues[0]['path']}: " if issues[0]["path"] else ""
    details: dict[str, Any] = {"issues": issues}
    if error.remedy is not None:
        details["remedy"] = {"sentence": error.remedy, "where": "gateway-host"}
    return invalid_request(f"invalid config: {place}{issues[0]['message']}", details)


def _syntax_error(text: str, line: int | None) -> str:
    return f"SyntaxError: JSON5: {text}" + (f" at line {line}" if line else "")


def _brief_answer(edit: Edit) -> dict[str, Any]:
    return {
        "ok": True,
        "path": str(edit.loaded.path),
        "hash": edit.loaded.digest,
        "config": _wire(redact(edit.loaded.document)),
    }


def _answer(edit: Edit, runtime: Runtime) -> dict[str, Any]:
    """Return what came of a change; ``commandLine`` are changed keys that an option goes before."""
    found = ReloadPlan()
    if edit.before is not None:
        fixed = runtime.reloader.fixed if runtime.reloader else {}
        found = plan(edit.before.config, edit.loaded.config, fixed=fixed)
    return _brief_answer(edit) | {
        "changedPaths": list(_changed_paths(edit.before, edit.loaded)),
        "restartRequired": list(found.restart),
        "commandLine": dict(found.fixed),
    }


def _changed_paths(before: LoadedConfig | None, after: LoadedConfig) -> Iterator[str]:
    old = before.document if before is not None else {}
    paths = dict.fromkeys((*leaves(old), *leaves(after.document)))
    return (dotted(path) for path in paths if look_up(old, path) != look_up(after.document, path))
