"""`openclaw pairing`: elsewhere this decides about chats; people who type it look for devices."""

from __future__ import annotations

import click

from cli.failures import FAILED
from cli.output import note, say
from cli.place import place


@click.group("pairing")
def pairing() -> None:
    """Point to the devices that wait for approval."""


@pairing.command("list", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def list_requests(*, words: tuple[str, ...]) -> None:
    """Count the devices that wait; exits 0."""
    del words  # names of channels, which are not ours
    say(f"{_waiting()}: openclaw devices list")


@pairing.command("approve", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def approve(context: click.Context, *, words: tuple[str, ...]) -> None:
    """Name the command that approves devices; exits 1."""
    code = words[-1] if words and not words[-1].startswith("-") else "REQUEST"
    note(f"{_waiting()}; devices are approved with: openclaw devices approve {code}")
    context.exit(FAILED)


def _waiting() -> str:
    from cli.offline import open_files  # late: `--help` opens no store

    count = len(open_files(place()).list()["pending"])
    return f"{count} device request{'' if count == 1 else 's'}"
