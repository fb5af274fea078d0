"""The reference page of the access table: ``python -m gateway.access_page FILE`` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.policy.access import PairingReason, Refusal
from gateway.policy.features import FEATURES
from gateway.policy.table import NO_SECRET, ROWS, AccessRow, Gets

_INTRODUCTION = """\
# Who gets in

This page is made from the program, by `python -m gateway.access_page FILE`. The tests hold the table equal to what the
gateway decides, on thousands of situations.

Read it from the top: **the first row whose conditions all hold is the verdict.** What a row does not name may be
anything. The conditions are explained [below](#the-conditions). What a refusal says, and where:
[when a device is refused](../how-to/refused.md).

A refusal is an error response and then a close. `code` is `error.code`, `details` is `error.details.code`; the text is
the message and the reason of the close. In texts and commands, `ID` stands for the request id, and `…` for words that
depend on the client. Every refusal also carries `details.saw` (what the gateway saw), `details.authenticated` and
`details.remedy` (the sentence, the command, and where to type it). The log, and `openclaw gateway why`, have all of it.
"""

_WHAT_NEXT = {
    Gets.ASKED: "scopes: all it asks for",
    Gets.SHARED_PART: "scopes: what it asks for and has",
    Gets.INVITED_PART: "scopes: what it asks for and the setup code gives",
    Gets.GRANTED_PART: "scopes: what it asks for and has, or the rule gives",
    Gets.NONE: "no scopes",
}


def render() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *_table(), "", *_conditions()]) + "\n"


def _table() -> Iterator[str]:
    yield "## The table"
    yield ""
    yield "| row | when | verdict | told |"
    yield "|---|---|---|---|"
    for row in ROWS:
        yield f"| {row.name} | {_conditions_of(row)} | {_verdict(row)} | {_told(row)} |"


def _conditions_of(row: AccessRow) -> str:
    if not row.when:
        return "anything else"
    parts = []
    for name, values in row.when.items():
        said = (
            "*no secret accepted*" if values == NO_SECRET else " or ".join(f"*{v}*" for v in values)
        )
        parts.append(f"{name} {said}")
    return ", ".join(parts)


def _verdict(row: AccessRow) -> str:
    if isinstance(row.verdict, PairingReason):
        return f"pairing required: `{row.verdict}`"
    if isinstance(row.verdict, Refusal):
        return "refused"
    assert row.gets is not None
    rest = "; the rest becomes a pending request" if row.waits else ""
    return f"**{row.verdict}**, {_WHAT_NEXT[row.gets]}{rest}"


def _told(row: AccessRow) -> str:
    told = row.told
    if told is None:
        return "hello-ok"
    details = f", details `{told.detail}`" if told.detail else ""
    command = f"; helps: `{told.command}`" if told.command else ""
    text = told.text.replace("`", "")
    return f"`{told.code}`{details}, close {told.close_code} “{text}”{command}"


def _conditions() -> Iterator[str]:
    yield "## The conditions"
    yield ""
    yield "| condition | is about | values |"
    yield "|---|---|---|"
    for name, feature in FEATURES.items():
        yield f"| {name} | {feature.about} | {', '.join(f'*{v}*' for v in feature.values)} |"


def main(words: list[str]) -> int:
    """Write the page to the file that is named."""
    (target,) = words
    Path(target).write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
