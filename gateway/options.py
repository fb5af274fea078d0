"""What a command line asks of the gateway process: the one thing the two programs hand over."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen


@frozen(kw_only=True)
class RunOptions:
    """The words of ``gateway run``, parsed; None means that nothing was said.

    Args:
        config: The configuration file named on the command line.
        profile: The profile named there; the environment may still name one.
        dev: Short for the profile ``dev``.
        verbose: Short for the level ``debug``.
        log_level: Least severe level written to file and terminal.
        auto_approve: Built-in rules that let devices in without being asked about.
        force: End the gateway that runs on this state directory first.
        last_known_good: Run on the last configuration that worked if the file cannot be used.
        command_words: How this program was started, for the commands that messages name.
    """

    port: int | None = None
    bind: str | None = None
    auth: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    password_file: Path | None = None
    config: Path | None = None
    profile: str | None = None
    dev: bool = False
    verbose: bool = False
    log_level: str | None = None
    auto_approve: tuple[str, ...] = ()
    force: bool = False
    last_known_good: bool = False
    command_words: str = "openclaw"
