"""`openclaw devices prune` and `clear`: forget many devices at once, after a look at which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.device_life import confirm, refuse_unasked, yes_option
from cli.device_road import DeviceRoad, beside, items_of, offline_option, typed
from cli.device_table import paired_table, wall_ms
from cli.output import json_text, note, say
from cli.place import TargetOptions, target_options
from stores.errors import UsageError, UserFacingError
from stores.timespan import ms_of

#: So many at once are worth a word: over the gateway each is a decision and a write of its own.
MANY = 100

_TIMES = ("lastSeenAtMs", "approvedAtMs", "createdAtMs")
_TOKEN_TIMES = ("lastUsedAtMs", "rotatedAtMs", "createdAtMs")


@click.command("prune")
@click.option("--older-than", required=True, metavar="SPAN", help="Not seen for so long: 90d, 12w.")
@click.option("--dry-run", is_flag=True, help="Only show which.")
@yes_option
@offline_option
@target_options
def prune(
    *, options: TargetOptions, older_than: str, dry_run: bool, yes: bool, offline: bool
) -> None:
    """Forget the paired devices that were not seen for long; shows them first."""
    span_ms = ms_of(older_than)
    if not span_ms:
        raise UsageError(
            f"--older-than: {older_than!r} is no span of time",
            remedy="write a number and a unit, like `90d`, `12w` or `36h`",
        )
    if not dry_run:
        refuse_unasked(yes=yes)
    cutoff_ms = wall_ms() - span_ms
    road = DeviceRoad(options, offline, falls_back=False)
    old = _not_seen_since(road.list(), cutoff_ms)
    if old and not options.as_json:
        note(paired_table(old))
    if dry_run or not old:
        if options.as_json:
            told: dict[str, Any] = {"removedDevices": [], "rejectedPending": []}
            if dry_run:
                told["wouldRemove"] = [item.get("deviceId") for item in old]
            say(json_text(told))
        else:
            say(f"{_count(len(old), 'device')} not seen for {older_than}; nothing was changed")
        return
    confirm(f"Forget {'this device' if len(old) == 1 else f'these {len(old)} devices'}", yes=yes)
    if road.road is None:
        done = road.ask("", {}, lambda files: files.prune(cutoff_ms))
    else:
        # Whoever came back while the question stood stays.
        shown = {item.get("deviceId") for item in old}
        listed = road.list()
        still = [i for i in _not_seen_since(listed, cutoff_ms) if i.get("deviceId") in shown]
        done = _one_by_one(road, still, items_of(listed, "pending"), only_of_removed=True)
    _tell(done, as_json=options.as_json, pending_only=False)


@click.command("clear")
@click.option("--pending", is_flag=True, help="Only the requests that wait.")
@click.option("--yes", is_flag=True, help="Needed: nothing here can be undone.")
@offline_option
@target_options
def clear(*, options: TargetOptions, pending: bool, yes: bool, offline: bool) -> None:
    """Forget every device and every request, or only the requests."""
    road = DeviceRoad(options, offline, falls_back=False)
    listed = road.list()
    devices = [] if pending else items_of(listed, "paired")
    requests = items_of(listed, "pending")
    if not yes:
        narrowed = f"{' --pending' if pending else ''}{' --offline' if offline else ''}"
        words = beside(f"clear{narrowed} --yes")
        what = _count(len(requests), "request")
        if not pending:
            what = f"{_count(len(devices), 'paired device')} and {what}"
        raise UsageError(f"this would forget {what}", remedy=f"say so with `{words}`")
    if road.road is None:
        done = road.ask("", {}, lambda files: files.clear(pending=pending))
    else:
        done = _one_by_one(road, devices, requests)
    _tell(done, as_json=options.as_json, pending_only=pending)


def _one_by_one(
    road: DeviceRoad,
    devices: Sequence[Mapping[str, Any]],
    requests: Sequence[Mapping[str, Any]],
    *,
    only_of_removed: bool = False,
) -> dict[str, Any]:
    """Reject requests and remove devices over the gateway, this command's own device last.

    Raises:
        UserFacingError: one could not be removed; the text says how far it got.
    """
    ids = [str(item.get("deviceId")) for item in devices]
    ours = _own_id()
    ids.sort(key=lambda device_id: device_id == ours)
    rejected, removed = list[str](), list[str]()
    gone = set(ids)
    if len(ids) >= MANY:
        note(
            f"note: the gateway forgets {len(ids)} devices one after the other; "
            f"on its machine, `{typed()} --offline` is one step"
        )
    try:
        for item in requests:
            request_id = str(item.get("requestId"))
            if item.get("deviceId") in gone:
                rejected.append(request_id)  # goes with its device
            elif not only_of_removed:
                _over_the_gateway(
                    road, "device.pair.reject", {"requestId": request_id}, "requestId"
                )
                rejected.append(request_id)
        for device_id in ids:
            _over_the_gateway(road, "device.pair.remove", {"deviceId": device_id}, "deviceId")
            removed.append(device_id)
            if len(removed) % MANY == 0:
                note(f"{len(removed)} of {len(ids)} removed")
    except (UserFacingError, KeyboardInterrupt):
        note(f"{_count(len(removed), 'device')} of {len(ids)} had been removed before this:")
        raise
    return {"removedDevices": removed, "rejectedPending": rejected}


def _over_the_gateway(road: DeviceRoad, method: str, params: Mapping[str, Any], kind: str) -> None:
    try:
        road.ask(method, params, lambda files: {})
    except UserFacingError as error:
        cause = getattr(error, "cause", error)
        if cause.problem != f"unknown {kind}":  # somebody else was quicker
            raise


def _own_id() -> str | None:
    from cli.offline import open_files  # late: only a sweep asks
    from cli.place import place

    return open_files(place()).own_device_id


def _not_seen_since(listed: Mapping[str, Any], cutoff_ms: int) -> list[dict[str, Any]]:
    """Return the paired devices without any contact since a time, epoch ms."""
    return [
        item
        for item in items_of(listed, "paired")
        if item.get("connected") is not True and _last_contact_ms(item) < cutoff_ms
    ]


def _last_contact_ms(item: Mapping[str, Any]) -> int:
    tokens = item.get("tokens")
    times = [item.get(key) for key in _TIMES]
    for token in tokens if isinstance(tokens, list) else []:
        if isinstance(token, dict):
            times += [token.get(key) for key in _TOKEN_TIMES]
    return max((at for at in times if isinstance(at, int)), default=0)


def _tell(done: Mapping[str, Any], *, as_json: bool, pending_only: bool) -> None:
    if as_json:
        say(json_text({key: done[key] for key in ("removedDevices", "rejectedPending")}))
        return
    removed, rejected = len(done["removedDevices"]), len(done["rejectedPending"])
    if not pending_only:
        say(f"Cleared {_count(removed, 'paired device')}")
    if rejected or pending_only:
        say(f"Rejected {_count(rejected, 'pending request')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
