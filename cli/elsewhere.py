"""Words of published command lines whose work is not done here: what replaces them, in one sentence."""

from __future__ import annotations

import click

from stores.errors import UsageError

_ANY = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@click.command("node", context_settings=_ANY, hidden=True)
def node() -> None:
    """Say where a node runs.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "node: this program is the gateway and runs no node",
        remedy="start the published node program where the node is to be, and let it in here with "
        "`openclaw nodes list`, which shows the command that approves it",
    )


@click.command("discover", context_settings=_ANY, hidden=True)
def discover() -> None:
    """Say how a gateway is found without being announced.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "discover: gateways are not announced on the network here, so none can be discovered",
        remedy="name the one you mean: `openclaw gateway probe --url URL`",
    )
