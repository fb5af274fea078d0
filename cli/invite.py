"""`openclaw devices invite`: let a device in before it asks, by a link or code it brings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cli.device_road import DeviceRoad, beside, items_of, offline_option, without_store
from cli.device_table import short_scopes, wall_ms
from cli.inviting import (
    NAME_AN_ADDRESS,
    lasts,
    make,
    only_here,
    public_way,
    scene_of,
    show_qr,
    shown_in_files,
)
from cli.output import json_text, note, printable, say, table
from cli.place import TargetOptions, target_options
from stores.errors import UsageError
from stores.invitations import Terms, revoke_invitation
from stores.records import Role
from stores.scopes import READ, WRITE
from stores.setup_code import page_link
from stores.timespan import in_words, ms_of

if TYPE_CHECKING:
    from cli.offline import Files

_USUAL_SCOPES = (READ, WRITE)


@click.command("invite")
@click.option(
    "--role", type=click.Choice(["node", "operator"]), default="node", help="For what (node)."
)
@click.option(
    "--scopes", metavar="A,B", help="What an operator gets (operator.read,operator.write)."
)
@click.option("--uses", type=int, default=1, metavar="N", help="How many nodes may use it (1).")
@click.option("--expires", metavar="TIME", default="10m", help="How long it lasts (10m).")
@click.option("--public-url", metavar="URL", help="The address that the device is to use.")
@click.option("--list", "listing", is_flag=True, help="Show what is outstanding instead.")
@click.option("--revoke", metavar="ID", help="End one instead; --list shows their ids.")
@offline_option
@target_options
def invite(  # noqa: PLR0913  # one parameter an option, as click hands them over
    *,
    options: TargetOptions,
    role: str,
    scopes: str | None,
    uses: int,
    expires: str,
    public_url: str | None,
    listing: bool,
    revoke: str | None,
    offline: bool,
) -> None:
    """Make a link or code that lets a device in unasked: once, and for ten minutes."""
    if listing and revoke is not None:
        raise UsageError("--list and --revoke say two things", remedy="leave one of them out")
    if revoke is not None:
        _revoke(DeviceRoad(options, offline, falls_back=False), revoke, options)
        return
    road = DeviceRoad(options, offline)
    if listing:
        _list(road, options)
        return
    _invite(road, options, _terms(role, scopes, uses, expires), public_url)


def _terms(role: str, scopes: str | None, uses: int, expires: str) -> Terms:
    lasts_ms = ms_of(expires)
    if lasts_ms is None:
        raise UsageError(
            f"{expires!r} is no span of time",
            remedy="write it as `--expires 10m` or `--expires 2h`",
        )
    if role == Role.NODE and scopes is not None:
        raise UsageError("a node has no scopes", remedy="leave `--scopes` out")
    if role == Role.OPERATOR and uses != 1:
        raise UsageError(
            "an invitation for an operator counts once",
            remedy="leave `--uses` out, and make several",
        )
    named = _USUAL_SCOPES if scopes is None else tuple(_scope(one) for one in scopes.split(","))
    given = named if role == Role.OPERATOR else ()
    return Terms(role, tuple(dict.fromkeys(given)), role, uses, lasts_ms)


def _scope(word: str) -> str:
    name = word.strip()
    if not name or not name.isprintable() or len(name) > 60:
        raise UsageError(
            f"{word!r} is no scope",
            remedy="name them as in `--scopes operator.read,operator.write`",
        )
    return name if name.startswith("operator.") else f"operator.{name}"


def _invite(road: DeviceRoad, options: TargetOptions, terms: Terms, public_url: str | None) -> None:
    scene = scene_of(options, offline=road.offline)
    way = public_way(scene, public_url)
    made = make(road, way, terms)
    operator = terms.role == Role.OPERATOR
    base = scene.loaded.config.gateway.control_ui.base_path if scene.local else ""
    link = page_link(way.url, made.token, base_path=base) if operator else way.url
    if way.alone:
        note(f"warning: {only_here(way)}; {NAME_AN_ADDRESS}")
    if options.as_json:
        told = {
            "url": link,
            "setupCode": made.code,
            "role": terms.role,
            "scopes": list(terms.scopes),
            "uses": terms.uses,
            "expiresAtMs": made.expires_at_ms,
            "setupId": made.setup_id,
            "source": made.source,
        }
        say(json_text(told))
        return
    gives = f" with {short_scopes(list(terms.scopes))}" if operator else ""
    often = "once" if terms.uses == 1 else f"{terms.uses} times"
    say(f"Invitation {made.setup_id}: one {terms.role}{gives}, {often}, for {lasts(made)}")
    if terms.uses > 1:
        say(f"  {terms.uses} nodes may use it, each its own key.")
    say(f"{'Link:      ' if operator else 'Gateway:   '} {link}")  # an address alone lets nobody in
    say(f"Setup code: {made.code}")
    show_qr(link if operator else made.code)
    note("Whoever has it gets in: show it to nobody else.")
    note(f"Take it back with `{beside(f'invite --revoke {made.setup_id}')}`.")


def _list(road: DeviceRoad, options: TargetOptions) -> None:
    answer = road.ask("device.pair.invitations.list", {}, shown_in_files)
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    found = items_of(answer, "invitations")
    if not found:
        say("No invitation is outstanding.")
        return
    say(table(("Id", "For", "Uses left", "Ends in"), [_row(one) for one in found]))
    note(f"End one with `{beside('invite --revoke ID')}`.")


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    scopes = one.get("scopes")
    gives = f" with {short_scopes(scopes)}" if scopes else ""
    ends = one.get("expiresAtMs")
    left = in_words(ends - wall_ms()) if isinstance(ends, int) else "?"
    return (
        printable(one.get("setupId", "?")),
        printable(f"{one.get('role', '?')}{gives}"),
        printable(one.get("usesLeft", "?")),
        left,
    )


def _revoke(road: DeviceRoad, wanted: str, options: TargetOptions) -> None:
    def in_files(files: Files) -> dict[str, Any]:
        ended = files.apply(partial(revoke_invitation, reference=wanted, caller=files.caller))
        return {"setupId": ended}

    answer = road.ask("device.pair.invitations.revoke", {"setupId": wanted}, in_files)
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    say(f"Revoked {printable(answer.get('setupId', wanted))}: it lets nobody in any more.")
