"""Turn a configuration from JSON5 into TOML and back, comments and all.

What cannot be carried: null and half characters have no form in TOML, dates none in JSON5, and
the layout (blank lines, the side of a line a comment of several lines stood on) is the writer's.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stores.config.commented import Branch, from_json5, from_toml
from stores.config.history import Format
from stores.config.keypath import KeyPath, dotted, same
from stores.config.load import parse_document
from stores.config.toml_text import NotTomlError, toml_key, toml_name, toml_value
from stores.errors import ConfigError


def convert(text: str, to: Format) -> str:
    """Return the same configuration in the other format.

    Raises:
        ConfigError: it cannot be read, or a value has no form in the other format; the key is
            named.
    """
    source, target = Path("a.json"), Path("a.toml")
    if to == "json5":
        source, target = target, source
    document = parse_document(source, text)
    _refuse_what_has_no_form(document, (), to)
    tree = from_json5(text) if to == "toml" else from_toml(text)
    lines = list(_toml_root(tree)) if to == "toml" else list(_json5_root(tree))
    written = "\n".join(lines).strip("\n") + "\n"
    said = parse_document(target, written)
    assert same(said, document), "a conversion says what it converts"
    return written


def _refuse_what_has_no_form(value: Any, path: KeyPath, to: Format) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_what_has_no_form(item, (*path, key), to)
        return
    if isinstance(value, list):
        for at, item in enumerate(value):
            _refuse_what_has_no_form(item, (*path, str(at)), to)
        return
    what: str | None = None
    if to == "json5" and isinstance(value, dt.datetime | dt.date | dt.time):
        what = "JSON5 has no form for a date"
    if to == "toml":
        try:
            toml_value(value)
        except NotTomlError as error:
            what = str(error)
    if what is not None:
        raise ConfigError(
            f"{dotted(path)}: {what}",
            remedy=f"change it, or `openclaw config unset {dotted(path)}`",
        )


def _comments(lines: list[str], mark: str, indent: str = "") -> Iterator[str]:
    for line in lines:
        yield f"{indent}{mark} {line}".rstrip()


def _behind(lines: list[str], mark: str) -> str:
    """Return a comment for the end of a line."""
    return f" {mark} {' '.join(lines)}" if lines else ""


def _toml_root(tree: Branch) -> Iterator[str]:
    yield from _comments(tree.above, "#")
    if tree.above:
        yield ""
    yield from _comments(tree.beside, "#")
    yield from _toml_table(tree, ())
    if tree.below:
        yield ""
    yield from _comments(tree.below, "#")


def _toml_table(tree: Branch, name: KeyPath) -> Iterator[str]:
    """Write what an object holds: its own keys first, for a header would take them away."""
    later: list[tuple[str, Branch]] = []
    for key, branch in tree.members.items():
        if branch.is_object or _are_objects(branch):
            later.append((key, branch))
            continue
        yield from _comments(branch.above, "#")
        written = f"{toml_key(key)} = {_toml_inline(branch)}"
        yield written + _behind(branch.beside, "#")
    if name:
        yield from _comments(tree.below, "#")
    for key, branch in later:
        inside = (*name, key)
        elements = branch.items if branch.is_array else [branch]
        head = f"[[{toml_name(inside)}]]" if branch.is_array else f"[{toml_name(inside)}]"
        yield ""
        if branch.is_array:
            yield from _comments([*branch.above, *branch.beside], "#")
        for index, element in enumerate(elements):
            if index:
                yield ""
            yield from _comments(element.above, "#")
            yield head + _behind(element.beside, "#")
            yield from _toml_table(element, inside)
        if branch.is_array:
            yield from _comments(branch.below, "#")


def _are_objects(branch: Branch) -> bool:
    return bool(branch.items) and all(item.is_object for item in branch.items)


def _toml_inline(branch: Branch) -> str:
    if not branch.is_array or not _has_comments(branch):
        return toml_value(branch.value)
    lines = ["["]
    for item in branch.items:
        for words in _all_comments(item):
            lines += _comments(words, "#", "  ")
        lines.append(f"  {toml_value(item.value)},{_behind(item.beside, '#')}")
    lines += _comments(branch.below, "#", "  ")
    return "\n".join([*lines, "]"])


def _has_comments(branch: Branch) -> bool:
    inner = [*branch.items, *branch.members.values()]
    return bool(branch.below) or any(
        item.above or item.beside or _has_comments(item) for item in inner
    )


def _all_comments(branch: Branch) -> Iterator[list[str]]:
    """Yield all comments of a value that is written on one line, but those beside it."""
    yield branch.above
    for item in [*branch.items, *branch.members.values()]:
        yield from _all_comments(item)
        yield item.beside
    yield branch.below


def _json5_root(tree: Branch) -> Iterator[str]:
    yield from _comments(tree.above, "//")
    yield from _json5_value(tree, "", "", "")
    # what stood at the end of the file is inside, before the closing bracket


def _json5_value(branch: Branch, indent: str, head: str, comma: str) -> Iterator[str]:
    """Write a value behind ``head`` (its key, if it has one) and in front of a comma."""
    inner = f"{indent}  "
    parts: list[tuple[str | None, Branch]] = [(None, item) for item in branch.items]
    parts += branch.members.items()
    opener, closer = ("{", "}") if branch.is_object else ("[", "]")
    beside = _behind(branch.beside, "//")
    if not (branch.is_object or branch.is_array) or not (parts or branch.below):
        yield f"{indent}{head}{_json5_scalar(branch.value)}{comma}{beside}"
        return
    if branch.is_array and not _has_comments(branch) and not _are_objects(branch):
        yield f"{indent}{head}{_json5_scalar(branch.value)}{comma}{beside}"
        return
    yield f"{indent}{head}{opener}{beside}"
    for at, (key, item) in enumerate(parts):
        yield from _comments(item.above, "//", inner)
        name = "" if key is None else f"{_json5_key(key)}: "
        yield from _json5_value(item, inner, name, "," if at < len(parts) - 1 else "")
    yield from _comments(branch.below, "//", inner)
    yield f"{indent}{closer}{comma}"


def _json5_key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _json5_scalar(value: Any) -> str:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return json.dumps(value, ensure_ascii=False)
