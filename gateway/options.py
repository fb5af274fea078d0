"""What a command line asks of the gateway process: the one thing the two programs hand over."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

_TOKEN_KEYS = ("gateway.auth.token", "gateway.auth.tokenFile")
_PASSWORD_KEYS = ("gateway.auth.password", "gateway.auth.passwordFile")
_LEVEL_KEYS = ("logging.level", "logging.consoleLevel")


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

    @property
    def decides(self) -> dict[str, str]:
        """The keys of the configuration that do not count beside an option, each with the option."""
        said = [
            ("--port", self.port, ("gateway.port",)),
            ("--bind", self.bind, ("gateway.bind",)),
            ("--bind", None if self.bind == "custom" else self.bind, ("gateway.customBindHost",)),
            ("--auth", self.auth, ("gateway.auth.mode",)),
            ("--token", self.token, _TOKEN_KEYS),
            ("--token-file", self.token_file, _TOKEN_KEYS),
            ("--password", self.password, _PASSWORD_KEYS),
            ("--password-file", self.password_file, _PASSWORD_KEYS),
            ("--verbose", self.verbose or None, _LEVEL_KEYS),
            ("--log-level", self.log_level, _LEVEL_KEYS),
        ]
        return {key: option for option, value, keys in said if value is not None for key in keys}
