"""The reference page of the configuration, made from the model.

``python -m stores.config.reference FILE`` writes it to a file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from stores.config import foreign
from stores.config.model import Config, keys_of

_INTRODUCTION = """\
# Configuration

This page is made from the program, by `python -m stores.config.reference FILE`; what it says is what the program checks.

The file is `openclaw.json` (JSON5: comments, trailing commas and bare keys are welcome) or `openclaw.toml` in the
state directory; the keys are the same, and the TOML file wins when both exist. `--config FILE` and
`OPENCLAW_CONFIG_PATH` name another file. `openclaw config file` says which one is in force and why,
`openclaw config schema` prints the same keys as JSON Schema. How to change it safely:
[configure the gateway](../how-to/configure.md).

`hot` keys count within a second of a save. `restart` keys count when the gateway starts the next time. A secret is
never shown. Every string may name variables of the environment: `${NAME}` is replaced by its value when the file is
loaded (`$${NAME}` is the text itself), and a variable that is not set is an error. `$include` names a file, or an array
of files, whose keys belong at that place; keys beside it win.
"""


def render() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for path, record, doc in _sections(Config, (), ""):
        parts.append(_section(path, record, doc))
    parts.append(_other_keys())
    return "\n".join(parts)


def _sections(
    record: type, path: tuple[str, ...], doc: str
) -> Iterator[tuple[tuple[str, ...], type, str]]:
    if path:
        yield path, record, doc
    for key, attribute in keys_of(record).items():
        notes = attribute.metadata
        below = notes.get("section") or notes.get("records")
        if below is not None:
            inside = key if "section" in notes else f"{key}[]"
            yield from _sections(below, (*path, inside), notes["doc"])


def _section(path: tuple[str, ...], record: type, doc: str) -> str:
    lines = [f"## {'.'.join(path)}", "", doc, ""]
    rows = [
        _row(key, attribute)
        for key, attribute in keys_of(record).items()
        if "section" not in attribute.metadata
    ]
    if rows:
        lines += [
            "| key | value | default | change | meaning |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(lines)


def _row(key: str, attribute: Any) -> str:
    notes = attribute.metadata
    kind = _kind({"type": "array"} if "records" in notes else notes["kind"].schema)
    shown = "" if attribute.default in (None, (), "") else f"`{attribute.default!s}`"
    if attribute.default is attrs.NOTHING:
        shown = "required"
    elif isinstance(attribute.default, bool):
        shown = f"`{json.dumps(attribute.default)}`"
    meaning = notes["doc"] + (" Secret." if notes["secret"] else "")
    return f"| `{key}` | {kind} | {shown} | {notes['reload']} | {meaning} |".replace("  |", " |")


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{name}`" for name in schema["enum"])
    if schema["type"] == "array":
        return f"array: {_kind(schema['items'])}" if "items" in schema else "array of objects"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        return f"integer from {low}" + (f" to {high}" if high is not None else "")
    return str(schema.get("description", schema["type"]))


def _other_keys() -> str:
    lines = ["## Other keys", "", "Read as the same:", ""]
    lines += [f"- `{old}` is `{new}`" for old, new in foreign.ALIASES.items()]
    lines += ["", "Accepted, with one warning and no effect, for published gateways know them:", ""]
    for name, hint in foreign.WITHOUT_EFFECT.items():
        lines.append(f"- `{name}`" + (f": {hint}" if hint else ""))
    lines += ["", "Refused, for they never were keys:", ""]
    lines += [f"- `{name}`: {hint}" for name, hint in foreign.REFUSED.items()]
    prefix = foreign.DANGEROUS_PREFIX
    lines.append(f"- every key that begins with `{prefix}`, unless it is `false`")
    names = ", ".join(f"`{name}`" for name in sorted(foreign.CARRIED))
    lines += [
        "",
        f"Sections of other programs are carried untouched and never checked: {names}.",
        "",
    ]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Write the page to the file named."""
    [file] = words
    Path(file).write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
