"""`openclaw doctor`: what is set up wrong, found without asking the gateway more than whether it lives."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.failures import FAILED
from cli.late_group import LateGroup
from cli.output import columns, json_text, note, printable, say, styled
from cli.place import place
from cli.typed import as_typed
from stores.errors import UsageError

if TYPE_CHECKING:
    from cli.doctor_look import Report
    from stores.checks.finding import Finding

_STYLE = {"error": "red", "warning": "bold", "info": "dim"}


@click.group(
    "doctor",
    cls=LateGroup,
    invoke_without_command=True,
    table={
        "proxy": ("cli.doctor_proxy:proxy", "Look at the proxies in front of the gateway."),
    },
)
@click.option(
    "--fix",
    "--repair",
    "fix",
    is_flag=True,
    help="Do what is safe: close files to others, drop what is spent, heal the device store.",
)
@click.option("--yes", is_flag=True, help="Do not ask before --generate-gateway-token.")
@click.option("--lint", is_flag=True, help="Exit with 1 if there is a warning or an error.")
@click.option(
    "--generate-gateway-token", "new_token", is_flag=True, help="Set a new token and nothing else."
)
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    help="Only findings of this id, or of this check; may be repeated.",
)
@click.option(
    "--severity-min",
    "minimum",
    type=click.Choice(("info", "warning", "error")),
    help="Only findings that are at least this; with --lint each of them fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "everything", is_flag=True, hidden=True)
@click.option("--deep", is_flag=True, hidden=True)
@click.option("--force", is_flag=True, hidden=True)
@click.option("--non-interactive", is_flag=True, hidden=True)
@click.pass_context
def doctor(  # one word for each option
    context: click.Context,
    /,
    *,
    fix: bool,
    yes: bool,
    lint: bool,
    new_token: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Find what is set up wrong, and the command that helps; works with the gateway down.

    Nothing is changed without --fix; a gateway may run meanwhile.
    """
    if context.invoked_subcommand is not None:
        if fix or new_token:
            raise UsageError(
                f"--fix and --generate-gateway-token do not go with {context.invoked_subcommand}",
                remedy="use `openclaw doctor --fix`",
            )
        return
    if new_token:
        from cli.doctor_token import replace_token  # late, as the rest: the help needs none of it

        replace_token(place(), yes=yes, as_json=as_json)
        return
    if words["everything"]:
        note("note: --all has no effect: everything is looked at anyway")
    from cli.doctor_choice import Choice, named
    from cli.doctor_look import look
    from cli.progress import progress
    from stores.checks.finding import Severity

    least = words["minimum"]
    choice = Choice(only=named(words["only"]), minimum=Severity(least) if least else None)
    with progress("looking at the gateway's files, service and port"):
        report = look(place(), fix=fix, choice=choice)
    if as_json:
        say(json_text(report.as_json(lint=lint)))
    else:
        _print(report)
    if lint and report.failing:
        if as_json:
            note(f"findings that matter: {len(report.failing)}")
        context.exit(FAILED)


def _print(report: Report) -> None:
    say(printable(report.about))
    print_fixed(report)
    print_findings(report.findings)
    print_counts(report.findings)
    if any(one.fixable for one in report.findings):
        note(f"What is marked as safe to fix is done by `{report.openclaw} doctor --fix`.")


def print_fixed(report: Report) -> None:
    """Print what was taken care of."""
    for one in report.fixed:
        say(f"{styled('fixed', 'bold', sys.stdout)}  {one.id}: {printable(one.title)}")


def print_counts(findings: Sequence[Finding]) -> None:
    """Print how many findings of each severity there are."""
    from stores.checks.finding import counted  # late: see `doctor`

    if not findings:
        say("Nothing is set up wrong, as far as can be seen from here.")
        return
    nouns = {"error": "error", "warning": "warning", "info": "remark"}
    counts = [
        counted(sum(str(one.severity) == name for one in findings), noun)
        for name, noun in nouns.items()
    ]
    say()
    say(f"{', '.join(counts)}.")


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings as blocks: what, what was seen, what to type."""
    import textwrap  # late: see `doctor`

    # of a path that is broken nobody can copy anything
    width = columns() - 9 if sys.stdout is not None and sys.stdout.isatty() else 1 << 16
    for one in findings:
        say()
        head = f"{one.severity}: {printable(one.title)} ({one.id})"
        say(styled(head, _STYLE[str(one.severity)], sys.stdout))
        lines = textwrap.wrap(
            printable(one.saw), width, break_long_words=False, break_on_hyphens=False
        )
        say(f"  Seen:  {lines[0]}")
        for line in lines[1:]:
            say(f"         {line}")
        if one.command is not None:
            safe = "   (safe, --fix does it)" if one.fixable else ""
            say(f"  Run:   {as_typed(printable(one.command))}{safe}")
