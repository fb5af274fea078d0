"""Set or unset one key of a TOML text.

Rule: the text is cut and pasted, never written anew, and no comment is ever lost: those inside
what is removed or replaced are put on lines of their own at its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from stores.config.keypath import MISSING, KeyPath, dotted, look_up, same
from stores.config.spans import Node, Part
from stores.config.surgery import Layout, cut, hoist, indent_at, paste, steps
from stores.config.toml_spans import Section, scan_toml, toml_comments_in
from stores.config.toml_text import toml_key, toml_name, toml_section, toml_value

_LINE_END = re.compile(r"[ \t]*(#[^\r\n]*)?(\r?\n|\Z)")
#: Comments right below the last key, with a blank line behind them, belong to what is above.
_COMMENTS_BELOW = re.compile(r"(?:[ \t]*#[^\n]*(?:\n|\Z))+(?=[ \t]*\r?\n|\Z)")


@frozen
class _Place:
    """Where a value stands; ``holder`` is None for a key on a line of its own, ``line``.

    ``depth`` counts the keys of a dotted key that lead to the path it was found for.
    """

    line: Part
    holder: Node | None
    index: int
    part: Part
    depth: int = 0


def put_toml(text: str, path: KeyPath, value: Any) -> str:
    """Return the text with one key set, everything else as it was.

    Sections on the way that are missing are added; so is the key, after the last one there. A
    table or array that is there already is changed where it differs.

    Raises:
        ValueError: something on the way can hold no such key, or TOML no such value.
    """
    sections = scan_toml(text)
    old = look_up(_parse(text), path)
    if old is MISSING:
        return _add(text, sections, path, value)
    if same(old, value):
        return text
    if isinstance(old, dict) and isinstance(value, dict):
        return _merge(text, path, old, value)
    place = _find(sections, path)
    if isinstance(old, list) and isinstance(value, list) and old and value:
        if place is not None:
            return _replace_items(text, path, old, value)
        if all(isinstance(item, dict) for item in value):
            return _replace_elements(text, path, len(old), value)
    if place is None:
        if path[:-1] in _arrays(sections):  # one of its sections becomes a value: so do all
            items = list(look_up(_parse(text), path[:-1]))
            items[int(path[-1])] = value
            path, value = path[:-1], items
        text = drop_toml(text, path)
        return _add(text, scan_toml(text), path, value)
    node = place.part.value
    comments = toml_comments_in(text[node.start : node.end])
    text = text[: node.start] + toml_value(value, path) + text[node.end :]
    return hoist(text, place.line.start, comments)


def drop_toml(text: str, path: KeyPath) -> str:
    """Return the text without one key, and without the sections below it.

    Raises:
        ValueError: there is no such key.
    """
    if look_up(_parse(text), path) is MISSING:
        raise ValueError(f"{dotted(path)} is not there")
    sections = scan_toml(text)
    place = _find(sections, path)
    if place is not None:
        return _cut_place(text, place)
    if path[:-1] in _arrays(sections):  # once: the element behind it takes its number
        for section in reversed(_below(sections, path)):
            for part in reversed(section.parts):
                text = _cut_line(text, part.start, part.end)
            text = _cut_line(text, section.start, section.head_end)
        gone = look_up(_parse(text), path[:-1]) is MISSING
        return put_toml(text, path[:-1], []) if gone else text
    while look_up(_parse(text), path) is not MISSING:
        text = _cut_last(text, scan_toml(text), path)
    return text


def _cut_last(text: str, sections: Sequence[Section], path: KeyPath) -> str:
    """Remove the last of the lines, members and headers that a table is made of."""
    below = _below(sections, path)
    places = list(_dotted(sections, path))
    places += [_Place(part, None, 0, part) for section in below for part in section.parts]
    last = max(places, key=lambda one: one.part.start, default=None)
    if below and (last is None or below[-1].start > last.part.start):
        return _cut_line(text, below[-1].start, below[-1].head_end)
    assert last is not None
    return _cut_place(text, last)


def _below(sections: Sequence[Section], path: KeyPath) -> list[Section]:
    return [s for s in sections if s.name and s.path[: len(path)] == path]


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # late: most files are JSON5

    return tomllib.loads(text.removeprefix("\ufeff"))


def _find(sections: Sequence[Section], path: KeyPath) -> _Place | None:
    """Return where the value of a path is written, None if it is spread over lines or sections."""
    for section in sections:
        depth = len(section.path)
        if section.path == path[:depth]:
            for part in section.parts:
                found = _in_part(part, None, 0, part, path[depth:])
                if found is not None:
                    return found
    return None


def _in_part(
    line: Part, holder: Node | None, index: int, part: Part, rest: KeyPath
) -> _Place | None:
    below = _through(holder, index, part, rest)
    if below == ():
        return _Place(line, holder, index, part)
    for at, inner in enumerate(part.value.parts if below else ()):
        found = _in_part(line, part.value, at, inner, below or ())
        if found is not None:
            return found
    return None


def _dotted(sections: Sequence[Section], path: KeyPath) -> Iterator[_Place]:
    """Yield the lines and members whose key goes through a path that has no value of its own."""
    for section in sections:
        depth = len(section.path)
        if section.path == path[:depth]:
            for part in section.parts:
                yield from _dotted_in(part, None, 0, part, path[depth:])


def _dotted_in(
    line: Part, holder: Node | None, index: int, part: Part, rest: KeyPath
) -> Iterator[_Place]:
    if rest and len(part.keys) > len(rest) and part.keys[: len(rest)] == rest:
        yield _Place(line, holder, index, part, len(rest))
        return
    below = _through(holder, index, part, rest)
    for at, inner in enumerate(part.value.parts if below else ()):
        yield from _dotted_in(line, part.value, at, inner, below or ())


def _through(holder: Node | None, index: int, part: Part, rest: KeyPath) -> KeyPath | None:
    """Return what is left of a path behind a part, None if it does not lead through it."""
    if holder is not None and holder.opener == "[":
        return rest[1:] if rest[0] == str(index) else None
    return rest[len(part.keys) :] if rest[: len(part.keys)] == part.keys else None


def _arrays(sections: Sequence[Section]) -> set[KeyPath]:
    """Return the paths of the arrays whose elements are sections, ``[[name]]``."""
    return {section.path[:-1] for section in sections if section.is_element}


def _cut_place(text: str, place: _Place) -> str:
    if place.holder is None:
        return _cut_line(text, place.line.start, place.line.end)
    part = place.part
    comments = toml_comments_in(text[part.start : part.end if part.comma is None else part.comma])
    return hoist(cut(text, place.holder, place.index, []), place.line.start, comments)


def _cut_line(text: str, start: int, end: int) -> str:
    """Remove a header or a key with its value from its line; comments stay, on lines of their own."""
    kept = toml_comments_in(text[start:end])
    glue = ("\r\n" if "\r\n" in text else "\n") + indent_at(text, start)
    behind = _LINE_END.match(text, end)
    assert behind is not None
    if behind[1]:
        rest = text[end:].lstrip(" \t")
        return text[:start] + "".join(comment + glue for comment in kept) + rest
    if kept:
        return text[:start] + glue.join(kept) + text[end:]
    return text[: text.rfind("\n", 0, start) + 1] + text[behind.end() :]


def _merge(text: str, path: KeyPath, old: dict[str, Any], new: dict[str, Any]) -> str:
    for key in old:
        if key not in new:
            text = drop_toml(text, (*path, key))
    for key, item in new.items():
        text = put_toml(text, (*path, key), item)
    # a table that only dotted keys or sections below it had made goes with the last of them
    return text if look_up(_parse(text), path) is not MISSING else put_toml(text, path, new)


def _replace_items(text: str, path: KeyPath, old: list[Any], new: list[Any]) -> str:
    for step in steps(old, new):
        here = (*path, str(step.index))
        if step.verb == "put":
            text = put_toml(text, here, step.value)
        elif step.verb == "drop":
            text = drop_toml(text, here)
        else:
            place = _find(scan_toml(text), path)
            assert place is not None
            text = _paste(text, place.part.value, step.index, toml_value(step.value, here))
    return text


def _replace_elements(text: str, path: KeyPath, count: int, new: list[Any]) -> str:
    """Turn the sections of an array, ``[[name]]``, into others one by one."""
    for index, item in enumerate(new):
        text = put_toml(text, (*path, str(index)), item)
    for index in range(count - 1, len(new) - 1, -1):
        text = drop_toml(text, (*path, str(index)))
    return text


def _paste(text: str, node: Node, index: int, written: str) -> str:
    # in TOML 1.0 the members of an inline table stand on one line
    layout = Layout.around(text, node.start, one_line=node.opener == "{")
    return paste(text, node, index, lambda _: written, layout)


def _add(text: str, sections: Sequence[Section], path: KeyPath, value: Any) -> str:
    """Add a key that is not there to what is there of the way to it."""
    document = _parse(text)
    depth = max(n for n in range(len(path)) if look_up(document, path[:n]) is not MISSING)
    anchor, rest = path[:depth], path[depth:]
    place = _find(sections, anchor) if anchor else None
    if place is not None:
        return _add_inside(text, place.part.value, rest, value, path)
    wrapped = value
    for key in reversed(rest[1:]):
        wrapped = {key: wrapped}
    arrays = _arrays(sections)
    name = tuple(key for at, key in enumerate(anchor) if anchor[:at] not in arrays)
    newline = "\r\n" if "\r\n" in text else "\n"
    if anchor in arrays:
        count = len(look_up(document, anchor))
        if rest[0] != str(count):
            raise ValueError(f"{dotted(anchor)} has no place {rest[0]}")
        if not isinstance(wrapped, dict):
            return put_toml(text, anchor, [*look_up(document, anchor), wrapped])
        body = toml_section(name, wrapped, newline)
        head = f"[{toml_name(name)}]"
        body = body if body.startswith(head) else f"{head}{newline}{newline}{body}"
        return _add_section(text, sections, anchor, f"[{head}]{body.removeprefix(head)}", newline)
    dotted_keys = list(_dotted(sections, anchor)) if anchor else []
    if dotted_keys:
        return _add_dotted(text, dotted_keys[-1], (*anchor, rest[0]), wrapped)
    explicit = next((s for s in sections if s.path == anchor), None)
    if isinstance(wrapped, dict):
        body = toml_section((*name, rest[0]), wrapped, newline)
        return _add_section(text, sections, anchor, body, newline)
    written = f"{toml_key(rest[0])} = {toml_value(wrapped, path)}"
    if explicit is None:
        body = f"[{toml_name(name)}]{newline}{written}{newline}"
        return _add_section(text, sections, anchor, body, newline)
    return _add_line(text, explicit, written, newline)


def _add_inside(text: str, node: Node, rest: KeyPath, value: Any, path: KeyPath) -> str:
    for key in reversed(rest[1:]):
        value = {key: value}
    if node.opener == "{":
        written = f"{toml_key(rest[0])} = {toml_value(value, path)}"
    elif node.opener == "[" and rest[0] == str(len(node.parts)):
        written = toml_value(value, path)
    else:
        raise ValueError(f"{dotted(path)} cannot be set in what is there")
    return _paste(text, node, len(node.parts), written)


def _add_dotted(text: str, last: _Place, path: KeyPath, value: Any) -> str:
    """Add a key beside others that are written as paths, ``auth.mode = …``."""
    keys = (*last.part.keys[: last.depth], path[-1])
    written = f"{toml_name(keys)} = {toml_value(value, path)}"
    if last.holder is not None:
        return _paste(text, last.holder, len(last.holder.parts), written)
    newline = "\r\n" if "\r\n" in text else "\n"
    lead = indent_at(text, last.line.start)
    return _insert_lines(text, _line_end(text, last.part.end), lead + written, newline)


def _add_line(text: str, section: Section, written: str, newline: str) -> str:
    if section.parts:
        last = section.parts[-1]
        return _insert_lines(
            text, _line_end(text, last.end), indent_at(text, last.start) + written, newline
        )
    position = _line_end(text, section.head_end) if section.name else section.start
    return _insert_lines(text, position, written, newline)


def _add_section(
    text: str, sections: Sequence[Section], anchor: KeyPath, body: str, newline: str
) -> str:
    """Add a section behind the last one that belongs to ``anchor``."""
    last = [section for section in sections if section.path[: len(anchor)] == anchor][-1]
    if not anchor:
        position = len(text)
    else:
        position = _line_end(text, last.parts[-1].end if last.parts else last.head_end)
        below = _COMMENTS_BELOW.match(text, position)
        position = below.end() if below else position
    blank = newline if text[:position].strip("\ufeff\r\n\t ") else ""
    return _insert_lines(text, position, blank + body.removesuffix(newline), newline)


def _line_end(text: str, position: int) -> int:
    """Return where the next line begins."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _insert_lines(text: str, position: int, lines: str, newline: str) -> str:
    before = text[:position]
    if before.removeprefix("\ufeff") and not before.endswith("\n"):
        lines = newline + lines
    return before + lines + newline + text[position:]
