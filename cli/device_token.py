"""`openclaw devices rotate` and `revoke`: replace one token of a device, or end it.

Rule: no token is printed. The one of this machine's own device goes into its identity folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.device_life import confirm, in_short, named, refuse_unasked, yes_option
from cli.device_road import DeviceRoad, offline_option
from cli.device_table import card, short_scopes, wall_ms
from cli.output import json_text, note, printable, say
from cli.place import TargetOptions, place, target_options
from stores.errors import UsageError, UserFacingError

_which = click.argument("device", required=False)
_device = click.option("--device", "device_option", metavar="DEVICE", help="The same as DEVICE.")
_role = click.option("--role", metavar="ROLE", help="operator or node; needed if it has both.")


def _one(device: str | None, device_option: str | None) -> str:
    word = device if device is not None else device_option
    if word is None or (device is not None and device_option is not None):
        raise UsageError(
            "this takes one device", remedy="name it like `openclaw devices show DEVICE`"
        )
    return word


def _role_of(found: Mapping[str, Any], role: str | None) -> str:
    if role is not None:
        return role
    tokens = found.get("tokens")
    roles = [str(t.get("role")) for t in tokens or [] if isinstance(t, dict)]
    if len(roles) != 1:
        raise UsageError(
            f"{in_short(found)} has {len(roles)} tokens ({', '.join(map(printable, roles)) or '-'})",
            remedy="say which with `--role ROLE`",
        )
    return roles[0]


@click.command("rotate")
@_which
@_device
@_role
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="Only these; repeatable.")
@click.option("--no-scopes", is_flag=True, help="A token that may nothing.")
@yes_option
@offline_option
@target_options
def rotate(  # noqa: PLR0913  # one parameter an option, as click hands them over
    *,
    options: TargetOptions,
    device: str | None,
    device_option: str | None,
    role: str | None,
    scopes: tuple[str, ...],
    no_scopes: bool,
    yes: bool,
    offline: bool,
) -> None:
    """Replace the token of a device: the old one ends now.

    The device gets the new one when it connects with the secret of the gateway. DEVICE is its id,
    8 characters of it, or its name.
    """
    if no_scopes and scopes:
        raise UsageError("--no-scopes and --scope contradict", remedy="leave one of them out")
    refuse_unasked(yes=yes)
    road = DeviceRoad(options, offline, falls_back=False)
    found = named(road, _one(device, device_option))
    which = _role_of(found, role)
    if not yes:
        note(card(found))
    confirm(f"Replace its {printable(which)} token", yes=yes)
    device_id, wanted = str(found["deviceId"]), _wanted(scopes, no_scopes=no_scopes)
    params = {"deviceId": device_id, "role": which}
    answer = road.ask(
        "device.token.rotate",
        params if wanted is None else params | {"scopes": wanted},
        lambda files: files.rotate(device_id, which, wanted),
    )
    kept = _keep(road, answer)
    shown = ("deviceId", "role", "scopes", "rotatedAtMs", "tokenDelivery")
    if options.as_json:
        say(json_text({key: answer[key] for key in shown if key in answer}))
        return
    held = short_scopes(answer.get("scopes"))
    say(f"Rotated the {printable(which)} token of {in_short(found)}")
    say(printable(f"  It may: {held}" if held else "  It may nothing beyond being there."))
    say(
        "  The new one is kept in this machine's identity folder."
        if kept
        else "  It is not shown; the device gets it when it connects with the gateway's secret."
    )


def _wanted(scopes: tuple[str, ...], *, no_scopes: bool) -> list[str] | None:
    if no_scopes:
        return []
    return [s if "." in s else f"operator.{s}" for s in scopes] or None


def _keep(road: DeviceRoad, answer: Mapping[str, Any]) -> bool:
    """Put a token that this machine's own device was given where its commands look for it."""
    token = answer.get("token")
    device_id = answer.get("deviceId")
    if not (isinstance(token, str) and token and isinstance(device_id, str)):
        return False
    from cli.offline import open_files  # late, as the next one: nearly no rotation is our own
    from stores.identity import CachedToken, TokenCache

    files = open_files(place())
    if device_id != files.own_device_id:
        return False  # another device's token has no place here, whoever sent it
    elsewhere = road.road is not None and not road.road.target.is_local_default
    gateway = road.road.target.url if road.road is not None and elsewhere else None
    scopes = answer.get("scopes")
    held = tuple(str(s) for s in scopes) if isinstance(scopes, list) else ()
    cache = TokenCache(files.reached / "identity", device_id, gateway)
    cache.save(CachedToken(token, str(answer.get("role")), held, wall_ms()))
    return True


@click.command("revoke")
@_which
@_device
@_role
@yes_option
@offline_option
@target_options
def revoke(
    *,
    options: TargetOptions,
    device: str | None,
    device_option: str | None,
    role: str | None,
    yes: bool,
    offline: bool,
) -> None:
    """End the token of a device for good; only an approval or a rotation gives it a new one.

    DEVICE is its id, 8 characters of it, or its name.
    """
    refuse_unasked(yes=yes)
    road = DeviceRoad(options, offline, falls_back=False)
    found = named(road, _one(device, device_option))
    which = _role_of(found, role)
    if not yes:
        note(card(found))
    confirm(f"End its {printable(which)} token", yes=yes)
    device_id = str(found["deviceId"])
    answer = road.ask(
        "device.token.revoke",
        {"deviceId": device_id, "role": which},
        lambda files: files.revoke(device_id, which),
    )
    shown = ("deviceId", "role", "revokedAtMs")
    if not isinstance(answer.get("revokedAtMs"), int):
        raise UserFacingError("the gateway did not say that the token ended")
    if options.as_json:
        say(json_text({key: answer[key] for key in shown if key in answer}))
    else:
        say(f"Revoked the {printable(which)} token of {in_short(found)}")
