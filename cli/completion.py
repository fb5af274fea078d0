"""`openclaw completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.output import note, say
from stores.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
_INSTALL = {
    "bash": "openclaw completion -s bash > ~/.local/share/bash-completion/completions/openclaw",
    "zsh": "openclaw completion -s zsh > ~/.zfunc/_openclaw   (with ~/.zfunc in $fpath)",
    "fish": "openclaw completion -s fish > ~/.config/fish/completions/openclaw.fish",
}


@click.command("completion")
@click.option("-s", "--shell", metavar="SHELL", help="bash, zsh or fish; else that of $SHELL.")
@click.option("-i", "install", is_flag=True, hidden=True)
@click.option("-y", "--yes", is_flag=True, hidden=True)
@click.option("--write-state", is_flag=True, hidden=True)
def completion(*, shell: str | None, install: bool, yes: bool, write_state: bool) -> None:
    """Print a completion script; nothing is installed."""
    del yes, write_state  # of published command lines: there is nothing to do
    wanted = shell or Path(os.environ.get("SHELL", "")).name
    if wanted not in SHELLS:
        raise UsageError(
            f"there is no completion for the shell {wanted!r}"
            if wanted
            else "which shell is not known",
            remedy="name one of bash, zsh and fish: `openclaw completion -s bash`",
        )
    say(script(wanted))
    if install:
        note(f"note: -i has no effect; keep the script with: {_INSTALL[wanted]}")


def script(shell: str) -> str:
    """Return the script; the shell asks the program itself for the words."""
    from click.shell_completion import get_completion_class  # late: the help does without

    from cli.late_group import PROGRAM
    from cli.main import root

    found = get_completion_class(shell)
    assert found is not None
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    complete = found(root, {}, PROGRAM, variable)
    # not `source()`, which first runs bash to see how old it is: the script may be for elsewhere
    return str(complete.source_template % complete.source_vars())
