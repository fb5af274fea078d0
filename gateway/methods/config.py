"""The configuration as a session may see it: never with a secret."""

from __future__ import annotations

import math
from typing import Any

from gateway.methods.call import NOTHING, Call, checked
from stores.config.redact import redact, redact_text

#: The widest integer the wire can carry.
_MAX_INTEGER = 2**63 - 1


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


def config_get(call: Call) -> dict[str, Any]:
    """Answer ``config.get``: the configuration in force, every secret replaced by a mark.

    ``hash`` names the text that was loaded; it is opaque.
    """
    checked(call, "config.get", NOTHING)
    loaded = call.runtime.loaded
    shown = _wire(redact(loaded.document))
    return {
        "path": str(loaded.path),
        "exists": loaded.exists,
        "raw": redact_text(loaded.raw, loaded.document) if loaded.exists else None,
        "parsed": shown,
        "resolved": shown,
        "valid": call.runtime.config_problem is None,
        "config": shown,
        "hash": loaded.digest,
        "issues": [{"path": "", "message": call.runtime.config_problem}]
        if call.runtime.config_problem
        else [],
        "warnings": [{"path": "", "message": text} for text in loaded.warnings],
        "legacyIssues": [],
    }
