"""`openclaw gateway why`: a refusal asked again, from the file that the gateway keeps of them.

Rule: it reads the file alone, so it works while the gateway is down, stuck, or refuses its reader.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.output import json_text, note, printable, say, table
from cli.place import place
from stores.errors import UserFacingError
from stores.refusal_ring import Entry, meant_by, read_refusals, ring_file
from stores.request_id import plain_id
from stores.timespan import in_words

#: A file as old as this holds whatever was refused before the command was typed.
SETTLES_WITHIN_S = 1.2

#: Ids that are offered when another one was asked for.
OFFERED = 5

#: What `details.saw` has, in the order in which it is told.
_SEEN = {
    "peer": "peer",
    "client": "client address",
    "forwardedFor": "forwarded for",
    "host": "Host",
    "origin": "Origin",
}
_WHERE_WORDS = {
    "loopback": "local",
    "not-loopback": "not local: it comes from another machine, or from a container's network",
    "forwarded": "not local: a trusted proxy forwarded it",
    "untrusted-proxy": "not local: it carries forwarding headers of a peer that nobody trusts",
    "host": "not local: its Host is another name than this machine's",
    "origin": "not local: a page of another origin opened it",
    "other-uid": "not local: it belongs to another user of this machine, mostly a proxy that forwards nothing",
}


class UnknownRefusalError(UserFacingError):
    """No refusal on file has the id."""


@click.command("why")
@click.argument("id", required=False, default="last", metavar="[ID|last]")
@click.option("--all", "everything", is_flag=True, help="List all that are on file, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(*, id: str, everything: bool, as_json: bool) -> None:  # noqa: A002  # click's name for it
    """Tell again why a connection was refused, and the command that helps.

    ID is the id of a request, of a connection or of a device; without one it is the last refusal.
    """
    file = ring_file(place().paths.logs_dir)
    _let_it_settle(file)
    entries = read_refusals(file)
    if everything:
        _list(entries, as_json=as_json)
        return
    found = meant_by(id, entries)
    if not found:
        raise _unknown(id, entries, str(file))
    if as_json:
        say(json_text({"refusal": found[0], "earlier": len(found) - 1, "file": str(file)}))
        return
    for line in lines_of(found[0], now=datetime.now(UTC)):
        say(line)
    note(f"From {file}.")


def _let_it_settle(file: Path) -> None:
    """Wait for the refusal of a moment ago: a gateway writes the file at most once a second."""
    try:
        age_s = time.time() - file.stat().st_mtime
    except OSError:
        return
    if 0 <= age_s < SETTLES_WITHIN_S:
        time.sleep(SETTLES_WITHIN_S - age_s)


def lines_of(entry: Entry, *, now: datetime) -> Iterator[str]:
    """Yield a refusal as a person reads it: when, what was said, what was seen, why, what to do."""
    yield f"Refused {_when(entry, now)}"
    yield f"  {_shown(_answer(entry))}"
    yield "Seen"
    for name, value in _facts(entry):
        yield f"  {name:<15} {_shown(value)}"
    sentence = entry.get("sentence")
    if sentence:
        yield "Why"
        yield f"  {_shown(sentence)}"
    command = entry.get("command")
    if command:
        yield "Run on the gateway's machine"
        yield f"  {_shown(command)}"


def _facts(entry: Entry) -> Iterator[tuple[str, object]]:
    seen = _object(entry, "saw")
    for key, name in _SEEN.items():
        if seen.get(key):
            yield name, seen[key]
    locality = _object(seen, "locality")
    if locality:
        why_so = str(locality.get("why"))
        yield "place", _WHERE_WORDS.get(why_so, why_so)
    client = _object(entry, "client")
    if client:
        role = f" as {entry['role']}" if entry.get("role") else ""
        yield "program", f"{client.get('id')} ({client.get('mode')}){role}"
    if entry.get("deviceId"):
        yield "device", entry["deviceId"]
    if entry.get("requestId"):
        yield "request", entry["requestId"]
    if client:
        accepted = entry.get("authenticated") is True
        yield "credential", "accepted" if accepted else "not accepted, or not looked at"
    yield "connection", entry["connId"]


def _answer(entry: Entry) -> str:
    status = entry.get("httpStatus")
    if status is not None:
        return f"HTTP {status}: {entry.get('closeReason')}"
    reason = entry.get("closeReason") or "(no reason given)"
    named = str(entry.get("code") or "")
    code = f" [{named}]" if named and not named.isdigit() else ""
    close = entry.get("closeCode")
    return f"{reason}{code}" if close is None else f"{reason}{code} (close {close})"


def _when(entry: Entry, now: datetime) -> str:
    first, last = (_time(entry.get(key)) for key in ("ts", "lastTs"))
    if last is None:
        return "at an unknown time"
    text = f"{in_words((now - last).total_seconds() * 1000)} ago, at {last:%Y-%m-%d %H:%M:%S} UTC"
    count = entry.get("count")
    if isinstance(count, int) and count > 1 and first is not None:
        text += f" ({count} times since {first:%H:%M:%S})"
    return text


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _list(entries: Sequence[Entry], *, as_json: bool) -> None:
    newest = list(reversed(entries))
    if as_json:
        say(json_text({"refusals": newest}))
        return
    if not newest:
        say("No connection was refused as far as the file of refusals goes back.")
        return
    now = datetime.now(UTC)
    say(table(("When", "Client", "Id", "Answer"), [_row(one, now) for one in newest]))
    note("Ask about one with `openclaw gateway why ID`.")


def _row(entry: Entry, now: datetime) -> tuple[str, str, str, str]:
    last = _time(entry.get("lastTs"))
    ago = in_words((now - last).total_seconds() * 1000) if last is not None else "?"
    count = entry.get("count")
    times = f" ×{count}" if isinstance(count, int) and count > 1 else ""
    client = _object(entry, "saw").get("client")
    return f"{ago}{times}", str(client or "?"), _short_id(entry), _answer(entry)


def in_one_line(entry: Entry) -> str:
    """Return when a refusal was, whose, and in which words."""
    ago, client, _, answer = _row(entry, datetime.now(UTC))
    return f"{ago} ago, client {client}: {_shown(answer)}"


def _short_id(entry: Entry) -> str:
    return str(entry.get("requestId") or str(entry["connId"])[:8])


def _unknown(reference: str, entries: Sequence[Entry], file: str) -> UserFacingError:
    if not entries:
        return UnknownRefusalError(
            f"no refusal is on file in {file}",
            remedy="let the client try again, or look for another gateway's state directory "
            "with `openclaw config file`",
        )
    newest = dict.fromkeys(_short_id(entry) for entry in reversed(entries))
    offered = printable(", ".join(list(newest)[:OFFERED]), limit=500)
    about = printable(plain_id(reference) and reference, limit=100)
    return UnknownRefusalError(
        f"no refusal on file has the id {about}; the newest are {offered}",
        remedy="see them all with `openclaw gateway why --all`",
    )


def _object(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _shown(value: object) -> str:
    return printable(value, limit=2_100)
