"""`--config` where no command has it: one text for all of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

_OPTION = "--config"
_EXTRA = re.compile(r"Got unexpected extra arguments? ")


def is_meant(error: click.UsageError, words: Sequence[str]) -> bool:
    """Tell whether a command line failed because `--config` stands where it means nothing.

    In front of the command of a group too: `gateway` takes the words behind it for those of `run`.
    """
    if isinstance(error, click.NoSuchOption):
        return error.option_name == _OPTION
    at = next((at for at, word in enumerate(words) if _is_option(word)), None)
    extra = _EXTRA.match(error.format_message()) is not None
    return extra and at is not None and "run" not in words[:at]


def without_file(words: Sequence[str]) -> tuple[list[str], str]:
    """Return a command line without the option, and the file that the option named."""
    rest, file, left = [], "FILE", list(words)
    while left:
        word = left.pop(0)
        if not _is_option(word):
            rest.append(word)
        elif "=" in word:
            file = word.partition("=")[2] or file
        elif left and not left[0].startswith("-"):
            file = left.pop(0)
    return rest, file


def instead(file: str, command: str) -> tuple[str, str]:
    """Return what is wrong with the option there, and what is typed in its place.

    Args:
        command: What was typed, without the option and without secrets.
    """
    named = f"OPENCLAW_CONFIG_PATH={shlex.quote(file)}"
    problem = "--config is an option of `openclaw gateway run` alone, and stands behind these words"
    unit = f"in a unit, with the line `Environment={named}`"
    return problem, f"name the file in front: `{named} {command}`; {unit}"


def _is_option(word: str) -> bool:
    return word.partition("=")[0] == _OPTION
