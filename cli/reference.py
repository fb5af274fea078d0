"""The reference page of the commands, made from the commands themselves.

``python -m cli.reference FILE`` writes it to a file.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from cli.examples import EXAMPLES
from cli.late_group import PROGRAM
from cli.main import root

_INTRODUCTION = """\
# The command line

This page is made from the program, by `python -m cli.reference FILE`; it says what each `--help` says.
What the commands have in common, which gateway they call and with which secret, and how they end:
[commands and exit codes](commands.md).
"""

#: As wide as a terminal usually is, whatever the one is that the page is made on.
_WIDTH = 96


def render() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for command, context in commands():
        parts.append(_section(command, context))
    return "\n".join(parts)


def commands() -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command that a help names, groups before what they hold."""
    yield from _below(
        root, click.Context(root, info_name=PROGRAM, terminal_width=_WIDTH, **root.context_settings)
    )


def _below(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            below = click.Context(
                inner, context, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH
            )
            yield from _below(inner, below)


def path_of(context: click.Context) -> str:
    """Return the words of a command behind the program's name."""
    return context.command_path.removeprefix(PROGRAM).strip()


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {context.command_path}", "", inspect.cleandoc(command.help or ""), ""]
    lines += ["```text", f"{context.command_path} {usage}".rstrip(), "```", ""]
    rows = [row for each in command.get_params(context) if (row := each.get_help_record(context))]
    rows = [row for row in rows if "--help" not in row[0]]
    if rows:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows]
        lines.append("")
    examples = EXAMPLES.get(path_of(context), ())
    if examples:
        lines += ["```sh", *examples, "```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(words: Sequence[str]) -> int:
    """Write the page to the file that is named."""
    Path(words[0]).write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
