"""Options of published command lines: those with nothing to do here are taken, with one note each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.output import note
from stores.timespan import ms_of

F = TypeVar("F", bound=Callable[..., Any])


def without_effect(reason: str, *names: str, takes: str | None = None) -> Callable[[F], F]:
    """Let a command take hidden options that do nothing, and say of each that is given why.

    Args:
        names: Of the options, with their dashes.
        takes: What stands for the value in the usage; None for options that are only set.
    """

    def decorated(command: F) -> F:
        for name in reversed(names):
            command = _option(name, reason, takes)(command)
        return command

    return decorated


class Span(click.ParamType[int]):
    """A span of time as published programs write it, in ms: ``10s``, ``2min``, a number of ms.

    0 means for ever there, and an hour here.
    """

    name = "span"
    LONGEST_MS = 3_600_000

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the span, or fail."""
        text = str(value).strip()
        span_ms = ms_of(f"{text}ms") if text.isdigit() else ms_of(text)
        if span_ms is None:
            self.fail(f"{text[:40]!r} is no span of time, such as 30s or 2min.", param, ctx)
        return min(span_ms, self.LONGEST_MS) or self.LONGEST_MS


def _option(name: str, reason: str, takes: str | None) -> Callable[[F], F]:
    def tell(context: click.Context, _: click.Parameter, value: object) -> None:
        if value and not context.resilient_parsing:  # a shell that completes reads no notes
            note(f"note: {name} has no effect: {reason}")

    return click.option(
        name, is_flag=takes is None, metavar=takes, hidden=True, expose_value=False, callback=tell
    )
