"""Show what two versions of a configuration differ in, without a secret."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from attrs import define, field, frozen

from stores.config.kinds import REDACTED
from stores.config.load import parse_document
from stores.config.redact import redact_text
from stores.errors import ConfigError


@frozen
class Side:
    """One of two texts; ``name`` heads it, ``toml`` tells its format."""

    name: str
    text: str = field(repr=False)
    toml: bool = False


@define
class _Marks:
    """A mark of its own for each secret, so that one that changed shows as a change."""

    known: dict[str, str] = field(factory=dict, repr=False)

    def mark(self, secret: str) -> str:
        return self.known.setdefault(secret, f"{REDACTED}\0{len(self.known)}\0")


def redacted_diff(old: Side, new: Side) -> str:
    """Return a unified diff of two texts, every secret replaced by a mark; empty if equal.

    A secret that changed shows as a line that goes and the same line that comes.
    """
    if old.text == new.text:
        return ""
    marks = _Marks()
    before, after = (
        redact_text(side.text, _document(side), mark=marks.mark).splitlines() for side in (old, new)
    )
    lines = unified_diff(before, after, old.name, new.name, lineterm="")
    text = "\n".join(lines)
    for mark in marks.known.values():
        text = text.replace(mark, REDACTED)
    return text


def _document(side: Side) -> Mapping[str, Any]:
    from pathlib import Path

    try:
        return parse_document(Path("a.toml" if side.toml else "a.json"), side.text)
    except ConfigError:
        return {}
