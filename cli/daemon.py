"""`openclaw daemon`: the old name of what `openclaw gateway` does with the service."""

from __future__ import annotations

import click

from cli.gateway import gateway
from cli.late_group import LateGroup

_VERBS = ("status", "install", "uninstall", "start", "stop", "restart")


@click.group("daemon", cls=LateGroup, table={name: gateway.table[name] for name in _VERBS})
def daemon() -> None:
    """Look after the gateway's service; `openclaw gateway` does the same."""
