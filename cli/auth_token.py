"""`openclaw gateway auth-token`: where the gateway's secret is, and on a terminal what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.output import json_text, note, say
from cli.place import place
from stores.errors import UsageError, UserFacingError

if TYPE_CHECKING:
    from stores.running import Running


@click.command("auth-token")
@click.option("--show", is_flag=True, help="Print the secret itself, on a terminal only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; never the secret.")
def auth_token(*, show: bool, as_json: bool) -> None:
    """Tell where the token or password of this machine's gateway comes from, or show it."""
    from stores.config.in_use import config_in_use  # late, all: the help needs none of them
    from stores.credentials import resolve_gateway_auth
    from stores.running import read_running

    if show and as_json:
        raise UsageError("--show and --json exclude each other", remedy="leave one of them out")
    here = place()
    running = read_running(here.paths.state_dir)
    auth = resolve_gateway_auth(config_in_use(here.paths, here.env, running).usable(), here.env)
    secret = auth.secret
    _refuse_another(running, here.paths.state_dir, secret.value if secret else None)
    if secret is None:
        raise UserFacingError(
            f"the gateway of {here.paths.state_dir} has no token or password (auth mode {auth.mode},"
            f" {auth.mode_source})",
            remedy="a token is made by the first `openclaw gateway run`"
            if auth.mode == "token"
            else "let it ask for a token with `openclaw config set gateway.auth.mode token`",
        )
    if not show:
        _tell(secret.kind, secret.source, secret.value, as_json=as_json)
    elif not sys.stdout.isatty():
        raise UserFacingError(
            f"the {secret.kind} is shown on a terminal only: here it would end up in a file or a log",
            remedy=f"run `openclaw gateway auth-token --show` by hand; it comes from {secret.source}",
        )
    else:
        say(secret.value)


def _refuse_another(running: Running | None, state_dir: Path, value: str | None) -> None:
    """Refuse to tell a secret that is not the one the running gateway asks for."""
    from stores.fingerprint import secret_fingerprint  # late: the help needs it not

    if running is None or not running.alive or running.secret_fingerprint is None:
        return
    if value is not None and secret_fingerprint(value) == running.secret_fingerprint:
        return
    raise UserFacingError(
        f"the gateway that runs on {state_dir} (pid {running.pid}) asks for another secret than this "
        f"command finds: its own comes from {running.secret_source or 'elsewhere'}",
        remedy="read it there, or start the gateway without that option or variable",
    )


def _tell(kind: str, source: str, value: str, *, as_json: bool) -> None:
    from stores.fingerprint import secret_fingerprint  # late: `--show` needs none

    digest = secret_fingerprint(value)
    if as_json:
        say(json_text({"kind": str(kind), "source": source, "fingerprint": digest}))
        return
    say(f"The {kind} comes from {source} (fingerprint {digest}).")
    note("Show it on this terminal with `openclaw gateway auth-token --show`.")
