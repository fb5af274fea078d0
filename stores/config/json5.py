"""Read JSON5, at the price of plain JSON wherever the text is nearly that.

Rule: the short cut accepts only what the full reader accepts, with the same value.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STRING = r'"(?:[^"\\]|\\.)*"'
#: A string is matched only to be kept: what looks like a comment inside it is text.
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_COMMA = re.compile(rf'{_STRING}|(?P<trailing>,(?=\s*[}}\]]))|[^\s",]+|[",]', re.DOTALL)
#: A line comment that readers disagree on where it ends; not ours to decide.
_ODD_LINE_END = re.compile(r"^//.*(?:\r(?!$)|\u2028|\u2029)", re.DOTALL)
_NOT_NEWLINE = re.compile(r"[^\n]")
_TOKENS = {
    "COMMA": "`,`",
    "COLON": "`:`",
    "RBRACE": "`}`",
    "LBRACE": "`{`",
    "RBRACKET": "`]`",
    "LBRACKET": "`[`",
}


class Json5Error(ValueError):
    """A text is not JSON5; ``line`` counts from 1, None where no line is to blame."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def plain_json(text: str) -> str:
    """Blank out comments and trailing commas that stand outside of double-quoted strings.

    Line breaks stay, so every line keeps its number. Whatever else is JSON5 (bare keys, single
    quotes, hexadecimal numbers) is left in place and makes the result invalid JSON.
    """
    before = ""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        if found[0] == '"' or _ODD_LINE_END.search(found):
            return found
        return _NOT_NEWLINE.sub(" ", found)

    def drop(match: re.Match[str]) -> str:
        nonlocal before
        previous, before = before, match.group()
        # a comma after nothing (`[,]`, `[1,,]`) is an error in JSON5 too: leave it to be found
        drops = match["trailing"] and previous and previous[-1] not in "[{,:"
        return " " if drops else match.group()

    return _COMMA.sub(drop, _COMMENT.sub(blank, text))


def parse_json5(text: str) -> Any:
    """Return the value of a JSON5 text.

    Raises:
        Json5Error: it is not JSON5, or nested deeper than can be read.
    """
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(plain_json(text))
    except RecursionError:
        raise Json5Error("nested too deep", None) from None
    except ValueError:
        pass
    # late: the full reader costs 30 ms to import, and most files do not need it
    import json5

    try:
        return json5.loads(text)
    except RecursionError:
        raise Json5Error("nested too deep", None) from None
    except ValueError as error:
        raise Json5Error(_in_words(error, text), _line(error, text)) from error


def _line(error: ValueError, text: str) -> int | None:
    """Return the line an error is on; one that only the end of the file shows is on the last."""
    line = getattr(error, "lineno", None)
    if not line and "EOF" in str(error) and plain_json(text).strip():
        line = text.rstrip().count("\n") + 1
    return line or None


def _in_words(error: ValueError, text: str) -> str:
    if not plain_json(text).strip():
        return "the file is empty"
    if "EOF" in str(error):
        return "not valid JSON5, the file ends too early"
    found = re.search(r"Was expecting (.+?) in or near token (\w+)", str(error))
    if found is None:
        return "not valid JSON5"
    expected = " or ".join(_TOKENS.get(word, word) for word in found.group(1).split(" or "))
    return f"not valid JSON5, expected {expected}"
