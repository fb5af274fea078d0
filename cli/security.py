"""`openclaw security audit`: the part of the doctor that is about who gets in."""

from __future__ import annotations

import time

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
@click.option("--lint", is_flag=True, help="Exit with 1 if there is a warning or an error.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--deep", is_flag=True, hidden=True)
@click.pass_context
def audit(context: click.Context, *, lint: bool, as_json: bool, deep: bool) -> None:
    """Find what lets more people in than it should; changes nothing, asks no gateway."""
    del deep  # everything is looked at anyway
    from cli.doctor import print_counts, print_findings  # late, as the next: the help needs neither
    from cli.doctor_look import look
    from cli.progress import progress
    from stores.checks.finding import Severity

    with progress("looking at the gateway's files and configuration"):
        report = look(place(), security=True)
    if as_json:
        counts = {each: sum(one.severity is each for one in report.findings) for each in Severity}
        summary = {_PUBLISHED.get(each, each): count for each, count in counts.items()} | counts
        said = {"ts": time.time_ns() // 1_000_000, "summary": summary}
        say(json_text(report.as_json(lint=lint) | said))
    else:
        say(printable(report.about))
        print_findings(report.findings)
        print_counts(report.findings)
    if lint and any(one.severity.matters for one in report.findings):
        if as_json:
            note(f"findings that matter: {sum(one.severity.matters for one in report.findings)}")
        context.exit(FAILED)
