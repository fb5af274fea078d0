"""`openclaw gateway lockouts`: who sent too many wrong credentials, and letting them try again."""

from __future__ import annotations

from typing import Any

import click

from cli.device_road import beside
from cli.late_group import WholeGroup
from cli.output import json_text, note, printable, say, table
from cli.place import TIMEOUT_MS, TargetOptions, target_options
from stores.errors import UsageError, UserFacingError


class NotLockedError(UserFacingError):
    """Nobody of that name is locked out."""


@click.group("lockouts", cls=WholeGroup)
def lockouts() -> None:
    """See who is locked out after wrong credentials, and let them try again."""


@lockouts.command("list")
@target_options
def list_lockouts(*, options: TargetOptions) -> None:
    """List who is locked out, and for how long still."""
    tell_locked(_ask(options, "gateway.lockouts.list", {}), as_json=options.as_json)


def tell_locked(answer: dict[str, Any], *, as_json: bool) -> None:
    """Print who is locked out."""
    if as_json:
        say(json_text(answer))
        return
    found = answer.get("lockouts")
    rows = [_row(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if not rows:
        say("Nobody is locked out.")
        return
    say(table(("Who", "Wrong was", "Free in"), rows))
    note(f"Let one try again with `{beside('lockouts clear WHO', 'gateway')}`.")


@lockouts.command("clear")
@click.argument("key", required=False)
@click.option("--all", "everybody", is_flag=True, help="Lift every lockout.")
@target_options
def clear(*, options: TargetOptions, key: str | None, everybody: bool) -> None:
    """Let KEY (an address, a device id, or a key of `list --json`) try again at once."""
    if (key is None) != everybody:
        raise UsageError(
            "name whom to let try again, or --all",
            remedy="see who is locked out with `openclaw gateway lockouts list`",
        )
    params: dict[str, Any] = {"all": True} if key is None else {"key": key}
    answer = _ask(options, "gateway.lockouts.clear", params)
    tell_cleared(answer, key, as_json=options.as_json)


def tell_cleared(answer: dict[str, Any], key: str | None, *, as_json: bool) -> None:
    """Print who may try again; ``key`` is whom the command named, None means everybody.

    Raises:
        NotLockedError: the one named was not locked out.
    """
    cleared = answer.get("cleared")
    keys = [str(one) for one in cleared] if isinstance(cleared, list) else []
    if not keys and key is not None:
        raise NotLockedError(
            f"{printable(key, limit=200)} is not locked out",
            remedy="see who is with `openclaw gateway lockouts list`",
        )
    if as_json:
        say(json_text(answer))
    elif keys:
        say(f"May try again: {printable(', '.join(keys), limit=2_000)}")
    else:
        say("Nobody was locked out.")


def _ask(options: TargetOptions, method: str, params: dict[str, Any]) -> dict[str, Any]:
    from cli.road import ask, find_road  # late: it loads the configuration's reader

    timeout_s = (options.timeout_ms or TIMEOUT_MS) / 1000
    answer = ask(find_road(options), method, params, timeout_s=timeout_s).payload
    return answer if isinstance(answer, dict) else {}


def _row(one: dict[str, Any]) -> tuple[str, str, str]:
    from stores.timespan import in_words  # late: only a list needs it

    left = one.get("remainingMs")
    who = one.get("deviceId") or one.get("address")
    if who is None:
        who = f"{str(one.get('key')).partition(' ')[2]} ({one.get('name')})"
    return (
        str(who),
        str(one.get("secret") or one.get("kind")),
        in_words(left) if isinstance(left, int) else "?",
    )
