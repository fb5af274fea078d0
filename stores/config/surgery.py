"""Cut a part out of a bracketed text, or paste one in; nothing else moves.

Rule: what both formats have in common, brackets with commas between their parts, is done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Any

from attrs import frozen

from stores.config.keypath import canonical
from stores.config.spans import Node

_LINE_END = re.compile(r"[ \t]*(\r?\n)")


@frozen
class Layout:
    """How the text around a place is written; ``indent`` is that of its line."""

    newline: str
    unit: str
    indent: str
    one_line: bool = False

    @classmethod
    def around(cls, text: str, position: int, *, one_line: bool = False) -> Layout:
        """Look at the text around a place."""
        first = re.search(r"\n([ \t]+)[^\s#/*]", text)
        newline = "\r\n" if "\r\n" in text else "\n"
        return cls(newline, first[1] if first else "  ", indent_at(text, position), one_line)


def indent_at(text: str, position: int) -> str:
    """Return the blanks that the line of a place begins with."""
    start = text.rfind("\n", 0, position) + 1
    found = re.match(r"[ \t]*", text[start:position])
    return found[0] if found else ""


def lead_of(text: str, position: int) -> str | None:
    """Return the blanks before a place that is first on its line, else None."""
    lead = text[text.rfind("\n", 0, position) + 1 : position]
    return None if lead.strip() else lead


def cut(text: str, node: Node, index: int, comments: list[str]) -> str:
    """Return the text without one part and its comma, ``comments`` left in its place.

    A line that held nothing else goes with it.
    """
    part = node.parts[index]
    before = text[: part.start]
    after = text[part.end if part.comma is None else part.comma + 1 :]
    last = part.comma is None and index > 0
    if last:  # no comma may be left behind that was not there, for not every reader takes it
        comma = node.parts[index - 1].comma
        assert comma is not None
        before = before[:comma] + before[comma + 1 :]
    lead, ends = lead_of(before, len(before)), _LINE_END.match(after)
    if comments:
        glue = ("\r\n" if "\r\n" in text else "\n") + indent_at(text, part.start)
        kept = glue.join(comments)
        if ends:
            return before + kept + after
        between = glue if comments[-1].startswith("//") else " "
        return before + kept + between + after.lstrip(" \t")
    if ends:
        if lead is not None:
            return before[: len(before) - len(lead)] + after[ends.end() :]
        return before.rstrip(" \t") + after
    if last and lead is None:
        return before.rstrip(" \t") + after
    return before + after.lstrip(" \t")


def paste(text: str, node: Node, index: int, render: Callable[[str], str], layout: Layout) -> str:
    """Return the text with one more part at ``index``, written like its neighbours.

    Args:
        render: Writes the part for the indent of the line it begins on.
    """
    if index < len(node.parts):
        at = node.parts[index].start
        lead = lead_of(text, at)
        if lead is None:
            return f"{text[:at]}{render(layout.indent)}, {text[at:]}"
        return f"{text[:at]}{render(lead)},{layout.newline}{lead}{text[at:]}"
    inner = layout.indent + layout.unit
    for part in node.parts:  # a sibling on a line of its own shows the indent best
        lead = lead_of(text, part.start)
        inner = inner if lead is None else lead
    trailing = bool(node.parts) and node.parts[-1].comma is not None
    comma = "," if node.parts and not trailing else ""
    behind = "," if trailing else ""
    flat = "\n" not in text[node.start : node.end] and (node.parts or node.opener == "[")
    if layout.one_line or flat:
        added = render(layout.indent)
        if node.parts:
            added = f" {added}{behind}"
        elif node.opener == "{":
            return f"{text[: node.start]}{{ {added} }}{text[node.end :]}"
    else:
        added = layout.newline + inner + render(inner) + behind
        if "\n" not in text[node.tail : node.end]:
            added += layout.newline + layout.indent
    split = node.parts[-1].end if node.parts else node.start + 1
    tail = max(split, node.tail)
    return text[:split] + comma + text[split:tail] + added + text[tail:]


def hoist(text: str, position: int, comments: list[str]) -> str:
    """Return the text with comments pasted in before a place, each on a line if it needs one."""
    if not comments:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    line = lead_of(text, position)
    glue = newline + indent_at(text, position)
    pasted = "".join(
        comment + (" " if line is None and comment.startswith("/*") else glue)
        for comment in comments
    )
    return text[:position] + pasted + text[position:]


@frozen
class Step:
    """One step that turns an array into another: ``put`` or ``drop`` or ``add`` at an index."""

    verb: str
    index: int
    value: Any = None


def steps(old: list[Any], new: list[Any]) -> Iterator[Step]:
    """Yield what turns one array into another, from its end to its beginning."""
    before, after = [canonical(item) for item in old], [canonical(item) for item in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, a, b, c, d in reversed(matcher.get_opcodes()):
        if kind == "equal":
            continue
        both = min(b - a, d - c)
        for index in range(b - 1, a + both - 1, -1):
            yield Step("drop", index)
        for value in reversed(new[c + both : d]):
            yield Step("add", a + both, value)
        for index in range(both):
            yield Step("put", a + index, new[c + index])
