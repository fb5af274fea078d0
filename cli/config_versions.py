"""`openclaw config diff`, `convert` and `rollback`: other versions of the file."""

from __future__ import annotations

import difflib
from typing import Any

import click

from cli.config_runs import what_runs
from cli.config_words import applies, not_believed, when
from cli.failures import FAILED, failed_report
from cli.output import json_text, note, printable, say, table
from cli.place import Place, place
from cli.typed import program_words
from stores.config.diff import Side, redacted_diff
from stores.config.exchange import convert_file, roll_back
from stores.config.history import (
    GOOD,
    Format,
    Version,
    find_version,
    format_of,
    last_known_good,
    versions,
)
from stores.config.load import in_force, is_toml, read_text
from stores.errors import UsageError
from stores.paths import Paths

_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")


@click.command("diff")
@click.argument("version", required=False)
@_json
def diff(*, version: str | None, json_wanted: bool) -> None:
    """Show how the file differs from VERSION: a number, a time, or good (the default).

    good is the last version that a gateway ran with.
    """
    paths = place().paths
    found = find_version(paths, version or GOOD)
    text = _difference(paths, found)
    if json_wanted:
        said = {"path": str(in_force(paths)[0]), "version": _as_json(paths, found), "diff": text}
        say(json_text(said))
    else:
        _print_diff(text)


def _difference(paths: Paths, version: Version, *, backwards: bool = False) -> str:
    file, _ = in_force(paths)
    now = Side(str(file), read_text(file) or "", is_toml(file))
    then = Side(f"{file.name} of {version.when}", version.read(), version.format == "toml")
    return redacted_diff(now, then) if backwards else redacted_diff(then, now)


def _print_diff(text: str) -> None:
    if not text:
        say("No difference.")
    for line in text.splitlines():
        say(printable(line))


@click.command("rollback")
@click.argument("version", required=False)
@click.option("--to", metavar="VERSION", help="The same: a number, a time, or good.")
@click.option("--yes", is_flag=True, help="Do it; without, the difference is shown.")
@_json
@click.pass_context
def rollback(
    context: click.Context,
    *,
    version: str | None,
    to: str | None,
    yes: bool,
    json_wanted: bool,
) -> None:
    """Put an earlier VERSION back, or list what there is.

    VERSION is a number (1 is the newest), a time such as 2026-11-20T10:15, or good: the last one
    that a gateway ran with.
    """
    here = place()
    if version is not None and to is not None:
        raise UsageError("VERSION and --to say the same", remedy="leave one of them out")
    wanted = version or to
    if wanted is None:
        _list(here.paths, json_wanted=json_wanted)
        return
    found = find_version(here.paths, wanted)
    runs = what_runs(here.paths, here.env)
    edit = roll_back(here.paths, found, env=here.env, dry_run=not yes)
    if not yes:
        _preview(here.paths, found, wanted, json_wanted=json_wanted)
        context.exit(FAILED)
    planned, accident = runs.plan_of(edit), runs.accident_in(edit)
    if accident is not None:
        note(f"warning: {printable(not_believed(accident))}")
    if json_wanted:
        said: dict[str, Any] = {
            "path": str(edit.loaded.path),
            "version": _as_json(here.paths, found),
            "changed": edit.changes,
            "hash": edit.loaded.digest,
            "applies": applies(planned, believed=accident is None),
            "restartRequired": list(planned.restart) if planned else [],
        }
        say(json_text(said))
        return
    say(f"{printable(edit.loaded.path)} is what it was at {found.when}.")
    path = str(edit.loaded.path)
    for line in when(planned, runs.running, path, believed=accident is None):
        say(printable(line))


def _preview(paths: Paths, found: Version, wanted: str, *, json_wanted: bool) -> None:
    """Show what a rollback would change; it is not done, so the command fails."""
    text = _difference(paths, found, backwards=True)
    remedy = f"do it with `openclaw config rollback {wanted} --yes`"
    if json_wanted:
        file = in_force(paths)[0]
        said = {"path": str(file), "version": _as_json(paths, found), "diff": text}
        say(json_text(failed_report(said, "nothing was written", FAILED, remedy=remedy)))
    else:
        _print_diff(text)
    note(f"Nothing was written. {remedy[:1].upper()}{remedy[1:]}")


def _list(paths: Paths, *, json_wanted: bool) -> None:
    kept, good = versions(paths), last_known_good(paths)
    if json_wanted:
        said = [_as_json(paths, version) for version in kept]
        say(json_text({"versions": said, "good": _as_json(paths, good) if good else None}))
        return
    if not kept and good is None:
        say("No earlier version is kept yet.")
        return
    file, _ = in_force(paths)
    now = read_text(file) or ""
    rows = [
        [str(at), version.when, version.format, _amount(version, now)]
        for at, version in enumerate(kept, 1)
    ]
    if good is not None:
        rows.append([GOOD, good.when, good.format, _amount(good, now)])
    say(table(["Version", "In force until", "Format", "Lines that differ now"], rows))
    note("Put one back with `openclaw config rollback VERSION`")


def _amount(version: Version, now: str) -> str:
    lines = difflib.unified_diff(version.read().splitlines(), now.splitlines(), n=0, lineterm="")
    count = sum(1 for line in list(lines)[2:] if not line.startswith("@@"))
    return str(count) if count else "none"


def _as_json(paths: Paths, version: Version) -> dict[str, Any]:
    kept = versions(paths)
    index = kept.index(version) + 1 if version in kept else None
    return {
        "index": index,
        "at": version.when,
        "atMs": version.at_ms,
        "format": version.format,
        "path": str(version.path),
    }


@click.command("convert")
@click.option("--to", type=click.Choice(["toml", "json5"]), help="The format; else the other one.")
@click.option("--replace", is_flag=True, help="Replace a file that is in the way; it is kept.")
@click.option("--dry-run", is_flag=True, help="Print the result, secrets hidden; write nothing.")
@_json
def convert(*, to: Format | None, replace: bool, dry_run: bool, json_wanted: bool) -> None:
    """Write the file in the other format, comments and all; the old one goes into the history."""
    here = place()
    file, _ = in_force(here.paths)
    wanted: Format = to or ("json5" if format_of(file) == "toml" else "toml")
    done = convert_file(here.paths, wanted, env=here.env, replace=replace, dry_run=dry_run)
    if done is None:
        say(f"{printable(file)} is {wanted} already.")
        return
    if json_wanted:
        said = {"from": str(done.source), "path": str(done.target), "dryRun": dry_run}
        removed = done.removed if done.written else None
        say(json_text(said | {"removed": str(removed) if removed else None}))
        return
    if dry_run:
        _print_redacted(done.text, done.loaded.document)
        return
    say(f"Wrote {printable(done.target)}.")
    if done.removed is not None:
        back = f"{program_words()} config rollback 1"
        say(f"Removed {printable(done.removed)}; `{back}` brings it back.")
    else:
        _say_named(here, str(done.source), str(done.target))


def _print_redacted(text: str, document: dict[str, Any]) -> None:
    from stores.config.redact import redact_text  # late: only here

    for line in redact_text(text, document).splitlines():
        say(printable(line))


def _say_named(here: Place, source: str, target: str) -> None:
    chosen = here.paths.config_source
    note(f"{printable(source)} is still in force ({chosen}); name {printable(target)} there")
