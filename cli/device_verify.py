"""`openclaw devices verify`: what is wrong with the files of the device store, and what to do."""

from __future__ import annotations

from typing import Any

import click
from attrs import asdict

from cli.failures import DONE, FAILED, failed_report
from cli.output import json_text, note, printable, say
from cli.place import place
from cli.typed import told_here, typable


@click.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--offline", is_flag=True, help="As ever: this command asks no gateway.")
@click.pass_context
def verify(context: click.Context, *, as_json: bool, offline: bool) -> None:
    """Check the files of the device store against each other and their audit trail.

    Nothing is written. Exits 1 if something is wrong.
    """
    del offline
    from cli.offline import open_files  # late: `--help` opens no store
    from stores.verify import verify as problems_of

    files = open_files(place())
    note(printable(f"Looking at the local state in {files.in_words}"))
    problems = problems_of(files.reached)
    if as_json:
        told = [
            {key: printable(files.as_known(text)) for key, text in asdict(one).items()}
            for one in problems
        ]
        said: dict[str, Any] = {"ok": not problems, "problems": told_here(told)}
        if problems:
            first = f"{told[0]['file']} at {told[0]['path']}: {told[0]['problem']}"
            said = failed_report(said, first, FAILED, remedy=told[0]["remedy"])
            note(first)
        say(json_text(said))
    elif not problems:
        say("Nothing is wrong with the device store.")
    else:
        for problem in problems:
            what = files.as_known(f"{problem.file} at {problem.path}: {problem.problem}")
            say(printable(what))
            remedy = files.as_known(problem.remedy)
            say(typable(printable(f"  {remedy[:1].upper()}{remedy[1:]}")))
        say(f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found")
    context.exit(FAILED if problems else DONE)
