"""The `openclaw` command: finds the command that was meant, and says how it ended.

Rule: a command's module is imported when it is called, so that what needs little starts quickly.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from cli.failures import FAILED, INTERRUPTED, USAGE, CallError, exit_code
from cli.late_group import HELP, PROGRAM, LateGroup
from cli.typed import keep_profile
from stores.errors import UserFacingError

if TYPE_CHECKING:
    from collections.abc import Sequence

# a newer click names every command that is a little like it, in the order of the alphabet
__all__ = ["LateGroup", "main", "root"]

#: Of the log, as configurations name them; their own list takes longer to load than a command runs.
LEVELS = ("silent", "fatal", "error", "warn", "info", "debug", "trace")

_UNKNOWN_COMMAND = re.compile(r"(No such command '([^']*)'\.)( \(?Did you mean .*)?")


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's shape
    if wanted:
        from cli.output import say  # late, both: only here
        from gateway.version import VERSION

        say(f"openclaw-gateway {VERSION}")
        ctx.exit()


def _set_colour(_: click.Context, __: click.Parameter, off: bool) -> None:  # noqa: FBT001  # click's shape
    if off:
        from cli.output import colour

        colour.wanted = False


@click.group(
    PROGRAM,
    cls=LateGroup,
    table={
        "gateway": ("cli.gateway:gateway", "Run the gateway, ask it things."),
        "config": ("cli.config:config", "Look at the configuration file and change it."),
        "dashboard": ("cli.dashboard:dashboard", "Make a link that opens the dashboard once."),
        "devices": ("cli.devices:devices", "List, approve and reject devices."),
        "configure": ("cli.configure:configure", "Show the commands that set the gateway up."),
        "completion": ("cli.completion:completion", "Print the script that completes commands."),
        "doctor": ("cli.doctor:doctor", "Find what is set up wrong."),
        "health": ("cli.health:health", "Tell whether the gateway is well."),
        "logs": ("cli.logs:logs", "Show what the gateway wrote."),
        "nodes": ("cli.nodes:nodes", "List nodes, approve what they may do, ask them."),
        "qr": ("cli.qr:qr", "Show the setup code for a phone."),
        "pairing": ("cli.pairing:pairing", "Where to look for devices that wait."),
        "security": ("cli.security:security", "Look at who may get in."),
        "status": ("cli.status:status", "Show gateway, devices and service on one screen."),
    },
    unlisted={"daemon": "cli.daemon:daemon", "node": "cli.elsewhere:node"},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  openclaw gateway run\n  openclaw devices list\n  openclaw doctor",
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.option(
    "--no-color", is_flag=True, expose_value=False, callback=_set_colour, help="Print no colours."
)
@click.option("--dev", is_flag=True, help="Use the profile dev.")
@click.option("--profile", metavar="NAME", help="Use the state directory ~/.openclaw-NAME.")
@click.option("--log-level", type=click.Choice(LEVELS), hidden=True)
@click.pass_context
def root(context: click.Context, *, dev: bool, profile: str | None, log_level: str | None) -> None:
    """Run and look after an OpenClaw gateway."""
    from cli.place import Place  # late: `--version` needs none of it

    context.obj = here = Place(os.environ, profile, dev, log_level)
    if log_level is not None and context.invoked_subcommand != "gateway":
        from cli.place import note_log_level  # late: few say it

        note_log_level()
    keep_profile(here)  # a name that cannot be a profile is refused before anything else happens


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit as documented: 0, 1, 2, 3, 78 or 130."""
    _never_fail_to_print()
    given = list(sys.argv[1:] if words is None else words)
    try:
        code = _run(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = _unwritten(error)
    finally:
        keep_profile(None)
    _forget_if_full(sys.stderr)
    sys.exit(code)


def _run(words: list[str]) -> int:
    as_json = "--json" in words
    try:
        code = root.main(words, prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.UsageError as error:
        return _usage(error, words, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        return _failed(UserFacingError(error.format_message()), words, as_json=as_json)
    except UserFacingError as error:
        return _failed(error, words, as_json=as_json)
    except BrokenPipeError:
        raise
    except Exception as error:  # the last line: a user gets a sentence, a developer the rest
        if isinstance(error, OSError) and _is_of_stdout(error):
            raise
        if os.environ.get("OPENCLAW_DEBUG"):
            raise
        problem = f"this is a mistake in openclaw itself: {type(error).__name__}: {error}"
        remedy = "see where with `OPENCLAW_DEBUG=1`, and report it"
        return _failed(UserFacingError(problem, remedy=remedy), words, as_json=as_json)


def _usage(error: click.UsageError, words: Sequence[str], *, as_json: bool) -> int:
    from cli.explain import print_failure  # late: only failures need it
    from stores.errors import UsageError

    path = error.ctx.command_path if error.ctx else _path_of(words)
    problem = _meant(error, error.format_message()).rstrip(".")
    remedy = f"see `{path} --help`"
    if any(word.startswith("--config") for word in words):
        from cli import config_option  # late: only this mistake needs it

        if config_option.is_meant(error, words):
            rest, file = config_option.without_file(words)
            problem, remedy = config_option.instead(file, _typed(rest))
    if path == f"{PROGRAM} nodes invoke" and "'--offline'" in problem:
        problem = "a node is asked by the running gateway alone, without --offline"
        remedy = "start it with `openclaw gateway run`"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    print_failure(UsageError(problem, remedy=remedy), USAGE, as_json=as_json)
    return USAGE


def _path_of(words: Sequence[str]) -> str:
    """Return the command that words name, for an error that does not say whose it is."""
    command: click.Command = root
    path = [PROGRAM]
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        if found is not None:
            command = found
            path.append(word)
    return " ".join(path)


def _meant(error: click.UsageError, text: str) -> str:
    """Return the text of a usage error, with the command that was probably meant."""
    text = text.replace("is not a valid integer range", "is not a whole number")
    found = _UNKNOWN_COMMAND.fullmatch(text)
    if found is None or error.ctx is None or not isinstance(error.ctx.command, click.Group):
        return text
    import difflib  # late: only a mistake needs it

    close = difflib.get_close_matches(found[2], error.ctx.command.list_commands(error.ctx), n=1)
    return f"{found[1]} Did you mean '{close[0]}'?" if close and found[2] != HELP else found[1]


def _failed(error: UserFacingError, words: Sequence[str], *, as_json: bool) -> int:
    from cli.explain import print_failure  # late, both: only failures need them
    from cli.whose import in_full

    if os.environ.get("OPENCLAW_DEBUG"):
        import traceback

        traceback.print_exception(error)
    cause = error.cause if isinstance(error, CallError) else error
    cause.remedy = in_full(cause.remedy, _typed(words), os.environ)
    code = exit_code(error)
    print_failure(error, code, as_json=as_json)
    return code


def _typed(words: Sequence[str]) -> str:
    """Return a command line to be typed again; with a secret in it, the command alone."""
    secret = any(word.startswith(("--token", "--password")) for word in words)
    return _path_of(words) if secret else shlex.join([PROGRAM, *words])


def _never_fail_to_print() -> None:
    """Let characters that the terminal's encoding lacks come out spelt instead of as a crash."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _is_of_stdout(error: OSError) -> bool:
    """Tell whether an error came from printing the result."""
    from cli.output import NoOutputError  # late: only failures need it

    if isinstance(error, NoOutputError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # the helps are printed by click itself
    return trace is not None and trace.tb_frame.f_code is click.echo.__code__


def _unwritten(error: OSError) -> int:
    """Say that the result could not be written; a reader that went away need not be told."""
    from cli.output import note  # late: only failures need it

    if not isinstance(error, BrokenPipeError):
        note(f"cannot write the result: {error.strerror or error}")
    _forget(sys.stdout)
    return FAILED


def _forget_if_full(stream: TextIO | None) -> None:
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        _forget(stream)


def _forget(stream: TextIO | None) -> None:
    """Point a stream nowhere, so that the interpreter's own last flush is quiet too."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    main()
