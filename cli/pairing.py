"""`openclaw pairing`: elsewhere this decides about chats; people who type it look for devices."""

from __future__ import annotations

import click

from cli.failures import FAILED
from cli.output import json_text, note, say
from cli.place import place


@click.group("pairing")
def pairing() -> None:
    """Point to the devices that wait for approval."""


@pairing.command("list", context_settings={"ignore_unknown_options": True})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def list_requests(*, words: tuple[str, ...], as_json: bool) -> None:
    """Count the devices that wait, and say where they are; exits 0.

    No setting of a chat channel, such as dmPolicy, changes which devices are paired.
    """
    count = _count()
    if as_json:
        channel = next((word for word in words if not word.startswith("-")), None)
        told: dict[str, object] = {"channel": channel, "requests": [], "deviceRequests": count}
        say(json_text(told | {"command": "openclaw devices list"}))
        return
    say(f"{_waiting(count)}: openclaw devices list")


@pairing.command("approve", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def approve(context: click.Context, *, words: tuple[str, ...]) -> None:
    """Name the command that approves devices; exits 1."""
    code = words[-1] if words and not words[-1].startswith("-") else "REQUEST"
    note(f"{_waiting(_count())}; devices are approved with: openclaw devices approve {code}")
    context.exit(FAILED)


def _count() -> int:
    from cli.offline import open_files  # late: `--help` opens no store

    return len(open_files(place()).list()["pending"])


def _waiting(count: int) -> str:
    return f"{count} device request{'' if count == 1 else 's'}"
