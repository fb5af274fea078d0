"""The configuration as a session may see it: never with a secret."""

from __future__ import annotations

from typing import Any

from gateway.methods.call import Call
from stores.config.redact import redact, redact_text


def config_get(call: Call) -> dict[str, Any]:
    """Answer ``config.get``: the configuration in force, every secret replaced by a mark.

    ``hash`` names the text that was loaded; it is opaque.
    """
    loaded = call.runtime.loaded
    shown = redact(loaded.document)
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
