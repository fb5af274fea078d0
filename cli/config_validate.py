"""`openclaw config validate`: every problem of the file, and what the running gateway makes of it."""

from __future__ import annotations

from pathlib import Path

import click

from cli.config_runs import what_runs
from cli.explain import print_failure
from cli.failures import FAILED, envelope
from cli.output import json_text, note, printable, say
from cli.place import Place, place
from cli.typed import typable
from stores.config.load import InvalidConfigError, LoadedConfig, in_force, load_config
from stores.errors import ConfigError, UserFacingError

_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")


def start_problem(here: Place, loaded: LoadedConfig) -> UserFacingError | None:
    """Return why no gateway would start with a configuration, None if one would."""
    from stores.config.startup import refuse_unsafe_start  # late: only changes ask
    from stores.credentials import resolve_gateway_auth

    try:
        refuse_unsafe_start(loaded.config, resolve_gateway_auth(loaded, here.env))
    except UserFacingError as error:
        return error
    return None


@click.command("validate")
@_json
@click.pass_context
def validate(context: click.Context, *, json_wanted: bool) -> None:
    """Check the file; every problem is told with its line, its key and what to do."""
    here = place()
    file, _ = in_force(here.paths)
    try:
        loaded = load_config(here.paths, here.env)
        problem = start_problem(here, loaded)
        if problem is not None:
            raise problem
        if not loaded.exists and loaded.warnings:  # a file named outright
            raise ConfigError(loaded.warnings[0], remedy="correct the name, or make the file")
    except UserFacingError as error:
        _tell_invalid(error, file, json_wanted=json_wanted)
        context.exit(FAILED)
    lost = what_runs(here.paths, here.env).lost
    warnings = [*loaded.warnings, *([str(lost)] if lost else [])]
    for warning in warnings:
        note(f"warning: {printable(warning)}")
    if json_wanted:
        say(json_text({"valid": True, "path": str(file), "warnings": warnings}))
    else:
        state = "" if loaded.exists else " (it does not exist, so the defaults apply)"
        say(f"Valid: {printable(file)}{state}")


def _tell_invalid(error: UserFacingError, file: Path, *, json_wanted: bool) -> None:
    faults = error.faults if isinstance(error, InvalidConfigError) else ()
    if json_wanted:
        problems = [
            {"path": one.key, "file": str(one.path), "line": one.line, "message": one.text}
            | {"remedy": typable(one.remedy)}
            for one in faults
        ]
        said = envelope(error, FAILED) | {"valid": False, "path": str(file), "problems": problems}
        say(json_text(said))
    if not faults:
        print_failure(error, FAILED, as_json=False)
    for one in faults:
        note(printable(one.problem))
        note(f"  {printable(one.remedy)}")
