"""Groups of commands: one whose commands are imported when called, and one that lists them in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

PROGRAM = "openclaw"
#: A word that people type for `--help`; it is near to other commands by its letters alone.
HELP = "help"


class LateGroup(click.Group):
    """A group whose commands are imported only when called; helps come from the table.

    Args:
        table: Command name -> (``module:attribute``, one line of help).
        unlisted: Published names -> ``module:attribute``; they are found, and no help lists them.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[str, str]],
        unlisted: Mapping[str, str] | None = None,
        **words: Any,
    ) -> None:
        super().__init__(*args, **words)
        self.table = table
        self.unlisted = dict(unlisted or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        place = self.table[cmd_name][0] if cmd_name in self.table else self.unlisted.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        from importlib import import_module  # late: `--version` imports nothing

        command: click.Command = getattr(import_module(module), attribute)
        from cli.examples import attach

        attach(command, cmd_name if self.name == PROGRAM else f"{self.name} {cmd_name}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names, or say which one was probably meant."""
        known = args[0] in self.table or args[0] in self.unlisted
        if not known and not args[0].startswith("-"):
            import difflib  # late: only a mistake needs it

            close = difflib.get_close_matches(args[0], list(self.table), n=1)
            meant = f" Did you mean '{close[0]}'?" if close and args[0] != HELP else ""
            ctx.fail(f"No such command '{args[0]}'.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


class WholeGroup(click.Group):
    """A group whose list of commands cuts no sentence off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each with the whole first sentence of its help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(limit=200)) for name, one in self.commands.items()]
            )
