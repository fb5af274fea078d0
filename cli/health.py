"""`openclaw health`: one line, or the whole health object; `--probe` for health checks."""

from __future__ import annotations

import click

from cli.output import json_text, printable, say
from cli.place import TIMEOUT_MS, TargetOptions, place, target_options
from cli.published_options import without_effect


@click.command("health")
@click.option(
    "--probe",
    is_flag=True,
    help="Only see that this machine's gateway answers GET /healthz: no credentials, exit code 0 or "
    "1. For health checks of containers and supervisors.",
)
@without_effect("all there is comes with --json", "--verbose", "--debug")
@target_options
def health(*, options: TargetOptions, probe: bool) -> None:
    """Tell whether the gateway is well."""
    if probe:
        from cli.health_probe import probe as probe_here  # late: only this option needs it

        raise click.exceptions.Exit(probe_here(place(), options))
    from cli.road import ask, find_road  # late: it loads the configuration's reader

    road = find_road(options)
    answer = ask(road, "health", {}, timeout_s=(options.timeout_ms or TIMEOUT_MS) / 1000)
    if options.as_json:
        say(json_text(answer.payload))
        return
    well = isinstance(answer.payload, dict) and answer.payload.get("ok") is True
    say(f"{'OK' if well else 'Not well'} ({answer.took_ms}ms)")
    problems = answer.payload.get("problems") if isinstance(answer.payload, dict) else None
    for problem in problems if isinstance(problems, list) else ():
        told = problem if isinstance(problem, dict) else {"problem": problem}
        where = f"{told['where']}: " if told.get("where") else ""
        remedy = f"; {told['remedy']}" if told.get("remedy") else ""
        say(printable(f"  {where}{told.get('problem', '?')}{remedy}"))
