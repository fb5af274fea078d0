"""How a command is typed here: by the name or path of this program, and for the profile in force.

Messages write `openclaw …` in backticks, and what prints them asks `typable`. A command for another
machine stays as it is: one that stands after the words ``machine:``, and all that a gateway elsewhere
said.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.place import Place

_NAME = "openclaw"
#: A command in backticks for this machine, and what stands before the program's name in it.
_COMMAND = re.compile(
    r"(?<!machine: )`((?:sudo (?:-i?u \S+ )?|[A-Z_]+=(?:'[^'`]*'|\S+) )*)openclaw (?=[^`]+`)"
)
#: A command that names its profile itself.
_NAMED = re.compile(r"(?:--[a-z-]+(?: [^-\s]\S*)? )*?--(?:dev|profile)\b")
#: Another user's gateway, or a state directory that is said outright: our profile is not theirs.
_OTHER_FILES = re.compile(r"sudo -iu |OPENCLAW_STATE_DIR=")


#: Keys of JSON that hold a command alone; the last two are those of published reports.
_COMMAND_KEYS = ("command", "fixHint", "remediation")


class AsSaid(str):
    """Words of a gateway elsewhere, whose commands are for its own machine."""

    __slots__ = ()


class _Front:
    """The words that every command needs in front of its name, as the running one had them."""

    words = ""


def keep_profile(here: Place | None) -> None:
    """Let commands be printed for the profile of the running command; None stands for no profile.

    One that came from the environment is spelt too: another terminal, or sudo, lacks that variable.
    """
    profile = here.paths.profile if here is not None else None
    by_flag = here is not None and here.dev
    _Front.words = " --dev" if by_flag else f" --profile {profile}" if profile else ""


def typable(text: str) -> str:
    """Return a message whose commands in backticks can be pasted where this program was typed."""
    if "openclaw " not in text or "`" not in text or isinstance(text, AsSaid):
        return text
    program = _program()
    if program == _NAME and not _Front.words:
        return text
    return _COMMAND.sub(lambda found: _in_place(found, program), text)


def as_typed(command: str) -> str:
    """Return a command that begins with ``openclaw`` as it is typed here."""
    return typable(f"`{command}`")[1:-1]


def told_here(value: Any) -> Any:
    """Return JSON-ready data of our own with its remedies and commands as they are typed here."""
    if isinstance(value, Mapping):
        return {key: _member(key, one) for key, one in value.items()}
    return [told_here(one) for one in value] if isinstance(value, list | tuple) else value


def program_words() -> str:
    """Return how a command of ours begins here: the program, and the profile in force."""
    return f"{_program()}{_Front.words}"


def _member(key: object, value: Any) -> Any:
    if not isinstance(value, str):
        return told_here(value)
    if key in _COMMAND_KEYS:
        return as_typed(value)
    return typable(value) if key in ("remedy", "sentence") else value


def _in_place(found: re.Match[str], program: str) -> str:
    before, rest = found[1], found.string[found.end() :]
    own = _Front.words
    is_help = rest.partition("`")[0].endswith(" --help")  # the same for every profile
    if is_help or _NAMED.match(rest) or _OTHER_FILES.search(before):
        own = ""
    return f"`{before}{program}{own} "


def _program() -> str:
    """Return how this program is typed: by its name only where that leads to this very program."""
    started_as = sys.argv[0]
    if os.path.basename(started_as) != _NAME or not os.path.isfile(started_as):
        return _NAME  # started in another way, such as `python -m`
    import shlex  # late, both: only messages with commands in them need them
    import shutil

    found = shutil.which(_NAME)
    if found is not None and os.path.realpath(found) == os.path.realpath(started_as):
        return _NAME
    # whole, for `sudo -i` and another terminal begin in another folder
    return shlex.quote(os.path.abspath(started_as))
