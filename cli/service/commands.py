"""`openclaw gateway install`, `uninstall`, `start` and `stop`: the gateway as a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.output import json_text, note, say
from cli.published_options import without_effect
from stores.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--system", is_flag=True, help="The service of the machine, not of a user."),
    ):
        command = option(command)
    return command


@click.command("install")
@click.option("--print", "only_print", is_flag=True, help="Print the unit and change nothing.")
@click.option("--run-as", metavar="USER", help="Whom a --system service runs as (openclaw).")
@click.option("--force", is_flag=True, help="Write the unit anew and restart, changed or not.")
@click.option("--port", metavar="N", hidden=True)
@click.option("--token", metavar="TEXT", hidden=True)
@click.option("--runtime", metavar="NAME", hidden=True)
@_options
def install(*, as_json: bool, system: bool, **words: Any) -> None:
    """Install the gateway as a systemd service, start it, and wait until it answers."""
    _refuse_pinned(words)
    if words["run_as"] and not system:
        raise UsageError("--run-as goes with --system", remedy="add --system, or leave it out")
    from cli.service.service import service_here  # late, as in the others: bare words are quick
    from cli.service.work import install as work
    from cli.service.work import perform

    service = service_here(system=system, run_as=words["run_as"])
    if words["only_print"]:
        text = service.text()
        say(json_text({"unit": text}) if as_json else text.removesuffix("\n"))
        return
    perform("install", lambda: work(service, force=words["force"]), as_json=as_json)


def _refuse_pinned(words: dict[str, Any]) -> None:
    """Refuse what a unit would keep apart from the configuration.

    Raises:
        UsageError: a port or a secret was named.
    """
    if words["port"] is not None:
        raise UsageError(
            "--port: the service listens where the configuration says, so that it can be changed",
            remedy="set it with `openclaw config set gateway.port N`, then install",
        )
    if words["token"] is not None:
        raise UsageError(
            "--token: no secret goes into a unit, where other programs would find it",
            remedy="set it with `openclaw config set gateway.auth.token --from-file FILE`, "
            "then install",
        )
    if words["runtime"] is not None:
        note("note: --runtime has no effect: there is one")


@click.command("uninstall")
@_options
def uninstall(*, as_json: bool, system: bool) -> None:
    """Stop the service and remove it; configuration and devices stay."""
    from cli.service.service import service_here
    from cli.service.work import perform
    from cli.service.work import uninstall as work

    perform("uninstall", lambda: work(service_here(system=system)), as_json=as_json)


@click.command("start")
@_options
def start(*, as_json: bool, system: bool) -> None:
    """Start the installed service, and wait until it answers."""
    from cli.service.service import service_here
    from cli.service.work import perform
    from cli.service.work import start as work

    perform("start", lambda: work(service_here(system=system)), as_json=as_json)


@click.command("stop")
@without_effect("stopping asks nothing, with a terminal or without", "--force")
@_options
def stop(*, as_json: bool, system: bool) -> None:
    """Stop the service, or the gateway that runs in the foreground."""
    from cli.service.service import service_here
    from cli.service.work import perform
    from cli.service.work import stop as work

    perform("stop", lambda: work(service_here(system=system)), as_json=as_json)
