"""`openclaw status`: the whole on one screen, whatever state the gateway is in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from cli.output import columns, json_text, printable, say, styled, wrapped
from cli.place import TargetOptions, place, target_options
from cli.published_options import without_effect
from cli.typed import program_words, typable
from cli.whose import in_full
from stores.errors import UserFacingError

if TYPE_CHECKING:
    from cli.place import Place
    from cli.status_gateway import Report

_HEAD_COLUMNS = 10


@frozen(kw_only=True)
class Row:
    """One line of the screen; ``good`` is None where nothing is to be judged."""

    head: str
    good: bool | None
    text: str
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"ok": self.good, "text": self.text, "remedy": self.remedy}


@frozen(kw_only=True)
class Kept:
    """What the files of the state directory say; ``problem`` is why they could not be read."""

    listed: Mapping[str, list[dict[str, Any]]]
    faults: tuple[str, ...] = ()
    refused: dict[str, Any] | None = None
    problem: UserFacingError | None = None


@click.command("status")
@click.option("--all", "--deep", "--verbose", "--debug", "everything", is_flag=True, hidden=True)
@without_effect("no model is used here, so nothing is counted", "--usage")
@target_options
def status(*, options: TargetOptions, everything: bool) -> None:
    """Show the gateway, its devices, the last refusal and the service on one screen.

    For example: openclaw status --json
    """
    from cli.published import whole_keys  # late, both: the help needs none of it
    from cli.status_gateway import as_json, report_of

    here = place()
    report = report_of(options)
    kept = read_kept(here) if report.facts.aim.local else None
    rows = list(rows_of(report, kept))
    if options.as_json:
        shown = {row.head.lower(): row.as_json() for row in rows if row.head}
        shown["devices"] = shown.get("devices", {}) | _counts(kept)
        said = as_json(report)
        whole = {key: said[key] for key in ("ok", "verdicts", "warnings", "gateway", "config")}
        whole |= {"overview": shown, "lastRefusal": kept and kept.refused}
        say(json_text(whole | whole_keys(report.facts)))
        return
    for row in rows:
        for line in _drawn(row):
            say(line)
    parts = ("gateway status", "devices list", "gateway why")
    say(f"Each part of it: {', '.join(f'{program_words()} {part}' for part in parts)}")


def read_kept(here: Place) -> Kept:
    """Read devices and the last refusal from the files; whoever may read them needs no gateway."""
    from cli.offline import open_files  # late, all: see `status`
    from stores.listing import listing
    from stores.refusal_ring import read_refusals, ring_file

    try:
        files = open_files(here)
        book = files.store.read()
        entries = read_refusals(ring_file(files.reached / "logs"))
    except UserFacingError as error:
        return Kept(listed={}, problem=error)
    listed = listing(book, now_ms=_now_ms(), ttl_ms=files.store.limits.ttl_ms)
    faults = tuple(
        files.as_known(f"{one.file} {one.path}: {one.problem}") for one in files.store.problems
    )
    return Kept(listed=listed, faults=faults, refused=entries[-1] if entries else None)


def _now_ms() -> int:
    import time  # late: see `status`

    return time.time_ns() // 1_000_000


def rows_of(report: Report, kept: Kept | None) -> Iterator[Row]:
    """Yield the rows of the screen."""
    yield _gateway(report)
    yield from _config(report)
    if kept is not None and kept.problem is not None:
        facts = report.facts
        remedy = in_full(kept.problem.remedy, f"{facts.openclaw} status", facts.here.env)
        told = typable(remedy or "") or None
        yield Row(head="Store", good=False, text=kept.problem.problem, remedy=told)
    elif kept is not None:
        yield _devices(kept)
    server = report.facts.knock.server if report.facts.knock else {}
    nodes = server.get("connectedNodes")
    if isinstance(nodes, int):
        yield Row(head="Nodes", good=None, text=f"{nodes} connected")
    if kept is not None and kept.problem is None:
        yield _refusal(kept)
        yield _store(kept)
    yield from _service(report)


def _gateway(report: Report) -> Row:
    """Say in one line how the gateway is; of three verdicts the first that is bad speaks.

    One that answers through something else has other devices than the rows below, so that is told.
    """
    from cli.status_authorisation import capability  # late: see `status`

    target = report.facts.aim.target
    url = target.url if target is not None else "no target"
    process, handshake, authorisation = report.verdicts.values()
    if process.good is False or target is None:
        answers = "a gateway answers there, but " if handshake.good else ""
        text = f"{url}: {answers}{process.saw}"
        return Row(head="Gateway", good=False, text=text, remedy=process.remedy)
    if not handshake.good:
        text = f"{url}: {handshake.saw}"
        return Row(head="Gateway", good=False, text=text, remedy=handshake.remedy)
    through = f"; {process.saw}" if report.facts.aim.local and process.good is None else ""
    if not authorisation.good:
        text = f"{url} answers, but this command is not let in: {authorisation.saw}{through}"
        return Row(head="Gateway", good=False, text=text, remedy=authorisation.remedy)
    text = f"{url} answers, and lets this command in ({capability(report.facts)}){through}"
    remedy = authorisation.remedy or (process.remedy if through else None)
    return Row(head="Gateway", good=True, text=text, remedy=remedy)


#: Remarks that are rows of their own.
_ROWS = {
    "store": "Store",
    "no-linger": "Service",
    "unit-stale": "Service",
    "unit-masked": "Service",
}


def _config(report: Report) -> Iterator[Row]:
    configured = report.facts.aim.configured
    how = "not there, so the defaults apply" if configured.missing else "in force"
    rest = [one for one in report.remarks if one.kind not in _ROWS]
    if configured.problem is None:
        yield Row(head="Config", good=True, text=f"{configured.path}: {how}")
    head = "Config" if configured.problem is not None else ""
    for one in rest:
        yield Row(head=head, good=False, text=one.problem, remedy=one.remedy)
        head = ""


def _devices(kept: Kept) -> Row:
    pending, paired = kept.listed.get("pending", []), kept.listed.get("paired", [])
    text = f"{len(paired)} paired, {len(pending)} pending"
    if not pending:
        return Row(head="Devices", good=None, text=text)
    newest = pending[0]
    name = newest.get("label") or newest.get("displayName") or newest["deviceId"][:8]
    text += f"; the newest is {newest['requestId']}, {name} as {newest.get('role')}"
    remedy = typable(f"let it in with `openclaw devices approve {newest['requestId']}`")
    return Row(head="Devices", good=None, text=text, remedy=remedy)


def _refusal(kept: Kept) -> Row:
    entry = kept.refused
    if entry is None:
        return Row(
            head="Refused", good=None, text="nobody, as far as the file of refusals goes back"
        )
    from cli.why import in_one_line  # late: see `status`

    told = typable("ask about it with `openclaw gateway why`")
    return Row(head="Refused", good=None, text=in_one_line(entry), remedy=told)


def _store(kept: Kept) -> Row:
    if not kept.faults:
        return Row(head="Store", good=True, text="sound")
    more = f" (and {len(kept.faults) - 1} more)" if len(kept.faults) > 1 else ""
    remedy = typable("see all, and what to do, with `openclaw devices verify`")
    return Row(head="Store", good=False, text=f"{kept.faults[0]}{more}", remedy=remedy)


def _service(report: Report) -> Iterator[Row]:
    from cli.status_gateway import service_line  # late: see `status`

    if report.facts.unit is None:
        return
    line = service_line(report.facts).partition(": ")[2]
    off = [one for one in report.remarks if _ROWS.get(one.kind) == "Service"]
    if not off:
        linger = "; linger: yes" if report.facts.unit.linger else ""
        yield Row(head="Service", good=None, text=f"{line}{linger}")
    for one in off:
        yield Row(head="Service", good=False, text=f"{line}; {one.problem}", remedy=one.remedy)


def _counts(kept: Kept | None) -> dict[str, Any]:
    listed = kept.listed if kept is not None else {}
    return {"paired": len(listed.get("paired", [])), "pending": len(listed.get("pending", []))}


def _drawn(row: Row) -> Iterator[str]:
    width = columns() - _HEAD_COLUMNS
    head = row.head
    for line in wrapped(printable(row.text), width):
        shown = styled(line, "red", sys.stdout) if row.good is False else line
        yield f"{head:<{_HEAD_COLUMNS}}{shown}"
        head = ""
    if row.remedy:
        sentence = printable(f"{row.remedy[:1].upper()}{row.remedy[1:]}")
        # of a path that is broken nobody can copy anything
        on_screen = sys.stdout is not None and sys.stdout.isatty()
        for line in wrapped(sentence, width) if on_screen else [sentence]:
            yield f"{'':<{_HEAD_COLUMNS}}{line}"
