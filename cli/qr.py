"""`openclaw qr`: the published name for the setup code of a phone."""

from __future__ import annotations

import click

from cli.device_road import DeviceRoad, offline_option
from cli.inviting import lasts, make, public_way, scene_of, show_qr
from cli.output import json_text, note, say
from cli.place import TargetOptions, target_options
from stores.errors import UsageError, UserFacingError
from stores.setup_code import PROFILES


@click.command("qr")
@click.option("--setup-code-only", is_flag=True, help="Print the code and nothing else.")
@click.option("--limited", is_flag=True, help="Leave operator.admin out.")
@click.option("--voice-node", is_flag=True, help="Let it be a node only.")
@click.option("--no-ascii", is_flag=True, help="Draw no QR code.")
@click.option("--public-url", metavar="URL", help="The address that the phone is to use.")
@click.option("--remote", is_flag=True, help="Use the address in gateway.remote.url.")
@offline_option
@target_options
def qr(
    *,
    options: TargetOptions,
    public_url: str | None,
    remote: bool,
    offline: bool,
    **said: bool,
) -> None:
    """Show the setup code for a phone: a node that may command the gateway as well."""
    if said["limited"] and said["voice_node"]:
        raise UsageError("--limited and --voice-node say two things", remedy="leave one out")
    if remote and public_url is not None:
        raise UsageError("--remote and --public-url name two addresses", remedy="leave one out")
    profile = "limited" if said["limited"] else "voice-node" if said["voice_node"] else "full"
    scene = scene_of(options, offline=offline)
    way = scene.remote_way if remote else public_way(scene, public_url)
    if way.alone:
        raise UserFacingError(
            "Gateway is only bound to loopback, where no phone reaches it",
            remedy="name the address that phones reach it by with `openclaw qr --public-url "
            "wss://HOST`, or listen on the network with `openclaw config set gateway.bind lan`",
        )
    made = make(DeviceRoad(options, offline), way, PROFILES[profile])
    if options.as_json:
        told = {
            "setupCode": made.code,
            "gatewayUrl": way.url,
            "auth": "bootstrap-token",
            "urlSource": way.source,
            "access": PROFILES[profile].profile,
            "expiresAtMs": made.expires_at_ms,
            "setupId": made.setup_id,
        }
        say(json_text(told))
        return
    if said["setup_code_only"]:
        say(made.code)
        return
    if not said["no_ascii"]:
        show_qr(made.code)
    say(f"Setup code: {made.code}")
    say(f"Gateway:    {way.url}")
    gives = {
        "full": "a node, and an operator with operator.admin (leave that out: --limited)",
        "limited": "a node, and an operator without operator.admin",
        "voice-node": "a node only",
    }[profile]
    note(f"One phone, for {lasts(made)}, as {gives}. Whoever has the code gets in.")
