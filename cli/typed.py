"""How a command is typed here: `openclaw`, or the path of a program that no shell finds by that name."""

from __future__ import annotations

import os
import re
import sys

_NAME = "openclaw"
#: A command in backticks, and what stands before the program's name in it.
_COMMAND = re.compile(r"`((?:sudo (?:-i?u \S+ )?|[A-Z_]+=(?:'[^'`]*'|\S+) )*)openclaw (?=[^`]+`)")


def typable(text: str) -> str:
    """Return a message whose commands in backticks can be pasted where this program was typed."""
    if "openclaw " not in text or "`" not in text:
        return text
    program = program_words()
    if program == _NAME:
        return text
    return _COMMAND.sub(lambda found: f"`{found[1]}{program} ", text)


def program_words() -> str:
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
