"""`openclaw pairing`: elsewhere this decides about chats; people who type it look for devices."""

from __future__ import annotations

from typing import Any

import click

from cli.failures import FAILED
from cli.output import json_text, note, printable, say
from cli.place import place
from cli.typed import program_words


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
    count = len(_pending())
    if as_json:
        channel = next((word for word in words if not word.startswith("-")), None)
        told: dict[str, object] = {"channel": channel, "requests": [], "deviceRequests": count}
        say(json_text(told | {"command": f"{program_words()} devices list"}))
        return
    say(f"{_waiting(count)}: {program_words()} devices list")


@pairing.command("approve", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def approve(context: click.Context, *, words: tuple[str, ...]) -> None:
    """Name the command that approves devices; exits 1."""
    from stores.request_id import plain_id  # late: `--help` needs it not

    waiting = [str(one["requestId"]) for one in _pending()]
    code = words[-1] if words and not words[-1].startswith("-") else None
    meant = [one for one in waiting if code is not None and plain_id(one) == plain_id(code)]
    told = _waiting(len(waiting))
    if code is not None and not meant:
        told = f"{printable(code)} is none of {told}" if waiting else "no device waits for approval"
    one = next(iter(meant or waiting), None) if meant or len(waiting) == 1 else None
    command = f"{program_words()} devices {'list' if one is None else f'approve {one}'}"
    verb = "see" if one is None else "devices are approved with"
    note(f"{told}; {verb}: {command}")
    note("Codes of chats (dmPolicy, allowFrom) are their channel's, and let no device in.")
    context.exit(FAILED)


def _pending() -> list[dict[str, Any]]:
    from cli.offline import open_files  # late: `--help` opens no store

    found: list[dict[str, Any]] = open_files(place()).list()["pending"]
    return found


def _waiting(count: int) -> str:
    return f"{count} device request{'' if count == 1 else 's'}"
