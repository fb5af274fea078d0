"""`openclaw doctor --generate-gateway-token`: a new shared token, and what that ends."""

from __future__ import annotations

import secrets
from pathlib import Path

from cli.output import json_text, note, printable, say
from cli.place import Place
from stores.config.edit import TOKEN_KEY, ensure_token, set_value
from stores.config.in_use import config_in_use
from stores.config.load import LoadedConfig, load_config
from stores.credentials import TOKEN_VARIABLE, resolve_gateway_auth
from stores.errors import ConfigError, UserFacingError
from stores.fingerprint import secret_fingerprint
from stores.running import Running, read_running

TOKEN_BYTES = 24


def replace_token(here: Place, *, yes: bool, as_json: bool) -> None:
    """Set a new token in the configuration file; the file's comments stay.

    Raises:
        ConfigError: the token is not the configuration's to set; nothing was changed.
    """
    running = read_running(here.paths.state_dir)
    found = config_in_use(here.paths, here.env, running)
    if found.lost and found.problem is not None:
        raise found.problem  # it would not believe the file with a new token in it either
    loaded = load_config(here.paths, here.env)
    _refuse_elsewhere(here, loaded)
    runs = running if running is not None and running.alive else None
    token = secrets.token_hex(TOKEN_BYTES)
    if loaded.config.gateway.auth.token:
        _ask(runs, yes=yes)
        edit = set_value(here.paths, TOKEN_KEY, token, env=here.env, base_digest=loaded.digest)
        file = edit.loaded.path
    else:
        file = ensure_token(here.paths, env=here.env, new_token=lambda: token)
    _tell(here, file, runs, token, as_json=as_json)


def _refuse_elsewhere(here: Place, loaded: LoadedConfig) -> None:
    auth = loaded.config.gateway.auth
    mode = resolve_gateway_auth(loaded, here.env).mode
    if mode != "token" and auth.mode is not None:
        raise ConfigError(
            f"gateway.auth.mode is {mode}, so a token would have no effect",
            remedy="to use one, `openclaw config set gateway.auth.mode token`",
        )
    if auth.token_file:
        raise ConfigError(
            f"the token is in the file that gateway.auth.tokenFile names ({auth.token_file})",
            remedy="write a new one there, or keep it in the configuration after "
            "`openclaw config unset gateway.auth.tokenFile`",
        )


def _ask(running: Running | None, *, yes: bool) -> None:
    if yes:
        return
    import sys  # late, as the next: only a question needs them

    import click

    what = f"gateway pid {running.pid}" if running else "gateway"
    if not sys.stdin.isatty():
        raise UserFacingError(
            f"there is a token already, and a new one ends every session of the {what} that used it",
            remedy="if that is meant, `openclaw doctor --generate-gateway-token --yes`",
        )
    if not click.confirm(f"Replace the token, and end the sessions of the {what}?", err=True):
        note("Nothing was changed.")
        click.get_current_context().exit(1)


def _tell(here: Place, file: Path, running: Running | None, token: str, *, as_json: bool) -> None:
    source = f"{TOKEN_KEY} in {file}"
    if as_json:
        told = {
            "ok": True,
            "source": source,
            "fingerprint": secret_fingerprint(token),
            "gatewayPid": running.pid if running else None,
        }
        say(json_text(told))
        return
    say(printable(f"A new token is in {source} (fingerprint {secret_fingerprint(token)})."))
    if running:
        say(f"The running gateway (pid {running.pid}) takes it in within a second.")
    note("Ended: sessions that showed the old token; whoever keeps it must be told the new one.")
    note("Not ended: paired devices; they come back with their own tokens.")
    note("Show it on this terminal with `openclaw gateway auth-token --show`.")
    if here.env.get(TOKEN_VARIABLE):
        note(f"{TOKEN_VARIABLE} still holds another one here; commands use the configuration's.")
