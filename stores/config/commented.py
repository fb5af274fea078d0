"""A document with its comments, whichever format it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from stores.config.json5 import parse_json5
from stores.config.keypath import KeyPath, look_up
from stores.config.spans import Node, Part, comments_in, scan
from stores.config.toml_spans import Section, scan_toml, toml_comments_in

_JSON5_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_TOML_COMMENT = re.compile(r"#[^\r\n]*")
#: Comments at the head of a file, with a blank line behind them, are about the file.
_TOML_HEAD = re.compile(r"(?:[ \t]*#[^\n]*\n)+(?=[ \t]*\r?\n)")


@define
class Branch:
    """A value and the comments that go with it; of an object also what it holds.

    ``above`` stands on lines before it, ``beside`` behind it on its line, ``below`` before its
    closing bracket. Comments are texts without their marks, one a line.
    """

    value: Any = None
    members: dict[str, Branch] = field(factory=dict)
    items: list[Branch] = field(factory=list)
    above: list[str] = field(factory=list)
    beside: list[str] = field(factory=list)
    below: list[str] = field(factory=list)

    @property
    def is_object(self) -> bool:
        """Tell an object from everything else."""
        return isinstance(self.value, Mapping)

    @property
    def is_array(self) -> bool:
        """Tell an array from everything else."""
        return isinstance(self.value, list)


def from_json5(text: str) -> Branch:
    """Read a JSON5 text with its comments."""
    text = text.removeprefix("\ufeff")
    root = scan(text)
    branch = _grow(text, root, parse_json5(text), _JSON5_COMMENT)
    branch.above = _words(comments_in(text[: root.start]))
    branch.below += _words(comments_in(text[root.end :]))
    return branch


def from_toml(text: str) -> Branch:
    """Read a TOML text with its comments; dates stay what `tomllib` makes of them."""
    import tomllib  # late: most files are JSON5

    text = text.removeprefix("\ufeff")
    document = tomllib.loads(text)
    root = last = _bare(document)
    head = _TOML_HEAD.match(text)
    at = head.end() if head else 0
    root.above = _words(toml_comments_in(text[:at]))
    for section in scan_toml(text):
        if section.name:
            own, other = _last_block(text[at : section.start])
            last.below += _words(toml_comments_in(other))
            last = _branch_at(root, section.path)
            last.above += _words(toml_comments_in(own))
            at = _line_end(text, section.head_end)
            last.beside += _words(toml_comments_in(text[section.head_end : at]))
        at = _grow_lines(text, at, section, root, document)
    root.below += _words(toml_comments_in(text[at:]))
    return root


def _bare(value: Any) -> Branch:
    branch = Branch(value)
    if isinstance(value, Mapping):
        branch.members = {key: _bare(item) for key, item in value.items()}
    elif isinstance(value, list):
        branch.items = [_bare(item) for item in value]
    return branch


def _grow(text: str, node: Node, value: Any, comment: re.Pattern[str]) -> Branch:
    """Return the branch of a bracketed value: comments are before, behind or after its parts."""
    branch = _bare(value)
    at, last = node.start + 1, branch
    for index, part in enumerate(node.parts):
        place: Any = branch.items if node.opener == "[" else branch.members
        key: Any = index if node.opener == "[" else part.keys[0]
        before = place[key].above  # of keys written twice the last one counts
        grown = place[key] = (
            _grow(text, part.value, place[key].value, comment) if part.value.opener else place[key]
        )
        grown.above = before + _share(text, at, part.start, last, comment)
        if node.opener == "{":
            grown.above += _words(comments_in(text[part.start : part.value.start]))
        at, last = part.end, grown
        if part.comma is not None:
            grown.beside += _words(comment.findall(text[at : part.comma]))
            at = part.comma + 1
    if node.opener:
        branch.below += _share(text, at, node.end - 1, last, comment)
    return branch


def _share(text: str, start: int, end: int, last: Branch, comment: re.Pattern[str]) -> list[str]:
    """Give ``last`` the comments on its line, and return those after them.

    They are all returned where the next part is on the same line.
    """
    after: list[str] = []
    found = list(comment.finditer(text, start, end))
    layout = comment.sub("", text[start:end])
    for match in found:
        on_line = "\n" not in comment.sub("", text[start : match.start()])
        if on_line and "\n" in layout:
            last.beside += _words([match.group()])
        else:
            after += _words([match.group()])
    return after


def _grow_lines(
    text: str, at: int, section: Section, root: Branch, document: Mapping[str, Any]
) -> int:
    """Take in the lines of a section; return where they end."""
    for part in section.parts:
        target = _branch_at(root, (*section.path, *part.keys))
        target.above += _words(toml_comments_in(text[at : part.start]))
        if part.value.opener:
            value = look_up(document, (*section.path, *part.keys))
            _take(target, _grow_value(text, part, value))
        at = _line_end(text, part.end)
        target.beside += _words(toml_comments_in(text[part.end : at]))
    return at


def _grow_value(text: str, part: Part, value: Any) -> Branch:
    if _has_dotted(part.value):  # comments inside are rare enough to go above
        branch = _bare(value)
        branch.above = _words(toml_comments_in(text[part.value.start : part.value.end]))
        return branch
    return _grow(text, part.value, value, _TOML_COMMENT)


def _has_dotted(node: Node) -> bool:
    return any(len(part.keys) > 1 or _has_dotted(part.value) for part in node.parts)


def _take(target: Branch, grown: Branch) -> None:
    target.members, target.items = grown.members, grown.items
    target.above += grown.above
    target.below += grown.below
    target.beside = grown.beside + target.beside


def _last_block(gap: str) -> tuple[str, str]:
    """Split what stands above a header: the comments right above it, and those before."""
    lines = gap.split("\n")
    split = len(lines) - 1
    while split > 0 and lines[split - 1].lstrip().startswith("#"):
        split -= 1
    return "\n".join(lines[split:]), "\n".join(lines[:split])


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _branch_at(root: Branch, path: KeyPath) -> Branch:
    branch = root
    for key in path:
        branch = branch.items[int(key)] if branch.is_array else branch.members[key]
    return branch


def _words(comments: list[str]) -> list[str]:
    """Return the texts of comments, without marks, one a line."""
    lines: list[str] = []
    for comment in comments:
        if comment.startswith("/*"):
            found = [line.strip().removeprefix("*").strip() for line in comment[2:-2].split("\n")]
            lines += [line for line in found if line]
        else:
            lines.append(comment.removeprefix("//").removeprefix("#").strip())
    return ["".join(c if c.isprintable() or c == "\t" else " " for c in line) for line in lines]
