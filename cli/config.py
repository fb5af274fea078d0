"""`openclaw config`: look at the configuration file, and change it without losing it.

It works on the file alone: no gateway is asked, and no secret is ever printed unasked.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from cli.config_runs import Runs, what_runs
from cli.config_validate import start_problem, validate
from cli.config_versions import convert, diff, rollback
from cli.config_words import (
    as_json,
    in_short,
    not_believed,
    running_gateway,
    shown,
    unset_in_words,
    when,
)
from cli.late_group import WholeGroup
from cli.output import json_text, note, printable, say
from cli.place import Place, place
from stores.config.edit import ConflictError, Edit, set_value, unset_value
from stores.config.keypath import MISSING, KeyPath, dotted, parse_key
from stores.config.kinds import REDACTED
from stores.config.known import Known, Standing, know, value_of
from stores.config.load import (
    digest_of,
    in_force,
    put_together,
    read_text,
)
from stores.errors import ConfigError, UsageError, UserFacingError

#: A value on the command line is in the list of processes, and in the shell's history.
_MAX_VALUE_BYTES = 1 << 20

_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
_dry_run = click.option("--dry-run", is_flag=True, help="Check it, and write nothing.")
_if_hash = click.option(
    "--if-hash", metavar="HASH", help="Only if the file is the one that `config file` hashed."
)


class NoSuchKeyError(ConfigError):
    """Nothing is set under a key, or there is no such key."""


@click.group("config", cls=WholeGroup)
def config() -> None:
    """Look at the configuration file and change it."""


@config.command("get")
@click.argument("key", required=False)
@click.option("--show-secrets", is_flag=True, help="Print secrets, on a terminal only.")
@_json
def get(*, key: str | None, show_secrets: bool, json_wanted: bool) -> None:
    """Print the value of KEY, or the whole configuration."""
    if show_secrets and not sys.stdout.isatty():
        raise ConfigError(
            "--show-secrets prints on a terminal only", remedy="leave it out, or run it by hand"
        )
    here = place()
    file, _ = in_force(here.paths)
    document = put_together(file, read_text(file))[0]
    path = parse_key(key) if key is not None else ()
    value: Any = value_of(document, path) if path else document
    if value is MISSING:
        raise _nothing_there(path, key or "")
    if path and not show_secrets:
        _refuse_secret_for_program(path, value)
    if show_secrets:
        value = _with_references_filled(here, path, value)
    else:
        value = shown(path, value) if path else shown(("root",), value)
    if value == REDACTED:
        note("note: it is a secret; print it on a terminal with --show-secrets")
    say(json_text(value) if json_wanted or not isinstance(value, str) else printable(value))


def _nothing_there(path: KeyPath, key: str) -> UserFacingError:
    known = know(path)
    if known.standing is not Standing.UNKNOWN:
        return NoSuchKeyError(unset_in_words(known, key))
    remedy = known.hint or "see the keys there are with `openclaw config schema`"
    return NoSuchKeyError(f"there is no key {key}", remedy=remedy)


def _refuse_secret_for_program(path: KeyPath, value: Any) -> None:
    """Refuse to hand a secret, or a mark in its place, to a script: both would do harm there."""
    known = know(path)
    if known.is_secret and isinstance(value, str) and not sys.stdout.isatty():
        raise ConfigError(
            f"{dotted(path)} is a secret, and is printed on a terminal only",
            remedy="leave it out: commands on this machine find it themselves and need no token",
        )


def _with_references_filled(here: Place, path: KeyPath, value: Any) -> Any:
    from stores.config.expand import ExpandError, with_variables  # late: only here

    try:
        filled = with_variables({path[0] if path else "gateway": value}, here.env)
    except ExpandError:
        return value
    return next(iter(filled.values()))


@config.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--strict-json", is_flag=True, help="VALUE must be JSON; no bare strings.")
@click.option(
    "--from-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the value from FILE, - for standard input; for secrets.",
)
@_dry_run
@_if_hash
@_json
def set_key(  # one word for each option
    *,
    key: str,
    value: str | None,
    strict_json: bool,
    from_file: Any,
    dry_run: bool,
    if_hash: str | None,
    json_wanted: bool,
) -> None:
    """Set KEY to VALUE, JSON or a bare string; everything else in the file stays as it is."""
    if (value is None) is (from_file is None):
        raise UsageError(
            "give the value once, on the command line or with --from-file",
            remedy="write it like `openclaw config set gateway.port 18790`",
        )
    known = know(parse_key(key))
    if value is not None and known.is_secret and "${" not in value:
        note(
            "warning: a secret on the command line can be read by every user of this machine; "
            "use --from-file FILE"
        )
    text = value if value is not None else _read_value(from_file)
    parsed = _parse_value(text, known, strict=strict_json)
    here = place()
    base, runs = if_hash or _digest_now(here), what_runs(here.paths, here.env)
    edit = _edited(
        lambda: set_value(
            here.paths,
            known.path,
            parsed,
            env=here.env,
            base_digest=base,
            dry_run=dry_run,
            judge=runs.refuse_while_lost,
        )
    )
    _tell(here, edit, known, runs, json_wanted=json_wanted, dry_run=dry_run)


@config.command("unset")
@click.argument("key")
@_dry_run
@_if_hash
@_json
def unset(*, key: str, dry_run: bool, if_hash: str | None, json_wanted: bool) -> None:
    """Remove KEY, so that its default applies."""
    here, path = place(), parse_key(key)
    base, runs = if_hash or _digest_now(here), what_runs(here.paths, here.env)
    edit = _edited(
        lambda: unset_value(
            here.paths,
            path,
            env=here.env,
            base_digest=base,
            dry_run=dry_run,
            judge=runs.refuse_while_lost,
        )
    )
    _tell(here, edit, know(path), runs, json_wanted=json_wanted, dry_run=dry_run)


def _digest_now(here: Place) -> str:
    return digest_of(read_text(in_force(here.paths)[0]) or "")


def _edited(change: Any) -> Edit:
    try:
        edit: Edit = change()
    except ConflictError as error:
        for line in error.diff.splitlines():
            note(printable(line))
        raise
    return edit


def _read_value(file: Any) -> str:
    data: bytes = file.read(_MAX_VALUE_BYTES + 1)
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError("--from-file: it is not UTF-8") from error
    if len(data) > _MAX_VALUE_BYTES:
        raise UsageError("--from-file: it is too long for a value")
    return text


def _parse_value(text: str, known: Known, *, strict: bool) -> Any:
    """Return the value that a user wrote; a string that looks like a number stays one."""
    from stores.config.json5 import Json5Error, parse_json5  # late: only `set` needs it

    if strict:
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(
                f"the value is not JSON ({error})",
                remedy="quote a string, as in `'\"lan\"'`, or leave out --strict-json",
            ) from error
    try:
        value = parse_json5(text)
    except Json5Error:
        value = text
    wanted = known.schema.get("type")
    if wanted == "string" and not isinstance(value, str):
        return text
    if wanted == "array" and isinstance(value, str) and not known.path[-1].isdecimal():
        command = f"openclaw config set {dotted(known.path)} '{json.dumps([value])}'"
        raise ConfigError(f"{dotted(known.path)}: expected an array", remedy=f"write `{command}`")
    return value


def _tell(
    here: Place, edit: Edit, known: Known, runs: Runs, *, json_wanted: bool, dry_run: bool
) -> None:
    """Print what changed, when it counts, and what to look out for."""
    planned, accident = runs.plan_of(edit), runs.accident_in(edit)
    for warning in edit.loaded.warnings:
        if edit.before is None or warning not in edit.before.warnings:
            note(f"warning: {printable(warning)}")
    problem = start_problem(here, edit.loaded)
    if problem is not None:
        note(f"warning: the gateway does not start like this: {printable(problem)}")
    if accident is not None:
        note(f"warning: {printable(not_believed(accident))}")
    believed = accident is None
    if json_wanted:
        told = as_json(edit, known, runs.running, planned, believed=believed, dryRun=dry_run)
        say(json_text(told))
        return
    key = printable(dotted(known.path))
    old = in_short(known, value_of(edit.old_document, known.path))
    new = in_short(known, value_of(edit.loaded.document, known.path))
    if not edit.changes:
        say(f"No change: {key} is {new} already.")
        return
    say(f"{key}: {old} → {new}")
    if dry_run:
        say("Nothing was written (--dry-run).")
    for line in when(planned, runs.running, str(edit.loaded.path), believed=believed):
        say(printable(line))


config.add_command(validate)


@config.command("schema")
@_json
def schema(*, json_wanted: bool) -> None:  # it is JSON either way
    """Print the JSON Schema of the configuration."""
    from stores.config.schema import config_schema  # late: only here

    say(json_text(config_schema()))


@config.command("file")
@_json
def file_in_force(*, json_wanted: bool) -> None:
    """Print which file is in force, and why."""
    from stores.config.history import format_of, last_known_good, versions  # late: only here

    paths = place().paths
    file, ignored = in_force(paths)
    raw = read_text(file)
    good = last_known_good(paths)
    if json_wanted:
        said = {
            "path": str(file),
            "exists": raw is not None,
            "source": paths.config_source,
            "format": format_of(file),
            "hash": digest_of(raw or ""),
            "ignored": str(ignored) if ignored else None,
            "stateDir": str(paths.state_dir),
            "lastKnownGood": {"path": str(good.path), "at": good.when} if good else None,
            "versions": len(versions(paths)),
        }
        say(json_text(said))
        return
    say(printable(file))
    note(f"Chosen by: {printable(paths.config_source)}")
    if raw is None:
        note("It does not exist, so the defaults apply.")
    if ignored is not None:
        note(
            f"Ignored: {printable(ignored)}, for the TOML file wins; "
            "`openclaw config convert` makes one of them"
        )
    running = running_gateway(paths)
    if running is not None and running.config_path not in (None, str(file)):
        note(f"The running gateway (pid {running.pid}) uses {printable(running.config_path)}")


for _command in (diff, convert, rollback):
    config.add_command(_command)
