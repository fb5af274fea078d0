"""`openclaw gateway`: run the gateway in the foreground, or ask a running one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from cli.explain import print_failure
from cli.failures import CONFIGURATION
from cli.late_group import LateGroup
from cli.output import json_text, note, say
from cli.place import TIMEOUT_MS, TargetOptions, note_log_level, place, target_options
from stores.errors import ConfigError, StoreError, UsageError

#: Words of published command lines with nothing to do here, and why.
_NOTHING_TO_DO = {
    "allow_unconfigured": "a gateway without a configuration starts on its defaults",
    "compact": "the log has one form",
    "ws_log": "the log has one form",
    "raw_stream": "there is no model stream here",
    "raw_stream_path": "there is no model stream here",
    "cli_backend_logs": "there is no model backend here",
    "ambient_channels": "there are no channels here",
}

_FILE = click.Path(path_type=Path)
_BINDS = ("loopback", "lan", "tailnet", "custom", "auto")
_MODES = ("none", "token", "password", "trusted-proxy")

_RUN_OPTIONS = (
    click.option(
        "--port", type=click.IntRange(0, 65535), help="Listen there; 0 picks a free port."
    ),
    click.option("--bind", type=click.Choice(_BINDS), help="Where to listen (loopback)."),
    click.option("--auth", type=click.Choice(_MODES), help="What clients must know."),
    click.option(
        "--auto-approve",
        multiple=True,
        type=click.Choice(("published-port",)),
        help="Let such browsers in without approval: those behind a port that this gateway's "
        "container publishes on loopback, with the token.",
    ),
    click.option("--token", metavar="TEXT", help="Token; visible to all users of the machine."),
    click.option("--password", metavar="TEXT", help="Password; visible to all users."),
    click.option("--token-file", type=_FILE, metavar="FILE", help="Read the token from FILE."),
    click.option(
        "--password-file", type=_FILE, metavar="FILE", help="Read the password from FILE."
    ),
    click.option("--config", type=_FILE, metavar="FILE", help="Use this configuration file."),
    click.option(
        "--last-known-good",
        is_flag=True,
        help="If the file cannot be used, run on the last one that could; for services.",
    ),
    click.option("--dev", is_flag=True, help="Use the profile dev."),
    click.option("--verbose", is_flag=True, help="Log more."),
    click.option(
        "--force",
        is_flag=True,
        help="First end the gateway that runs on these files; nothing else.",
    ),
    click.option("--allow-unconfigured", is_flag=True, hidden=True),
    click.option("--compact", is_flag=True, hidden=True),
    click.option("--ws-log", metavar="STYLE", hidden=True),
    click.option("--raw-stream", is_flag=True, hidden=True),
    click.option("--raw-stream-path", metavar="FILE", hidden=True),
    click.option("--cli-backend-logs", is_flag=True, hidden=True),
    click.option("--ambient-channels", is_flag=True, hidden=True),
    click.option("--tailscale", type=click.Choice(["off", "serve", "funnel"]), hidden=True),
    click.option("--reset", is_flag=True, hidden=True),
)


class _BareGroup(LateGroup):
    """A group that runs its command ``run`` when no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` in front of words that name no command; help stays the group's own."""
        helps = set(ctx.help_option_names)
        if ctx.resilient_parsing:  # a shell asks what could come next
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in helps):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_SERVICE = "cli.service.commands"


@click.group(
    "gateway",
    cls=_BareGroup,
    table={
        "run": ("cli.gateway:run", "Run the gateway in the foreground until Ctrl-C or SIGTERM."),
        "status": (
            "cli.status_gateway:status",
            "Tell whether the gateway runs, answers, and lets this command in.",
        ),
        "probe": ("cli.probe:probe", "Go the way to a gateway step by step, through proxies too."),
        "why": ("cli.why:why", "Tell again why a connection was refused, and what helps."),
        "health": ("cli.health:health", "Tell whether the gateway is well."),
        "reload": ("cli.gateway_control:reload", "Let the gateway load its configuration."),
        "restart": ("cli.gateway_control:restart", "Let the gateway start anew."),
        "install": (f"{_SERVICE}:install", "Make the gateway a systemd service and start it."),
        "start": (f"{_SERVICE}:start", "Start the installed service."),
        "stop": (f"{_SERVICE}:stop", "Stop the service, or the gateway in the foreground."),
        "uninstall": (f"{_SERVICE}:uninstall", "Remove the service; the state stays."),
        "lockouts": ("cli.lockouts:lockouts", "See who is locked out, and let them try again."),
        "explain": ("cli.explain_peer:explain", "Tell how the gateway would see a connection."),
        "auth-token": ("cli.auth_token:auth_token", "Tell where the shared secret comes from."),
        "fingerprint": ("cli.fingerprint:fingerprint", "Print the certificate's fingerprint."),
        "call": ("cli.gateway:call", "Call METHOD and print what it answers."),
    },
    unlisted={"discover": "cli.elsewhere:discover"},
)
@click.pass_context
def gateway(context: click.Context) -> None:
    """Run the gateway, ask it things; without a command it runs."""
    if context.invoked_subcommand != "run" and place().log_level is not None:
        note_log_level()


def _run_options(command: Any) -> Any:
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


@click.command("run")
@_run_options
@click.pass_context
def run(context: click.Context, /, **words: Any) -> None:
    """Run the gateway in the foreground until Ctrl-C or SIGTERM."""
    _refuse_unsupported(words)
    for name, reason in _NOTHING_TO_DO.items():
        if words.pop(name):
            note(f"note: --{name.replace('_', '-')} has no effect: {reason}")
    context.exit(_run_here(words))


def _refuse_unsupported(words: dict[str, Any]) -> None:
    if words.pop("tailscale") in ("serve", "funnel"):
        raise UsageError(
            "--tailscale: this gateway does not drive tailscale",
            remedy="publish it yourself with `tailscale serve --bg PORT`, or leave the option out",
        )
    if words.pop("reset"):
        raise UsageError(
            "--reset: this gateway deletes no state when it starts",
            remedy="leave it out, or start afresh with `openclaw --profile NAME gateway run`",
        )


def _run_here(words: dict[str, Any]) -> int:
    from gateway.first_process import be_first_process  # late, all: nothing else needs the gateway
    from gateway.options import RunOptions

    be_first_process()
    here = place()
    options = RunOptions(
        **words | {"dev": words["dev"] or here.dev},
        profile=here.profile,
        log_level=here.log_level,
        command_words=sys.argv[0] or "openclaw",
    )
    _ = evolve(here, dev=options.dev).paths  # two profiles at once are refused before it starts
    from gateway.main import run as run_gateway

    try:
        return run_gateway(options)
    except (ConfigError, StoreError) as error:
        from cli.whose import in_full  # late: only failures need it

        error.remedy = in_full(error.remedy, "openclaw gateway run", here.env)
        print_failure(error, CONFIGURATION, as_json=False)
        return CONFIGURATION


@click.command("call")
@click.argument("method")
@click.option("--params", metavar="JSON", default="{}", help="Parameters of the method ({}).")
@click.option("--expect-final", is_flag=True, hidden=True)
@target_options
def call(*, options: TargetOptions, method: str, params: str, expect_final: bool) -> None:
    """Call METHOD and print what it answers."""
    if expect_final:
        note("note: --expect-final has no effect: every answer here is final")
    try:
        value = json.loads(params)
    except ValueError as error:
        raise UsageError(
            f"--params is not JSON ({error})", remedy="""write it like `--params '{"key": 1}'`"""
        ) from error
    from cli.road import ask, find_road  # late: it loads the configuration's reader

    road = find_road(options)
    answer = ask(road, method, value, timeout_s=(options.timeout_ms or TIMEOUT_MS) / 1000)
    if not options.as_json:
        note(f"Gateway call: {method}")
    say(json_text(answer.payload))
