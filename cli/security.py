"""`openclaw security audit`: the part of the doctor that is about who gets in."""

from __future__ import annotations

import time
from typing import Any

import click

from cli.failures import FAILED
from cli.late_group import WholeGroup
from cli.output import json_text, note, printable, say
from cli.place import place

#: What published audits call two of our severities when they count; `severity` keeps our words.
_PUBLISHED = {"error": "critical", "warning": "warn"}


@click.group("security", cls=WholeGroup)
def security() -> None:
    """Look at who may get in, and who may read secrets."""


@security.command("audit")
@click.option("--fix", is_flag=True, help="Close to others what only the gateway should read.")
@click.option("--lint", is_flag=True, help="Exit with 1 if there is a warning or an error.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--deep", is_flag=True, hidden=True)
@click.option("--auth", metavar="MODE", hidden=True)
@click.option("--token", metavar="TEXT", hidden=True)
@click.option("--password", metavar="TEXT", hidden=True)
@click.pass_context
def audit(
    context: click.Context, /, *, fix: bool, lint: bool, as_json: bool, deep: bool, **words: Any
) -> None:
    """Find what lets more people in than it should; changes nothing without --fix, asks no gateway."""
    del deep  # everything is looked at anyway
    for name in (name for name, value in words.items() if value is not None):
        note(f"note: --{name} has no effect: no gateway is asked")
    # late, as the next: the help needs none of it
    from cli.doctor import print_counts, print_findings, print_fixed
    from cli.doctor_choice import Choice
    from cli.doctor_look import look
    from cli.progress import progress
    from stores.checks.finding import Severity

    with progress("looking at the gateway's files and configuration"):
        report = look(place(), fix=fix, choice=Choice(security=True))
    if as_json:
        counts = {each: sum(one.severity is each for one in report.findings) for each in Severity}
        summary = {_PUBLISHED.get(each, each): count for each, count in counts.items()} | counts
        said = {"ts": time.time_ns() // 1_000_000, "summary": summary}
        say(json_text(report.as_json(lint=lint) | said))
    else:
        say(printable(report.about))
        print_fixed(report)
        print_findings(report.findings)
        print_counts(report.findings)
    if lint and report.failing:
        if as_json:
            note(f"findings that matter: {len(report.failing)}")
        context.exit(FAILED)
