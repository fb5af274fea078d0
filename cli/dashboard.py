"""`openclaw dashboard`: a link that opens the dashboard once, for the owner of this gateway."""

from __future__ import annotations

import os
import sys

import click

from cli.device_road import DeviceRoad, beside, offline_option
from cli.inviting import Scene, lasts, make, only_here, scene_of
from cli.output import json_text, note, say
from cli.place import TargetOptions, target_options
from stores.errors import UserFacingError
from stores.setup_code import PROFILES, Way, own_page, page_link


@click.command("dashboard")
@click.option("--no-open", is_flag=True, help="Print the link and open no browser.")
@click.option("--yes", is_flag=True, hidden=True)  # published scripts say it
@offline_option
@target_options
def dashboard(*, options: TargetOptions, no_open: bool, yes: bool, offline: bool) -> None:
    """Make a link that opens the dashboard: once, within ten minutes, with every scope."""
    del yes
    scene = scene_of(options, offline=offline)
    config = scene.loaded.config
    if scene.local and not config.gateway.control_ui.enabled:
        raise UserFacingError(
            "gateway.controlUi.enabled is false, so this gateway serves no dashboard",
            remedy="turn it on with `openclaw config set gateway.controlUi.enabled true`",
        )
    way = _way(scene)
    made = make(DeviceRoad(options, offline), way, PROFILES["owner"])
    base = config.gateway.control_ui.base_path if scene.local else ""
    link = page_link(way.url, made.token, base_path=base)
    if options.as_json:
        told = {
            "ok": True,
            "url": link,
            "browserUrl": link,
            "httpUrl": link.partition("#")[0],
            "wsUrl": way.url,
            "port": scene.target.port,
            "tokenIncluded": False,
            "expiresAtMs": made.expires_at_ms,
            "browserBootstrapExpiresAtMs": made.expires_at_ms,
            "setupId": made.setup_id,
            "source": made.source,
        }
        say(json_text(told))
        return
    say(link)
    note(f"It counts once, for {lasts(made)}, and gives every scope: show it nobody.")
    note(f"Take it back with `{beside(f'invite --revoke {made.setup_id}')}`.")
    if way.alone:
        note(f"note: {only_here(way)}")
    if not no_open and _has_a_screen():
        _open(link)


def _way(scene: Scene) -> Way:
    """Return the address for a browser, which makes a key only on loopback or with TLS."""
    way = scene.way
    if not scene.local:
        return way
    url = own_page(way, scene.loaded.config, scene.noted, port=scene.target.port)
    return Way(url, way.source, alone=url.startswith(("ws://127.", "wss://127.")))


def _has_a_screen() -> bool:
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and sys.stdout is not None and sys.stdout.isatty()


def _open(link: str) -> None:
    import webbrowser  # late: only here

    if not webbrowser.open(link):
        note("No browser could be started: open the link yourself.")
