"""A refused HTTP request as a browser shows it: one page that needs nothing else, and as JSON."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

import orjson
from attrs import frozen

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}h1{font-size:1.4rem}h2{font-size:1rem;margin:1.5rem 0 .3rem}"
    "code,dd{font-family:ui-monospace,monospace;overflow-wrap:anywhere}"
    "pre{background:#f2f4f7;border:1px solid #d6dbe1;border-radius:6px;padding:.7rem;"
    "overflow:auto;white-space:pre-wrap}dt{color:#57606a;font-size:.85rem}dd{margin:0 0 .4rem}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "pre{background:#161b22;border-color:#30363d}dt{color:#9198a1}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())

#: As the gateway's own page, and narrower: nothing is loaded, and only this very style counts.
PAGE_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-" + _STYLE_HASH + b"'; frame-ancestors 'none'; "
        b"base-uri 'none'; form-action 'none'",
    ),
    (b"x-frame-options", b"DENY"),
)

_SEEN = {"host": "Host", "origin": "Origin", "forwardedFor": "Forwarded for"}
_WHERE = {
    "gateway-host": "On the gateway's machine",
    "browser": "In this browser",
    "this-device": "On this device",
}


@frozen
class HttpRefusal:
    """A request that was not served, ready for the wire and the log.

    Args:
        kind: Stable name, ``error.type``.
        message: What happened, one clause or sentence.
        sentence: What to do about it.
        command: The command that helps, as a stranger may be told it.
        command_in_full: The same for the log, with what the configuration lists.
        seen: The client's own words.
        snippets: Name of a proxy -> lines for its configuration.
    """

    status: int
    kind: str
    message: str
    sentence: str = ""
    where: str = "gateway-host"
    command: str | None = None
    command_in_full: str | None = None
    seen: Mapping[str, Any] | None = None
    snippets: Mapping[str, str] | None = None

    def to_json(self) -> bytes:
        """Return the body for programs."""
        told: dict[str, Any] = {"error": {"type": self.kind, "message": self.message}}
        if self.sentence:
            remedy: dict[str, Any] = {"sentence": self.sentence, "where": self.where}
            if self.command is not None:
                remedy["command"] = self.command
            if self.snippets:
                remedy["snippets"] = dict(self.snippets)
            told["details"] = {"saw": dict(self.seen or {}), "remedy": remedy}
        return orjson.dumps(told)

    def to_html(self) -> bytes:
        """Return the body for people; every word of the client's is escaped."""
        parts = [f"<h1>{self.status}: {escape(self.message)}</h1>"]
        if self.sentence:
            parts.append(f"<p>{escape(self.sentence)}</p>")
        if self.command is not None:
            parts.append(f"<h2>{_WHERE[self.where]}</h2>{_code(self.command)}")
        for name, lines in (self.snippets or {}).items():
            parts.append(f"<h2>{escape(name)}</h2>{_code(lines)}")
        seen = {_SEEN[key]: value for key, value in (self.seen or {}).items() if value}
        if seen:
            rows = (f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in seen.items())
            parts.append(f"<h2>What arrived</h2><dl>{''.join(rows)}</dl>")
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{self.status} · OpenClaw gateway</title><style>{_STYLE}</style></head>"
            f"<body><main>{''.join(parts)}</main></body></html>"
        ).encode()


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"
