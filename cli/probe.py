"""`openclaw gateway probe`: the way to a gateway step by step, for when something stands in between."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cli.failures import DONE, failed_report
from cli.output import json_text, note, printable, say, styled
from cli.place import TargetOptions, place, port_option, target_options
from cli.typed import typable
from stores.errors import UsageError

if TYPE_CHECKING:
    from cli.probe_steps import Step
    from cli.status_aim import Aim

PROBE_WITHIN_S = 3.0

#: A name is a token (RFC 9110, section 5.6.2), a value has no line in it.
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*)")
#: What the handshake itself is made of.
_OURS = re.compile(
    r"host|upgrade|connection|content-length|transfer-encoding|sec-websocket-.*", re.I
)


@click.command("probe")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this header too, for a proxy on the way; may be repeated.",
)
@port_option
@target_options
@click.pass_context
def probe(context: click.Context, *, options: TargetOptions, headers: tuple[str, ...]) -> None:
    """Go the way to a gateway step by step, and tell what answered at each and how fast.

    Leaves no record at the gateway. Exits with 1 if a step failed, with 3 if no gateway answered.
    For example: openclaw gateway probe --url wss://gateway.example
    """
    from cli.probe_steps import HEADS, walk  # late, both: the help needs none of it
    from cli.status_aim import take_aim

    named = tuple(map(_header, headers))
    aim = take_aim(options, place())
    if aim.target is None:
        assert aim.problem is not None
        raise aim.problem
    timeout_s = PROBE_WITHIN_S if options.timeout_ms is None else options.timeout_ms / 1000
    began = time.monotonic()
    way = walk(aim, named, timeout_s=timeout_s)
    steps, code = way.steps, way.code
    if options.as_json:
        from cli.published import probe_keys  # late: see above

        said = _as_json(aim, steps, code)
        said |= probe_keys(aim, way.knock, began=began, timeout_s=timeout_s)
        if code != DONE:
            first = next(one for one in steps if not one.good)
            problem = (
                f"{HEADS[first.name]} failed: {first.saw}" if first.good is False else first.saw
            )
            cause = next((one.error for one in steps if one.error is not None), None)
            said = failed_report(said, problem, code, remedy=first.remedy, cause=cause)
            note(printable(problem))
        say(json_text(said))
    else:
        for line in _lines(aim, steps):
            say(line)
    context.exit(code)


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None or _OURS.fullmatch(found[1]):
        raise UsageError(
            "--header: that is no header, or one that the handshake itself is made of",
            remedy="write it like `--header 'X-Forwarded-For: 203.0.113.9'`",
        )
    return found[1], found[2]


def _as_json(aim: Aim, steps: list[Step], code: int) -> dict[str, Any]:
    assert aim.target is not None
    return {
        "ok": code == DONE,
        "url": aim.target.url,
        "urlSource": aim.source_of_target,
        "credentialSource": aim.source,
        "steps": [step.as_json() for step in steps],
        "exitCode": code,
    }


def _lines(aim: Aim, steps: list[Step]) -> Iterator[str]:
    from cli.probe_steps import HEADS  # late: see `probe`

    assert aim.target is not None
    yield printable(f"Gateway target: {aim.target.url} (Source: {aim.source_of_target})")
    for step in steps:
        word = {True: "ok", False: "failed", None: "not tried"}[step.good]
        shown = styled(f"{word:<9}", "red", sys.stdout) if step.good is False else f"{word:<9}"
        took = "" if step.took_ms is None else f"{step.took_ms} ms"
        line = f"{HEADS[step.name]:<18} {shown} {took:>8}  {printable(step.saw)}"
        yield line.rstrip()
        yield from _help(step)


def _help(step: Step) -> Iterator[str]:
    if step.error is not None:
        from cli.explain import lines_of  # late: only failures need it

        for line in list(lines_of(step.error))[1:]:
            yield f"  {line}"
    if step.remedy is not None:
        yield typable(f"  {printable(step.remedy[:1].upper() + step.remedy[1:])}")
